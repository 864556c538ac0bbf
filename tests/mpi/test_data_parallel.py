"""What DataParallel takes, deals out and refuses; one rank needs no mpiexec."""

from __future__ import annotations

import os

import numpy as np
import pytest
from mpi import jobs, programs

import minidl
from minidl.mpi import DataParallel
from minidl.mpi.buckets import Buckets
from minidl.mpi.threads import dealt
from minidl.support.processors import usable_processors


def test_arguments():
    with pytest.raises(TypeError, match="comm must be None or a communicator of mpi4py, got 2"):
        DataParallel(2)
    with pytest.raises(TypeError, match="sync_batchnorm must be True or False, got 'yes'"):
        DataParallel(sync_batchnorm="yes")
    with pytest.raises(TypeError, match="shard must be True or False, got 1"):
        DataParallel(shard=1)
    model, loss = programs.perceptron("float32"), minidl.SoftmaxCrossEntropyLoss()
    with pytest.raises(TypeError, match=r"parallel must be None or a minidl.mpi.DataParallel\(\), got 4"):
        minidl.Trainer(model, loss, minidl.SGD(0.1), parallel=4)


def test_one_rank_is_one_process_to_the_bit():
    parallel = DataParallel()
    assert (parallel.rank, parallel.size, repr(parallel)) == (0, 1, "DataParallel(rank 0 of 1)")
    for name in ("seed network, clipped", "Muon, frozen, moved"):
        found, expected = programs.CASES[name](parallel), programs.CASES[name]()
        for key, array in expected.items():
            np.testing.assert_array_equal(found[key], array, err_msg=key)


def test_shards_are_arrays_and_functions_see_whole_batches():
    parallel = DataParallel(shard=True)
    trainer = minidl.Trainer(
        programs.perceptron("float32"), minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1), parallel=parallel
    )
    with pytest.raises(TypeError, match=r"shard=True is for arrays \(x, y\), got data in batches"):
        trainer.fit([programs.images()], verbose=False)
    with pytest.raises(ValueError, match="augment must be transforms with shard=True, got a function"):
        trainer.fit(programs.images(), augment=lambda images, rng: images, verbose=False)


@pytest.mark.parametrize(
    ("ranks", "processors", "expected"), [(1, 8, [8]), (3, 8, [3, 3, 2]), (2, 3, [2, 1]), (4, 2, [1, 1, 1, 1])]
)
def test_processors_are_dealt(ranks, processors, expected):
    assert [dealt(index, ranks, processors) for index in range(ranks)] == expected


def test_gradients_stand_in_buckets_of_which_the_last_layer_fills_the_first():
    from mpi4py import MPI

    model = minidl.Model(
        minidl.Flatten(), minidl.Linear(784, 512), minidl.Linear(512, 300), minidl.Linear(300, 10).freeze()
    )
    parameters = model.parameters()
    buckets = Buckets(MPI, MPI.COMM_SELF, parameters)
    sizes = [piece.nbytes for piece in buckets._pieces]
    assert sizes == [1216 + 512 * 300 * 4, 2048 + 784 * 512 * 4]  # bias and weight of a layer, and of the one before
    for parameter in parameters[:4]:
        assert np.shares_memory(parameter.grad, buckets.flat)
        assert parameter.grad.ctypes.data % 64 == 0
    assert not np.shares_memory(parameters[4].grad, buckets.flat)
    assert buckets.fits(model.parameters())
    own = np.full_like(parameters[3].data, 7)
    parameters[3].grad = own  # as a layer of one's own may do
    buckets.begin()
    buckets.ready(parameters[3:4])
    MPI.Request.Waitall(buckets.rest())
    assert parameters[3].grad is not own
    assert (buckets.flat[: own.size] == 7).all()
    model.layers[3].freeze(False)
    assert not buckets.fits(model.parameters())


OVERLAP = """
from minidl.mpi.buckets import Buckets
sent = []
ready = Buckets.ready
def watched(self, parameters):
    ready(self, parameters)
    sent.append(self._sent)
Buckets.ready = watched
wide = [minidl.Linear(784, 784, rng=i) for i in range(4)]
model = minidl.Model(minidl.Flatten(), *wide, minidl.Linear(784, 10, rng=9))
trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.01), parallel=parallel)
trainer.fit(programs.images(8), batch_size=8, seed=0, verbose=False)
give(sent=np.array(sent), waits=np.array(parallel.clock.steps))
"""


def test_buckets_are_sent_while_earlier_layers_still_run(tmp_path):
    found = jobs.run(2, tmp_path, OVERLAP).found
    for each in found.values():
        assert each["sent"].tolist() == [0, 2, 3, 4, 5, 5]  # after each layer, the last one first, and at the end
        assert each["waits"] == 1


THREADS = """
dealt = minidl.get_num_threads()
mine = sorted(os.sched_getaffinity(0))[rank % len(os.sched_getaffinity(0))]
os.sched_setaffinity(0, {mine})                 # as a launcher does that binds
DataParallel()
give(dealt=np.array(dealt), bound=np.array(minidl.get_num_threads()))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binding is Linux's affair")
def test_ranks_share_the_processors_of_their_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = jobs.run(2, tmp_path, THREADS, threads="").found
    processors = usable_processors()
    assert [int(found[rank]["dealt"]) for rank in (0, 1)] == [dealt(rank, 2, processors) for rank in (0, 1)]
    assert [int(found[rank]["bound"]) for rank in (0, 1)] == [1, 1]


HEAL = """
import warnings
class Change(minidl.Callback):
    "Weights of one rank that are not the others'."
    def on_epoch_end(self, trainer, history):
        if rank == 1 and history.epochs == 1:
            trainer.model.parameters()[0].data[...] += 0.5

model = minidl.Model(minidl.Flatten(), minidl.Linear(784, 10, rng=rank))
trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.01), parallel=parallel)
stop = minidl.EarlyStopping("val_loss", patience=1, min_delta=100.0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    trainer.fit(programs.images(), programs.images(9, 1), 9, 20, 0, callbacks=[stop, Change()], verbose=False)
give(texts=np.array([str(each.message) for each in caught]), epochs=np.array(trainer.history.epochs), **model.state())
"""


def test_weights_begin_equal_and_are_made_equal_where_a_callback_has_changed_some(tmp_path):
    found = jobs.run(2, tmp_path, HEAL).found
    assert found[0]["texts"].size == 0
    (text,) = found[1]["texts"]
    assert "the weights of rank 1 were up to 0.5 away from those of rank 0, which it has now" in text
    assert [int(each["epochs"]) for each in found.values()] == [2, 2]  # the second was not better by so much
    for name in ("1.weight", "1.bias"):
        np.testing.assert_array_equal(found[0][name], found[1][name])
