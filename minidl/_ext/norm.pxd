# cython: language_level=3
"""Batch normalisation with what may follow it in one kernel, for the blocks of native.pyx."""

from minidl._ext.lanearray cimport LaneArray

cdef tuple norm_run(LaneArray x, gamma, beta, running_mean, running_var, double momentum, double eps, bint train,
                    bint relu, int pool)
cdef tuple norm_back(LaneArray dy, LaneArray code, int pool, bint relu, LaneArray x, gamma, beta, mean, inv_std,
                     bint train, tuple out)
