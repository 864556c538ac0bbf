"""Train a network on CIFAR-10 by one of four recipes.

three-layer  CS231n's ConvNet: conv - relu - 2x2 max pool - affine - relu - affine - softmax; one epoch.
vgg          six 3x3 convolutions with batch normalisation, three max pools; crop and flip, SGD with Nesterov momentum.
residual     three residual blocks of 16 to 64 channels and a mean over the map; the training of `vgg`.
record       the highest accuracy in a quarter of an hour on two cores: a whitening first layer, identity starts, every
             second epoch mirrored, orthogonalised steps (Muon), a prediction over six views: the ways of Jordan 2024,
             arXiv 2404.00498, and of his airbench94_muon.
"""

from __future__ import annotations

import numpy as np
from recipes import Recipe, arguments, run

import minidl
from minidl import data
from minidl.optim.schedules import Schedule

DATA_HELP = "folder with the six CIFAR-10 files (default: MINIDL_DATA, else downloaded)"


def colours(images: np.ndarray) -> dict[str, list[float]]:
    """Mean and standard deviation of each colour on the scale from 0 to 1, as a Model takes them."""
    channels = images.transpose(1, 0, 2, 3)
    return {"mean": [float(c.mean()) / 255 for c in channels], "std": [float(c.std()) / 255 for c in channels]}


def three_layer(images: np.ndarray) -> minidl.Model:
    """32 filters of 7x7, 500 hidden units.

    The filters start at a quarter of He's deviation (0.12). One epoch adds about as much to a weight whatever it was at
    first; upon He's it cannot be seen (filters.png is noise), upon these it can: edges, bars, blobs of colour. That
    costs about half a point of accuracy; at 0.01 the filters are clearer still, for two points.
    """
    return minidl.Model(
        minidl.Conv2D(3, 32, 7, padding=3, init=0.03),
        minidl.Relu(),
        minidl.MaxPool2D(2),
        minidl.Flatten(),
        minidl.Linear(32 * 16 * 16, 500),
        minidl.Relu(),
        minidl.Linear(500, 10, init=0.001),  # small, so that the first loss is log(10)
        **colours(images),
    )


def small_start(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform with variance 1 / (3 fan_in): smaller than He's, so that before a norm the same rate counts for more."""
    bound = 1 / np.sqrt(np.prod(shape[1:]))
    return rng.uniform(-bound, bound, shape)


def norm_conv(channels: int, out: int, stride: int = 1) -> list[minidl.Layer]:
    """A 3x3 convolution and batch normalisation."""
    conv = minidl.Conv2D(channels, out, 3, stride=stride, padding=1, bias=False, init=small_start)
    return [conv, minidl.BatchNorm2D(out)]


def vgg(images: np.ndarray) -> minidl.Model:
    """Two convolutions of 32, 64 and 128 channels each, a max pool after each two."""
    layers: list[minidl.Layer] = []
    for channels, out in ((3, 32), (32, 64), (64, 128)):
        layers += [*norm_conv(channels, out), minidl.Relu(), *norm_conv(out, out), minidl.Relu(), minidl.MaxPool2D(2)]
    return minidl.Model(*layers, minidl.Flatten(), minidl.Linear(128 * 16, 10, init=0.01), **colours(images))


def residual(images: np.ndarray) -> minidl.Model:
    """Three basic blocks, of 16, 32 and 64 channels (He et al. 2016, arXiv 1512.03385)."""
    layers: list[minidl.Layer] = [*norm_conv(3, 16), minidl.Relu()]
    for channels, out in ((16, 16), (16, 32), (32, 64)):
        stride = out // channels
        body = minidl.Sequential(*norm_conv(channels, out, stride), minidl.Relu(), *norm_conv(out, out))
        shortcut = None
        if stride > 1:
            shortcut = minidl.Sequential(
                minidl.Conv2D(channels, out, 1, stride=stride, bias=False), minidl.BatchNorm2D(out)
            )
        layers += [minidl.Residual(body, shortcut), minidl.Relu()]
    return minidl.Model(*layers, minidl.GlobalAvgPool2D(), minidl.Linear(64, 10), **colours(images))


def whitening(images: np.ndarray, size: int = 2, eps: float = 5e-4) -> np.ndarray:
    """Filters (2 * 3 * size^2, 3, size, size) whose outputs over image patches are uncorrelated, and their negatives.

    The eigenvectors of the patches' covariance, divided by the roots of eigenvalue + eps; 1,000 images show enough.
    """
    scale = colours(images)
    mean, std = (np.array(scale[key])[:, None, None] for key in ("mean", "std"))
    patches = np.lib.stride_tricks.sliding_window_view((images[:1000] / 255 - mean) / std, (size, size), (2, 3))
    rows = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 3 * size * size)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    filters = (vectors / np.sqrt(values + eps)).T.reshape(-1, 3, size, size)
    return np.concatenate([filters, -filters])


def identity_start(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The first filters hand one channel on each; the others are those of `small_start`."""
    out, channels, height, width = shape
    weight = small_start(shape, rng)
    same = np.arange(min(out, channels))
    weight[same] = 0
    weight[same, same, height // 2, width // 2] = 1
    return weight


RECORD_BATCH = 1024
RECORD_CONVOLUTIONS = (2, 6, 9, 13, 16, 20)
RECORD_LAST = 25
"""Places of layers in `record`."""


def record(images: np.ndarray, widths: tuple[int, ...] = (64, 256, 256)) -> minidl.Model:
    """A frozen whitening layer, then three times two convolutions, one of them pooled; the maximum over the map."""
    filters = whitening(images)
    first = minidl.Conv2D(3, len(filters), 2, bias=False, init=lambda shape, rng: filters)
    layers: list[minidl.Layer] = [first.freeze(), minidl.Relu()]
    channels = len(filters)
    for width in widths:
        layers += [
            minidl.Conv2D(channels, width, 3, padding=1, bias=False, init=identity_start),
            minidl.MaxPool2D(2),
            minidl.BatchNorm2D(width, momentum=0.6),
            minidl.Relu(),
            minidl.Conv2D(width, width, 3, padding=1, bias=False, init=identity_start),
            minidl.BatchNorm2D(width, momentum=0.6),
            minidl.Relu(),
        ]
        channels = width
    last = minidl.Linear(channels, 10, bias=False, init=0.004)
    return minidl.Model(*layers, minidl.MaxPool2D(3), minidl.Flatten(), last, **colours(images))


def nesterov(lr: float, weight_decay: float = 1e-3) -> minidl.SGD:
    """SGD with Nesterov momentum 0.9 over one cycle."""
    return minidl.SGD(minidl.OneCycle(lr), 0.9, weight_decay, nesterov=True)


def falling(lr: float) -> Schedule:
    """From lr down to 0 along a line."""
    return lambda epoch, epochs: lr * (1 - epoch / epochs)


def record_optimizer() -> minidl.Muon:
    """Muon for all convolutions but the first, SGD for the last layer and the norms' biases, at the source's rates.

    Those are for sums over a batch of scores divided by 256, the width of the last layer: 0.053 for the biases, 0.67
    for the last layer, and 2e-6 of each weight an image as decay; means and undivided scores want other numbers for the
    same steps. The norms' scales stay.
    """
    bias, last, decay = 0.053, 0.67 / 256**2, 2e-6
    groups = {
        "*.gamma": {"lr": 0.0},
        f"{RECORD_LAST}.weight": {"lr": last / bias, "weight_decay": decay / last},
    }
    others = minidl.SGD(falling(bias * RECORD_BATCH), 0.85, decay / bias, nesterov=True, groups=groups)
    weights = [f"{place}.weight" for place in RECORD_CONVOLUTIONS]
    return minidl.Muon(others, weights, falling(0.24), momentum=0.6, steps=3, fixed_norm=True)


CROP_FLIP = (data.Crop(2, "reflect"), data.Flip())
RECIPES = {
    "three-layer": Recipe(three_layer, lambda: nesterov(0.03, 0.0), 1, 64),
    "vgg": Recipe(vgg, lambda: nesterov(0.2), 12, 128, smoothing=0.1, augment=CROP_FLIP, winograd=4),
    "residual": Recipe(residual, lambda: nesterov(0.2), 20, 128, smoothing=0.1, augment=CROP_FLIP),
    "record": Recipe(
        record,
        record_optimizer,
        epochs=10,
        batch_size=RECORD_BATCH,
        smoothing=0.2,
        augment=(data.Crop(2, "reflect"), data.AlternatingFlip()),
        views=data.Views(shifts=((0, 0), (0, 0), (-1, -1), (1, 1)), mode="reflect"),
        winograd=4,
    ),
}


def main(argv: list[str] | None = None) -> None:
    """Train by the chosen recipe; leave pictures, log, weights and result."""
    args = arguments(__doc__, "cifar", RECIPES, DATA_HELP, argv)
    train, test = ((x[: args.limit], y[: args.limit]) for x, y in data.load_cifar10(args.data))
    run(RECIPES[args.recipe], args, train, test, data.CIFAR10_CLASSES)


if __name__ == "__main__":
    main()
