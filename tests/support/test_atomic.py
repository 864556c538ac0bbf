"""Files replaced as a whole: what a failed or killed writer leaves behind."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import minidl
from minidl.support import atomic

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")


def run(code, *arguments):
    program = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(minidl.__file__))}
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_parts_follow_each_other(tmp_path):
    atomic.replace(tmp_path / "f", [b"ab", np.arange(2, dtype=np.uint8), b""])
    assert (tmp_path / "f").read_bytes() == b"ab\x00\x01"
    atomic.replace(str(tmp_path / "f"), [])
    assert (tmp_path / "f").read_bytes() == b""
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_writer_killed_in_between_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path, call):
    (tmp_path / "a[b]").write_bytes(b"old")
    code = """
        import os, signal, sys
        from minidl.support import atomic
        def die(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        class Dying(list):
            def __iter__(self):
                yield b"x" * 100_000
                die()
        if sys.argv[2] != "write":
            setattr(os, sys.argv[2], die)
        atomic.replace(sys.argv[1], Dying() if sys.argv[2] == "write" else [b"x" * 100_000])
    """
    assert run(code, tmp_path / "a[b]", call).returncode == -signal.SIGKILL
    assert (tmp_path / "a[b]").read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    (tmp_path / ".other.12345678.part").write_bytes(b"of another file")
    atomic.replace(tmp_path / "a[b]", [b"new"])
    assert (tmp_path / "a[b]").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == [".other.12345678.part", "a[b]"]


def test_the_file_of_a_living_writer_stays(tmp_path):
    target = tmp_path / "f"
    descriptor, temporary = atomic._create(target)
    try:
        atomic.replace(target, [b"second"])
        assert temporary.exists()
    finally:
        os.close(descriptor)
    atomic.replace(target, [b"third"])
    assert os.listdir(tmp_path) == ["f"]


def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_full_disk_is_told_and_changes_nothing(tmp_path, monkeypatch, call):
    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match=r"No space left .* what was there before is as it was.*/f'") as caught:
        atomic.replace(tmp_path / "f", [b"new"])
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "f")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_limit_in_the_middle_of_a_write_changes_nothing(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large .* what was there before is as it was"):
            atomic.replace(tmp_path / "f", [b"x" * 100_000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o440, 0o666, 0o755])
def test_a_replaced_file_keeps_its_mode_and_is_never_more_open(tmp_path, monkeypatch, mode):
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "f").chmod(mode)
    (tmp_path / "link").symlink_to("f")
    seen = []
    fsync = os.fsync

    def look(descriptor):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    atomic.replace(tmp_path / "link", [b"new"])
    assert seen[0] == mode  # of the temporary file, before it has its name
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_new_file_gets_the_umask_s_mode_and_no_set_user_bit_is_taken_over(tmp_path):
    old = os.umask(0o027)
    try:
        atomic.replace(tmp_path / "f", [b"new"])
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
        (tmp_path / "f").chmod(0o4755)
        atomic.replace(tmp_path / "f", [b"newer"])
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o755


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs").mkdir()
    atomic.check_folder("Checkpoint", "~/runs/f")
    atomic.replace("~/runs/f", [b"new"])
    assert (tmp_path / "runs" / "f").read_bytes() == b"new"
    with pytest.raises(FileNotFoundError, match=f"Checkpoint: the folder of '~/nowhere/f' must exist, got '{tmp_path}"):
        atomic.check_folder("Checkpoint", "~/nowhere/f")


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        atomic.replace(tmp_path / "nowhere" / "f", [b""])
