# cython: language_level=3
"""How operands of different shapes go together, for every operation that broadcasts."""

from minidl._ext.kernels cimport operand, size

cdef int lay_out(tuple result, tuple a_shape, tuple b_shape, size *sizes, operand *a, operand *b) except -1
cdef int operator_of(str operator) except -1
