"""One image file as an array, whatever its format, colours, size and orientation."""

from __future__ import annotations

import io
import operator
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.data.files.bounded import DataError, as_path

if TYPE_CHECKING:  # the name alone; Pillow is imported when an image is read
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff")
"""File names that end so, in small or capital letters, are images; the content tells the format."""

MAX_PIXELS = 2**26
"""Largest image, in pixels (8192 x 8192): a small file can declare far more than the memory holds."""

_MAX_BYTES = 2**29
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
_ORIENTATION = 0x0112  # Exif 2.32, section 4.6.4
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # its value -> PIL.Image.Transpose


def read_image(
    path: str | os.PathLike[str], size: int | tuple[int, int] | None = None, grayscale: bool = False
) -> np.ndarray:
    """The image in a file as uint8 (3, H, W), channels red, green, blue; or (1, H, W).

    path: a PNG, JPEG, BMP, GIF or TIFF (their first frame), WebP, PGM or PPM file of at most `MAX_PIXELS` pixels.
    size: None for the image's own, an int for a square, or (h, w); resized by a bilinear filter that is as wide as the
    pixels that become one (so without aliasing), the ratio of the sides is not kept. grayscale: one channel, the luma
    0.299 R + 0.587 G + 0.114 B of ITU-R BT.601; without it a gray image has three equal channels.
    Photos are turned upright as their Exif orientation says, transparent pixels show white, 16 bits become the upper 8,
    palettes and CMYK become colours.
    Needs Pillow, which the extra `image` brings (ImportError).
    Raises DataError naming the file where it is damaged, too large, no regular file or no such image; OSError where it
    cannot be read; TypeError or ValueError for the arguments.
    """
    wanted = check_size("read_image", size)
    check_flag("read_image", "grayscale", grayscale)
    return decode(as_path("read_image", path), wanted, grayscale)


def check_size(who: str, size: Any) -> tuple[int, int] | None:
    """`size` as (h, w); TypeError or ValueError naming `who` where it is neither an int, nor a pair, nor None."""
    if size is None:
        return None
    pair = size if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, (int, np.integer)) and not isinstance(side, bool) for side in pair):
        raise TypeError(f"{who}: size must be an int, an (h, w) pair of ints or None, got {size!r}")
    h, w = map(operator.index, pair)
    if h < 1 or w < 1 or h * w > MAX_PIXELS:
        raise ValueError(f"{who}: size must be at least 1 and at most {MAX_PIXELS} pixels in all, got {size!r}")
    return h, w


def check_flag(who: str, name: str, flag: Any) -> None:
    """Raise TypeError naming `who` unless `flag` is True or False."""
    if not isinstance(flag, bool):
        raise TypeError(f"{who}: {name} must be True or False, got {flag!r}")


def decode(path: Path, size: tuple[int, int] | None, grayscale: bool) -> np.ndarray:
    """`read_image` with checked arguments."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("minidl.data reads images with Pillow: pip install 'minidl[image]'") from error

    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device would block or never end
        raise DataError(f"{path}: must be a regular file")
    if status.st_size > _MAX_BYTES:
        raise DataError(f"{path}: file of {status.st_size} bytes is larger than the limit of {_MAX_BYTES}")
    with open(path, "rb") as file:
        try:
            # Out of memory: of a file Pillow would ask for as many bytes as a part of it claims to have.
            with Image.open(io.BytesIO(file.read(status.st_size)), formats=_FORMATS) as image:
                w, h = image.size
                if h * w > MAX_PIXELS:
                    raise DataError(f"{path}: has {h} x {w} pixels, above the limit of {MAX_PIXELS}")
                image.load()
                return _pixels(path, _upright(image), size, grayscale)
        except DataError:
            raise
        except UnidentifiedImageError:
            raise DataError(f"{path}: is damaged, or no image of {', '.join(_FORMATS)}") from None
        except Image.DecompressionBombError:
            raise DataError(f"{path}: has more pixels than the limit of {MAX_PIXELS}") from None
        except MemoryError:
            raise
        except Exception as error:  # what a damaged file makes a decoder raise is an open set
            raise DataError(f"{path}: is damaged ({' '.join(str(error).split()) or type(error).__name__})") from None


def _upright(image: Image) -> Image:
    """The image turned and mirrored as its Exif orientation says."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata beside good pixels
        turn = None
    return image if turn is None else image.transpose(turn)  # type: ignore[arg-type]


def _pixels(path: Path, image: Image, size: tuple[int, int] | None, grayscale: bool) -> np.ndarray:
    from PIL.Image import Resampling, alpha_composite, fromarray, new

    if image.mode == "F":
        raise DataError(f"{path}: has float pixels, must have integers of at most 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{path}: has pixels from {values.min()} to {values.max()}, must have at most 16 bits")
        image = fromarray((values >> 8).astype(np.uint8))
    elif image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        colours = image.convert("RGBA")
        image = alpha_composite(new("RGBA", colours.size, "white"), colours)
    image = image.convert("L" if grayscale else "RGB")
    if size is not None and size != (image.height, image.width):
        image = image.resize(size[::-1], Resampling.BILINEAR)
    values = np.asarray(image)
    return np.ascontiguousarray(values[np.newaxis] if grayscale else values.transpose(2, 0, 1))
