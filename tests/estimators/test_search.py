"""Searches over processes, threads and a Dask cluster: the bits of one process, and no more threads than processors."""

from __future__ import annotations

import global_seed
import numpy as np
import pytest

pytest.importorskip("sklearn")

from joblib import parallel_config
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV

import minidl
from minidl.sklearn import ConvNetClassifier, threads
from minidl.support.processors import usable_processors

PROCESSORS = usable_processors()
SHIFTED = {"initializer": global_seed.shift} if global_seed.SHIFT else {}
"""Other processes draw what MINIDL_TEST_SEED means, too."""


def watched():
    """A callback of a class that goes to other processes by value: the most threads that the process computed with."""

    class Watch(minidl.Callback):
        most = 0

        def on_step_end(self, trainer, history):
            from minidl.sklearn import threads

            with threads._lock:
                self.most = max(self.most, minidl.get_num_threads() * len(threads._wishes))

    return Watch()


def search(digits, n_jobs):
    X, y = digits

    def most_threads(estimator, X, y):
        return estimator.callbacks_[0].most

    estimator = ConvNetClassifier(image_shape=(8, 8), epochs=2, random_state=0, callbacks=watched())
    scoring = {"accuracy": "accuracy", "threads": most_threads}
    grid = {"lr": [0.003, 0.02], "batch_size": [16, 64]}
    return GridSearchCV(estimator, grid, scoring=scoring, refit="accuracy", cv=2, n_jobs=n_jobs).fit(X, y)


@pytest.fixture
def alone(digits):
    found = search(digits, 1)
    assert found.cv_results_["mean_test_threads"].max() == minidl.get_num_threads()
    return found


def assert_equal(found, alone):
    for name in ("split0_test_accuracy", "split1_test_accuracy"):
        assert found.cv_results_[name].tolist() == alone.cv_results_[name].tolist()
    assert len(set(alone.cv_results_["split0_test_accuracy"])) > 2
    assert found.best_params_ == alone.best_params_
    ours, theirs = (each.best_estimator_.model_.state() for each in (found, alone))
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_processes(digits, alone):
    with parallel_config("loky", **SHIFTED):
        found = search(digits, 2)
    assert_equal(found, alone)
    assert (found.cv_results_["mean_test_threads"] == max(1, PROCESSORS // 2)).all()


def test_threads(digits, alone):
    with parallel_config("threading"):
        found = search(digits, 2)
    assert_equal(found, alone)
    assert found.cv_results_["mean_test_threads"].max() <= max(2, PROCESSORS)
    assert threads._wishes == []


def test_dask(digits, alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        parallel_config("dask"),
    ):
        client.run(global_seed.shift)
        found = search(digits, -1)
        assert len(client.nthreads()) == 2
    assert_equal(found, alone)
    assert found.cv_results_["mean_test_threads"].max() <= max(1, PROCESSORS // 2)


def test_halving(digits):
    X, y = digits
    estimator = ConvNetClassifier(image_shape=(8, 8), random_state=0)
    space = {"lr": [0.001, 0.003, 0.01, 0.03], "weight_decay": [0, 0.1]}

    def run(n_jobs):
        options = {"resource": "epochs", "min_resources": 1, "max_resources": 4, "factor": 2, "n_candidates": 4}
        found = HalvingRandomSearchCV(estimator, space, cv=2, random_state=0, n_jobs=n_jobs, **options)
        with parallel_config("loky", **SHIFTED):
            return found.fit(X, y)

    one, two = run(1), run(2)
    assert one.best_params_ == two.best_params_
    assert one.best_params_["epochs"] == 4
    assert one.cv_results_["mean_test_score"].tolist() == two.cv_results_["mean_test_score"].tolist()
    assert one.n_resources_ == [1, 2, 4]


def test_estimators_beside_each_other_share_the_threads():
    before = minidl.get_num_threads()
    with threads.sharing("test", None):
        assert minidl.get_num_threads() == before
        with threads.sharing("test", None):
            assert minidl.get_num_threads() == max(1, before // 2)
        with threads.sharing("test", 1):
            assert minidl.get_num_threads() == 1
        assert minidl.get_num_threads() == before
    assert minidl.get_num_threads() == before
    with threads.sharing("test", 10_000):
        assert minidl.get_num_threads() <= max(PROCESSORS, before)
    assert minidl.get_num_threads() == before


def test_generators_of_threads_are_apart():
    from concurrent.futures import ThreadPoolExecutor

    from minidl.support import random

    minidl.seed(5)
    expected = random.generator().random(3)
    minidl.seed(5)

    def draw(seed):
        with random.drawing(np.random.default_rng(seed)):
            first = random.generator().random()
            minidl.seed(seed)
            return first, random.generator().random()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, [1, 2])) == [(np.random.default_rng(k).random(),) * 2 for k in (1, 2)]
    assert (random.generator().random(3) == expected).all()
