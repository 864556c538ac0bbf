"""The model of what several machines cost: its formula, and when buckets are ready."""

from __future__ import annotations

import pytest

from benchmarks import networks, scaling

WIRE = scaling.Wire("test", 1e-3, 1e6)


def test_the_time_of_a_sum():
    assert WIRE.sum(1e6, 1) == 0
    assert WIRE.sum(1e6, 2) == pytest.approx(2 * 1e-3 + 1.0)
    assert WIRE.sum(1e6, 5) == pytest.approx(6 * 1e-3 + 1.6)


def test_a_step_hides_what_is_sent_before_its_end():
    hidden, rest = (0.5, 1e5), (1.0, 1e4)  # 0.102 and 0.012 s between two ranks
    assert scaling.step([hidden], 1.0, 2, WIRE) == 1.0
    assert scaling.step([hidden, rest], 1.0, 2, WIRE) == pytest.approx(1.012)
    assert scaling.step([hidden, rest], 0.1, 2, WIRE) == pytest.approx(0.05 + 0.102 + 0.012)


def test_buckets_of_the_seed_network():
    """The last layers leave early, the large one after them, the first convolution when all is done."""
    sent = scaling.buckets(networks.SEED)
    assert sum(size for _, size in sent) == 819_200  # 204,778 numbers, each array up to a cache line
    assert [round(share, 2) for share, _ in sent] == sorted(round(share, 2) for share, _ in sent)
    assert sent[-1][0] == 1.0
    assert sent[1][1] > 700_000
    linear, convolutions = 784 * 256 + 256 * 10, 784 * 8 * 9 + 196 * 16 * 72  # multiply-adds an image
    assert sent[1][0] == pytest.approx(1 / 3 + 2 / 3 * linear / (linear + convolutions))
