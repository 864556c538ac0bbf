"""Single images: formats, colours, depth, transparency, orientation, sizes, and files that are none."""

import os
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from data_files import outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data import DataError, picture, read_image

Image = pytest.importorskip("PIL.Image")
RGB = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)  # h 5, w 4
GRAY = np.random.default_rng(1).integers(0, 256, (5, 4), np.uint8)


def saved(path, array, mode=None, **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".ppm", ".tif", ".tiff"])
def test_colours_come_as_channels_rows_columns(tmp_path, suffix):
    x = read_image(saved(tmp_path / f"a{suffix}", RGB))
    np.testing.assert_array_equal(x, RGB.transpose(2, 0, 1))
    assert x.dtype == np.uint8
    assert x.flags.c_contiguous
    assert x.flags.writeable


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPEG", ".webp"])
def test_lossy_formats_are_close(tmp_path, suffix):
    smooth = np.zeros((16, 16, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    x = read_image(saved(tmp_path / f"a{suffix}", smooth, quality=95))
    assert x.shape == (3, 16, 16)
    np.testing.assert_allclose(x.mean(axis=(1, 2)), [200, 100, 50], atol=3)


def test_the_content_not_the_name_tells_the_format(tmp_path):
    saved(tmp_path / "a.png", RGB).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), RGB.transpose(2, 0, 1))


def test_gray_images_have_three_equal_channels_or_one(tmp_path):
    saved(tmp_path / "a.png", GRAY)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.stack([GRAY] * 3))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", grayscale=True), GRAY[np.newaxis])


def test_the_luma_is_that_of_bt_601(tmp_path):
    x = read_image(saved(tmp_path / "a.png", RGB), grayscale=True)
    assert x.shape == (1, 5, 4)
    np.testing.assert_allclose(x[0], RGB @ [0.299, 0.587, 0.114], atol=1)


def test_palettes_and_single_bits_become_colours(tmp_path):
    flat = np.zeros((4, 4, 3), np.uint8)
    flat[:2], flat[2:] = (10, 20, 30), (200, 0, 100)
    saved(tmp_path / "p.png", Image.fromarray(flat).quantize(2))
    saved(tmp_path / "p.gif", Image.fromarray(flat).quantize(2))
    for name in ("p.png", "p.gif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), flat.transpose(2, 0, 1))
    saved(tmp_path / "bits.png", np.where(GRAY > 99, 255, 0).astype(np.uint8), "1")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png", grayscale=True)[0], np.where(GRAY > 99, 255, 0))


def test_transparent_pixels_show_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = 10, 20, 30, 255
    rgba[0, 1] = 10, 20, 30, 0
    rgba[1, 0] = 0, 100, 200, 51  # a fifth
    x = read_image(saved(tmp_path / "a.png", rgba))
    assert x[:, 0, 0].tolist() == [10, 20, 30]
    assert x[:, 0, 1].tolist() == [255, 255, 255]
    assert x[:, 1, 0].tolist() == [204, 224, 244]
    gray = Image.fromarray(np.array([[7, 7]], np.uint8))
    gray.putalpha(Image.fromarray(np.array([[255, 0]], np.uint8)))
    assert read_image(saved(tmp_path / "la.png", gray), grayscale=True).tolist() == [[[7, 255]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([1, 2, 3, 4, 5, 6])
    x = read_image(saved(tmp_path / "p.png", palette, transparency=1))
    assert x.tolist() == [[[1, 255]], [[2, 255]], [[3, 255]]]


def test_of_sixteen_bits_the_upper_eight_are_taken(tmp_path):
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        saved(tmp_path / name, deep)
        assert read_image(tmp_path / name, grayscale=True).tolist() == [[[0, 0, 1, 128, 255]]]
        assert read_image(tmp_path / name).tolist() == [[[0, 0, 1, 128, 255]]] * 3


def test_sixteen_bits_of_colour(tmp_path):
    """A PNG of 16-bit RGB, which Pillow does not write."""

    def chunk(kind, raw):
        return struct.pack(">I", len(raw)) + kind + raw + struct.pack(">I", zlib.crc32(kind + raw))

    rows = b"\0" + struct.pack(">6H", 0x1234, 0x00FF, 0xFFFF, 0x0100, 0x8000, 0x7FFF)
    header = struct.pack(">2I5B", 2, 1, 16, 2, 0, 0, 0)
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(raw)
    assert read_image(tmp_path / "a.png").tolist() == [[[0x12, 0x01]], [[0x00, 0x80]], [[0xFF, 0x7F]]]


def test_cmyk_becomes_colours(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    x = read_image(saved(tmp_path / "a.jpg", cmyk, quality=95))
    np.testing.assert_allclose(x.mean(axis=(1, 2)), [255, 0, 0], atol=8)


@pytest.mark.parametrize(
    ("orientation", "shown"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (4, lambda x: x[::-1]),
        (5, lambda x: x.T),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: x[::-1, ::-1].T),
        (8, lambda x: np.rot90(x)),
        (9, lambda x: x),
    ],
)
def test_photos_are_turned_as_exif_says(tmp_path, orientation, shown):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", GRAY, exif=exif)
    np.testing.assert_array_equal(read_image(path, grayscale=True)[0], shown(GRAY))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_metadata_do_not_spoil_good_pixels(tmp_path):
    path = saved(tmp_path / "a.png", GRAY, exif=b"Exif\0\0II*\0\xff\xff\xff\xffnonsense")
    np.testing.assert_array_equal(read_image(path, grayscale=True)[0], GRAY)


def test_resizing_averages_what_becomes_one_pixel(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255  # every second column: without a filter all black or all white
    x = read_image(saved(tmp_path / "a.png", stripes), size=(8, 16), grayscale=True)
    assert x.shape == (1, 8, 16)
    np.testing.assert_allclose(x[0, :, 1:-1], 127.5, atol=2)
    assert read_image(tmp_path / "a.png", 5).shape == (3, 5, 5)
    assert read_image(tmp_path / "a.png", [100, 3]).shape == (3, 100, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", np.int64(64), True)[0], stripes)


def test_a_bilinear_ramp_is_resized_to_its_own_values(tmp_path):
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (4, 1))
    x = read_image(saved(tmp_path / "a.png", ramp), size=(4, 8), grayscale=True)
    np.testing.assert_allclose(x[0, :, 1:-1], np.tile(np.arange(5, 160, 20), (4, 1))[:, 1:-1], atol=1)


def test_home_and_strings_are_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(tmp_path / "a.png", GRAY)
    np.testing.assert_array_equal(read_image("~/a.png", grayscale=True)[0], GRAY)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 0}, ValueError, "read_image: size must be at least 1 and at most 67108864 pixels in all, got 0"),
        ({"size": (3, -1)}, ValueError, "size must be at least 1"),
        ({"size": (2**20, 2**20)}, ValueError, "at most 67108864 pixels"),
        ({"size": 2.0}, TypeError, r"size must be an int, an \(h, w\) pair of ints or None, got 2.0"),
        ({"size": True}, TypeError, "size must be an int"),
        ({"size": (1, 2, 3)}, TypeError, "size must be an int"),
        ({"size": "32"}, TypeError, "size must be an int"),
        ({"grayscale": 1}, TypeError, "read_image: grayscale must be True or False, got 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        read_image(saved(tmp_path / "a.png", GRAY), **arguments)


def test_what_is_no_image_is_told_with_its_name(tmp_path):
    good = saved(tmp_path / "good.png", np.zeros((50, 50, 3), np.uint8)).read_bytes()
    photo = saved(tmp_path / "good.jpg", np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)).read_bytes()
    for name, raw, message in (
        ("a.png", b"", "is damaged, or no image of PNG, JPEG, "),
        ("a.png", b"<html>", "is damaged, or no image"),
        ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is damaged, or no image"),
        ("a.png", good[:60], "is damaged"),
        ("a.png", good[:20], "is damaged"),
        ("a.jpg", photo[: len(photo) // 2], r"is damaged \(.*truncated"),
        ("a.png", good.replace(b"IDAT", b"IDAX"), "is damaged"),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError, match=rf"{name}: {message}"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match="must be a regular file"):
        read_image(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
    saved(tmp_path / "f.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"f\.tif: has float pixels"):
        read_image(tmp_path / "f.tif")
    saved(tmp_path / "i.tif", np.array([[70000]], np.int32))
    with pytest.raises(DataError, match=r"i\.tif: has pixels from 70000 to 70000, must have at most 16 bits"):
        read_image(tmp_path / "i.tif")


@pytest.mark.parametrize(("w", "h"), [(8193, 8192), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_small_file_that_declares_a_huge_image_is_refused_before_it_is_unpacked(tmp_path, w, h):
    raw = bytearray(saved(tmp_path / "a.png", GRAY).read_bytes())
    raw[16:24] = struct.pack(">2I", w, h)
    raw[29:33] = struct.pack(">I", zlib.crc32(bytes(raw[12:29])))
    (tmp_path / "a.png").write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.png: has .*limit of 67108864"):
        read_image(tmp_path / "a.png")


def test_a_part_that_claims_more_bytes_than_the_file_has_takes_no_memory_for_them(tmp_path):
    raw = bytearray(saved(tmp_path / "a.png", GRAY).read_bytes())
    at = raw.index(b"IDAT") - 4
    raw[at : at + 4] = struct.pack(">I", 2**30)
    (tmp_path / "a.png").write_bytes(raw)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_image(tmp_path / "a.png", grayscale=True)[0], GRAY)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_an_oversized_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "_MAX_BYTES", 50)
    with pytest.raises(DataError, match=r"a\.png: file of \d+ bytes is larger than the limit of 50"):
        read_image(saved(tmp_path / "a.png", GRAY))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: must be a regular file"):
        read_image(tmp_path / "a.png")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(["png", "jpg", "bmp", "gif", "ppm", "tif", "webp"]))
@pytest.mark.filterwarnings("ignore")
def test_any_change_of_a_file_gives_an_image_or_a_data_error(tmp_path, data, suffix):
    path = saved(tmp_path / f"a.{suffix}", RGB)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)
    image, message = outcome(read_image, path)
    if image is None:
        assert message.startswith(str(path))
    else:
        assert image.dtype == np.uint8
        assert image.shape[0] == 3


def test_without_pillow_the_extra_is_named_and_nothing_is_imported_before(tmp_path):
    code = (
        "import sys\n"
        "import minidl.data\n"
        "assert not {'PIL', 'skimage', 'imageio', 'zipfile'} & set(sys.modules), sys.modules\n"
        "sys.modules['PIL'] = None\n"
        "try:\n    minidl.data.read_image(sys.argv[1])\n"
        "except ImportError as error:\n    print(error)\n"
    )
    program = [sys.executable, "-c", code, str(saved(tmp_path / "a.png", GRAY))]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert "pip install 'minidl[image]'" in done.stdout
