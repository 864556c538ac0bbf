"""Python batches: what Python 2 wrote is read, everything else is refused before it can act."""

import builtins
import os
import pickle

import numpy as np
import pytest
from data_files import outcome, pictures, python_batch, short
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.data import DataError
from minidl.data.files.cifar_pickle import read_batch

IMAGES, LABELS = pictures(5, seed=1)
GOOD = python_batch(IMAGES, LABELS)
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
UINT8 = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def state(shape: bytes, dtype: bytes, raw: bytes) -> bytes:
    return ARRAY + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"


def test_what_python_2_wrote_is_read():
    images, labels = read_batch("batch", GOOD)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64


def test_the_fixture_is_what_pickle_itself_understands():
    batch = pickle.loads(GOOD, encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], IMAGES)
    assert batch[b"labels"] == LABELS.tolist()


def test_fortran_order_is_honoured():
    raw = IMAGES.T.tobytes()
    array = ARRAY + b"(K\x01K\x05M\x00\x0c\x86" + UINT8 + b"\x88T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    images, _ = read_batch("batch", python_batch(IMAGES, LABELS, array))
    np.testing.assert_array_equal(images, IMAGES)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def old_call(module: str, name: str, argument: bytes) -> bytes:
    """The same in Python 2's words."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + short(argument) + b"\x85R."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.system, builtins.eval, os.mkdir, builtins.open])
def test_no_call_is_ever_made(tmp_path, function, protocol):
    trap = tmp_path / "trap"
    argument = {
        "system": f"touch {trap}",
        "eval": f"open({str(trap)!r}, 'w')",
        "mkdir": str(trap),
        "open": str(trap),
    }[function.__name__]
    arguments = (argument, "w") if function is builtins.open else (argument,)
    raw = pickle.dumps({b"data": Call(function, *arguments), b"labels": [1]}, protocol)
    with pytest.raises(DataError, match="batch: is not a CIFAR-10 Python batch"):
        read_batch("batch", raw)
    assert not trap.exists()
    pickle.loads(raw)  # the trap is a real one
    assert trap.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("__builtin__", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core", "multiarray._reconstruct"),
        ("numpy.core.multiarray\x00", "_reconstruct"),
        ("numpy.testing._private.utils", "runstring"),
        ("minidl.data.files.cifar_pickle", "read_batch"),
        ("copyreg", "_reconstructor"),
    ],
)
def test_only_the_three_names_of_an_array_are_known(module, name):
    with pytest.raises(DataError, match="which no batch needs"):
        read_batch("batch", old_call(module, name, b"echo hello"))


HOSTILE = {
    "empty": (b"", "is not a CIFAR-10"),
    "no end": (b"\x80\x02}", "is not a CIFAR-10"),
    "nothing": (b"\x80\x02N.", "is not a CIFAR-10"),
    "a list": (b"\x80\x02].", "is not a CIFAR-10"),
    "no labels": (b"\x80\x02}.", "KeyError"),
    "protocol 3": (b"\x80\x03}.", "pickle protocol 3, must be 2"),
    "protocol 4": (pickle.dumps({b"data": 1}, 4), "instruction|protocol 4"),
    "persistent": (b"\x80\x02Pname\n.", "instruction PERSID"),
    "instance": (b"\x80\x02(ios\nsystem\n.", "instruction INST"),
    "object": (b"\x80\x02(cos\nsystem\no.", "instruction OBJ"),
    "new object": (b"\x80\x02cos\nsystem\n)\x81.", "instruction NEWOBJ"),
    "extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "stack global": (b"\x80\x02U\x02osU\x06system\x93.", "instruction STACK_GLOBAL"),
    "huge bytes": (b"\x80\x02\x8e" + b"\xff" * 7 + b"\x7f.", "is not a CIFAR-10"),
    "huge string": (b"\x80\x02T\xff\xff\xff\x7f.", "is not a CIFAR-10"),
    "negative string": (b"\x80\x02T\xff\xff\xff\xff.", "is not a CIFAR-10"),
    "huge memo": (b"\x80\x02}r\xff\xff\xff\x7f.", "memo index 2147483647 out of order"),
    "memo never put": (b"\x80\x02h\x07.", "is not a CIFAR-10"),
    "deep tuples": (b"\x80\x02}N" + 100_000 * b"\x85" + b"Ns.", "more than 64 containers"),
    "deep lists": (b"\x80\x02" + 100_000 * b"]" + 99_999 * b"a" + b".", "more than 64 containers"),
    "large int": (b"\x80\x02\x8a\xff" + 255 * b"\x01" + b".", "more than 64 bits"),
    "empty stack": (b"\x80\x02R.", "is not a CIFAR-10"),
    "unknown instruction": (b"\x80\x02\xfa.", "is not a CIFAR-10"),
    "text": (b"hello world", "is not a CIFAR-10"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_broken_pickles_are_value_errors(case):
    raw, message = HOSTILE[case]
    with pytest.raises(DataError, match=message) as caught:
        read_batch("the-batch", raw)
    assert str(caught.value).startswith("the-batch: ")


ARRAYS = {
    "objects": (state(b"K\x05M\x00\x0c\x86", UINT8.replace(b"u1", b"O8"), b"]"), "has the dtype b'O8'"),
    "floats": (state(b"K\x05M\x00\x0c\x86", UINT8.replace(b"u1", b"f4"), b"U\x00"), "has the dtype b'f4'"),
    "no dtype": (state(b"K\x05M\x00\x0c\x86", b"N", b"U\x00"), "must be of unsigned bytes"),
    "short": (state(b"K\x05M\x00\x0c\x86", UINT8, b"U\x01x"), "cannot reshape"),
    "huge": (state(b"J\xff\xff\xff\x7fM\x00\x0c\x86", UINT8, b"U\x01x"), "cannot reshape"),
    "flat": (state(b"K\x04\x85", UINT8, b"U\x04abcd"), "data must be an array"),
    "no state": (ARRAY, "data must be an array"),
    "no array": (b"K\x05", "data must be an array"),
    "list as bytes": (state(b"K\x05M\x00\x0c\x86", UINT8, b"]"), "must be of unsigned bytes"),
    "state of another shape": (ARRAY + b"K\x05b", "is not a CIFAR-10"),
    "other kind": (ARRAY.replace(b"cnumpy\nndarray\n", b"N"), "must be an ndarray"),
    "the name is called": (b"cnumpy\nndarray\n(K\x01tR", "is not a CIFAR-10"),
    "the name is built": (b"cnumpy\nndarray\n}b", "is not a CIFAR-10"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_other_arrays_are_refused(case):
    array, message = ARRAYS[case]
    with pytest.raises(DataError, match=message):
        read_batch("batch", python_batch(IMAGES, LABELS, array))


def test_labels_must_be_one_int_an_image():
    with pytest.raises(DataError, match="labels must be a list of 5 ints"):
        read_batch("batch", python_batch(IMAGES, LABELS[:4]))
    with pytest.raises(DataError, match="labels must be a list of 5 ints"):
        read_batch("batch", GOOD.replace(b"q\x05(K", b"q\x05(NK"))
    with pytest.raises(DataError, match="labels must be a list of 5 ints"):
        read_batch("batch", python_batch(IMAGES, LABELS[:4]).replace(b"q\x05(K", b"q\x05(\x88K"))


SMALL = python_batch(*pictures(1, seed=2))


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of the pickle's text, by pickletools
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_of_a_batch_gives_arrays_or_a_data_error(data):
    raw = bytearray(SMALL)
    program = [*range(300), *range(len(raw) - 60, len(raw))]  # the pixels between are no instructions
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.sampled_from(program))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(raw) - 70, len(raw)))
    batch, message = outcome(read_batch, "batch", bytes(raw[:cut]))
    if batch is None:
        assert message.startswith("batch: ")
    else:
        assert batch[0].shape == (len(batch[1]), 3072)
