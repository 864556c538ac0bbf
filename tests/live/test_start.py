"""`python -m minidl.live` as a program: what it prints, and the one line that it ends with where it cannot run."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from minidl.live import __main__ as program

COMMAND = [sys.executable, "-m", "minidl.live"]


def test_it_prints_an_address_serves_and_ends_by_ctrl_c():
    server = subprocess.Popen([*COMMAND, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        address = server.stdout.readline().decode().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{32})/", address)
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), 100) as connection:
            connection.sendall(f"GET /{found[2]}/ HTTP/1.1\r\nHost: 127.0.0.1:{found[1]}\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        server.send_signal(signal.SIGINT)
        assert server.wait(100) == 0
        assert server.stderr.read() == b""
    finally:
        server.kill()
        server.communicate()


def test_tokens_differ():
    found = set()
    for _ in range(2):
        server = subprocess.Popen([*COMMAND, "--port", "0", "--no-browser"], stdout=subprocess.PIPE)
        found.add(server.stdout.readline().split(b"/")[3])
        server.kill()
        server.communicate()
    assert len(found) == 2


def run(*arguments, before=""):
    code = f"{before}\nimport sys\nfrom minidl.live.__main__ import main\nsys.exit(main({list(arguments)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_port_in_use_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out, err = run("--port", str(port), "--no-browser")
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"port {port} cannot be used \(.+\): choose another one by --port, 0 for any\n", err)


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_an_extra_that_is_not_installed_is_one_line(package):
    status, out, err = run("--no-browser", before=f"import sys; sys.modules[{package!r}] = None")
    assert (status, out) == (1, "")
    assert err == f"minidl.live needs {package}: pip install 'minidl[live]'\n"


def test_a_port_that_is_none_is_refused():
    status, _, err = run("--port", "70000")
    assert status == 2
    assert err.endswith("argument --port: must be from 0 to 65535, got 70000\n")


@pytest.mark.parametrize("option", ["--data", "--folder"])
def test_a_folder_that_is_not_there_is_one_line(option):
    status, _, err = run(option, "/no/such/folder")
    assert status == 1
    assert err == f"{option}: there is no folder /no/such/folder\n"


def test_no_browser_is_one_line(monkeypatch, capsys):
    def broken(address):
        raise OSError("no display")

    for opens in (lambda address: False, broken):
        monkeypatch.setattr(program.webbrowser, "open", opens)
        program.show("http://127.0.0.1:1/x/")
        assert capsys.readouterr().out == "no browser could be opened: open the address above in one on this machine\n"
    monkeypatch.setattr(program.webbrowser, "open", lambda address: True)
    program.show("http://127.0.0.1:1/x/")
    assert capsys.readouterr().out == ""


def test_only_this_machine_can_connect():
    with program.listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_the_page_asks_nobody_else():
    """No address of another server in any of its files, and nothing that the policy would forbid."""
    from pathlib import Path

    page = Path(program.__file__).parent / "page"
    names = sorted(file.name for file in page.iterdir())
    assert {"index.html", "style.css", "main.js"} <= set(names)
    assert sum(len(file.read_text("utf-8").splitlines()) for file in page.iterdir()) < 2500
    for file in page.iterdir():
        text = file.read_text("utf-8")
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s\"']+", text) == []
        assert re.findall(r"\son\w+=|\sstyle=|eval\(|innerHTML|document\.write", text) == [], file.name
