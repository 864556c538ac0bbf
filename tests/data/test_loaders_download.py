"""Loaders that find nothing on disk: what they download, to where, and what they say when that fails."""

import hashlib
import io
import sys
import zipfile

import numpy as np
import pytest
from data_files import MNIST_NAMES, cifar_files, hundred_files, idx_bytes, tar_gz, write_mnist

from minidl.data import cifar, emnist, load_cifar10, load_cifar100, load_emnist, load_kmnist, load_mnist, mnist
from minidl.data.files.published import CIFAR10, CIFAR100, EMNIST, MNIST, Source


@pytest.fixture
def served(server, tmp_path, monkeypatch):
    """Small MNIST and CIFAR-10 files on the server, in place of the published ones; an empty cache."""
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.delenv("MINIDL_OFFLINE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")

    def publish(name, raw):
        server.files[f"/data/{name}"] = raw
        mirrors = (f"{server.base}/broken/{name}", f"{server.base}/data/{name}")
        return Source(name, len(raw), hashlib.sha256(raw).hexdigest(), mirrors)

    arrays = write_mnist(tmp_path / "origin", gz=True)
    names = [source.name for source in MNIST]
    sources = tuple(publish(name, (tmp_path / "origin" / name).read_bytes()) for name in names)
    monkeypatch.setattr(mnist, "MNIST", sources)
    monkeypatch.setattr(cifar, "CIFAR10", publish(CIFAR10.name, tar_gz(cifar_files())))
    monkeypatch.setattr(mnist, "KMNIST", sources)
    monkeypatch.setattr(cifar, "CIFAR100", publish(CIFAR100.name, tar_gz(hundred_files())))
    names = [f"emnist-balanced-{name.replace('t10k', 'test')}" for name in MNIST_NAMES]
    server.letters = write_mnist(tmp_path / "letters", gz=True, names=names, seed=5)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.write(tmp_path / "letters" / f"{name}.gz", f"gzip/{name}.gz")
    monkeypatch.setattr(emnist, "EMNIST", publish(EMNIST.name, packed.getvalue()))
    server.arrays = arrays
    return server


def test_mnist_is_downloaded_once(served, tmp_path):
    (x, y), _ = load_mnist()
    np.testing.assert_array_equal(x[:, 0], served.arrays[0])
    np.testing.assert_array_equal(y, served.arrays[1])
    assert len(served.seen) == 8
    assert sorted(path.name for path in (tmp_path / "cache/minidl/mnist").iterdir()) == sorted(s.name for s in MNIST)
    load_mnist()
    assert len(served.seen) == 8


def test_the_other_data_sets_are_downloaded_once(served, tmp_path):
    (x, y), _ = load_kmnist()
    np.testing.assert_array_equal(x[:, 0], served.arrays[0])
    np.testing.assert_array_equal(y, served.arrays[1])
    (x, y), _ = load_emnist()
    np.testing.assert_array_equal(x[:, 0], served.letters[0].swapaxes(1, 2))
    np.testing.assert_array_equal(y, served.letters[1])
    (x_hundred, _), _ = load_cifar100()
    assert x_hundred.shape == (3, 3, 32, 32)
    folder = tmp_path / "cache" / "minidl"
    assert (folder / "emnist" / "gzip.zip").is_file()
    assert (folder / "cifar100" / "cifar-100-binary.tar.gz").is_file()
    assert len(list((folder / "kmnist").iterdir())) == 4
    asked = len(served.seen)
    load_kmnist(), load_emnist(), load_cifar100()
    assert len(served.seen) == asked


def test_only_what_is_missing_is_downloaded(served, tmp_path):
    folder = tmp_path / "cache" / "minidl" / "mnist"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(served.arrays[0]))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(served.files["/data/t10k-labels-idx1-ubyte.gz"])
    load_mnist()
    asked = [path for path in served.seen if path.startswith("/data/")]
    assert asked == ["/data/train-labels-idx1-ubyte.gz", "/data/t10k-images-idx3-ubyte.gz"]


def test_the_download_goes_to_minidl_data_where_that_is_set(served, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    load_mnist()
    (x, _), _ = load_cifar10()
    assert x.shape == (10, 3, 32, 32)
    assert (tmp_path / "data" / "mnist" / MNIST[0].name).is_file()
    assert (tmp_path / "data" / "cifar10" / CIFAR10.name).is_file()
    assert not (tmp_path / "cache").exists()


def test_a_given_path_is_never_downloaded_to(served, tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold"):
        load_mnist(tmp_path / "nothing")
    assert served.seen == []


def test_offline_nothing_is_asked_for(served, monkeypatch):
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="MINIDL_OFFLINE"):
        load_cifar10()
    assert served.seen == []


def test_without_a_mirror_the_error_says_in_one_line_what_was_tried_and_how_to_go_on(served, tmp_path):
    served.files.clear()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist()
    message = str(caught.value)
    assert "the download failed (train-images-idx3-ubyte.gz: 127.0.0.1:" in message
    assert "HTTP 503 Service Unavailable; 127.0.0.1:" in message
    assert "HTTP 404 Not Found). To place it by hand put train-images-idx3-ubyte," in message
    assert f"into {tmp_path / 'cache' / 'minidl' / 'mnist'}, or pass their folder as path" in message
    assert "\n" not in message


def test_a_cache_that_cannot_be_written_is_told(served, tmp_path, monkeypatch):
    (tmp_path / "regular").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "regular"))
    with pytest.raises(OSError, match=r"cannot write to .*regular.minidl.mnist \(.*\); set MINIDL_DATA"):
        load_mnist()
