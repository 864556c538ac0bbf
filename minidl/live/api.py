"""What the page may ask for: a function (desk, asked) -> answer for each name, of JSON objects; and those for files."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl import data as own_data
from minidl.live import inside, looks, sliders
from minidl.live.choices import (
    CHANGES,
    DATA,
    NETWORKS,
    OPTIMISERS,
    Settings,
    network_lines,
    number,
    one_of,
    places,
    read_all,
    whole,
)
from minidl.live.desk import Desk
from minidl.live.file_model import FileModel
from minidl.live.layer_list import check
from minidl.live.packed import images, numbers
from minidl.live.slow import IMAGES, SlowStep
from minidl.support import random

Asked = dict[str, Any]


def about(desk: Desk, asked: Asked) -> Asked:
    """What may be chosen, and what the training that is there was begun with."""
    run = desk.run
    s = run.settings
    return {
        "data": DATA,
        "networks": NETWORKS,
        "optimisers": {name: {"title": o.title, "help": o.help, "lr": o.lr} for name, o in OPTIMISERS.items()},
        "changes": {name: title for name, (title, _) in CHANGES.items()},
        "settings": {**vars(s), "layers": list(s.layers)},
        "rows": run.rows,
        "set": {
            "title": run.images.title,
            "names": list(run.images.names),
            "shape": list(run.images.shape),
            "train": len(run.images.x),
            "validation": len(run.images.x_val),
        },
    }


def layers(desk: Desk, asked: Asked) -> Asked:
    """The shapes behind a list of layers, or behind a network by name: {"layers"} or {"network"}, and {"data"}."""
    found = desk.data(one_of("data", asked.get("data"), DATA))
    lines = asked.get("layers")
    if lines is None:
        lines = network_lines(one_of("network", asked.get("network"), NETWORKS), found.shape, len(found.names))
    with random.drawing(np.random.default_rng(0)):  # a training draws from the default generator meanwhile
        rows, _ = check(lines, found.shape, len(found.names))
    return {"rows": rows, "input": list(found.shape)}


def reset(desk: Desk, asked: Asked) -> Asked:
    """A new training, not yet begun."""
    desk.reset(Settings.of(asked))
    return about(desk, {})


def start(desk: Desk, asked: Asked) -> Asked:
    """Train, "steps" of them or until it is paused."""
    desk.run.start(whole("steps", asked.get("steps", 0), 0, 1_000_000))
    return {}


def pause(desk: Desk, asked: Asked) -> Asked:
    """Stop before the next step."""
    desk.run.pause()
    return {}


def steer(desk: Desk, asked: Asked) -> Asked:
    """Another rate, decay or speed, from the next step on."""
    told = {
        "lr": number("learning rate", asked["lr"], 0, 100) if "lr" in asked else None,
        "weight_decay": number("weight decay", asked["weight_decay"], 0, 10) if "weight_decay" in asked else None,
        "speed": number("speed", asked["speed"], 0, 1000) if "speed" in asked else None,
    }
    desk.run.steer(**told)
    return {}


def observe(desk: Desk, asked: Asked) -> Asked:
    """Show the maps of another image of the validation data."""
    most = len(desk.run.images.x_val) - 1
    desk.run.observe(**read_all(image=lambda: whole("image", asked.get("image"), 0, most)))
    return {}


def pictures(desk: Desk, asked: Asked) -> Asked:
    """Images of the validation data by their numbers, or those of one cell of the confusion matrix."""
    run = desk.run
    x, y, guesses = run.images.x_val, run.images.y_val, run.guesses
    if "truth" in asked:
        t, g = (whole(name, asked.get(name), 0, len(run.images.names) - 1) for name in ("truth", "guess"))
        chosen = np.flatnonzero((y == t) & (guesses == g))
    else:
        chosen = np.array(places("images", asked.get("images"), len(x) - 1, 1000), np.int64)
    shown = chosen[:24]
    return {
        "images": shown.tolist(),
        "of": len(chosen),
        "pixels": images(x[shown]),
        "truth": y[shown].tolist(),
        "guess": [] if guesses is None else guesses[shown].tolist(),
    }


def draw(desk: Desk, asked: Asked) -> Asked:
    """What the network makes of a drawing: probabilities, the maps of every layer where they are asked for."""
    run = desk.run
    image = desk.drawn = pixels(asked.get("pixels"), run.images.shape)
    answer: Asked = {"scores": numbers(run.model.predict_proba(image[None])[0]), "names": list(run.images.names)}
    if asked.get("maps"):
        answer["layers"] = looks.pictured(run.model, image)
    return answer


def pixels(told: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The image (C, H, W) of its gray pixels in base64; each channel gets the same."""
    C, H, W = shape
    try:
        raw = base64.b64decode(told, validate=True) if isinstance(told, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != H * W:
        raise ValueError(f"a drawing must have {H} x {W} pixels, each a byte: draw it again")
    return np.repeat(np.frombuffer(raw, np.uint8).reshape(1, H, W), C, axis=0)


def image_of(desk: Desk, asked: Asked) -> np.ndarray:
    """The image that is asked for: "drawn", or a number of the validation data."""
    which, run = asked.get("image"), desk.run
    if which == "drawn":
        if desk.drawn is None or desk.drawn.shape != run.images.shape:
            raise ValueError("nothing is drawn yet: draw a digit in the panel Draw")
        return desk.drawn
    return run.images.x_val[read_all(image=lambda: whole("image", which, 0, len(run.images.x_val) - 1))["image"]]


def look(desk: Desk, asked: Asked) -> Asked:
    """All maps of an image, and the image."""
    image = image_of(desk, asked)
    return {"layers": looks.pictured(desk.run.model, image), "pixels": images(image)}


def explain(desk: Desk, asked: Asked) -> Asked:
    """One number of one map: where it comes from, with the loop that computes it."""
    where = [whole(name, asked.get(name, 0), 0, 10**6) for name in ("channel", "row", "column")]
    return inside.explain(desk.run.model, image_of(desk, asked), asked.get("place"), *where)


def windows(desk: Desk, asked: Asked) -> Asked:
    """A small convolution under sliders."""
    names = ("size", "kernel", "stride", "padding", "dilation")
    return sliders.windows(*(whole(name, asked.get(name), 0, 12) for name in names))


def slow(desk: Desk, asked: Asked) -> Asked:
    """One training step of a copy of the network, all of its numbers; "next" goes on from the last one."""
    with desk.lock:
        run = desk.run
        found = read_all(
            images=lambda: places("images", asked.get("images", [0]), len(run.images.x_val) - 1, IMAGES) or [0],
            lr=lambda: number("learning rate", asked.get("lr", 0.05), 0, 100),
        )
        if not asked.get("next") or desk.slow is None:
            chosen = found["images"]
            desk.slow = SlowStep(run.model, run.images.x_val[chosen], run.images.y_val[chosen], run.images.names)
        return desk.slow.step(found["lr"])


def differences(desk: Desk, asked: Asked) -> Asked:
    """The gradients of that step against central differences."""
    if desk.slow is None:
        raise ValueError("there is no step to check yet")
    return desk.slow.check()


def measure(desk: Desk, asked: Asked) -> Asked:
    """A model out of a file, for images of another shape."""
    return file_model(desk, asked.get("model")).told(asked.get("shape"))


def file_model(desk: Desk, number: Any) -> FileModel:
    """The model of this number."""
    found = desk.file_models.get(number) if type(number) is int else None
    if found is None:
        raise ValueError("this model is no longer open: open its file again")
    return found


def open_file(desk: Desk, content: bytes, asked: dict[str, str]) -> Asked:
    """Open a model's file."""
    model = FileModel(content, asked.get("name", ""))
    told = model.told(None)
    return {"model": desk.keep(model), **told}


def picture(desk: Desk, content: bytes, asked: dict[str, str]) -> Asked:
    """Run a model out of a file on a picture's file."""
    told = asked.get("model", "")
    model = file_model(desk, int(told) if told.isdecimal() and len(told) < 10 else None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        file.write_bytes(content)
        try:
            C, H, W = model.image_shape()
            image = own_data.read_image(file, (H, W), grayscale=C == 1)
        except own_data.DataError as error:
            raise ValueError(str(error).replace(str(file), "the picture")) from None
    return model.run(image)


FUNCTIONS: dict[str, Callable[[Desk, Asked], Asked]] = {
    each.__name__: each
    for each in (
        *(about, layers, reset, start, pause, steer, observe, pictures, draw, look),
        *(explain, windows, slow, differences, measure),
    )
}
FILES: dict[str, Callable[[Desk, bytes, dict[str, str]], Asked]] = {"open": open_file, "picture": picture}
