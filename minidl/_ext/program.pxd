# cython: language_level=3
"""What the steps of training need to know of programs."""

from minidl._ext.kernels cimport kernel_table, map, program_step, size, step_kind
from minidl._ext.lanearray cimport Buffers
from minidl._ext.map cimport Map

cdef enum:
    MOST_PORTS = 64

cdef str algorithm(const program_step *step)


cdef class Memory:
    cdef void *data
    cdef size bytes


cdef class Program:
    cdef program_step *steps
    cdef size count, room
    cdef size apart      # number of the first step that no other has been joined with
    cdef readonly size elements, L
    cdef const kernel_table *table
    cdef int kind
    cdef list kept       # what the steps point to
    cdef list incoming   # shape and dtype of each array that comes in
    cdef list outgoing   # shape of each that goes out
    cdef list arenas     # that no call uses
    cdef size packed     # bytes of weights
    cdef public size at_once
    cdef program_step *new_step(self, step_kind kind) except NULL
    cdef int place(self, Map given, map *m, str name, bint narrow=*, bint phase=*) except -1
    cdef int pooling(self, program_step *step, Map x, Map y) except -1
    cdef int pooled(self, program_step *step, Map y) except -1
    cdef int same_size(self, map *a, map *b, str name) except -1
    cdef int function(self, program_step *step, function, bint relu) except -1
    cdef void *keep(self, size count) except NULL
    cdef void *channel_values(self, values, size count, str name) except NULL
    cdef program_step *new_conv(self, Map x, Map y, w, tuple stride, padding, tuple dilation, size groups,
                                bint linear, bint fresh=*) except NULL
    cdef program_step *new_phase(self, Map x, Map y, w, tuple rows, tuple columns, size groups, bint linear=*,
                                 bint fresh=*) except NULL
    cdef str pack(self, program_step *step, w, scale, shift)
    cdef int conv_sizes(self, program_step *step, map *y, str name, tuple shape, tuple stride, padding, tuple dilation,
                        size groups, bint linear) except -1
    cdef int check_halo(self, program_step *step) except -1
    cdef int deal(self, program_step *step) except -1
    cdef int pooling(self, program_step *step, Map x, Map y) except -1
    cdef int pooled(self, program_step *step, Map y) except -1
    cdef int ending(self, program_step *step, Map other, bint relu, function) except -1
    cdef size weight_count(self, program_step *step) noexcept
    cdef void choose_form(self, program_step *step) noexcept
    cdef int capsules_of(self, map *x, map *y, str name) except -1
    cdef program_step *new_routing(self, Map x, Map y, Map votes, Map sums, Map couplings, w,
                                   size routings) except NULL
    cdef int lengths_of(self, map *x, map *y, str name) except -1
    cdef Memory arena_of(self, size n, Memory arena)
    cdef list run_steps(self, size first, size end, size n, Memory arena, list incoming, list outgoing, tuple images,
                        size threads, size at_once=*)
