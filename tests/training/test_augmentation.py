"""Functions that change the images: their generator, their order, what they must give back."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.data.augment.transforms import Crop, Flip

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    return rng.integers(0, 256, (20, 1, 4, 4)).astype(np.uint8), rng.integers(0, 3, 20)


def trainer():
    model = minidl.Model(minidl.Flatten(), minidl.Linear(16, 3, rng=1))
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))


def fit(run, data, **arguments):
    return run.fit(data, **{"batch_size": 8, "seed": 7, "verbose": False, **arguments})


def brighter(images, rng):
    shift = rng.integers(-40, 40, len(images))[:, None, None, None]
    return np.clip(images + shift, 0, 255).astype(np.uint8)


def invert(images, rng):
    images[...] = 255 - images
    return images


def by_hand(data, change, epochs=2):
    """The training with the change applied outside of it."""
    run, loss = trainer(), minidl.SoftmaxCrossEntropyLoss()
    rng = np.random.default_rng(7)
    for epoch in range(epochs):
        order = rng.permutation(20)
        for step, start in enumerate(range(0, 20, 8)):
            index = order[start : start + 8]
            images = change(data[0][index], np.random.default_rng((7, epoch, step)))
            loss.forward(run.model.forward(images, train=True), data[1][index])
            run.model.backward(loss.backward())
            run.optimizer.step(run.model.parameters())
    return run.model.state()


@pytest.mark.parametrize("augment", [brighter, [brighter], (invert, brighter)])
def test_each_batch_of_each_epoch_has_a_generator_of_the_seed(data, augment):
    run, before = trainer(), data[0].copy()
    fit(run, data, epochs=2, augment=augment)

    def change(images, rng):
        return brighter(255 - images if isinstance(augment, tuple) else images, rng)

    for name, array in by_hand(data, change).items():
        np.testing.assert_array_equal(run.model.state()[name], array)
    np.testing.assert_array_equal(data[0], before)  # what works in place has a copy


def test_transforms_follow_the_functions(data):
    plain, both = trainer(), trainer()
    fit(plain, (255 - data[0], data[1]), augment=[Crop(1), Flip()])
    fit(both, data, augment=[invert, Crop(1), Flip()])
    np.testing.assert_array_equal(both.model.parameters()[0].data, plain.model.parameters()[0].data)
    with pytest.raises(ValueError, match="augment must have its functions first"):
        fit(trainer(), data, augment=[Crop(1), invert])


def test_streams_are_changed_too(data):
    x, y = data
    source = [(x[:8], y[:8]), (x[8:16], y[8:16]), (x[16:], y[16:])]
    run, before = trainer(), x.copy()
    fit(run, source, augment=(invert, Crop(1), Flip()), epochs=2)
    np.testing.assert_array_equal(x, before)
    plain = trainer()
    fit(plain, [(255 - a, b) for a, b in source], augment=(Crop(1), Flip()), epochs=2)
    np.testing.assert_array_equal(run.model.parameters()[0].data, plain.model.parameters()[0].data)
    other = trainer()
    fit(other, [(255 - a, b) for a, b in source], epochs=2)
    assert (other.model.parameters()[0].data != plain.model.parameters()[0].data).any()


def test_images_in_float_stay_as_they_are_kept(data):
    x = data[0].astype(np.float32) / 255
    run = trainer()
    fit(run, (x, data[1]), augment=lambda images, rng: images * np.float64(0.5))
    plain = trainer()
    fit(plain, (x * np.float32(0.5), data[1]))
    np.testing.assert_array_equal(run.model.parameters()[0].data, plain.model.parameters()[0].data)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda images, rng: images[:, :, 1:], ValueError, r"must return images of the shape it got, \(8, 1, 4, 4\)"),
        (lambda images, rng: images / 2, TypeError, "dtype it got, uint8, got float64; clip and round, then"),
        (lambda images, rng: None, ValueError, r"the shape it got, .*got \(\)"),
    ],
)
def test_what_a_function_must_give_back(data, function, error, message):
    run = trainer()
    with pytest.raises(error, match=f"Trainer: augment: .*lambda.* {message}"):
        fit(run, data, augment=function)
    assert not run.history.step_loss


@pytest.mark.parametrize("augment", [3, "flip", Crop, [Crop], [3], np.flip.__class__])
def test_what_is_no_augmentation(data, augment):
    for source in (data, [data]):
        with pytest.raises(TypeError, match="Trainer: augment must"):
            fit(trainer(), source, augment=augment)


def one(images):
    return images


class Three:
    def __call__(self, images, rng, more):
        return images


@pytest.mark.parametrize(("function", "name"), [(one, "one"), (Three(), "Three"), (lambda: 0, ".*lambda.")])
@pytest.mark.parametrize("batches", [False, True])
def test_a_function_of_other_arguments_is_named_before_the_first_step(data, function, name, batches):
    run = trainer()
    given = {"one": r"\(images\)", "Three": r"\(images, rng, more\)"}.get(name, r"\(\)")
    rule = f"Trainer: augment: {name} must take two arguments, images and a numpy Generator, got {name}{given}$"
    for augment in (function, [brighter, function]):
        with pytest.raises(TypeError, match=rule):
            fit(run, [data] if batches else data, augment=augment)
    assert run.run is None


def test_functions_whose_two_arguments_are_not_all(data):
    for function in (lambda *both: both[0], lambda images, rng, factor=1: images, lambda *, x=1, **_: 0):
        if "x" in function.__code__.co_varnames:
            with pytest.raises(TypeError, match="must take two arguments"):
                fit(trainer(), data, augment=function)
        else:
            assert fit(trainer(), data, augment=function).epochs == 1


def test_a_resumed_run_has_the_same_functions(data, tmp_path):
    run = trainer()
    fit(run, data, augment=brighter, callbacks=minidl.Checkpoint(tmp_path / "f"))
    fit(run, data, augment=brighter, epochs=2, resume=True)
    again = trainer()
    fit(again, data, augment=brighter, epochs=2, resume=tmp_path / "f")
    np.testing.assert_array_equal(again.model.parameters()[0].data, run.model.parameters()[0].data)
    with pytest.raises(ValueError, match="augment must be brighter, as in the run to resume, got invert"):
        fit(run, data, augment=invert, epochs=3, resume=True)


def test_a_function_that_returns_one_array_again_and_again(rng):
    x, y = rng.random((40, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 40)
    buffer = np.empty((10, 1, 4, 4), np.float32)

    def reused(images, generator):
        buffer[:] = images[:, :, ::-1]
        return buffer

    states = []
    for function in (lambda images, generator: images[:, :, ::-1].copy(), reused):
        model = minidl.Model(minidl.Flatten(), minidl.Linear(16, 3, rng=0))
        trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
        trainer.fit((x, y), epochs=2, batch_size=10, seed=0, augment=function, verbose=False)
        states.append(model.state()["1.weight"])
    np.testing.assert_array_equal(*states)
