"""What a script has set, in words: by this a run that is resumed tells what is different now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from minidl.layers.walk import label, places
from minidl.optim.base import rated
from minidl.support.settings import kept
from minidl.training.state import Training

PLAIN = (bool, int, float, str, type(None))


def settings(training: Training, callbacks: Iterable[Any] = ()) -> dict[str, str]:
    """Every setting of optimiser, loss, average, layers and callbacks that can be told in words, by its name.

    "lr" is the schedule, or the constant rate, "SGD.lr" that of an optimiser inside; a rate that only the run itself
    has changed counts as what it was.
    """
    named = [("optimizer", training.optimizer), ("loss", training.loss), ("average", training.average)]
    named += [(label(place, layer), layer) for place, layer in places(training.model).items()]
    named += [(type(callback).__name__, callback) for callback in callbacks]
    found = {f"{name}.{key}": text for name, value in named for key, text in _told(value)}
    run = training.state
    for i, (name, optimizer) in enumerate(rates(training.optimizer).items()):
        schedule = getattr(optimizer, "schedule", None)
        text = repr(optimizer.lr) if schedule is None else _words(schedule) or type(schedule).__name__
        if schedule is None and (run.rates is None or run.rates[i : i + 1] == (optimizer.lr,)):
            text = run.settings.get(name, text)
        found[name] = text
    return found


def rates(optimizer: Any) -> dict[str, Any]:
    """The optimisers with a rate of their own by its name: "lr", and "SGD.lr" for one inside."""
    return {f"{type(each).__name__}.lr" if i else "lr": each for i, each in enumerate(rated(optimizer))}


def differences(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """ "lr 0.05 (was 0.1)" for each setting of both that differs, by name."""
    return [f"{name} {now[name]} (was {was[name]})" for name in sorted(was) if name in now and was[name] != now[name]]


def _told(owner: Any) -> Iterator[tuple[str, str]]:
    """The constructor's arguments that the object has kept under their names, lr apart, as texts."""
    for name, value in ({} if owner is None else kept(owner)).items():
        if name == "optimizer":
            yield from _told(value)
        elif name not in ("lr", "name"):
            try:
                text = _words(getattr(value, "groups", value))
            except RecursionError:  # a list that stands in itself
                continue
            if text:
                yield name, text


def _words(value: Any) -> str:
    """A value as Python writes it; "" where that does not say everything and nothing else."""
    if isinstance(value, PLAIN) or (is_dataclass(value) and not isinstance(value, type)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return repr(value) if all(_words(each) for each in value) else ""
    if isinstance(value, dict):
        return repr(value) if all(_words(each) for each in value.values()) else ""
    return getattr(value, "__qualname__", "") if callable(value) else ""
