"""CIFAR-10 from every form in which it is published, and from damaged ones."""

import gzip
import io
import tarfile

import numpy as np
import pytest
from data_files import CIFAR_NAMES, binary_batch, cifar_files, outcome, pictures, tar_gz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data import CIFAR10_CLASSES, DataError, load_cifar10


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def check(dataset):
    (x_train, y_train), (x_test, y_test) = dataset
    batches = [pictures(2, seed) for seed in range(6)]
    np.testing.assert_array_equal(x_train, np.concatenate([b[0] for b in batches[:5]]).reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(y_train, np.concatenate([b[1] for b in batches[:5]]))
    np.testing.assert_array_equal(x_test, batches[5][0].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(y_test, batches[5][1])
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    assert x_train.flags.c_contiguous
    assert x_train.flags.writeable


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("folder", [".", "cifar10", "cifar-10", "published", "cifar10/published"])
def test_batches_are_found_in_every_usual_folder(tmp_path, folder, python):
    published = "cifar-10-batches-py" if python else "cifar-10-batches-bin"
    write(tmp_path / folder.replace("published", published), cifar_files(python))
    check(load_cifar10(tmp_path))
    check(load_cifar10(str(tmp_path)))


@pytest.mark.parametrize("python", [False, True])
def test_gzipped_batches_are_read(tmp_path, python):
    write(tmp_path, {f"{name}.gz": gzip.compress(raw) for name, raw in cifar_files(python).items()})
    check(load_cifar10(tmp_path))


@pytest.mark.parametrize("python", [False, True])
def test_the_archive_is_read_as_a_path_or_in_a_folder(tmp_path, python):
    kind = "python" if python else "binary"
    prefix = "cifar-10-batches-py/" if python else "cifar-10-batches-bin/"
    members = {prefix + "batches.meta": b"not a batch", "../../data_batch_1.txt": b"neither"}
    members |= {prefix + name: raw for name, raw in reversed(cifar_files(python).items())}
    archive = tmp_path / f"cifar-10-{kind}.tar.gz"
    archive.write_bytes(tar_gz(members))
    check(load_cifar10(archive))
    check(load_cifar10(tmp_path))
    (tmp_path / "plain.tar").write_bytes(gzip.decompress(archive.read_bytes()))
    check(load_cifar10(tmp_path / "plain.tar"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name, "plain.tar"]  # nothing was unpacked


def test_channels_rows_and_columns_are_in_the_published_order(tmp_path):
    pixels = np.arange(3072) // 12  # red below 86, rows rising
    images = pixels.astype(np.uint8)[np.newaxis]
    write(tmp_path, {f"{name}.bin": binary_batch(images, np.array([9], np.uint8)) for name in CIFAR_NAMES})
    (x, y), _ = load_cifar10(tmp_path)
    assert y.tolist() == 5 * [9]
    assert x[0, 0, 0, 0] == 0
    assert x[0, 1, 0, 0] == 1024 // 12
    assert x[0, 2, 31, 31] == 3071 // 12
    assert x[0, 0, 1, 0] == 32 // 12
    assert CIFAR10_CLASSES[9] == "truck"


IMAGES, LABELS = pictures(2, 0)
RAW = binary_batch(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "has 0 bytes, must have a positive multiple of 3073"),
        (RAW[:-1], "has 6145 bytes, must have a positive multiple of 3073"),
        (RAW + b"x", "has 6147 bytes"),
        (b"\x0a" + RAW[1:], "to 10, must hold 0 to 9"),
        (b"<html>", "is an HTML page"),
        (gzip.compress(RAW)[:-1], "truncated"),
    ],
)
def test_a_damaged_batch_is_a_data_error_that_names_it(tmp_path, raw, message):
    write(tmp_path, cifar_files() | {"data_batch_4.bin": raw})
    with pytest.raises(DataError, match=r"data_batch_4\.bin") as caught:
        load_cifar10(tmp_path)
    assert message in str(caught.value)


def test_a_batch_of_absurd_size_is_refused(tmp_path):
    write(tmp_path, cifar_files() | {"test_batch.bin": gzip.compress(bytes(2**26 + 1), 1)})
    with pytest.raises(DataError, match=r"test_batch.bin: unpacks to more than the limit of 67108864 bytes"):
        load_cifar10(tmp_path)


def test_python_batches_in_a_folder_are_not_executed(tmp_path):
    trap = tmp_path / "trap"
    hostile = b"\x80\x02cos\nmkdir\nU" + bytes((len(str(trap)),)) + str(trap).encode() + b"\x85R."
    write(tmp_path, cifar_files(python=True) | {"data_batch_2": hostile})
    with pytest.raises(DataError, match=r"data_batch_2: is not a CIFAR-10 Python batch: asks for os.mkdir"):
        load_cifar10(tmp_path)
    assert not trap.exists()


def member(name, kind=tarfile.REGTYPE, raw=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(raw)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + raw + bytes(-len(raw) % 512)


GOOD = {f"data/{name}": raw for name, raw in cifar_files().items()}
END = bytes(1024)
WHOLE = b"".join(member(name, raw=raw) for name, raw in GOOD.items())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "truncated: ends after 0 bytes, must have 512"),
        (b"not a tar archive at all", "truncated: ends after 24 bytes, must have 512"),
        (200 * b"not a tar archive at all", "is not a tar archive"),
        (WHOLE.replace(b"data_batch_3", b"data_batch_8") + END, "is not a tar archive, or its headers are damaged"),
        (b"<!doctype html>", "is an HTML page"),
        (END, "has no data_batch_1, data_batch_2"),
        (WHOLE[: 2 * len(WHOLE) // 6], "truncated: ends after 14336 bytes, must have 14848"),
        (WHOLE[:9000], "truncated: ends after 9000 bytes"),
        (tar_gz(GOOD)[:-1], "truncated"),
        (tar_gz(GOOD)[:-8] + 8 * b"\0", "corrupt gzip data"),
        (tar_gz(dict(list(GOOD.items())[:5])), "has no test_batch"),
        (
            member("data_batch_1.bin", size=2**33 - 1) + END,
            "data_batch_1.bin declares 8589934591 bytes, above the limit",
        ),
        (member("data_batch_1.bin", size=2**25) + END, "truncated: ends after 1536 bytes"),
        (member("data_batch_1.bin", size=2**60) + END, "is not a tar archive"),
        (member("other", size=2**32) + END, "other declares 4294967296 bytes, above the limit of 268435456"),
        (member("other", tarfile.GNUTYPE_SPARSE, size=2**32) + END, "above the limit of 268435456"),
        (member("other", size=2**27) + END, "truncated: ends after 1536 bytes"),
        (member("data_batch_1.bin", tarfile.SYMTYPE, linkname="/etc/passwd") + END, "has no data_batch_1"),
        (member("data_batch_1.bin", tarfile.LNKTYPE, linkname="/etc/passwd") + END, "has no data_batch_1"),
        (member("data_batch_1.bin", tarfile.CHRTYPE) + END, "has no data_batch_1"),
        (member("data_batch_1.bin", tarfile.DIRTYPE) + END, "has no data_batch_1"),
        (5000 * member("none") + END, "has no data_batch_1"),
        (WHOLE + member("again/data_batch_1.bin", raw=RAW) + END, "has data_batch_1 twice"),
        (5000 * member("long", tarfile.XHDTYPE) + END, "has no data_batch_1"),
    ],
)
def test_a_damaged_or_hostile_archive_is_a_data_error_that_names_it(tmp_path, raw, message):
    (tmp_path / "archive").write_bytes(raw)
    with pytest.raises(DataError, match="archive") as caught:
        load_cifar10(tmp_path / "archive")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_in_an_archive_is_never_unpacked(tmp_path):
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as packed:
        packed.write(member("other", size=2**28))
        for _ in range(2**8):
            packed.write(bytes(2**20))
    (tmp_path / "bomb.tar.gz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="unpacks to more than the limit of 268435456 bytes"):
        load_cifar10(tmp_path / "bomb.tar.gz")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_an_archive_gives_pictures_or_a_data_error(tmp_path, data):
    raw = bytearray(WHOLE + END)
    starts = [i for i in range(0, len(raw), 512) if raw[i : i + 5] == b"data/"]
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 511))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # let the change pass the header's own checksum
        for start in starts:
            header = raw[start : start + 512]
            total = sum(header) - sum(header[148:156]) + 8 * 32
            raw[start + 148 : start + 156] = b"%06o\0 " % total
    (tmp_path / "archive").write_bytes(raw)
    dataset, message = outcome(load_cifar10, tmp_path / "archive")
    if dataset is None:
        assert "archive" in message
    else:
        (x, y), _ = dataset
        assert x.shape == (len(y), 3, 32, 32)
