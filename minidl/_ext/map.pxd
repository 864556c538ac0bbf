# cython: language_level=3
"""What programs need to know of maps."""

from minidl._ext.kernels cimport map, size


cdef class Map:
    cdef map m
    cdef readonly tuple shape
    cdef readonly size size, before
