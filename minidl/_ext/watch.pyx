# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Whether arrays are still what they were when something was made of them."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint64_t

import numpy as np

cdef type ndarray = np.ndarray

cdef extern from "core/digest.h" nogil:
    uint64_t digest(const void *data, Py_ssize_t bytes)

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object o)

cdef class Watch:
    """Arrays in the attributes of layers, parameters' and buffers'.

    sources: (layer, attribute) each. touched: a list with the number of times that any parameter's array was handed
    out. Where that number stands still, and nobody outside holds a parameter's array or a view of it, the array cannot
    have been written; all others are read and compared with a digest.
    """

    cdef list layers, names, held, digests, touched
    cdef object last

    def __init__(self, sources, list touched):
        self.layers, self.names, self.held, self.digests = [], [], [], []
        self.touched = touched
        self.last = touched[0]
        for layer, name in sources:
            held = vars(layer)[name]
            self.layers.append(vars(layer))
            self.names.append(name)
            self.held.append(held)
            self.digests.append(digest_of(held if isinstance(held, ndarray) else held._data))

    def holds(self):
        """Whether every layer has the same arrays, with the same values."""
        cdef Py_ssize_t i
        last = self.touched[0]
        cdef bint still = last == self.last
        for i in range(len(self.held)):
            held = self.held[i]
            if (<dict>self.layers[i]).get(self.names[i]) is not held:
                return False
            array = held
            if not isinstance(held, ndarray):  # a buffer is small, and written in place
                array = held._data
                base = array.base
                # One reference is the parameter's or the array's, one that of the name here.
                if still and Py_REFCNT(array) <= 2 and (base is None or Py_REFCNT(base) <= 2):
                    continue
            if digest_of(array) != self.digests[i]:
                return False
        self.last = last
        return True


cdef uint64_t digest_of(array) except? 0:
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    cdef uint64_t found = digest(view.buf, view.len)
    PyBuffer_Release(&view)
    return found
