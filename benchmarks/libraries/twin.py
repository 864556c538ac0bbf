"""A minidl network as a PyTorch module: the same layers in the same order, weights aside."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn

import minidl
from benchmarks.tasks import Unsupported


def twin(network: Any) -> fx.GraphModule:
    """The twin of a `minidl.Sequential`, `Residual` or `Graph`; its parameters come in the same order.

    Raises Unsupported that names a layer which is not translated.
    """
    graph, modules = fx.Graph(), {}

    def follow(container: Any, *values: fx.Node) -> fx.Node:
        def call(name: str, part: Any, *inputs: fx.Node) -> fx.Node:
            if part is container:
                part = container.joiner()
            elif isinstance(part, (minidl.Sequential, minidl.Residual, minidl.Graph)):
                return follow(part, *inputs)
            if isinstance(part, minidl.Add):
                return graph.call_function(operator.add, inputs)
            if isinstance(part, minidl.Concat):
                return graph.call_function(torch.cat, (list(inputs), part.axis))
            name = f"layer{len(modules)}"
            modules[name] = module(part)
            return graph.call_module(name, inputs)

        return container.flow(call, *values)

    graph.output(follow(network, graph.placeholder("x")))
    return fx.GraphModule(modules, graph)


def module(layer: Any) -> nn.Module:
    """The module of one layer."""
    match layer:
        case minidl.Conv2D():
            window = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups
            return nn.Conv2d(layer.in_channels, layer.out_channels, *window, bias=layer.bias is not None)
        case minidl.ConvTranspose2D():
            window = layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.groups
            bias = layer.bias is not None
            return nn.ConvTranspose2d(layer.in_channels, layer.out_channels, *window, bias, layer.dilation)
        case minidl.BatchNorm2D():
            return nn.BatchNorm2d(layer.channels, layer.eps, 1 - layer.momentum)
        case minidl.MaxPool2D():
            window = layer.kernel_size, layer.stride, layer.padding, layer.dilation
            return nn.MaxPool2d(*window, ceil_mode=layer.ceil_mode)
        case minidl.AvgPool2D():
            window = layer.kernel_size, layer.stride, layer.padding
            return nn.AvgPool2d(*window, layer.ceil_mode, layer.count_include_pad)
        case minidl.AdaptiveAvgPool2D():
            return nn.AdaptiveAvgPool2d(layer.output_size)
        case minidl.GlobalAvgPool2D():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case minidl.Linear():
            return nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
        case minidl.Flatten():
            return nn.Flatten()
        case minidl.Relu():
            return nn.ReLU()
        case minidl.Relu6():
            return nn.ReLU6()
        case _:
            raise Unsupported(f"{layer.name} is not translated for PyTorch")
