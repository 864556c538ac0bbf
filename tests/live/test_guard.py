"""Who may talk to the server, how much, and what hostile files and requests meet with."""

from __future__ import annotations

import collections
import io
import json
import zipfile

import numpy as np
import pytest

from minidl import safetensors
from minidl.live.app import TURN
from minidl.live.guard import LARGE, SMALL

OTHER = {
    "no token": {"token": ""},
    "half a token": {"token": "token-of"},
    "another token": {"token": "token-of-the-testz"},
    "another host": {"headers": {"Host": "evil.example:80"}},
    "a host that leads here by its name": {"headers": {"Host": "127.0.0.1.evil.example"}},
    "another port": {"headers": {"Host": "127.0.0.1:1"}},
    "no host": {"headers": {"Host": None}},
    "another origin": {"headers": {"Origin": "http://evil.example"}},
    "a file's origin": {"headers": {"Origin": "null"}},
    "another scheme": {"headers": {"Origin": "https://127.0.0.1"}},
    "from another site": {"headers": {"Sec-Fetch-Site": "cross-site"}},
    "from another port of this machine": {"headers": {"Sec-Fetch-Site": "same-site"}},
}
others = pytest.mark.parametrize("how", OTHER.values(), ids=OTHER.keys())


@others
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/main.js"), ("POST", "/api/about")])
def test_others_are_refused(page, how, method, path):
    status, headers, body = page.request(method, path, b"{}" if method == "POST" else None, **how)
    assert status in (400, 403)  # 400: the server itself misses the host
    # Without a body where the connection was closed before all that was sent had been read.
    assert b"minidl.live" in body or status == 400 or not body
    assert "default-src 'none'" in headers.get("content-security-policy", "default-src 'none'")
    assert page.desk.current is None


def test_what_writes_must_say_where_it_comes_from(page):
    assert page.request("POST", "/api/start", b"{}", {"Origin": None})[0] == 403
    assert page.request("GET", "/", headers={"Origin": None})[0] == 200


def test_answers_forbid_everything_foreign(page):
    status, headers, body = page.request("GET", "/", headers={"Origin": None, "Sec-Fetch-Site": "none"})
    assert status == 200
    assert b"<title>minidl live</title>" in body
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert f"ws://{page.host}" in policy
    wanted = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}
    assert wanted.items() <= headers.items()
    assert headers["cache-control"] == "no-store"


def test_only_the_files_of_the_page_are_served(page):
    for name in ("main.js", "train.js", "pictures.js", "style.css", "index.html"):
        status, headers, _ = page.request("GET", f"/{name}")
        assert status == 200
        assert headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "text/html")
    for path in ("/../guard.py", "/%2e%2e/guard.py", "/..%2fguard.py", "//etc/passwd", "/nothing", "/api/about"):
        assert page.request("GET", path)[0] in (404, 405)


def websocket(page, path="/news", **changes):
    from websockets.sync.client import connect

    address = page.address.replace("http://", "ws://", 1).rstrip("/") + path
    options = {"origin": page.origin, "max_size": 2**24, "open_timeout": 100} | changes
    return connect(options.pop("address", address), **options)


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"origin": None},
        {"path": "/nothing"},
        {"token": "another"},
        {"additional_headers": {"Sec-Fetch-Site": "cross-site"}},
    ],
    ids=str,
)
def test_websockets_of_others_are_refused(page, changes):
    from websockets.exceptions import InvalidStatus

    if "token" in changes:
        changes = {"address": f"ws://{page.host}/{changes['token']}/news"}
    with pytest.raises(InvalidStatus) as refused:
        websocket(page, **changes)
    assert refused.value.response.status_code in (403, 404)


def test_a_websocket_tells_of_the_training(page):
    with websocket(page) as socket:
        first = json.loads(socket.recv(100))
        assert first["status"] == "ready"
        assert first["fresh"] is True
        assert [layer["place"] for layer in first["look"]["layers"]] == [str(i) for i in range(10)]
        page.ask("start", {"steps": 3})
        told = first
        while told["step"] < 3 or told["status"] != "paused":
            socket.send("drawn")
            told = json.loads(socket.recv(100))
        assert told["points"] or told["step"] == 3
        assert page.desk.run.viewers == 1
    page.until(lambda run: run.viewers == 0)


def test_a_page_gets_no_report_before_it_has_drawn_the_last_one(page):
    with websocket(page) as socket:
        first = json.loads(socket.recv(100))
        page.ask("start", {"steps": 3})
        page.until(lambda run: run.status == "paused")
        with pytest.raises(TimeoutError):
            socket.recv(4 * TURN)
        socket.send("drawn")
        told = json.loads(socket.recv(100))
        assert (told["step"], told["status"]) == (3, "paused")
        assert [point[0] for point in told["points"]] == [1, 2, 3]
        assert told["look"]["step"] == 3
        page.ask("pause")
        socket.send("x" * 1000)  # whatever it says
        told = json.loads(socket.recv(100))
        assert told["look"] is None  # it is the last one still
        assert told["fresh"] is False
    assert first["fresh"] is True


def test_a_message_that_is_too_long_ends_a_websocket_and_nothing_else(page):
    from websockets.exceptions import ConnectionClosed

    with websocket(page) as socket:
        socket.send("x" * 2**17)
        with pytest.raises(ConnectionClosed):
            collections.deque(socket, maxlen=0)  # all that comes, until the end
    assert page.ask("about")["settings"]["data"] == "digits"


# ---- sizes -----------------------------------------------------------------------------------------------------------


def test_bodies_are_bounded(page):
    for name, limit in (("about", SMALL), ("open", LARGE["/api/open"]), ("picture", LARGE["/api/picture"])):
        status, _, body = page.request("POST", f"/api/{name}", b"", {"Content-Length": str(limit + 1)})
        assert status == 413
        assert str(limit).encode() in body
    assert page.request("POST", "/api/about", b" " * (SMALL - 2) + b"{}")[0] == 200


def test_a_body_that_does_not_tell_its_size_is_bounded_too(page):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    status, _, _ = page.request("POST", "/api/about", chunk * 5 + b"0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    assert status == 413
    assert page.ask("about")["set"]["train"] == 4000


@pytest.mark.parametrize(
    "body", [b"[]", b"3", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 20_000, b'{"steps": NaN}', b'"x"']
)
def test_bodies_that_are_no_objects_get_one_line(page, body):
    status, _, answer = page.request("POST", "/api/start", body)
    assert status == 400
    line = json.loads(answer)["error"]
    assert line
    assert "\n" not in line


# ---- files -----------------------------------------------------------------------------------------------------------


def bomb():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(2**20))
    return packed.getvalue()


def without_architecture():
    file = io.BytesIO()
    safetensors.save(file, {"w": np.zeros(3, np.float32)})
    return file.getvalue()


def architecture(text):
    file = io.BytesIO()
    safetensors.save(file, {"w": np.zeros(3, np.float32)}, {"architecture": text})
    return file.getvalue()


def network(*layers):
    nodes = [{"layer": name, "settings": settings} for name, settings in layers]
    return architecture(json.dumps({"format": 1, "network": {"layer": "Model", "settings": {"layers": nodes}}}))


HOSTILE = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "a header of 2^60 bytes": (2**60).to_bytes(8, "little") + b"{}",
    "an archive": bomb(),
    "a pickle": b"\x80\x04\x95" + b"cos\nsystem\n(S'true'\ntR.",
    "weights alone": without_architecture(),
    "another's layers": network(("os.system", {"command": "true"})),
    "a layer of 2^40 numbers": network(("Linear", {"in_features": 2**20, "out_features": 2**20})),
    "deep": architecture("[" * 100_000),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx", "../../model", ""])
def test_hostile_models_are_refused_in_one_line(page, content, name):
    if name.endswith(".onnx"):
        pytest.importorskip("onnx")
    status, _, body = page.request("POST", f"/api/open?name={name}", content)
    assert status == 400
    line = json.loads(body)["error"]
    assert line
    assert "\n" not in line
    assert page.desk.file_models == {}


PICTURES = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "half a PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a PNG of 2^30 pixels": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x80\0\0\0\x80\0\x08\0\0\0\0" + bytes(4),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}


@pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES.keys())
def test_hostile_pictures_are_refused_in_one_line(page, content):
    pytest.importorskip("PIL")
    number = opened(page)
    status, _, body = page.request("POST", f"/api/picture?model={number}", content)
    assert status == 400
    line = json.loads(body)["error"]
    assert line
    assert "\n" not in line
    assert "/" not in line  # nobody learns where the server keeps files


def opened(page):
    import minidl

    file = io.BytesIO()
    minidl.Model(minidl.Flatten(), minidl.Linear(784, 10)).save(file)
    status, _, body = page.request("POST", "/api/open?name=small.safetensors", file.getvalue())
    assert status == 200, body
    return json.loads(body)["model"]
