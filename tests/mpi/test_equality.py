"""Several ranks end where one process ends, and have equal weights after every step."""

from __future__ import annotations

import numpy as np
import pytest
from mpi import jobs, programs

import minidl

ALL = """
found = {}
for name, train in programs.CASES.items():
    for key, array in train(parallel).items():
        found[f"{name}: {key}"] = array
give(**found)
"""

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@pytest.fixture(scope="module")
def alone():
    """What one process finds, with no word of ranks."""
    return {f"{name}: {key}": array for name, train in programs.CASES.items() for key, array in train().items()}


def assert_close(found, expected):
    """Each array, relative to its largest value."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if name.endswith(": steps"):
            continue
        exact = "float64" if array.dtype == np.float64 and ": weight " in name else "float32"
        scale = np.abs(array).max() or 1
        np.testing.assert_allclose(found[name] / scale, array / scale, rtol=0, atol=TOLERANCE[exact], err_msg=name)


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_and_one_process(ranks, tmp_path, alone):
    """Batches that do not divide, smaller than the ranks, weighted; with every optimiser's way."""
    found = jobs.run(ranks, tmp_path, ALL, "sync_batchnorm=True").found
    assert len(found) == ranks
    for other in found.values():
        for name, array in found[0].items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)
    assert_close(found[0], alone)


BITS = """
found = {}
for size in (32, 1):
    model, loss = programs.seed_network("float32"), minidl.SoftmaxCrossEntropyLoss()
    trainer = minidl.Trainer(model, loss, minidl.SGD(0.1), parallel=parallel)
    trainer.fit(programs.images(size), batch_size=size, seed=0, verbose=False)
    found |= {f"{size} {name}": array for name, array in model.state().items()}
give(**found)
"""


def test_two_ranks_are_to_the_bit_one_process_that_adds_the_gradients_of_two_halves(tmp_path):
    """And one image is computed by one rank."""
    found = jobs.run(2, tmp_path, BITS).found[0]
    for size in (32, 1):
        model, loss = programs.seed_network("float32"), minidl.SoftmaxCrossEntropyLoss()
        x, y = programs.images(size)
        order = np.random.default_rng(0).permutation(size)
        total = [np.zeros_like(parameter.data) for parameter in model.parameters()]
        for rows in np.split(order, [16]) if size > 1 else [order]:
            loss.forward(model.forward(x[rows], train=True), y[rows])
            model.backward(loss.backward())
            for array, parameter in zip(total, model.parameters()):
                array += parameter.grad * np.float32(len(rows) / size)
        for array, parameter in zip(total, model.parameters()):
            parameter.grad[...] = array
        minidl.SGD(0.1).step(model.parameters())
        for name, array in model.state().items():
            np.testing.assert_array_equal(found[f"{size} {name}"], array, err_msg=name)


SHARDS = """
ends = [0, 9, 41, 60]
rows, judged = slice(*ends[rank : rank + 2]), slice(*([0, 5, 6, 22][rank : rank + 2]))
names = "classes and images weighted", "residual, Lookahead", "Muon, frozen, moved", "numbers"
found = {}
for name in names:
    found |= {f"{name}: {key}": array for key, array in programs.CASES[name](parallel, rows, judged).items()}
give(**found)
"""


def test_each_rank_has_a_part_of_the_data(tmp_path, alone):
    found = jobs.run(3, tmp_path, SHARDS, "sync_batchnorm=True, shard=True").found
    for other in found.values():
        for name, array in found[0].items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)
    assert_close(found[0], {name: array for name, array in alone.items() if name in found[0]})
