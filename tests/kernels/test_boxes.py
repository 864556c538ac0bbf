"""Boxes: tables by hand, the usual ones by numpy, random ones on every backend, in few images and on threads."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

from minidl.kernels import boxes, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])

SHAPES = ((3, 4, 6), (7,), (1, 1, 1), (2, 33, 3), (5, 3))


def table(*rows):
    return np.array(rows, np.intp)


def picked(shape, indices):
    return boxes.picked(shape, [boxes.runs_of(index) for index in indices])


def random_boxes(rng, sources, values):
    """Boxes that lie side by side: the result's values dealt out in random order, read with any steps.

    The result is cut into runs along one axis, and each run into rows and columns, some of them from the end.
    """
    rows, to = [], int(rng.integers(0, 2))
    while True:
        counts = rng.integers(1, 4, 3)
        if to + counts.prod() > values:
            return table(*rows).reshape(len(rows), 12)
        source = int(rng.integers(0, len(sources)))
        start, apart = int(rng.integers(0, sources[source])), []
        low = high = start
        for count in counts:
            step = int(rng.integers(-3, 4)) * (count > 1)
            reach = (count - 1) * step
            if not (low + min(reach, 0) >= 0 and high + max(reach, 0) < sources[source]):
                step = reach = 0
            low, high = low + min(reach, 0), high + max(reach, 0)
            apart.append(step)
        order = rng.permutation(3)  # the first of them is the longest step of the result
        steps_to = np.empty(3, np.intp)
        steps_to[order] = counts[order][1:].prod(), counts[order][2], 1
        into = to
        for axis in range(3):
            if rng.random() < 0.3:  # backwards
                into += (counts[axis] - 1) * steps_to[axis]
                steps_to[axis] = -steps_to[axis]
        rows.append([source, start, into, *np.stack([counts, apart, steps_to], 1).ravel()])
        to += int(counts.prod()) + int(rng.integers(0, 2))


def slow(xs, shape, rows, fill):
    """The definition, one place after the other."""
    y = np.full((len(xs[0]), int(np.prod(shape))), fill, xs[0].dtype)
    for source, start, to, *axes in rows.tolist():
        for place in np.ndindex(*axes[::3]):
            at = start + sum(i * step for i, step in zip(place, axes[1::3]))
            y[:, to + sum(i * step for i, step in zip(place, axes[2::3]))] = xs[source].reshape(len(y), -1)[:, at]
    return y.reshape(len(y), *shape)


class TestReference:
    def test_a_table_by_hand(self):
        """Two numbers from the end of the first image, every second one of the second, a hole of -1."""
        xs = np.array([[1.0, 2, 3, 4]]), np.array([[[5.0, 6], [7, 8]]])
        rows = table([0, 3, 0, 2, -1, 1], [1, 0, 3, 2, 2, 2])
        got = reference.boxes_forward(xs, (3, 2), rows, -1)
        np.testing.assert_array_equal(got, [[[4, 3], [-1, 5], [-1, 7]]])
        dy = np.array([[[10.0, 20], [30, 40], [50, 60]]])
        np.testing.assert_array_equal(reference.boxes_backward(dy, (1, 4), rows), [[0, 0, 20, 10]])
        np.testing.assert_array_equal(reference.boxes_backward(dy, (1, 2, 2), rows, 1), [[[40, 0], [60, 0]]])

    def test_what_is_read_twice_gets_both_gradients(self):
        rows = table([0, 1, 0, 2, 0, 3, 3, -1, 1])
        x = np.array([[1.0, 2, 3, 4]])
        with pytest.raises(ValueError, match="box 0 must lie inside its source, 4 values"):
            reference.boxes_forward((x,), (6,), rows)
        rows[0, boxes.FROM] = 2
        np.testing.assert_array_equal(reference.boxes_forward((x,), (6,), rows), [[3, 2, 1, 3, 2, 1]])
        dy = np.array([[1.0, 2, 3, 4, 5, 6]])
        np.testing.assert_array_equal(reference.boxes_backward(dy, (1, 4), rows), [[9, 7, 5, 0]])

    @pytest.mark.parametrize("seed", range(5))
    def test_the_definition_and_central_differences(self, seed):
        rng = np.random.default_rng(seed)
        xs = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 9))
        rows = random_boxes(rng, (12, 9), 24)
        got = reference.boxes_forward(xs, (4, 6), rows, 0.5)
        compare.check(got, slow(xs, (4, 6), rows, 0.5), exact=True)
        dy = rng.standard_normal(got.shape)
        for source, x in enumerate(xs):
            expected = numeric.gradient(lambda _: reference.boxes_forward(xs, (4, 6), rows), x, dy)
            compare.check(reference.boxes_backward(dy, x.shape, rows, source), expected, tolerance=numeric.TOLERANCE)


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_random_boxes_equal_the_reference(backend, n, dtype):
    """Whole numbers, whose sums are exact: copies and gradients to the last bit, in every layout."""
    rng = np.random.default_rng(n)
    for _ in range(8):
        shapes = [SHAPES[i] for i in rng.integers(0, len(SHAPES), 3)]
        xs = [cases.random(rng, (n, *shape), dtype, whole=True) for shape in shapes]
        rows = random_boxes(rng, [int(np.prod(shape)) for shape in shapes], 60)
        expected = reference.boxes_forward(tuple(xs), (5, 12), rows, 7.0)
        for infer in (False, True):
            entered = tuple(backend.enter(x, infer=infer) for x in xs)
            compare.check(backend.leave(backend.boxes_forward(entered, (5, 12), rows, 7.0)), expected, exact=True)
        dy = cases.random(rng, expected.shape, dtype, whole=True)
        for source, x in enumerate(xs):
            dx = backend.leave(backend.boxes_backward(backend.enter(dy), x.shape, rows, source))
            compare.check(dx, reference.boxes_backward(dy, x.shape, rows, source), exact=True)


@dtypes
def test_large_images_are_cut_into_tasks(backend, dtype):
    """More values than a task takes: along channels, along rows, in one run, and where nothing can be cut."""
    rng = np.random.default_rng(0)
    x = cases.random(rng, (3, 40, 50, 60), dtype, whole=True)
    other = cases.random(rng, (3, 7, 50, 60), dtype, whole=True)
    edge = [range(40), np.clip(np.arange(-2, 53), 0, 49).tolist(), np.clip(np.arange(-3, 61), 0, 59).tolist()]
    tables = {
        "joined": ((x, other), (47, 50, 60), boxes.joined([x.shape[1:], other.shape[1:]], 0)),
        "permuted": ((x,), (60, 40, 50), boxes.permuted(x.shape[1:], (2, 0, 1))),
        "edge": ((x,), (40, 55, 64), picked(x.shape[1:], edge)),
        "one run": ((x,), (1, 120001), table([0, 0, 1, 120000, 1, 1])),
        "backwards": ((x,), (120000,), table([0, 119999, 0, 120000, -1, 1])),
        "sliding": ((x,), (119000, 1, 1), table([0, 5, 0, 119, 1000, 1000, 1000, 1, 1])),
        "windows": ((x,), (50, 1000), table([0, 0, 0, 50, 1, 1000, 1000, 3, 1])),
    }
    for name, (xs, shape, rows) in tables.items():
        with compare.during(name):
            expected = slow_by_index(xs, shape, rows)
            for infer in (False, True):
                y = backend.boxes_forward(tuple(backend.enter(a, infer=infer) for a in xs), shape, rows, 2.0)
                compare.check(backend.leave(y), expected, exact=True)
            dy = cases.random(rng, expected.shape, dtype, whole=True)
            dx = backend.leave(backend.boxes_backward(backend.enter(dy), xs[0].shape, rows))
            compare.check(dx, slow_gradient(dy, xs[0].shape, rows), exact=True)


def places(row, first, step):
    axes = zip(row[boxes.AXES :: 3], row[boxes.AXES + step :: 3])
    return np.asarray(row[first] + sum(np.ix_(*(apart * np.arange(count) for count, apart in axes)))).ravel()


def slow_by_index(xs, shape, rows):
    y = np.full((len(xs[0]), int(np.prod(shape))), 2.0, xs[0].dtype)
    for row in rows:
        x = xs[row[boxes.SOURCE]].reshape(len(y), -1)
        y[:, places(row, boxes.TO, 2)] = x[:, places(row, boxes.FROM, 1)]
    return y.reshape(len(y), *shape)


def slow_gradient(dy, shape, rows):
    dx = np.zeros((len(dy), int(np.prod(shape[1:]))), dy.dtype)
    for row in rows[rows[:, boxes.SOURCE] == 0]:
        np.add.at(dx.T, places(row, boxes.FROM, 1), dy.reshape(len(dy), -1)[:, places(row, boxes.TO, 2)].T)
    return dx.reshape(shape)


@dtypes
def test_any_number_of_threads_gives_the_same_bits(native, dtype):
    rng = np.random.default_rng(1)
    x = cases.random(rng, (17, 6, 31, 40), dtype)
    index = [range(6), np.clip(np.arange(-2, 34), 0, 30).tolist(), np.clip(np.arange(-3, 45), 0, 39).tolist()]
    rows, found = picked(x.shape[1:], index), []
    before = native.get_num_threads()
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            y = native.boxes_forward((native.enter(x),), (6, 36, 48), rows)
            dx = native.boxes_backward(y, x.shape, rows)
            found.append((native.leave(y), native.leave(dx)))
    finally:
        native.set_num_threads(before)
    for y, dx in found[1:]:
        compare.check(y, found[0][0], exact=True)
        compare.check(dx, found[0][1], exact=True)


def test_not_a_number_and_infinity_come_through(any_backend):
    x = np.array([[np.nan, np.inf, -np.inf, -0.0]])
    y = any_backend.leave(any_backend.boxes_forward((any_backend.enter(x),), (5,), table([0, 3, 0, 4, -1, 1]), np.nan))
    np.testing.assert_array_equal(y, [[-0.0, -np.inf, np.inf, np.nan, np.nan]])
    assert np.signbit(y[0, 0])


def test_a_fill_that_is_not_finite_stays_where_images_are(native):
    """In an empty lane it would reach the sums over a batch."""
    x = np.ones((3, 4), np.float32)
    y = native.boxes_forward((native.enter(x),), (5,), table([0, 0, 0, 4, 1, 1]), np.inf)
    assert np.isinf(native.leave(y)[:, 4]).all()
    dy, w = native.enter(np.ones((3, 2), np.float32)), np.zeros((2, 5), np.float32)
    _, dw, _ = native.linear_backward(dy, y, w)
    np.testing.assert_array_equal(dw, [[3, 3, 3, 3, np.inf]] * 2)


def test_empty_images_and_tables(any_backend):
    enter, leave = any_backend.enter, any_backend.leave
    x, none = np.ones((3, 4), np.float32), np.ones((3, 0, 2), np.float32)
    for rows in (
        np.empty((0, 3), np.intp),
        np.empty((0, 9), np.intp),
        table([0, 0, 0, 0, 5, 5]),
        table([0, 9, 9, 0, 1, 1]),
    ):
        np.testing.assert_array_equal(
            leave(any_backend.boxes_forward((enter(x),), (2,), rows, 3.0)), np.full((3, 2), 3)
        )
        np.testing.assert_array_equal(leave(any_backend.boxes_backward(enter(x), (3, 2), rows)), np.zeros((3, 2)))
        assert leave(any_backend.boxes_forward((enter(none),), (0, 4), rows)).shape == (3, 0, 4)
    one = table([0, 2, 1])
    np.testing.assert_array_equal(leave(any_backend.boxes_forward((enter(x),), (2,), one)), [[0, 1]] * 3)


BAD = {
    "before the source": ([0, -1, 0, 2, 1, 1], "box 0 must lie inside its source, 4 values"),
    "behind the source": ([0, 3, 0, 2, 1, 1], "box 0 must lie inside its source, 4 values"),
    "before the source, backwards": ([0, 1, 0, 3, -1, 1], "inside its source"),
    "behind the result": ([0, 0, 3, 3, 1, 1], "box 0 must lie inside the result, 5 values"),
    "before the result": ([0, 0, 1, 3, 1, -1], "inside the result"),
    "far": ([0, 2**62, 0, 2, 2**62, 1], "inside its source"),
    "a far result": ([0, 0, 0, 2, 0, 2**62], "inside the result"),
    "steps that overflow": ([0, 0, 0, 2**40, 2**40, 0], "inside"),
    "a negative count": ([0, 0, 0, -1, 1, 1], "inside its source"),
    "too many values": ([0, 0, 0, 6, 0, 0], "boxes must lie side by side in the result, 5 values"),
    "endlessly many": ([0, 0, 0, 2**45, 0, 0], "side by side"),
    "more than endlessly many": ([0, 0, 0, 2**62, 0, 0], "box 0|side by side"),
    "an unknown source": ([1, 0, 0, 2, 1, 1], "box 0 must come from source 0 to 0, got 1"),
    "a negative source": ([-1, 0, 0, 2, 1, 1], "box 0 must come from source"),
}


@pytest.mark.parametrize("case", BAD)
def test_boxes_that_leave_their_arrays_are_refused(any_backend, case):
    row, message = BAD[case]
    x = any_backend.enter(np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match=message):
        any_backend.boxes_forward((x,), (5,), table(row))
    if "source" not in case:
        dy = any_backend.enter(np.ones((2, 5), np.float32))
        with pytest.raises(ValueError, match=r"box 0|side by side"):
            any_backend.boxes_backward(dy, (2, 4), table(row))


def test_tables_of_another_form_are_refused(any_backend):
    x = any_backend.enter(np.ones((2, 4), np.float32))
    for shape in ((6,), (1, 5), (1, 0), (1, 30)):
        with pytest.raises(ValueError, match=r"boxes must have shape \(B, 3 \+ 3 A\) with A at most 8 axes"):
            any_backend.boxes_forward((x,), (5,), np.zeros(shape, np.intp))
    with pytest.raises(TypeError, match="boxes must be an array of"):
        any_backend.boxes_forward((x,), (5,), np.zeros((1, 6)))


def test_a_picked_image_has_the_values_of_numpys_index(rng):
    x = rng.standard_normal((2, 5, 6, 7))
    for _ in range(20):
        index = [rng.integers(0, size, rng.integers(1, 9)).tolist() for size in x.shape[1:]]
        rows = picked(x.shape[1:], index)
        got = reference.boxes_forward((x,), tuple(map(len, index)), rows)
        np.testing.assert_array_equal(got, x[np.ix_(range(2), *index)])
    holes = [[0, -1, 2], [-1, -1], [1, 1]]
    got = reference.boxes_forward((x,), (3, 2, 2), picked(x.shape[1:], holes), 9)
    np.testing.assert_array_equal(got, np.full((2, 3, 2, 2), 9))
    assert len(picked((10, 10), [range(9, -1, -2), [3, 3, 3]])) == 1  # of one run each


def test_the_way_back_is_the_inverse(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    for rows, shape in (
        (boxes.permuted((3, 4, 5), (2, 0, 1)), (5, 3, 4)),
        (picked((3, 4, 5), [range(3), range(3, -1, -1), range(5)]), (3, 4, 5)),
    ):
        y = reference.boxes_forward((x,), shape, rows)
        np.testing.assert_array_equal(reference.boxes_forward((y,), (3, 4, 5), boxes.swapped(rows)), x)
