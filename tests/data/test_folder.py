"""A folder of images, a sub-folder a class: what counts, in which order, and what is refused."""

import os

import numpy as np
import pytest

from minidl.data import DataError, Folder, list_folder, load_folder, read_image

Image = pytest.importorskip("PIL.Image")


def put(path, value, shape=(4, 6)):
    """A gray image of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)
    return path


@pytest.fixture
def pets(tmp_path):
    root = tmp_path / "pets"
    for i, name in enumerate(["dog/b.png", "dog/a.PNG", "cat/2.bmp", "cat/10.png", "cat/more/1.png", "eel/x.tif"]):
        put(root / name, 10 * (i + 1))
    return root


def test_classes_and_images_come_in_the_order_of_their_names(pets):
    folder = load_folder(pets)
    assert isinstance(folder, Folder)
    x, y, names = folder
    assert names == ["cat", "dog", "eel"]
    assert y.tolist() == [0, 0, 0, 1, 1, 2]
    assert x[:, 0, 0, 0].tolist() == [40, 30, 50, 20, 10, 60]  # 10.png, 2.bmp, more/1.png, a.PNG, b.png, x.tif
    assert x.shape == (6, 3, 4, 6)
    assert x.dtype == np.uint8
    assert y.dtype == np.int64
    files, labels, classes = list_folder(str(pets))
    assert [str(file.relative_to(pets)) for file in files] == [
        os.path.join(*name.split("/"))
        for name in ("cat/10.png", "cat/2.bmp", "cat/more/1.png", "dog/a.PNG", "dog/b.png", "eel/x.tif")
    ]
    np.testing.assert_array_equal(labels, y)
    assert classes == names
    for image, file in zip(x, files, strict=True):
        np.testing.assert_array_equal(image, read_image(file))


def test_grayscale_and_size(pets):
    assert load_folder(pets, grayscale=True).x.shape == (6, 1, 4, 6)
    assert load_folder(pets, size=5).x.shape == (6, 3, 5, 5)
    put(pets / "dog" / "wide.png", 200, (3, 90))
    x, _, _ = load_folder(pets, (2, 3), True)
    assert x.shape == (7, 1, 2, 3)
    assert x[:, 0, 1, 2].tolist() == [40, 30, 50, 20, 10, 200, 60]


def test_two_sizes_without_size_are_an_error_that_names_both(pets):
    put(pets / "dog" / "wide.png", 0, (3, 90))
    with pytest.raises(DataError) as caught:
        load_folder(pets)
    first, other = pets / "cat" / "10.png", pets / "dog" / "wide.png"
    assert str(caught.value) == (
        f"{other}: is of 3 x 90 pixels (h x w), {first} of 4 x 6; pass size=(h, w) to resize all"
    )


def test_hidden_files_other_files_and_files_beside_the_classes_are_left_out(pets):
    before = load_folder(pets)
    for name in (
        "cat/.hidden.png",
        "cat/Thumbs.db",
        "dog/notes.txt",
        ".git/a.png",
        "__MACOSX/cat/a.png",
        "dog/.x/a.png",
    ):
        (pets / name).parent.mkdir(parents=True, exist_ok=True)
        (pets / name).write_bytes(b"not an image")
    put(pets / "overview.png", 99, (9, 9))
    after = load_folder(pets)
    np.testing.assert_array_equal(after.x, before.x)
    assert after.names == before.names


def test_a_test_folder_takes_the_training_folder_s_labels(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "train/eel/1.png", "test/dog/1.png", "test/eel/1.png"):
        put(tmp_path / name, 7)
    train = load_folder(tmp_path / "train")
    assert load_folder(tmp_path / "test").y.tolist() == [0, 1]  # dog would become the training set's cat
    test = load_folder(tmp_path / "test", names=train.names)
    assert test.y.tolist() == [1, 2]
    assert test.names == train.names
    with pytest.raises(DataError, match=r"train.cat: is a class that names lacks; names has dog, eel"):
        load_folder(tmp_path / "train", names=["dog", "eel"])
    with pytest.raises(DataError, match=r"has test, train, which are no classes; load each by its own call"):
        load_folder(tmp_path)


def test_classes_may_be_called_train_and_test(tmp_path):
    put(tmp_path / "train" / "locomotive.png", 1)
    put(tmp_path / "test" / "tube.png", 2)
    assert load_folder(tmp_path).names == ["test", "train"]


def test_folders_that_do_not_fit_are_named(tmp_path, pets):
    with pytest.raises(FileNotFoundError, match=r"load_folder: .*nowhere' must be a folder with a sub-folder for each"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"list_folder: .*x.tif' must be a folder"):
        list_folder(pets / "eel" / "x.tif")
    with pytest.raises(DataError, match="eel: has no sub-folders, must have one for each class with its images"):
        load_folder(pets / "eel")
    (pets / "fox").mkdir()
    with pytest.raises(DataError, match=r"fox: has no images, must have at least one \(\.png, \.jpg, "):
        load_folder(pets)
    (pets / "fox" / "photo.HEIC").write_bytes(b"")
    with pytest.raises(DataError, match=r"photo\.HEIC: \.heic images cannot be read; convert it to PNG or JPEG"):
        load_folder(pets)


def test_damaged_images_are_named(pets):
    raw = put(pets / "cat" / "z.png", 5, (400, 600)).read_bytes()
    (pets / "cat" / "z.png").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"cat.z\.png: is damaged"):
        load_folder(pets)
    (pets / "cat" / "z.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cat.z\.png: is damaged, or no image"):
        load_folder(pets)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_links_and_pipes(tmp_path, pets):
    outside = put(tmp_path / "secret.png", 1)
    (pets / "dog" / "inside.png").symlink_to(pets / "cat" / "2.bmp")
    assert load_folder(pets).y.tolist() == [0, 0, 0, 1, 1, 1, 2]
    (tmp_path / "alias").symlink_to(pets)  # the folder itself may be a link
    assert len(load_folder(tmp_path / "alias").y) == 7
    for name, target, message in (
        ("dog/out.png", outside, r"out\.png: must not be a link out of .*pets"),
        ("dog/up.png", "../../secret.png", r"up\.png: must not be a link out of"),
        ("dog/loop", pets, "loop: must not be a link to a folder"),
        ("ant", tmp_path, "ant: must not be a link to a folder"),
        ("dog/self.png", pets / "dog" / "self.png", r"self\.png"),
        ("dog/gone.png", pets / "gone.png", r"gone\.png"),
    ):
        (pets / name).symlink_to(target)
        with pytest.raises((DataError, OSError), match=message):
            load_folder(pets)
        (pets / name).unlink()
    os.mkfifo(pets / "dog" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: must be a regular file"):
        load_folder(pets)


def test_a_deep_tree_is_walked(tmp_path):
    deep = tmp_path / "cat"
    for _ in range(300):
        deep = deep / "a"
    put(deep / "x.png", 3)
    assert load_folder(tmp_path).x[0, 0, 0, 0] == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 0}, ValueError, "load_folder: size must be at least 1"),
        ({"size": "big"}, TypeError, "load_folder: size must be an int"),
        ({"grayscale": None}, TypeError, "load_folder: grayscale must be True or False, got None"),
        ({"names": "cat"}, TypeError, "load_folder: names must be a list of class names, got 'cat'"),
        ({"names": [1, 2]}, TypeError, "names must be a list of class names"),
        ({"names": ["cat", "cat"]}, ValueError, "names must be distinct"),
        ({"names": []}, ValueError, "names must be distinct and at least one"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(pets, arguments, error, message):
    with pytest.raises(error, match=message):
        load_folder(pets, **arguments)


def test_the_home_folder_is_expanded(pets, monkeypatch):
    monkeypatch.setenv("HOME", str(pets.parent))
    assert load_folder("~/pets").names == ["cat", "dog", "eel"]
