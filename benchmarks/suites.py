"""What is measured: one function a suite, each (session, quick) -> None, filling the session's records."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import shapes, tasks, zoo
from benchmarks.contenders import Contender, parse
from benchmarks.harness import Session, last_line
from benchmarks.networks import MLP, NETWORKS, SEED, VGG, Network, chain
from benchmarks.records import Record

FRAMEWORKS = ("native", "im2col", "torch", "jax")
"""Contenders that train whatever network they are given, in their default variants."""


READERS = ("native", "im2col", "onnxruntime", "openvino", "ncnn")
"""Contenders that predict with a network from a file."""


def kernels(session: Session, quick: bool) -> None:
    """Single operations on plain NCHW arrays, conversions included, against the naive loops: CS231n's comparison."""
    everybody = {c.name for c in session.contenders}
    for threads in session.threads:
        others = everybody if threads == session.threads[0] and not quick else everybody - {"reference"}
        for operation in shapes.KERNELS[:3] if quick else shapes.KERNELS:
            session.compare("kernels", operation, threads, others)
    if quick and "reference" in everybody:
        few = replace(shapes.CS231N, x=(2, *shapes.CS231N.x[1:]), name="CS231n, two images")
        session.compare("kernels", few, session.threads[0])


def layers(session: Session, quick: bool) -> None:
    """Convolutions forward and backward as a training runs them; then other operations, in the library's own layout."""
    names = {c.name for c in session.contenders} - {"reference"}
    for threads in session.threads:
        for operation in shapes.QUICK_LAYERS if quick else shapes.LAYERS:
            session.compare("layers", tasks.Layer(operation), threads, names)
        for operation in () if quick else shapes.ELEMENTWISE:
            session.compare("elementwise", operation, threads, names)


def networks(session: Session, quick: bool) -> None:
    """Forward pass and training step of every network, and whole epochs of the seed network."""
    for threads in session.threads:
        for network in (SEED, MLP) if quick else NETWORKS:
            session.compare("networks", tasks.Training(network, network.batch), threads)
        session.compare("epochs", tasks.Epoch(SEED, 2_000 if quick else 60_000, SEED.batch), threads)


def inference(session: Session, quick: bool) -> None:
    """The seed network's logits for one image and for batches."""
    for threads in session.threads:
        for images in (1, 128) if quick else (1, 16, 128, 1024):
            session.compare("inference", tasks.Prediction(SEED, images), threads)


def prediction(session: Session, quick: bool) -> None:
    """The usual networks' scores, from one image up."""
    for exhibit, batch in _zoo(session, quick):
        if batch <= exhibit.predicted:
            _exhibited(session, "prediction", tasks.Prediction(exhibit.network, batch), "predict")


def training(session: Session, quick: bool) -> None:
    """Training steps of the usual networks, from one image up."""
    for exhibit, batch in _zoo(session, quick):
        if batch <= exhibit.trained:
            _exhibited(session, "training", tasks.Training(exhibit.network, batch), "step")


def _zoo(session: Session, quick: bool) -> Iterator[tuple[zoo.Exhibit, int]]:
    """The networks and batches that are asked for; if `quick` the first network with one and two images."""
    for exhibit in zoo.ZOO[:1] if quick else zoo.ZOO:
        if exhibit.network.key in session.settings.networks:
            for batch in zoo.BATCHES[:2] if quick else session.settings.batches:
                yield exhibit, batch


def _exhibited(session: Session, suite: str, task: tasks.Task, measure: str) -> None:
    """minidl as it is used, and all others; one that breaks off does not end the suite."""
    names = {c.name for c in session.contenders}
    own = {name for name in names if parse(name).library == "minidl"}
    used = next((name for name in ("native", "im2col") if name in own), None)
    for threads in session.threads:
        try:
            session.compare(suite, task, threads, {n for n in names if n not in own or n == used}, measure=measure)
        except RuntimeError as error:
            session.note(f"{tasks.title(task)} broke off: {last_line(error)}")
            session.close()


def memory(session: Session, quick: bool) -> None:
    """Peak memory over the process after the library's import, each contender in a fresh process: of training, and of
    predicting one image with a network from a file.
    """
    for contender in session.named(FRAMEWORKS):
        _peak(session, contender, tasks.Training(SEED if quick else VGG, 64), "step")
    for exhibit in zoo.ZOO[:1] if quick else zoo.ZOO:
        if exhibit.network.key in session.settings.networks:
            with tempfile.TemporaryDirectory() as folder:
                contenders = session.named(READERS)
                _write(exhibit.network, Path(folder), any(c.library != "minidl" for c in contenders))
                for contender in contenders:
                    _peak(session, contender, tasks.Loaded(exhibit.network, 1, folder), "predict")


def _write(network: Network, folder: Path, onnx: bool) -> None:
    """The network's files of `tasks.Loaded`."""
    from benchmarks.libraries import exchange, own

    own.build(network, np.dtype("float32")).save(folder / tasks.OWN)
    if onnx:
        exchange.write(network, 1, folder / tasks.ONNX)


def _peak(session: Session, contender: Contender, task: tasks.Training | tasks.Loaded, measure: str) -> None:
    """The record of five calls; of a prediction that is wrong, none."""
    threads, case = max(session.threads), tasks.title(task)
    worker = session.start(contender, threads)
    if worker is None:
        return
    try:
        measures = worker.prepare(task)
        worker.sampler(measure)(5, False)
        before, peak = worker.memory()
        if measure == "predict" and not session.validate(
            "memory", case, task, threads, {contender.name: (worker, measures)}
        ):
            return
    except (RuntimeError, tasks.Unsupported) as error:
        session.note(f"{contender.name} fails at the memory of {case}: {last_line(error)}")
        return
    finally:
        worker.close()
    session.records.append(Record("memory", case, measure, contender.name, threads, bytes=peak - before))
    session.say(f"  {case}: {contender.name} {(peak - before) / 1e6:.1f} MB")


def scaling(session: Session, quick: bool) -> None:
    """Speed against channels and threads; cost against batch size, image size and depth, which should grow in
    proportion.
    """
    names = ("native", "im2col", "torch")
    most = max(session.threads)
    for operation in shapes.QUICK_CHANNELS if quick else shapes.CHANNELS:
        session.compare("channels", operation, most, names, case=f"{operation.out} channels")
    counts = () if quick else [threads for threads in (2**i for i in range(10)) if threads < most]
    for threads in (*counts, most):
        for network in (SEED,) if quick else (SEED, VGG):
            session.compare("threads", tasks.Training(network, network.batch), threads, names)
    for batch in (16, 64) if quick else (16, 32, 64, 128, 256, 512):
        session.compare("growth", tasks.Training(SEED, batch), most, names, case=f"batch {batch}")
    for size in (8, 16) if quick else (8, 16, 32, 64):
        network = Network("chain", "chain", (3, size, size), chain(1), 32)
        session.compare("growth", tasks.Training(network, 32), most, names, case=f"size {size}")
    for depth in (1, 2) if quick else (1, 2, 4, 8, 16):
        network = Network("chain", "chain", (3, 16, 16), chain(depth), 32)
        session.compare("growth", tasks.Training(network, 32), most, names, case=f"depth {depth}")


def cohabitation(session: Session, quick: bool) -> None:
    """numpy's matrix products between training steps: what the pair costs against the sum of its parts."""
    task = tasks.Cohabitation(SEED, SEED.batch, 256 if quick else 512)
    session.compare("cohabitation", task, max(session.threads), ("native", "im2col", "torch"))


SUITES: dict[str, Callable[[Session, bool], None]] = {
    suite.__name__: suite
    for suite in (kernels, layers, networks, inference, prediction, training, memory, scaling, cohabitation)
}
