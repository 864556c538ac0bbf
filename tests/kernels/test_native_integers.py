"""Arrays of integers by any of C's names: numpy's int64 is `l` where long has 8 bytes and `q` where it has 4."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)
import minidl
from minidl.data.augment.transforms import Flip
from minidl.kernels import image_moves, native
from minidl.kernels.image_colors import Colors

SIGNED = [np.dtype(code) for code in "lq" if np.dtype(code).itemsize == np.dtype(np.intp).itemsize]
UNSIGNED = [np.dtype(code) for code in "LQ" if np.dtype(code).itemsize == 8]
IMAGES = np.arange(3 * 2 * 4 * 4, dtype=np.float32).reshape(3, 2, 4, 4)
SCALE, SHIFT = np.ones(2, np.float32), np.zeros(2, np.float32)


class View(ctypes.Structure):
    """CPython's Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
        ("internal", ctypes.c_void_p),
    )


def by_another_name(array, letter):
    """The memory of a (n,) array as a system shows it where its type has another letter."""
    size, step = (ctypes.c_ssize_t(each) for each in (array.size, array.itemsize))
    view = View(array.ctypes.data, None, array.nbytes, array.itemsize, 1, 1, letter.encode())
    view.shape, view.strides = ctypes.pointer(size), ctypes.pointer(step)
    make = ctypes.pythonapi.PyMemoryView_FromBuffer
    make.restype, make.argtypes = ctypes.py_object, [ctypes.POINTER(View)]
    return make(ctypes.byref(view))


def gathered(index, **others):
    return native.leave(native.gather(IMAGES, index, SCALE, SHIFT, **others))


@pytest.mark.parametrize("dtype", SIGNED, ids=lambda dtype: dtype.char)
class TestSigned:
    def test_index(self, dtype):
        np.testing.assert_array_equal(gathered(np.array([2, 0], dtype)), IMAGES[[2, 0]])

    def test_moves(self, dtype):
        moves = image_moves.blank(2, image_moves.SHIFTED).astype(dtype)
        moves[1, image_moves.FLIP] = 1
        y = gathered(np.array([0, 1]), moves=moves)
        np.testing.assert_array_equal(y, [IMAGES[0], IMAGES[1, ..., ::-1]])

    def test_labels(self, dtype):
        scores = native.enter(np.zeros((3, 4), np.float32))
        loss, _, correct = native.softmax_cross_entropy(scores, np.array([0, 3, 0], dtype), 0.0, None)[:3]
        assert float(loss) == pytest.approx(np.log(4), rel=1e-6)
        assert correct == 2

    def test_boxes(self, dtype):
        x = native.enter(np.array([[1, 2, 3]], np.float32))
        table = np.array([[0, 0, 1, 2, 1, 1]], dtype)
        np.testing.assert_array_equal(native.leave(native.boxes_forward((x,), (3,), table)), [[0, 1, 2]])

    def test_taps(self, dtype):
        taps = np.array([[1], [0], [1]], dtype), np.ones((3, 1), np.float32)
        y = native.leave(native.resize_forward(native.enter(np.ascontiguousarray(IMAGES[:1, :, :2, :2])), taps, taps))
        np.testing.assert_array_equal(y, IMAGES[:1, :, [1, 0, 1]][..., [1, 0, 1]])


def test_keys_of_noise():
    moves, draws = image_moves.blank(2, image_moves.SHIFTED), np.array([3, 2**64 - 1], np.uint64)
    first, *others = (
        gathered(np.array([0, 1], np.intp), moves=moves, colors=Colors(keys=draws.astype(dtype), deviation=0.1))
        for dtype in UNSIGNED
    )
    assert (first != IMAGES[:2]).any()
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize(("dtype", "letter"), [(np.int64, "q"), (np.int64, "l"), (np.intp, "q")])
def test_letters_with_their_sizes(dtype, letter):
    index = np.array([1, 2], dtype)
    np.testing.assert_array_equal(gathered(by_another_name(index, letter)), IMAGES[[1, 2]])


@pytest.mark.parametrize(
    ("dtype", "letter"),
    [
        (np.int32, "l"),
        (np.int32, "i"),
        (np.int32, "q"),
        (np.uint64, "L"),
        (np.uint64, "Q"),
        (float, "d"),
        (np.int64, ""),
    ],
)
def test_what_is_narrower_unsigned_or_no_integer_is_refused(dtype, letter):
    with pytest.raises(TypeError, match=r"index must be an array of int64, got another format"):
        gathered(by_another_name(np.array([1, 2], dtype), letter))


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.float64, ">i8", bool])
def test_the_message_names_the_dtype(dtype):
    with pytest.raises(TypeError, match=rf"index must be an array of int64, got {np.dtype(dtype)}$"):
        gathered(np.array([1, 2], dtype))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes have no __buffer__ before Python 3.12")
@pytest.mark.parametrize("letter", ["i", "l"])
def test_indices_of_maxima(letter):
    plain = np.array([[5, -1], [2, 7]], np.int32)

    class Index:
        dtype, shape = plain.dtype, plain.shape

        def __buffer__(self, flags):
            return by_another_name(plain.reshape(-1), letter)

    np.testing.assert_array_equal(native.leave(native.enter(Index())), plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_where_numpys_own_integers_are_narrow(dtype, monkeypatch, rng):
    """numpy before 2.0 makes arange of 32 bits on Windows: what chooses images is asked for by its width."""
    arange = np.arange

    def narrow(*args, **kwargs):
        made = arange(*args, **kwargs)
        named = "dtype" in kwargs or len(args) > 3
        return made.astype(np.int32) if made.dtype == np.int_ and not named else made

    x, y = rng.integers(0, 9, (20, 1, 6, 6)).astype(dtype), rng.integers(0, 3, 20)
    found = []
    for each in (arange, narrow):
        monkeypatch.setattr(np, "arange", each)
        model = minidl.Model(minidl.Conv2D(1, 4, 3, rng=1), minidl.Flatten(), minidl.Linear(64, 3, rng=2))
        trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(lr=0.01))
        flip = Flip()
        trainer.fit((x, y), validation=(x, y), epochs=1, batch_size=8, seed=0, verbose=False, augment=[flip])
        found.append(model.predict(x))
    np.testing.assert_array_equal(*found)
