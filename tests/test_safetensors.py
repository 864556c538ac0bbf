"""The safetensors reader and writer, against the format's own package and against broken files."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import safetensors


def raw(header, data=b"", length=None):
    """A file's bytes from a header (dict or bytes) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def same(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def test_round_trip_keeps_values_dtypes_shapes_and_metadata(tmp_path):
    tensors = {
        "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 4), np.float32),
        "flags": np.array([True, False]),
        "half": np.array([1, np.nan, np.inf], np.float16),
        "größe": np.array([-1], np.int64),
    }
    path = tmp_path / "w.safetensors"
    safetensors.save(path, tensors, {"mean": "[0.5]", "note": 'ä "quoted"'})
    loaded, metadata = safetensors.load(path)
    assert metadata == {"mean": "[0.5]", "note": 'ä "quoted"'}
    assert set(loaded) == set(tensors)
    for name, array in tensors.items():
        same(loaded[name], array)
        assert loaded[name].flags.writeable


@pytest.mark.parametrize("dtype", sorted(safetensors.DTYPES))
def test_every_dtype_agrees_with_the_safetensors_package(tmp_path, dtype):
    theirs = pytest.importorskip("safetensors.numpy")
    array = np.arange(12).reshape(3, 4).astype(safetensors.DTYPES[dtype])
    tensors = {"a": array, "b": array[:1] * 0}
    safetensors.save(tmp_path / "ours", tensors)
    theirs.save_file(tensors, tmp_path / "theirs")
    read_by_them = theirs.load_file(tmp_path / "ours")
    read_by_us, _ = safetensors.load(tmp_path / "theirs")
    for name, value in tensors.items():
        same(read_by_them[name], value)
        same(read_by_us[name], value)


@settings(deadline=None)
@given(hnp.arrays(st.sampled_from(["<f4", ">f4", "<f8", ">i2", "u1"]), hnp.array_shapes(min_dims=0, min_side=0)))
def test_any_array_comes_back(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("hypothesis") / "x"
    safetensors.save(path, {"x": array})
    same(safetensors.load(path)[0]["x"], array.astype(array.dtype.newbyteorder("=")))


def test_layout_is_aligned_and_without_gaps(tmp_path):
    path = tmp_path / "w"
    safetensors.save(path, {"a": np.zeros(3, np.uint8), "b": np.zeros(2), "c": np.zeros(3, np.float32)})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    offsets = {name: value["data_offsets"] for name, value in header.items()}
    assert offsets == {"b": [0, 16], "c": [16, 28], "a": [28, 31]}
    assert len(content) == 8 + length + 31


def test_strided_fortran_readonly_and_byteswapped_arrays_are_written_by_value(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    frozen = base.copy()
    frozen.flags.writeable = False
    fortran, swapped = np.asfortranarray(base), base.astype(">f4")
    kinds = {"strided": base[::2, ::-1], "fortran": fortran, "frozen": frozen, "swapped": swapped}
    safetensors.save(tmp_path / "w", kinds)
    for name, value in safetensors.load(tmp_path / "w")[0].items():
        same(value, np.ascontiguousarray(kinds[name], dtype="f4"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file, or cut off: it has 0 bytes"),
        (b"\x08\0\0", "cut off: it has 3 bytes"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not a safetensors file"),
        (raw({}, length=2**63), "announces a header of 9223372036854775808"),
        (raw(b"[1, 2]"), "must start with '{'"),
        (raw(b"  {}"), "must start with '{'"),
        (raw(b'{"a": '), "not a JSON object"),
        (raw(b'{"a": NaN}'), "NaN is not JSON"),
        (raw(b'{"\xff": 1}'), "not a JSON object"),
        (raw(b'{"a":' * 100_000), "not a JSON object"),
        (raw(b'{"a": 1, "a": 2}'), "name 'a' stands twice"),
        (raw({"__metadata__": {"a": 1}}), "__metadata__ must hold strings only"),
        (raw({"__metadata__": 3}), "__metadata__ must hold strings only"),
        (raw({"a": 3}), "tensor 'a': must have exactly dtype, shape and data_offsets"),
        (raw({"a": {**entry(), "extra": 1}}, b"1234"), "must have exactly"),
        (raw({"a": entry("BF16", (2,))}, b"1234"), "dtype must be one of .* got 'BF16'"),
        (raw({"a": entry(["F32"])}, b"1234"), "dtype must be one of"),
        (raw({"a": entry(shape=(-1,))}, b"1234"), "shape must be a list of integers of at least 0"),
        (raw({"a": entry(shape=(1.0,))}, b"1234"), "shape must be a list of integers"),
        (raw({"a": entry(shape=(True,))}, b"1234"), "shape must be a list of integers"),
        (raw({"a": entry(shape=(2**62, 2**62))}, b"1234"), "too large"),
        (raw({"a": entry(shape=(0, 2**62), offsets=(0, 0))}), "too large"),
        (raw({"a": entry(shape=[1] * 33)}, b"1234"), "at most 32 dimensions, got 33"),
        (raw({"a": entry(offsets=(0, 8))}, b"12345678"), r"must span 4 bytes \(shape \[1\], dtype F32\), got \[0, 8\]"),
        (raw({"a": entry(offsets=(4, 0))}, b"1234"), "must span 4 bytes"),
        (raw({"a": entry(offsets=(0, 2, 4))}, b"1234"), "must span 4 bytes"),
        (raw({"a": entry(), "b": entry(offsets=(2, 6))}, b"123456"), "tensor 'b'.* overlaps the one before it"),
        (raw({"a": entry(), "b": entry()}, b"1234"), "overlaps"),
        (raw({"a": entry(), "b": entry(offsets=(8, 12))}, b"1" * 12), "leaves a gap before it"),
        (raw({"a": entry(offsets=(4, 8))}, b"12345678"), "leaves a gap before it"),
        (raw({"a": entry()}, b"123"), "is cut off"),
        (raw({"a": entry()}, b"12345"), "has bytes after its last tensor"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        safetensors.load(path)
    assert str(path) in str(caught.value)


def test_a_repeated_name_is_found_among_very_many(tmp_path):
    """In one pass: to look for each name among all before it would take minutes."""
    names = ", ".join(f'"{i}": 1' for i in range(100_000))
    (tmp_path / "w").write_bytes(raw(f'{{{names}, "99999": 2}}'.encode()))
    with pytest.raises(ValueError, match="name '99999' stands twice"):
        safetensors.load(tmp_path / "w")


def test_a_file_that_grows_while_it_is_read_is_what_it_was_one_that_shrinks_is_refused(tmp_path, monkeypatch):
    path, array = tmp_path / "w", np.arange(100_000)
    read = safetensors._read_header

    def meanwhile(size):
        def header(who, file, known):
            found = read(who, file, known)
            os.truncate(path, size)
            return found

        safetensors.save(path, {"x": array})
        monkeypatch.setattr(safetensors, "_read_header", header)

    meanwhile(2_000_000)
    same(safetensors.load(path)[0]["x"], array)
    monkeypatch.undo()
    meanwhile(700_000)
    with pytest.raises(ValueError, match="was cut off while it was read"):
        safetensors.load(path)


def test_header_size_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors, "MAX_HEADER", 64)
    (tmp_path / "w").write_bytes(raw(b"{" + b" " * 100 + b"}"))
    with pytest.raises(ValueError, match="at most 64"):
        safetensors.load(tmp_path / "w")
    with pytest.raises(ValueError, match="header must be at most 64 bytes"):
        safetensors.save(tmp_path / "v", {"x": np.zeros(1)}, {"a": "b" * 60})


def test_every_truncation_is_refused(tmp_path):
    safetensors.save(tmp_path / "w", {"a": np.ones((2, 2), np.float32), "b": np.ones(1, np.float32)})
    content = (tmp_path / "w").read_bytes()
    for size in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:size])
        with pytest.raises(ValueError, match="cut"):
            safetensors.load(tmp_path / "cut")


@pytest.mark.parametrize(
    ("tensors", "metadata", "error"),
    [
        ({"a": np.array([object()])}, None, TypeError),
        ({"a": np.zeros(1, complex)}, None, TypeError),
        ({"__metadata__": np.zeros(1)}, None, ValueError),
        ({3: np.zeros(1)}, None, ValueError),
        ({"a": np.zeros(1)}, {"k": 3}, TypeError),
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_a_file_exists(tmp_path, tensors, metadata, error):
    with pytest.raises(error, match="safetensors"):
        safetensors.save(tmp_path / "w", tensors, metadata)
    assert os.listdir(tmp_path) == []


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "w"
    safetensors.save(path, {"x": np.ones(3)})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        safetensors.save(path, {"x": np.zeros(3)})
    assert os.listdir(tmp_path) == ["w"]
    assert safetensors.load(path)[0]["x"].tolist() == [1, 1, 1]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_follow_the_umask_and_links_stay_links(tmp_path):
    (tmp_path / "link").symlink_to("real")
    old = os.umask(0o027)
    try:
        safetensors.save(tmp_path / "link", {"x": np.ones(1)})
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    assert safetensors.load(tmp_path / "real")[0]["x"] == 1
    old = os.umask(0o022)
    try:
        safetensors.save(tmp_path / "link", {"x": np.ones(1)})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640  # a replaced file keeps its mode


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    safetensors.save("~/w", {"x": np.ones(2)})
    assert safetensors.load("~/w")[0]["x"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["w"]


TENSORS = {"a": np.arange(3, dtype=np.float32), "b": np.zeros((0, 2)), "c": np.array(7, np.int64)}


def test_file_objects_get_and_give_the_same_bytes_as_files(tmp_path):
    safetensors.save(tmp_path / "w", TENSORS, {"k": "v"})
    stream = io.BytesIO(b"before")
    stream.seek(6)
    safetensors.save(stream, TENSORS, {"k": "v"})
    assert stream.getvalue() == b"before" + (tmp_path / "w").read_bytes()
    stream.seek(6)
    tensors, metadata = safetensors.load(stream)
    assert metadata == {"k": "v"}
    assert set(tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        same(tensors[name], array)
        assert tensors[name].flags.writeable
    assert not stream.closed


class Slow(io.RawIOBase):
    """Takes at most seven bytes at once, as a raw file may."""

    def __init__(self):
        self.taken = b""

    def write(self, data):
        self.taken += bytes(data[:7])
        return min(7, len(data))


class Own:
    """Not of the io module; write returns nothing."""

    def __init__(self):
        self.taken = b""

    def write(self, data):
        self.taken += bytes(data)


@pytest.mark.parametrize("kind", [Slow, Own])
def test_writers_of_other_habits_get_every_byte(kind):
    stream, other = io.BytesIO(), kind()
    safetensors.save(stream, TENSORS)
    safetensors.save(other, TENSORS)
    assert other.taken == stream.getvalue()


def test_gzip_and_zip_members_serve_as_file_objects(tmp_path):
    with gzip.open(tmp_path / "w.gz", "wb") as file:
        safetensors.save(file, TENSORS)
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive, archive.open("w", "w") as member:
        safetensors.save(member, TENSORS)
    with gzip.open(tmp_path / "w.gz", "rb") as file:
        same(safetensors.load(file)[0]["a"], TENSORS["a"])
    with zipfile.ZipFile(tmp_path / "w.zip") as archive, archive.open("w") as member:
        same(safetensors.load(member)[0]["a"], TENSORS["a"])


def test_file_objects_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"safetensors file 'BytesIO': .* cut off: it has 0 bytes"):
        safetensors.load(io.BytesIO())
    with open(tmp_path / "text", "w+", encoding="utf-8") as text:
        with pytest.raises(TypeError, match=r"safetensors.save: path must be a str, a path or a binary file object"):
            safetensors.save(text, TENSORS)
        with pytest.raises(TypeError, match=r"safetensors.load: path must be .* binary file object with read\(\)"):
            safetensors.load(text)
    for wrong in (3, None, ["w"]):
        with pytest.raises(TypeError, match=r"safetensors.save: path must be .* got "):
            safetensors.save(wrong, TENSORS)
        with pytest.raises(TypeError, match=r"safetensors.load: path must be .* got "):
            safetensors.load(wrong)
    broken = type("Broken", (), {"write": lambda self, data: 0, "read": lambda self: "text"})()
    with pytest.raises(OSError, match="took none of 8 bytes"):
        safetensors.save(broken, TENSORS)
    with pytest.raises(TypeError, match=r"read\(\) of .* must give bytes, gave str"):
        safetensors.load(broken)
