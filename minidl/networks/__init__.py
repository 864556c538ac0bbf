"""Whole networks: the well-known architectures by name, capsule networks, and networks out of files.

    model = minidl.networks.resnet18(classes=10, width=0.5, small=True)

Each is imported with its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.support import lazy

if TYPE_CHECKING:
    from minidl.networks.classics import alexnet, lenet5
    from minidl.networks.convnext import convnext_tiny
    from minidl.networks.densenet import densenet121
    from minidl.networks.inception import googlenet, inception_v3
    from minidl.networks.mobilenet import efficientnet_b0, mnasnet, mobilenet_v2, mobilenet_v3_small
    from minidl.networks.regnet import regnet_y_400mf
    from minidl.networks.resnet import resnet18, resnet34, resnet50, resnext50
    from minidl.networks.segmentation import unet
    from minidl.networks.shufflenet import shufflenet_v2
    from minidl.networks.squeezenet import squeezenet1_1
    from minidl.networks.superresolution import espcn
    from minidl.networks.vgg import vgg11, vgg16

__getattr__ = lazy.importer(
    __name__,
    {
        "classics": ("alexnet", "lenet5"),
        "convnext": ("convnext_tiny",),
        "densenet": ("densenet121",),
        "inception": ("googlenet", "inception_v3"),
        "mobilenet": ("efficientnet_b0", "mnasnet", "mobilenet_v2", "mobilenet_v3_small"),
        "regnet": ("regnet_y_400mf",),
        "resnet": ("resnet18", "resnet34", "resnet50", "resnext50"),
        "segmentation": ("unet",),
        "shufflenet": ("shufflenet_v2",),
        "squeezenet": ("squeezenet1_1",),
        "superresolution": ("espcn",),
        "vgg": ("vgg11", "vgg16"),
    },
)

__all__ = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "espcn",
    "googlenet",
    "inception_v3",
    "lenet5",
    "mnasnet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50",
    "shufflenet_v2",
    "squeezenet1_1",
    "unet",
    "vgg11",
    "vgg16",
]


def __dir__() -> list[str]:
    return __all__
