"""Changes of inputs: of bytes, of JSON, and of formats with sums, which are put right so that readers look further."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import random
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import safetensors

WHOLE = (0, 1, 2, 3, 4, 5, 7, 16, 17, 127, 255, 1000, 2**20, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -1, -2, -7)
DECIMAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 3e38, -3e38, math.inf, -math.inf, math.nan)
KINDS = (np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_)
DEEP, LONG, WIDE = "@deep", "@long", "@wide"
"""Stand for what `json.dumps` refuses to write: a deep nest, a number of many digits, one beyond all floats."""
OTHERS = (None, True, False, "", "x", "0.5", "\0", "ß" * 99, (), {}, DEEP, LONG, WIDE, 2**64, -(2**63) - 1, 10**300)


# ---- bytes -----------------------------------------------------------------------------------------------------------


def change_bytes(rng: random.Random, content: bytes, files: list[bytes], words: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes; words: what the format knows."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, end = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
        end = min(end, at + rng.choice((1, 4, 16, 512)))
        what = rng.randrange(8 if words else 7)
        if not changed:
            changed += rng.choice((content, *files, b"\0"))[:64]
        elif what == 0:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif what == 1:
            changed[at : at + 1] = bytes((rng.choice((0, 1, 9, 10, 32, 47, 48, 127, 128, 255)),))
        elif what == 2:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(WHOLE) % 256**width
            changed[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
        elif what == 3:
            del changed[at:end]
        elif what == 4:
            changed[at:at] = changed[at:end] * rng.choice((1, 1, 2, 50))
        elif what == 5:
            other = rng.choice(files) if files else b""
            start = rng.randrange(len(other) + 1)
            changed[at:end] = other[start : start + rng.choice((1, 8, 64, 512))]
        elif what == 6:
            changed[rng.randrange(len(changed) + 1) :] = b""
        else:
            changed[at : rng.choice((at, end))] = rng.choice(words)
    return bytes(changed)


def change_packed(rng: random.Random, content: bytes, files: list[bytes]) -> bytes:
    """Of a gzipped file mostly what is inside."""
    if content[:2] == b"\x1f\x8b" and rng.random() < 0.7:
        with contextlib.suppress(OSError, EOFError, zlib.error):
            return gzip.compress(change_bytes(rng, gzip.decompress(content), files), 1, mtime=0)
    return change_bytes(rng, content, files)


# ---- formats with sums -----------------------------------------------------------------------------------------------


def change_tar(rng: random.Random, content: bytes, files: list[bytes]) -> bytes:
    """A tar archive whose headers have the right sums, mostly."""
    packed = content[:2] == b"\x1f\x8b"
    with contextlib.suppress(OSError, EOFError, zlib.error):
        content = gzip.decompress(content) if packed else content
    changed = bytearray(content)
    heads = [at for at in range(0, len(changed) - 511, 512) if changed[at + 257 : at + 262] == b"ustar"]
    if heads and rng.random() < 0.6:
        head = rng.choice(heads)
        start, width = rng.choice(((0, 100), (124, 12), (148, 8), (156, 1), (345, 155)))
        field = change_bytes(rng, bytes(changed[head + start : head + start + width]), files)
        changed[head + start : head + start + width] = field[:width].ljust(width, b"\0")
    else:
        changed = bytearray(change_bytes(rng, bytes(changed), files))
    for head in heads if rng.random() < 0.9 else []:
        if head + 512 <= len(changed):
            changed[head + 148 : head + 156] = b" " * 8
            changed[head + 148 : head + 156] = b"%06o\0 " % sum(changed[head : head + 512])
    return gzip.compress(changed, 1, mtime=0) if packed else bytes(changed)


def change_image(rng: random.Random, content: bytes, files: list[bytes]) -> bytes:
    """An image; the parts of a PNG have the right sums, mostly."""
    changed = change_bytes(rng, content, files)
    if not changed.startswith(b"\x89PNG\r\n\x1a\n") or rng.random() < 0.1:
        return changed
    made, at = bytearray(changed[:8]), 8
    while at + 8 <= len(changed):
        length = int.from_bytes(changed[at : at + 4], "big")
        body = changed[at + 4 : at + 8 + length]
        made += len(body[4:]).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(made)


# ---- JSON and safetensors --------------------------------------------------------------------------------------------


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def change_json(rng: random.Random, text: str) -> str:
    """Another JSON text; what is none comes back with a letter changed."""
    try:
        value = json.loads(text)
        found = list(places(value))
    except (ValueError, RecursionError):
        return change_bytes(rng, text.encode(), []).decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not found or rng.random() < 0.02:
            value = odd(rng)
            break
        inside, key = rng.choice(found)
        what, there = rng.randrange(6), isinstance(inside, dict)
        if (there and key not in inside) or (not there and key >= len(inside)):
            continue
        if what == 0:
            del inside[key]
        elif what == 1:
            other, name = rng.choice(found)
            with contextlib.suppress(LookupError):
                inside[key] = json.loads(json.dumps(other[name]))  # a copy: no nest may stand in itself
        elif what == 2 and there:
            inside[rng.choice([str(name) for _, name in found])] = inside.pop(key)
        elif what == 2:
            inside.insert(key, inside[key])
        elif what == 3 and isinstance(inside[key], (int, float)):
            inside[key] += rng.choice((1, -1, 0.5))
        else:
            inside[key] = odd(rng)
    text = json.dumps(value)
    depth = rng.choice((70, 2000, 20000))
    for mark, meant in ((DEEP, "[" * depth + "]" * depth), (LONG, "1" + "0" * 5000), (WIDE, "1" + "0" * 400)):
        text = text.replace(f'"{mark}"', meant)
    return text


def odd(rng: random.Random) -> Any:
    """A value that is seldom right."""
    return rng.choice((rng.choice(WHOLE), rng.choice(DECIMAL), rng.choice(OTHERS)))


def change_safetensors(rng: random.Random, content: bytes, files: list[bytes]) -> bytes:
    """Another safetensors file: mostly a sound one of other content, else one with another header, or other bytes."""
    way = rng.random()
    if way < 0.15:
        return change_bytes(rng, content, files)
    length = int.from_bytes(content[:8], "little")
    if way < 0.4:
        text = change_json(rng, content[8 : 8 + length].decode("utf-8", "replace")).encode("utf-8", "surrogatepass")
        return len(text).to_bytes(8, "little") + text + content[8 + length :]
    try:
        tensors, metadata = safetensors.load(io.BytesIO(content))
    except (ValueError, MemoryError):
        return change_bytes(rng, content, files)
    if metadata and rng.random() < 0.7:
        name = rng.choice(list(metadata))
        metadata[name] = change_json(rng, metadata[name])
        if rng.random() < 0.05:
            del metadata[name]
    elif tensors:
        change_tensor(rng, tensors)
    made = io.BytesIO()
    try:
        safetensors.save(made, tensors, metadata)
    except (ValueError, UnicodeError):
        return change_bytes(rng, content, files)
    return made.getvalue()


def change_tensor(rng: random.Random, tensors: dict[str, np.ndarray]) -> None:
    """One of them goes, gets another name, dtype or shape, or numbers that are seldom right."""
    name = rng.choice(list(tensors))
    array, what = tensors[name], rng.randrange(5)
    if what == 0:
        del tensors[name]
    elif what == 1:
        tensors[rng.choice((*tensors, name + ".x", name.rpartition(".")[0], "model.", "é\0"))] = array
    elif what == 2:
        with np.errstate(all="ignore"):
            tensors[name] = array.astype(rng.choice(KINDS))
    elif what == 3:
        flat = array.reshape(-1)
        tensors[name] = rng.choice((flat[:0], flat[:1], flat, array[None], flat.repeat(2)))
    elif array.size:
        array = array.copy()
        with np.errstate(all="ignore"):
            array.reshape(-1)[rng.randrange(array.size)] = np.array(rng.choice(DECIMAL)).astype(array.dtype)
        tensors[name] = array
