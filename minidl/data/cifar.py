"""CIFAR-10 and CIFAR-100: small colour pictures of things."""

from __future__ import annotations

import os

from minidl.data.files.cifar_batches import Batches
from minidl.data.files.published import CIFAR10, CIFAR100
from minidl.data.files.search import locate
from minidl.data.mnist import Dataset

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Names of CIFAR-10's labels 0 to 9."""

_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
CIFAR100_CLASSES = tuple(_FINE.split())
"""Names of CIFAR-100's fine labels 0 to 99, as its own file has them."""

_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
CIFAR100_COARSE_CLASSES = tuple(_COARSE.split())
"""Names of CIFAR-100's coarse labels 0 to 19; each stands for five fine ones."""

_TEN = Batches(
    "CIFAR-10",
    ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    "test_batch",
    ("cifar-10-batches-bin", "cifar-10-batches-py"),
    ("cifar-10-binary.tar", "cifar-10-python.tar"),
    (("labels", 10),),
    2**26,  # twice a published batch
)
_HUNDRED = Batches(
    "CIFAR-100",
    ("train",),
    "test",
    ("cifar-100-binary", "cifar-100-python"),
    ("cifar-100-binary.tar", "cifar-100-python.tar"),
    (("coarse_labels", 20), ("fine_labels", 100)),
    2**28,  # the published ones have 154 MB
)


def load_cifar10(path: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour pictures of 32 x 32 pixels in 10 classes (Krizhevsky 2009).

    path: the archive cifar-10-binary.tar.gz or cifar-10-python.tar.gz; or a folder with it, with the batches themselves
    (data_batch_1.bin, ..., test_batch.bin, or the Python batches of the same names without .bin, plain or gzipped), or
    with a subfolder cifar-10-batches-bin, cifar-10-batches-py, cifar10 or cifar-10 that has them.
    Without `path` the folder MINIDL_DATA (itself or such a subfolder) and the user's cache are searched; where neither
    has the files, the binary archive is downloaded (170 MB) into the first of them, unless MINIDL_OFFLINE is set.
    Batches load several times faster than the archive.
    Returns ((x_train, y_train), (x_test, y_test)): x uint8 (N, 3, 32, 32), channels red, green, blue; y int64 (N,).
    The labels' names are `CIFAR10_CLASSES`. Python batches are pickles: `cifar_pickle` reads them and executes nothing.
    Raises FileNotFoundError where the files are not to be had, DataError naming the file where one is damaged.
    """
    by_hand = f"{CIFAR10.name}, or its files {', '.join(f'{name}.bin' for name in _TEN.names)}"
    return _TEN.read(locate("CIFAR-10", ("cifar10", "cifar-10"), _TEN.files, path, (CIFAR10,), by_hand))


def load_cifar100(path: str | os.PathLike[str] | None = None, coarse: bool = False) -> Dataset:
    """CIFAR-100: 50,000 + 10,000 colour pictures of 32 x 32 pixels in 100 classes (Krizhevsky 2009).

    As `load_cifar10`: the archive cifar-100-binary.tar.gz (downloaded: 169 MB) or cifar-100-python.tar.gz, or its files
    train.bin and test.bin, or train and test, in a folder or its subfolder cifar-100-binary, cifar-100-python, cifar100
    or cifar-100.
    coarse: False for the 100 fine labels (`CIFAR100_CLASSES`), True for the 20 coarse ones (`CIFAR100_COARSE_CLASSES`).
    """
    if not isinstance(coarse, bool):
        raise TypeError(f"load_cifar100: coarse must be True or False, got {coarse!r}")
    by_hand = f"{CIFAR100.name}, or its files train.bin, test.bin"
    found = locate("CIFAR-100", ("cifar100", "cifar-100"), _HUNDRED.files, path, (CIFAR100,), by_hand)
    return _HUNDRED.read(found, label=0 if coarse else 1)
