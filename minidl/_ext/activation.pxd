# cython: language_level=3
"""What the elementwise functions need of the activations."""

from minidl._ext.lanearray cimport LaneArray

cdef LaneArray activate(int which, LaneArray x, double p=*, double q=*)
cdef LaneArray cleared(LaneArray x)
cdef LaneArray gradient(int which, LaneArray dy, LaneArray y, double p=*, double q=*, str name=*)
