"""The usual networks, and for how many images each is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.networks import VGG, GlobalAvgPool, Known, Linear, Network, Relu, Spec, basic, norm_conv, residual

BATCHES = (1, 2, 4, 8, 16, 64)


@dataclass(frozen=True)
class Exhibit:
    """predicted, trained: the largest batch of a prediction and of a training step."""

    network: Network
    predicted: int
    trained: int


def _stages(
    stem: int, widths: tuple[int, ...], depth: int, block: Callable[[int, int, int], tuple[Spec, ...]] = basic
) -> tuple[Spec, ...]:
    """A residual network for 32x32 pixels: `depth` blocks for each width; all widths but the first halve the maps."""
    layers: tuple[Spec, ...] = (*norm_conv(3, stem), Relu())
    channels = stem
    for stage, width in enumerate(widths):
        for place in range(depth):
            layers += block(channels, width, 2 if stage and not place else 1)
            channels = width
    return (*layers, GlobalAvgPool(), Linear(channels, 10))


def _grouped(channels: int, out: int, stride: int) -> tuple[Spec, ...]:
    middle = *norm_conv(out // 2, out // 2, 3, stride, groups=8), Relu()
    body = (*norm_conv(channels, out // 2, 1), Relu(), *middle, *norm_conv(out // 2, out, 1))
    return residual(channels, out, stride, body)


def _separable() -> tuple[Spec, ...]:
    """A depthwise 3x3 convolution and a 1x1 one, again and again."""
    layers: tuple[Spec, ...] = (*norm_conv(3, 32), Relu())
    for channels, out in ((32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)):
        stride = 2 if 64 <= channels < out else 1
        layers += (*norm_conv(channels, channels, 3, stride, groups=channels), Relu())
        layers += (*norm_conv(channels, out, 1), Relu())
    return (*layers, GlobalAvgPool(), Linear(512, 10))


def _known(name: str, key: str, side: int, function: str, *behind: Spec, **options: object) -> Network:
    classes = int(str(options["classes"]))
    layers = (Known(function, tuple(options.items())), *behind)
    return Network(name, key, (3, side, side), layers, 16, classes)


def _small(name: str, key: str, layers: tuple[Spec, ...]) -> Network:
    return Network(name, key, (3, 32, 32), layers, 64)


UNET = _known("small U-Net 64x64", "unet", 64, "unet", GlobalAvgPool(), classes=10, width=0.25, depth=3)
"""Its scores for each pixel are averaged, so that its loss is that of the others."""

ZOO = (
    Exhibit(_small("resnet20 32x32", "resnet20", _stages(16, (16, 32, 64), 3)), 64, 64),
    Exhibit(VGG, 64, 64),
    Exhibit(_small("wide residual 32x32", "wide", _stages(16, (64, 128, 256), 2)), 64, 64),
    Exhibit(_small("grouped residual 32x32", "grouped", _stages(64, (128, 256, 512), 2, _grouped)), 64, 64),
    Exhibit(_small("MobileNet-like 32x32", "mobilenet", _separable()), 64, 64),
    Exhibit(_known("MobileNetV2 224x224", "mobilenetv2", 224, "mobilenet_v2", classes=1000), 16, 16),
    Exhibit(_known("ResNet-18 64x64", "resnet18-64", 64, "resnet18", classes=200), 64, 64),
    Exhibit(_known("ResNet-18 224x224", "resnet18", 224, "resnet18", classes=1000), 16, 16),
    Exhibit(_known("AlexNet 224x224", "alexnet", 224, "alexnet", classes=1000), 64, 16),
    Exhibit(UNET, 64, 16),
)
"""resnet20 has three blocks for each of its widths (He et al. 2015), the wide one two of four times the channels, the
grouped one bottlenecks with 8 groups."""

KEYS = tuple(exhibit.network.key for exhibit in ZOO)
