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
    ctypedef struct PyObject:
        pass
    Py_ssize_t Py_REFCNT(object o)
    PyObject *PyDict_GetItemWithError(object held, object name) except? NULL

cdef tuple PLAIN = (bool, int, float, str, tuple)


cdef class Attributes:
    """Attributes of objects: the same objects in them, or equal numbers, words or tuples."""

    cdef list own, others  # in the object's dictionary, or where else it looks: (that, name, value)

    def __init__(self):
        self.own, self.others = [], []

    def take(self, holder, str name):
        """Remember what stands there now."""
        cdef dict held = vars(holder)
        if name in held:
            self.own.append((held, name, held[name]))
        else:
            self.others.append((holder, name, getattr(holder, name)))

    def hold(self):
        """Whether it still does."""
        cdef tuple place
        for place in self.own:
            if PyDict_GetItemWithError(<object>place[0], <object>place[1]) == <PyObject *>place[2]:
                continue
            if not alike((<dict>place[0]).get(place[1]), place[2]):
                return False
        for place in self.others:
            if not alike(getattr(place[0], place[1]), place[2]):
                return False
        return True


cdef bint alike(now, value) except -1:
    return now is value or (type(now) is type(value) and type(now) in PLAIN and now == value)


cdef class Watch:
    """Arrays and settings in the attributes of layers.

    touched: a list with one object, another one after any array of a parameter or buffer was handed out. Where it is
    the same, and nobody outside held such an array or a view of it when it was last read, it cannot have been written;
    all others are read and compared with a digest. telling: the class of the attributes that do so for buffers.

    `take` is for one thread, `holds` for any number at once.
    """

    cdef list layers, names, held, digests, touched
    cdef Attributes settings
    cdef list told  # whether `touched` tells who asks for an array: not for ordinary attributes
    cdef type telling
    cdef set seen
    cdef tuple last  # what `touched` held before the arrays were read, and the numbers of those to be read again

    def __init__(self, list touched, type telling):
        self.layers, self.names, self.held, self.digests, self.settings = [], [], [], [], Attributes()
        self.touched, self.telling, self.seen, self.told = touched, telling, set(), []
        self.last = None, ()

    def take(self, layer, str name):
        """Watch the array of this parameter or buffer. To be called before it is read: a later change must count."""
        if (id(layer), name) in self.seen:
            return
        held = vars(layer)[name]
        if not isinstance(held, ndarray) and not hasattr(held, "_data"):  # a plain number changes by being replaced
            self.settings.take(layer, name)
            return
        self.digests.append(digest_of(held if isinstance(held, ndarray) else held._data))
        self.seen.add((id(layer), name))
        self.layers.append(vars(layer))
        self.names.append(name)
        self.held.append(held)
        self.told.append(not isinstance(held, ndarray) or isinstance(getattr(type(layer), name, None), self.telling))

    def take_settings(self, layer, names):
        """Watch attributes that hold numbers, words, tuples of these or None."""
        for name in names:
            self.settings.take(layer, name)

    def holds(self):
        """Whether every layer has the same settings, and the same arrays with the same values."""
        cdef Py_ssize_t i
        cdef tuple known
        last = self.touched[0]
        with cython.critical_section(self):
            known = self.last
        if not self.settings.hold():
            return False
        for i in range(len(self.held)):
            if (<dict>self.layers[i]).get(self.names[i]) is not self.held[i]:
                return False
        # Both come from one look, whichever thread's it was: what was alone then, and untouched since, is as it was.
        if last is known[0]:
            return self.same(<tuple>known[1])
        # Who holds one now may write it later, and let it go.
        outside = tuple(i for i in range(len(self.held)) if not self.is_alone(i))
        if not self.same(tuple(range(len(self.held)))):
            return False
        with cython.critical_section(self):
            self.last = last, outside
        return True

    cdef bint same(self, tuple numbers) except -1:
        """Whether the arrays of these numbers have the values that they had."""
        for i in numbers:
            held = self.held[i]
            if digest_of(held if isinstance(held, ndarray) else held._data) != self.digests[i]:
                return False
        return True

    cdef bint is_alone(self, Py_ssize_t i) except -1:
        """Whether nobody outside holds this array or a view of it, and `touched` will tell who asks for it."""
        cdef Py_ssize_t own
        if not self.told[i]:
            return False
        held = self.held[i]
        if isinstance(held, ndarray):
            array, own = held, 4  # of the layer, of `self.held`, and of two names here
        else:
            array, own = held._data, 2  # of the parameter, and of a name here
        base = array.base
        return Py_REFCNT(array) <= own and (
            base is None or (type(base) is ndarray and base.base is None and Py_REFCNT(base) <= 2)
        )


cdef uint64_t digest_of(array) except? 0:
    cdef Py_buffer view
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    cdef uint64_t found = digest(view.buf, view.len)
    PyBuffer_Release(&view)
    return found
