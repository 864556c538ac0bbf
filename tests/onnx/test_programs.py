"""Programs that run ONNX files compute what the network does; each skips where its package is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks.test_load import LAYERS
from onnx_run import SIZES, assert_near, images, needs_openvino, needs_pnnx, randomised

import minidl
from minidl import onnx

pytestmark = [pytest.mark.witness, pytest.mark.usefixtures("plain_backend")]

NETWORKS: dict[str, tuple[minidl.Model, tuple[int, ...]]] = {
    "residual": (
        minidl.Model(
            minidl.Conv2D(3, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.MaxPool2D(2),
            minidl.Residual(minidl.Sequential(minidl.Conv2D(4, 4, 3, padding=1), minidl.BatchNorm2D(4))),
            minidl.Relu(), minidl.Dropout(0.5), minidl.GlobalAvgPool2D(), minidl.Linear(4, 3),
        ),
        (3, 8, 6),
    ),
    "activations": (
        minidl.Model(
            minidl.Conv2D(4, 4, 3, 2, groups=2, bias=False), minidl.Elu(), minidl.Gelu(), minidl.Sigmoid(),
            minidl.Tanh(), minidl.Softplus(), minidl.LeakyRelu(), minidl.AvgPool2D(2, padding=1), minidl.Flatten(),
            minidl.Linear(24, 3),
        ),
        (4, 9, 7),
    ),
    "norms": (
        minidl.Model(
            minidl.GroupNorm(2, 4), minidl.Conv2D(4, 3, 1), minidl.GroupNorm(3, 3), minidl.LayerNorm((8, 6)),
            minidl.Flatten(), minidl.Linear(144, 5), minidl.BatchNorm1D(5),
        ),
        (4, 8, 6),
    ),
    "capsules": (
        minidl.CapsuleNetwork(
            minidl.Conv2D(3, 4, 3, 2), minidl.PrimaryCapsules(2), minidl.Capsules(12, 2, 3, 3),
            decoder=minidl.Linear(9, 144),
        ),
        (3, 8, 6),
    ),
}  # fmt: skip


@needs_openvino
@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_runs_networks(name: str, tmp_path: Path) -> None:
    compare_with_openvino(*NETWORKS[name], tmp_path / "m.onnx")


@needs_openvino
@pytest.mark.parametrize("name", LAYERS)
def test_openvino_runs_every_layer(name: str, tmp_path: Path) -> None:
    build, shape = LAYERS[name]
    compare_with_openvino(build(), shape, tmp_path / "m.onnx", name == "Div")


def compare_with_openvino(layer: minidl.Layer, shape: tuple[int, ...], path: Path, positive: bool = False) -> None:
    import openvino

    onnx.save(randomised(layer), path, shape)
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for n in SIZES:
        x = images(n, *shape)
        x = np.abs(x) + 0.1 if positive else x
        assert_near(compiled(x)[0], layer.twin().forward(x))


@needs_pnnx
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"capsules"}))  # ncnn has no batches of matrices
def test_ncnn_by_way_of_pnnx(name: str, tmp_path: Path) -> None:
    import ncnn

    model, shape = NETWORKS[name]
    onnx.save(randomised(model), tmp_path / "m.onnx", shape)
    sizes = ",".join(map(str, (1, *shape)))
    command = [str(Path(sys.executable).parent / "pnnx"), "m.onnx", f"inputshape=[{sizes}]", "fp16=0"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    network = ncnn.Net()
    network.opt.num_threads = 1
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    assert network.load_param(str(tmp_path / "m.ncnn.param")) == 0
    assert network.load_model(str(tmp_path / "m.ncnn.bin")) == 0
    for x in images(3, *shape):
        extractor = network.create_extractor()
        extractor.input(network.input_names()[0], ncnn.Mat(x))
        _, found = extractor.extract(network.output_names()[0])
        assert_near(np.array(found), model.predict(x[None])[0])
