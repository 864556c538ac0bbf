"""Data sets as ((x_train, y_train), (x_test, y_test)): x uint8 NCHW, y int64; and what changes images at random."""

from minidl.data.augment.colors import ColorJitter, Grayscale, Noise
from minidl.data.augment.erase import Erase
from minidl.data.augment.transforms import Affine, AlternatingFlip, Crop, Cutout, Flip, Shift
from minidl.data.augment.views import Views
from minidl.data.cifar import (
    CIFAR10_CLASSES,
    CIFAR100_CLASSES,
    CIFAR100_COARSE_CLASSES,
    load_cifar10,
    load_cifar100,
)
from minidl.data.digits import load_digits_mini
from minidl.data.emnist import EMNIST_CLASSES, load_emnist
from minidl.data.files.bounded import DataError
from minidl.data.files.idx import read_idx
from minidl.data.folder import Folder, list_folder, load_folder
from minidl.data.mnist import FASHION_MNIST_CLASSES, KMNIST_CLASSES, load_fashion_mnist, load_kmnist, load_mnist
from minidl.data.picture import read_image
from minidl.data.splits import split

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR100_CLASSES",
    "CIFAR100_COARSE_CLASSES",
    "EMNIST_CLASSES",
    "FASHION_MNIST_CLASSES",
    "KMNIST_CLASSES",
    "Affine",
    "AlternatingFlip",
    "ColorJitter",
    "Crop",
    "Cutout",
    "DataError",
    "Erase",
    "Flip",
    "Folder",
    "Grayscale",
    "Noise",
    "Shift",
    "Views",
    "list_folder",
    "load_cifar10",
    "load_cifar100",
    "load_digits_mini",
    "load_emnist",
    "load_fashion_mnist",
    "load_folder",
    "load_kmnist",
    "load_mnist",
    "read_idx",
    "read_image",
    "split",
]
