"""Weights into another network, out of a checkpoint, through file objects."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import safetensors

pytestmark = pytest.mark.usefixtures("plain_backend")


def net(k: int, seed: int = 0, **arguments: Any) -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(1, 4, 3, padding=1, rng=seed), minidl.BatchNorm2D(4), minidl.Relu(), minidl.Flatten(),
        minidl.Linear(64, k, rng=seed + 1), **arguments,
    )  # fmt: skip


def images(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 1, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("skip", ["4.*", ["4.*"], ("4.weight", "4.bias"), ["4.weight", "?.bias"]])
def test_another_head(tmp_path: Path, skip: Any) -> None:
    net(10, 3, mean=0.25).save(tmp_path / "w")
    model, before = net(3), net(3).state()
    assert model.load(tmp_path / "w", skip=skip) is model
    loaded = net(10, 3).state()
    for name, array in model.state().items():
        skipped = name.startswith("4.") or (name == "0.bias" and "?.bias" in skip)
        np.testing.assert_array_equal(array, (before if skipped else loaded)[name])
    assert model.mean == 0.25


def test_the_skipped_may_be_missing_on_either_side() -> None:
    model, state = net(3), net(3, 5).state()
    del state["4.bias"]
    model.load_state(state | {"9.weight": np.zeros(3, np.float32)}, skip=["4.b*", "9.*"])
    np.testing.assert_array_equal(model.state()["4.weight"], state["4.weight"])


def test_bad_patterns() -> None:
    with pytest.raises(ValueError, match=r"Model: skip '7\.\*' fits none of 0\.weight, .*, \.\.\. \(8\)"):
        net(3).load_state(net(3).state(), skip="7.*")
    with pytest.raises(TypeError, match=r"skip must be patterns of names such as \"4\.\*\", got 4"):
        net(3).load_state(net(3).state(), skip=[4])  # type: ignore[list-item]


def test_a_file_that_does_not_fit_is_told_in_short() -> None:
    big = minidl.Model(*(minidl.Linear(3, 3) for _ in range(40)))
    with pytest.raises(ValueError, match="the weights do not fit: missing ") as caught:
        net(3).load_state({name.replace("1.", "2."): array for name, array in big.state().items()})
    assert "; and " in str(caught.value)
    assert len(str(caught.value)) < 350
    renamed = {f"layer{name}": array for name, array in net(3).state().items()}
    with pytest.raises(ValueError, match=r"they are called layer0\.weight, .* \(8\), the model's 0\.weight, 0\.bias"):
        net(3).load_state(renamed)


def trained(model: minidl.Model, average: bool = False) -> minidl.Trainer:
    trainer = minidl.Trainer(
        model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1, 0.9), minidl.WeightAverage(0.5) if average else None
    )
    trainer.fit((images(), np.arange(6) % 3), epochs=2, batch_size=2, seed=0, verbose=False)
    return trainer


@pytest.mark.parametrize("average", [False, True])
def test_the_weights_of_a_checkpoint(tmp_path: Path, average: bool) -> None:
    model = net(3, mean=0.5, std=0.25)
    trained(model, average).save(tmp_path / "run")
    other = net(3, 8).load(tmp_path / "run")
    assert other.predict(images()).tobytes() == model.predict(images()).tobytes()
    assert other.mean == 0.5
    with pytest.raises(ValueError, match=r"4\.bias must have shape \(10,\), got \(3,\)") as caught:
        net(10).load(tmp_path / "run")
    assert len(str(caught.value)) < 200
    net(10).load(tmp_path / "run", skip=["4.*"])
    again = minidl.load_model(tmp_path / "run")
    assert again.predict(images()).tobytes() == model.predict(images()).tobytes()


def test_file_objects_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model, stream = net(3), io.BytesIO()
    model.save(stream)
    stream.seek(0)
    assert net(3, 4).load(stream).predict(images()).tobytes() == model.predict(images()).tobytes()
    stream.seek(0)
    assert minidl.load_model(stream).predict(images()).tobytes() == model.predict(images()).tobytes()
    model.save("~/w")
    assert (tmp_path / "w").read_bytes() == stream.getvalue()
    assert minidl.load_model("~/w").predict(images()).tobytes() == model.predict(images()).tobytes()
    with pytest.raises(TypeError, match="path must be a str, a path or a binary file object"):
        model.save(3)  # type: ignore[arg-type]


def test_names_of_classes_come_along_but_never_over_others(tmp_path: Path) -> None:
    net(3, class_names=["a", "b", "c"]).save(tmp_path / "w")
    assert net(3).load(tmp_path / "w").class_names == ("a", "b", "c")
    assert net(3, class_names=["x", "y", "z"]).load(tmp_path / "w").class_names == ("x", "y", "z")
    assert net(4).load(tmp_path / "w", skip="4.*").class_names is None
    for text in ("[1]", "[", '["a", "a"]'):
        safetensors.save(tmp_path / "w", net(3).state(), {"class_names": text})
        with pytest.raises((TypeError, ValueError), match="class_names"):
            net(3).load(tmp_path / "w")
