# cython: language_level=3
"""What compiled predictions need of the elementwise functions."""

cdef int element_of(str kind) except -1
