"""Break the writing of files at each call to the system: kills, errors, power cuts, full disks, closed folders.

    python tools/break_writes.py [--kills 200]

Written are the weights of a model, a checkpoint, and a network as ONNX, each over an older file and as a new one.

kills       A child process is killed by SIGKILL before, in the middle of, and after each call. Then the file is the old
            one or the new one, whole; the next write succeeds and leaves no temporary file; a checkpoint goes on to the
            bits of a training that nobody disturbed. Rounds go on until there were so many kills.
errors      Each call fails with "no space left", "input/output error" and "read-only file system": the writer raises an
            OSError that names the file, which is the old one as long as it has not been renamed.
stalls      The disk is so slow that at each moment others come and go: a reader finds the old file or the new one,
            whole; another writer of the same file ends, and so does the slow one, the later rename counts.
lost        Power fails at each moment on a disk that keeps what was synced, and perhaps what was not: of each file the
            bytes before its last fsync, of the folder the names before its last one or any later ones. Under the file's
            name there are the old bytes or the new ones; once the writer is back, the new ones.
full        The disk takes fewer bytes than the file has (RLIMIT_FSIZE), at each of 20 sizes.
closed      The folder may not be written to.

Ends with an error where one of these does not hold.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import io
import os
import resource
import signal
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import breaking
import numpy as np

import minidl
from minidl import safetensors
from minidl.support import atomic

Writer = Callable[[Path], None]
NOBODY = 65534


class BrokenError(Exception):
    """A promise does not hold."""


def holds(what: bool, *rule: object) -> None:
    """Raise BrokenError unless `what` is true."""
    if not what:
        raise BrokenError(" ".join(map(str, rule)))


# ---- what is written -------------------------------------------------------------------------------------------------


def trained(epochs: int, path: Path | None = None) -> minidl.Trainer:
    """A training of so many epochs, from the checkpoint if there is one."""
    minidl.seed(3)
    network = minidl.Model(minidl.Conv2D(1, 4, 3), minidl.BatchNorm2D(4), minidl.Relu(), minidl.Flatten(), *head())
    trainer = minidl.Trainer(network, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(0.01), minidl.WeightAverage(0.9))
    x = np.random.default_rng(0).integers(0, 256, (20, 1, 6, 6), np.uint8)
    labels = np.arange(20) % 3
    trainer.fit((x, labels), (x, labels), epochs, 8, seed=1, verbose=False, resume=path or False)
    return trainer


def head() -> tuple[minidl.Layer, ...]:
    """Layers with a generator of their own."""
    return minidl.Dropout(0.3, rng=5), minidl.Linear(64, 3)


def digest(trainer: minidl.Trainer) -> str:
    """Of all numbers, but for the seconds."""
    history = {name: array for name, array in trainer.history.state().items() if name != "seconds"}
    stream, average = io.BytesIO(), trainer.average
    parts = trainer.model.state(), trainer.optimizer.state(), history, average.state() if average else {}
    safetensors.save(stream, {f"{i}.{name}": array for i, part in enumerate(parts) for name, array in part.items()})
    return hashlib.sha256(stream.getvalue()).hexdigest()


def writers(folder: Path) -> dict[str, tuple[Writer, bytes, bytes]]:
    """Name -> a writer, what it writes, and an older file of the same kind."""
    first, second = trained(1), trained(2)
    pairs: dict[str, tuple[Writer, Writer]] = {
        "weights": (second.model.save, first.model.save),
        "checkpoint": (lambda path: second.save(path), lambda path: first.save(path)),
        "onnx": (
            lambda path: minidl.onnx.save(second.model, path, (1, 6, 6)),
            lambda path: minidl.onnx.save(first.model, path, (1, 6, 6)),
        ),
    }
    found = {}
    for name, (new, old) in pairs.items():
        contents = []
        for write in (new, old):
            write(folder / name)
            contents.append((folder / name).read_bytes())
        found[name] = (new, *contents)
        (folder / name).unlink()
    return found


def leftovers(folder: Path) -> list[str]:
    """Names of temporary files."""
    return [name for name in os.listdir(folder) if name.endswith(atomic.TAIL)]


def content(path: Path) -> bytes | None:
    """What the file has; None where there is none."""
    return path.read_bytes() if path.exists() else None


def begin(path: Path, old: bytes | None) -> None:
    """The file as it is before the writer comes."""
    path.unlink(missing_ok=True)
    if old is not None:
        path.write_bytes(old)


# ---- kills -----------------------------------------------------------------------------------------------------------


def in_a_child(work: Callable[[], None]) -> int:
    """Run it in a forked child; returns the child's status, 1 for an OSError that names no file, 3 for a good one."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except OSError as error:
            status = 3 if error.filename else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moments(write: Writer, path: Path) -> list[str]:
    """All moments of one write, in order."""
    found: list[str] = []
    breaking.watch(lambda count, what: found.append(what))
    try:
        write(path)
    finally:
        breaking.unwatch()
    return found


def kills(folder: Path, most: int) -> tuple[int, int]:
    """Kill writers until there were so many kills; returns their number and that of resumed trainings."""
    end, done, resumed = digest(trained(3)), 0, 0
    while done < most:
        for name, (write, new, older) in writers(folder).items():
            for old in (older, None):
                path = folder / name
                begin(path, old)
                all_moments = moments(write, path)
                renamed = all_moments.index("after replace")
                for i in range(len(all_moments)):
                    who = f"{name}, killed {all_moments[i]} ({i + 1} of {len(all_moments)}):"
                    begin(path, old)

                    def work(at: int = i + 1, write: Writer = write, path: Path = path) -> None:
                        breaking.watch(breaking.kill_at(at))
                        write(path)

                    holds(in_a_child(work) == -signal.SIGKILL, who, "it lives")
                    holds(
                        content(path) == (new if i >= renamed else old), who, "the file is neither the old nor the new"
                    )
                    if name == "checkpoint" and content(path) is not None:
                        holds(digest(trained(3, path)) == end, who, "the training goes on to other bits")
                        resumed += 1
                    write(path)
                    holds(content(path) == new, who, "the next write has failed")
                    holds(not leftovers(folder), who, "left", leftovers(folder))
                    done += 1
                    if done == most:
                        return done, resumed
    return done, resumed


# ---- errors, and what is lost ----------------------------------------------------------------------------------------


def errors(folder: Path) -> int:
    """Let each call fail; returns how often one did."""
    done = 0
    for name, (write, new, older) in writers(folder).items():
        path = folder / name
        begin(path, older)
        all_moments = moments(write, path)
        renamed = all_moments.index("after replace")
        for i, what in enumerate(all_moments):
            if what.startswith("after") or "fchmod" in what:
                continue  # a mode that cannot be set is no reason to lose the file
            for number in (errno.ENOSPC, errno.EIO, errno.EROFS):
                begin(path, older)
                who = f"{name}, {what} ({i + 1}) fails with {errno.errorcode[number]}:"

                def act(count: int, what: str, at: int = i + 1, number: int = number) -> None:
                    if count == at:
                        raise OSError(number, os.strerror(number))

                breaking.watch(act)
                try:
                    write(path)
                    raised = None
                except OSError as error:
                    raised = error
                finally:
                    breaking.unwatch()
                holds(raised is not None and raised.filename == os.fspath(path), who, "no error that names the file")
                holds(content(path) == (new if i >= renamed else older), who, "the file is neither the old nor the new")
                holds(not leftovers(folder), who, "left", leftovers(folder))
                done += 1
    return done


def lost(folder: Path) -> int:
    """Let power fail at each moment; returns at how many."""
    done = 0
    for name, (write, new, older) in writers(folder).items():
        path = folder / name
        begin(path, older)
        disk, sound = {"synced": b"", "durable": {older}}, {older, new}

        def act(count: int, what: str, name: str = name, sound: set = sound, disk: dict = disk) -> None:
            nonlocal done
            if what == "after fsync" and not disk["synced"]:
                (temporary,) = leftovers(folder)
                disk["synced"] = (folder / temporary).read_bytes()
            elif what == "after replace":
                disk["durable"].add(disk["synced"])
            elif what == "after fsync":
                disk["durable"] = {disk["synced"]}
            elif what.endswith("write"):
                holds(not disk["synced"], name, "written after the sync")
            holds(disk["durable"] <= sound, name, what, "a file that is neither the old nor the new")
            done += 1

        breaking.watch(act)
        try:
            write(path)
        finally:
            breaking.unwatch()
        holds(disk["durable"] == {new}, name, "the folder was not synced")
    return done


def stalls(folder: Path) -> int:
    """Let others come at each moment, while the disk stalls; returns at how many."""
    done = 0
    for name, (write, new, older) in writers(folder).items():
        path, other = folder / name, older + b" of another writer"
        begin(path, older)
        all_moments = moments(write, path)
        renamed = all_moments.index("after replace")
        for i, what in enumerate(all_moments):
            begin(path, older)
            who = f"{name}, the disk stalls {what} ({i + 1} of {len(all_moments)}):"
            found: list[bytes | int | None] = []

            def another(path: Path = path, other: bytes = other) -> None:
                breaking.unwatch()
                atomic.replace(path, [other])

            def act(
                count: int,
                what: str,
                at: int = i + 1,
                path: Path = path,
                found: list[bytes | int | None] = found,
                another: Callable[[], None] = another,
            ) -> None:
                if count == at:
                    found += [content(path), in_a_child(another), content(path)]

            breaking.watch(act)
            try:
                write(path)
            finally:
                breaking.unwatch()
            holds(found == [new if i >= renamed else older, 0, other], who, "others find neither the old nor the new")
            holds(content(path) == (other if i >= renamed else new), who, "the file is not that of the last rename")
            holds(not leftovers(folder), who, "left", leftovers(folder))
            done += 1
    return done


# ---- disks and folders -----------------------------------------------------------------------------------------------


def full(folder: Path) -> int:
    """Limit what a file may have; returns how many writers met the limit."""
    done = 0
    for name, (write, new, older) in writers(folder).items():
        path = folder / name
        for size in np.linspace(0, len(new) - 1, 20).astype(int).tolist():
            begin(path, older)

            def work(size: int = size, write: Writer = write, path: Path = path) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                write(path)

            who = f"{name}, {size} of {len(new)} bytes fit:"
            holds(in_a_child(work) == 3, who, "no error that names the file")
            holds(content(path) == older, who, "the older file is not as it was")
            holds(not leftovers(folder), who, "left", leftovers(folder))
            done += 1
    return done


def closed(folder: Path) -> int:
    """Take away the right to write; returns how many writers were refused."""
    done = 0
    for name, (write, _, older) in writers(folder).items():
        path = folder / name
        begin(path, older)
        mode = stat.S_IMODE(folder.stat().st_mode)
        folder.chmod(0o555)

        def work(write: Writer = write, path: Path = path) -> None:
            if os.getuid() == 0:  # to whom no folder is closed
                os.setuid(NOBODY)
            write(path)

        try:
            holds(in_a_child(work) == 3, name, "in a closed folder: no error that names the file")
        finally:
            folder.chmod(mode)
        holds(content(path) == older, name, "in a closed folder: the older file is not as it was")
        holds(not leftovers(folder), name, "left", leftovers(folder))
        done += 1
    return done


def main(argv: list[str] | None = None) -> None:
    """All of them in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many (default %(default)s)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "files")
        Path(place).chmod(0o755)
        folder.mkdir()
        try:
            print("{} kills, {} trainings resumed".format(*kills(folder, given.kills)), flush=True)
            for part, what in (
                (errors, "errors"),
                (lost, "power cuts"),
                (stalls, "stalls"),
                (full, "full disks"),
                (closed, "closed folders"),
            ):
                print(f"{part(folder)} {what}", flush=True)
        except BrokenError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
