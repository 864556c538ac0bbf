"""MNIST and Fashion-MNIST: the four files, where they are looked for, and what is said where they are not found."""

import sys
from pathlib import Path

import numpy as np
import pytest
from data_files import MNIST_NAMES, idx_bytes, write_mnist

from minidl.data import KMNIST_CLASSES, DataError, load_cifar10, load_fashion_mnist, load_kmnist, load_mnist, mnist
from minidl.data.files import search
from minidl.data.files.published import MNIST


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no MINIDL_DATA, no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    return tmp_path / "cache" / "minidl"


def check(dataset, arrays):
    (x_train, y_train), (x_test, y_test) = dataset
    np.testing.assert_array_equal(x_train, arrays[0][:, np.newaxis])
    np.testing.assert_array_equal(y_train, arrays[1])
    np.testing.assert_array_equal(x_test, arrays[2][:, np.newaxis])
    np.testing.assert_array_equal(y_test, arrays[3])
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    assert x_train.flags.writeable


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw", "MNIST"])
def test_a_path_is_searched_with_its_subfolders(tmp_path, folder, gz):
    arrays = write_mnist(tmp_path / "here" / folder, gz)
    check(load_mnist(tmp_path / "here"), arrays)
    check(load_mnist(str(tmp_path / "here")), arrays)


def test_plain_and_gzipped_files_may_be_mixed(tmp_path):
    arrays = write_mnist(tmp_path)
    write_mnist(tmp_path / "other", gz=True)
    (tmp_path / MNIST_NAMES[0]).unlink()
    (tmp_path / "other" / f"{MNIST_NAMES[0]}.gz").rename(tmp_path / f"{MNIST_NAMES[0]}.gz")
    check(load_mnist(tmp_path), arrays)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("load", "folder"), [(load_mnist, "mnist"), (load_fashion_mnist, "fashion"), (load_kmnist, ".")]
)
def test_names_with_a_dot_are_found(tmp_path, load, folder, gz):
    dotted = [name.replace("-idx", ".idx") for name in MNIST_NAMES]
    assert dotted[0] == "train-images.idx3-ubyte"
    arrays = write_mnist(tmp_path / folder, gz, names=dotted)
    check(load(tmp_path), arrays)
    (tmp_path / folder / (dotted[0] + ".gz" * gz)).rename(tmp_path / folder / (MNIST_NAMES[0] + ".gz" * gz))
    check(load(tmp_path), arrays)


@pytest.mark.parametrize("folder", [".", "kmnist", "KMNIST/raw", "KMNIST"])
def test_kmnist_is_found_in_every_usual_folder(tmp_path, folder):
    arrays = write_mnist(tmp_path / folder, gz=True)
    check(load_kmnist(tmp_path), arrays)
    assert (KMNIST_CLASSES[0], KMNIST_CLASSES[3], KMNIST_CLASSES[9]) == ("o", "tsu", "wo")


def test_the_order_is_path_then_minidl_data_then_cache(tmp_path, cache, monkeypatch):
    in_cache = write_mnist(cache / "mnist", seed=10)
    check(load_mnist(), in_cache)
    in_data = write_mnist(tmp_path / "data", gz=True, seed=20)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    check(load_mnist(), in_data)
    in_subfolder = write_mnist(tmp_path / "data" / "mnist", seed=30)
    check(load_mnist(), in_subfolder)
    in_path = write_mnist(tmp_path / "path", seed=40)
    check(load_mnist(tmp_path / "path"), in_path)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "nothing"))
    check(load_mnist(), in_cache)


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    arrays = write_mnist(tmp_path / "digits")
    check(load_mnist("~/digits"), arrays)
    monkeypatch.setenv("MINIDL_DATA", "~/digits")
    check(load_mnist(), arrays)


def test_fashion_mnist_is_not_taken_from_files_that_may_be_mnist_s(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="Fashion-MNIST: not found"):
        load_fashion_mnist()
    with pytest.raises(FileNotFoundError, match="KMNIST: not found"):
        load_kmnist()
    fashion = write_mnist(tmp_path / "FashionMNIST" / "raw", seed=9)
    check(load_fashion_mnist(), fashion)
    check(load_fashion_mnist(tmp_path / "FashionMNIST" / "raw"), fashion)


def test_mnist_s_own_files_are_refused_as_fashion_mnist(tmp_path, monkeypatch):
    (tmp_path / "fashion").mkdir()
    write_mnist(tmp_path / "fashion")
    labels = (tmp_path / "fashion" / MNIST_NAMES[1]).read_bytes()
    published = mnist.hashlib.sha256(labels).hexdigest()
    monkeypatch.setattr(mnist, "MNIST", (MNIST[0], type(MNIST[1])("", 0, "", (), published, 0)))
    with pytest.raises(DataError, match="train-labels-idx1-ubyte: is a file of MNIST, not of Fashion-MNIST"):
        load_fashion_mnist(tmp_path)
    (tmp_path / "fashion").rename(tmp_path / "kmnist")
    with pytest.raises(DataError, match="train-labels-idx1-ubyte: is a file of MNIST, not of KMNIST"):
        load_kmnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (0, np.zeros((7, 28, 27), np.uint8), r"train-images.* \(7, 28, 27\), must hold uint8 \(N, 28, 28\)"),
        (0, np.zeros((7, 784), np.uint8), "must hold uint8"),
        (2, np.zeros((0, 28, 28), np.uint8), "t10k-images.* with at least one image"),
        (1, np.zeros(6, np.uint8), r"train-labels.* uint8 \(6,\), must hold uint8 \(7,\), one label an image"),
        (3, np.zeros((3, 1), np.uint8), "t10k-labels.*one label an image"),
        (3, np.array([0, 9, 10], np.uint8), "t10k-labels.* holds the label 10, must hold 0 to 9"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, name, values, message):
    write_mnist(tmp_path)
    (tmp_path / MNIST_NAMES[name]).write_bytes(idx_bytes(values))
    with pytest.raises(DataError, match=message):
        load_mnist(tmp_path)


def test_labels_and_images_exchanged_are_refused(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / MNIST_NAMES[0]).write_bytes((tmp_path / MNIST_NAMES[1]).read_bytes())
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: holds uint8 \(7,\)"):
        load_mnist(tmp_path)


def test_a_path_without_the_files_says_which_belong_there(tmp_path, cache):
    write_mnist(cache / "mnist")
    write_mnist(tmp_path / "part")
    (tmp_path / "part" / MNIST_NAMES[2]).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(tmp_path / "part")
    message = str(caught.value)
    assert message.startswith(f"MNIST: {tmp_path / 'part'} must hold train-images-idx3-ubyte, train-labels")
    assert "t10k-labels-idx1-ubyte (each plain or .gz)" in message
    assert message.endswith("there or in mnist or MNIST/raw or MNIST")


def test_offline_the_error_says_in_one_line_what_to_do(tmp_path, cache, monkeypatch):
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist()
    message = str(caught.value)
    assert message.startswith(f"MNIST: not found in {cache}")
    assert "MINIDL_OFFLINE forbids a download" in message
    assert f"put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, {MNIST_NAMES[3]}" in message
    assert f"into {cache / 'mnist'}, or pass their folder as path" in message
    assert "\n" not in message
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    with pytest.raises(
        FileNotFoundError, match=r"CIFAR-10: not found in .*data or .*minidl \(sub.*cifar-10-binary\.tar\.gz, or"
    ):
        load_cifar10()


@pytest.mark.parametrize(("value", "forbids"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_minidl_offline(monkeypatch, value, forbids):
    monkeypatch.setenv("MINIDL_OFFLINE", value)
    assert search.offline() is forbids


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/tmp/x"}, "/tmp/x/minidl"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/minidl"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/someone/.cache/minidl"),
        ("darwin", {}, "/home/someone/Library/Caches/minidl"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minidl/Cache"),
        ("win32", {"LOCALAPPDATA": ""}, "/home/someone/AppData/Local/minidl/Cache"),
    ],
)
def test_the_cache_is_where_the_platform_has_it(monkeypatch, platform, variables, folder):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert search.cache_folder() == Path(folder)


def test_without_a_home_folder_the_error_says_so(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(FileNotFoundError, match="no home folder is known for data files; set MINIDL_DATA"):
        load_mnist()
