"""The IDX reader: every type, and every way in which a file can be wrong."""

import gzip
import io
import os
import zlib

import numpy as np
import pytest
from data_files import idx_bytes, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data import DataError, read_idx
from minidl.data.files.bounded import Content
from minidl.data.files.idx import read_content

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "uint8"), (0x09, "int8"), (0x0B, "int16"), (0x0C, "int32"), (0x0D, "float32"), (0x0E, "float64")],
)
def test_every_type_comes_back_in_native_byte_order(tmp_path, code, dtype, gz):
    values = np.array([[1, 2, 3], [4, 5, -6 if dtype != "uint8" else 250]], dtype)
    raw = idx_bytes(values, code)
    (tmp_path / "file").write_bytes(gzip.compress(raw) if gz else raw)
    got = read_idx(tmp_path / "file")
    assert got.dtype == np.dtype(dtype)
    assert got.dtype.isnative
    assert got.flags.writeable
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, values)


def test_the_content_not_the_name_tells_whether_a_file_is_gzipped(tmp_path):
    (tmp_path / "plain.gz").write_bytes(idx_bytes(VALUES))
    (tmp_path / "packed").write_bytes(gzip.compress(idx_bytes(VALUES)))
    np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), VALUES)
    np.testing.assert_array_equal(read_idx(str(tmp_path / "packed")), VALUES)


def test_an_empty_array_is_read(tmp_path):
    (tmp_path / "file").write_bytes(idx_bytes(np.zeros((0, 28, 28), np.uint8)))
    assert read_idx(tmp_path / "file").shape == (0, 28, 28)


GOOD = idx_bytes(VALUES)
PACKED = gzip.compress(GOOD, mtime=0)
BAD = {
    "empty": (b"", "truncated: ends after 0 bytes, must have 4"),
    "magic only": (GOOD[:4], "truncated: ends after 4 bytes, must have 16"),
    "short": (GOOD[:-1], "truncated: ends after 39 bytes, must have 40"),
    "long": (GOOD + b"x", "has more than the 40 bytes"),
    "magic": (b"\x01" + GOOD[1:], "is not an IDX file: starts with 01 00 08 03"),
    "type": (GOOD[:2] + b"\x0a" + GOOD[3:], "is not an IDX file"),
    "no dimensions": (b"\0\0\x08\0x", "IDX file of 0 dimensions; must have 1 to 8"),
    "many dimensions": (b"\0\0\x08\x09" + 36 * b"\0", "IDX file of 9 dimensions"),
    "huge": (b"\0\0\x08\x03" + 12 * b"\xff", "declares uint8 (4294967295, 4294967295, 4294967295), above the limit"),
    "huge beside zero": (b"\0\0\x08\x03" + 4 * b"\0" + 8 * b"\xff", "above the limit"),
    "page": (b"\n <!DOCTYPE html><html>404</html>", "is an HTML page, not a data file"),
    "page with mark": (b"\xef\xbb\xbf<?xml version='1.0'?><Error/>", "is an HTML page"),
    "gzip cut": (PACKED[:-9], "truncated: the gzip stream ends"),
    "gzip header cut": (PACKED[:5], "truncated"),
    "gzip trailer cut": (PACKED[:-4], "truncated"),
    "gzip sum": (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "corrupt gzip data"),
    "gzip method": (b"\x1f\x8b\x07" + PACKED[3:], "corrupt gzip data"),
    "gzip and more": (PACKED + b"rest", "data follow the end of the gzip stream"),
    "two gzip members": (PACKED + PACKED, "data follow the end of the gzip stream"),
    "gzip of too much": (gzip.compress(GOOD + b"x"), "has more than the 40 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_file_is_a_data_error_that_names_it(tmp_path, case):
    raw, message = BAD[case]
    (tmp_path / "the-file").write_bytes(raw)
    with pytest.raises(DataError, match="the-file") as caught:
        read_idx(tmp_path / "the-file")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_zeros_after_a_gzip_stream_are_padding(tmp_path):
    (tmp_path / "file").write_bytes(PACKED + 100 * b"\0")
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), VALUES)


def test_the_limit_holds_for_the_file_and_for_what_the_header_declares(tmp_path):
    (tmp_path / "file").write_bytes(GOOD)
    assert read_idx(tmp_path / "file", max_bytes=40).shape == (2, 3, 4)
    with pytest.raises(DataError, match="above the limit of 39 bytes"):
        read_idx(tmp_path / "file", max_bytes=39)
    (tmp_path / "file").write_bytes(GOOD + bytes(10_000))
    with pytest.raises(DataError, match="file of 10040 bytes is larger than the limit of 100"):
        read_idx(tmp_path / "file", max_bytes=100)


def test_a_decompression_bomb_is_never_unpacked(tmp_path):
    bomb = gzip.compress(b"\0\0\x08\x01" + (2**20).to_bytes(4, "big") + bytes(2**26), 9)
    assert len(bomb) < 2**17
    (tmp_path / "bomb").write_bytes(bomb)
    with pytest.raises(DataError, match="has more than the 1048584 bytes"):
        read_idx(tmp_path / "bomb")
    with Content(tmp_path / "bomb", 2**20) as content, pytest.raises(DataError, match="more than the limit of 1048576"):
        content.all_bytes()


def test_empty_blocks_without_end_do_not_hang(tmp_path):
    # Stored deflate blocks of length 0: input without output.
    (tmp_path / "file").write_bytes(gzip.compress(b"")[:10] + 100_000 * b"\0\0\0\xff\xff")
    with pytest.raises(DataError, match="truncated"):
        read_idx(tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="must be a regular file"):
        read_idx(tmp_path / "pipe")


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="must be a regular file"):
        read_idx(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")


def test_large_content_crosses_the_chunks(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (3, 1000, 1000), np.uint8)
    (tmp_path / "file").write_bytes(gzip.compress(idx_bytes(values), 1))
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), values)
    (tmp_path / "repeated").write_bytes(gzip.compress(idx_bytes(np.full((5, 2**20), 7, np.uint8))))
    assert (read_idx(tmp_path / "repeated") == 7).all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_a_file_gives_an_array_or_a_data_error(tmp_path, data):
    raw = bytearray(data.draw(st.sampled_from([GOOD, PACKED])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] + data.draw(st.binary(max_size=3))
    (tmp_path / "file").write_bytes(raw)
    array, message = outcome(read_idx, tmp_path / "file", 2**16)
    if array is None:
        assert "file" in message
    else:
        assert array.nbytes < 2**16


def test_gzip_with_every_header_field_is_read(tmp_path):
    extra, name, comment = b"\x04\x00abcd", b"name\0", b"comment\0"
    header = b"\x1f\x8b\x08\x1e" + bytes(4) + b"\0\xff" + extra + name + comment
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = body.compress(GOOD) + body.flush()
    trailer = zlib.crc32(GOOD).to_bytes(4, "little") + len(GOOD).to_bytes(4, "little")
    (tmp_path / "file").write_bytes(header + deflated + trailer)
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), VALUES)


class Endless(io.RawIOBase):
    """A file that has grown by the time that it is read, again and again."""

    def readable(self):
        return True

    def seek(self, place, whence=0):
        return 0

    def readinto(self, buffer):
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def test_a_file_that_grows_while_it_is_read_is_refused_and_never_ends_in_all_memory(tmp_path):
    (tmp_path / "file").write_bytes(GOOD)
    with Content(tmp_path / "file", 1000) as content:
        with open(tmp_path / "file", "ab") as file:
            file.write(b"more")
        with pytest.raises(DataError, match="has more than the 40 bytes that it must have"):
            read_content(content)
    with (
        Content(tmp_path / "file", 2**24, Endless()) as content,
        pytest.raises(DataError, match="unpacks to more than the limit of 16777216 bytes"),
    ):
        content.all_bytes()
