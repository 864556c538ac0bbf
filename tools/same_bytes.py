"""Build sdist and wheel of one commit twice, in folders of different names, and compare them byte by byte.

    python tools/same_bytes.py [--commit HEAD] [--out FOLDER]

Each build starts from a clone of its own, with another order of Python's sets, another language and other rights of new
files, and compiles anew: ccache is told to stand aside. SOURCE_DATE_EPOCH is the time of the commit. Needs git and the
package `build`. Prints the SHA-256 of each file; with --out the files of the first build are left there. Ends with an
error that names the first difference, if there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "umask": "022"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "umask": "077"},
)
"""What may not be seen in the files: these differ, as do the names and depths of the folders."""


def output(*command: str, cwd: Path) -> str:
    """What a command prints, without the end of its last line."""
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def build(source: Path, commit: str, folder: Path, surroundings: dict[str, str]) -> list[Path]:
    """The files that `python -m build` makes of a commit in a new folder, by name."""
    umask = int(surroundings["umask"], 8)
    folder.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--no-checkout", str(source), "minidl"], cwd=folder, check=True, umask=umask)
    clone = folder / "minidl"
    subprocess.run(["git", "checkout", "-q", commit], cwd=clone, check=True, umask=umask)
    settings = {name: value for name, value in surroundings.items() if name != "umask"}
    settings["CCACHE_DISABLE"] = "1"  # an object that both builds share would prove nothing
    settings["SOURCE_DATE_EPOCH"] = output("git", "log", "-1", "--format=%ct", cwd=clone)
    command = [sys.executable, "-m", "build", "--outdir", str(folder / "dist")]
    done = subprocess.run(
        command, cwd=clone, env=os.environ | settings, umask=umask, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.exit(done.stdout.decode(errors="replace"))
    return sorted((folder / "dist").iterdir())


def digest(content: bytes) -> str:
    """SHA-256, as sha256sum prints it."""
    return hashlib.sha256(content).hexdigest()


def members(path: Path) -> list[tuple[object, ...]]:
    """Name, rights, time and content's sum of each member of an archive, in its order."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return [
                (each.filename, oct(each.external_attr >> 16), each.date_time, digest(wheel.read(each)))
                for each in wheel.infolist()
            ]
    with tarfile.open(path) as archive:
        return [
            (each.name, oct(each.mode), each.mtime, each.uname, digest(file.read()))
            for each in archive
            if (file := archive.extractfile(each)) is not None
        ]


def difference(first: Path, second: Path) -> str | None:
    """What differs between two files, in words; None where their bytes are the same."""
    if first.name != second.name:
        return f"names: {first.name} and {second.name}"
    if first.read_bytes() == second.read_bytes():
        return None
    for one, other in zip(members(first), members(second), strict=False):
        if one != other:
            return f"{first.name}: {one} and {other}"
    return f"{first.name}: the archive around its members"


def main() -> None:
    """Build, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commit", default="HEAD", help="what to build (HEAD)")
    parser.add_argument("--out", type=Path, help="a folder for the files of the first build")
    args = parser.parse_args()
    source = Path(__file__).resolve().parents[1]
    commit = output("git", "rev-parse", args.commit, cwd=source)
    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder, "first"), Path(folder, "the", "second", "one"))
        builds = [build(source, commit, place, around) for place, around in zip(places, SURROUNDINGS, strict=True)]
        if [len(files) for files in builds] != [2, 2]:
            sys.exit(f"a build makes a sdist and a wheel, got {builds}")
        for first, second in zip(*builds, strict=True):
            if found := difference(first, second):
                sys.exit(f"two builds of {commit[:12]} differ in {found}")
            print(f"{digest(first.read_bytes())}  {first.name}")
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            for file in builds[0]:
                shutil.copy(file, args.out)


if __name__ == "__main__":
    main()
