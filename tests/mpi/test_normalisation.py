"""Batch normalisation on several ranks: statistics of each rank's rows, or of the whole batch."""

from __future__ import annotations

import itertools

import numpy as np
from mpi import jobs, programs

import minidl

ONE_STEP = """
found = {}
for images in (12, 13, 3):
    model, loss = programs.normed(), minidl.SoftmaxCrossEntropyLoss()
    trainer = minidl.Trainer(model, loss, minidl.SGD(0.0), parallel=parallel)
    trainer.fit(programs.images(images), batch_size=images, seed=0, verbose=False)
    found |= {f"{images} {name}": array for name, array in model.state().items()}
    found |= {f"{images} d{parameter.name}": parameter.grad for parameter in model.parameters()}
give(**found)
"""


def of_parts(images, parts):
    """Gradients and statistics of a step with each part by itself, weighted by their images."""
    order = np.random.default_rng(0).permutation(images)
    x, y = programs.images(images)
    ends = [images * i // parts for i in range(parts + 1)]
    found: dict[str, np.ndarray] = {}
    for first, end in itertools.pairwise(ends):
        if first == end:
            continue
        rows = order[first:end]
        model, loss = programs.normed(), minidl.SoftmaxCrossEntropyLoss()
        loss.forward(model.forward(x[rows], train=True), y[rows])
        model.backward(loss.backward())
        each = dict(model.state()) | {f"d{parameter.name}": parameter.grad for parameter in model.parameters()}
        for name, array in each.items():
            found[f"{images} {name}"] = found.get(f"{images} {name}", 0) + array * ((end - first) / images)
    return found


def test_each_rank_normalises_its_rows_and_running_statistics_are_means(tmp_path):
    """Also where one of four ranks has no image."""
    found = jobs.run(4, tmp_path, ONE_STEP).found
    for images in (12, 13, 3):
        for name, array in of_parts(images, 4).items():
            if " d4." in name:  # frozen, so that nobody asks for its gradient
                continue
            np.testing.assert_allclose(found[0][name], array, rtol=1e-9, atol=1e-12, err_msg=name)
            for rank in (1, 2, 3):
                np.testing.assert_array_equal(found[rank][name], found[0][name], err_msg=name)


BACKENDS = """
found = {}
for backend in ("native", "im2col", "reference"):
    if backend not in minidl.kernels.available():
        continue
    with minidl.kernels.use(backend):
        model, loss = programs.normed(), minidl.SoftmaxCrossEntropyLoss()
        trainer = minidl.Trainer(model, loss, minidl.SGD(0.1), parallel=parallel)
        trainer.fit(programs.images(11), batch_size=11, epochs=2, seed=0, verbose=False)
        found |= {f"{backend} {name}": array for name, array in model.state().items()}
assert all(layer.across is None for layer in model.layers if hasattr(layer, "across"))
give(**found)
"""


def test_statistics_of_the_whole_batch_on_every_backend(tmp_path):
    found = jobs.run(2, tmp_path, BACKENDS, "sync_batchnorm=True").found
    model, loss = programs.normed(), minidl.SoftmaxCrossEntropyLoss()
    trainer = minidl.Trainer(model, loss, minidl.SGD(0.1))
    trainer.fit(programs.images(11), batch_size=11, epochs=2, seed=0, verbose=False)
    expected = model.state()
    assert len(found[0]) >= 2 * len(expected)
    for name, array in found[0].items():
        np.testing.assert_allclose(array, expected[name.split(" ")[1]], rtol=1e-10, atol=1e-12, err_msg=name)
        np.testing.assert_array_equal(found[1][name], array)
