# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Whether arrays are still what they were when something was made of them."""

cimport cython
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint64_t

import numpy as np

cdef type ndarray = np.ndarray

cdef extern from "core/digest.h" nogil:
    uint64_t digest(const void *data, Py_ssize_t bytes)

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object o)

cdef class Watch:
    """Arrays and settings in the attributes of layers.

    touched: a list with one object, another one after any parameter's array was handed out. Where it is the same, and
    nobody outside holds a parameter's array or a view of it, nor did when it was last read, it cannot have been
    written; all others are read and compared with a digest.

    `take` is for one thread, `holds` for any number at once.
    """

    cdef list layers, names, held, digests, settings, touched
    cdef set seen
    cdef tuple last  # what `touched` held before the arrays were read, and which of them nobody else held then

    def __init__(self, list touched):
        self.layers, self.names, self.held, self.digests, self.settings = [], [], [], [], []
        self.touched, self.seen = touched, set()
        self.last = None, []

    def take(self, layer, str name):
        """Watch the array of this parameter or buffer. To be called before it is read: a later change must count."""
        if (id(layer), name) in self.seen:
            return
        held = vars(layer)[name]
        self.digests.append(digest_of(held if isinstance(held, ndarray) else held._data))
        self.seen.add((id(layer), name))
        self.layers.append(vars(layer))
        self.names.append(name)
        self.held.append(held)

    def take_settings(self, layer, names):
        """Watch attributes that hold numbers, words, tuples of these or None."""
        self.settings.extend((vars(layer), name, vars(layer)[name]) for name in names)

    def holds(self):
        """Whether every layer has the same settings, and the same arrays with the same values."""
        cdef Py_ssize_t i
        cdef bint alone, still
        cdef tuple known
        cdef list were_alone, are_alone
        last = self.touched[0]
        with cython.critical_section(self):
            known = self.last
        # Both come from one look, whichever thread's it was: what was alone then, and untouched since, is as it was.
        were_alone = known[1]
        still = last is known[0] and len(were_alone) == len(self.held)
        are_alone = were_alone if still else [False] * len(self.held)
        for attributes, name, value in self.settings:
            now = (<dict>attributes).get(name)
            if now is not value and (type(now) is not type(value) or now != value):
                return False
        for i in range(len(self.held)):
            held = self.held[i]
            if (<dict>self.layers[i]).get(self.names[i]) is not held:
                return False
            array, alone = held, False
            if not isinstance(held, ndarray):  # a buffer is small, and written in place
                array = held._data
                base = array.base
                # One reference is the parameter's or the array's, one that of the name here.
                alone = Py_REFCNT(array) <= 2 and (
                    base is None or (type(base) is ndarray and base.base is None and Py_REFCNT(base) <= 2)
                )
                if still and alone and were_alone[i]:
                    continue
            if digest_of(array) != self.digests[i]:
                return False
            if alone != are_alone[i]:
                if are_alone is were_alone:
                    are_alone = list(were_alone)
                are_alone[i] = alone  # who holds it now may write it later, and let it go
        if not still or are_alone is not were_alone:
            with cython.critical_section(self):
                self.last = last, are_alone
        return True


cdef uint64_t digest_of(array) except? 0:
    cdef Py_buffer view
    array = np.ascontiguousarray(array)
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    cdef uint64_t found = digest(view.buf, view.len)
    PyBuffer_Release(&view)
    return found
