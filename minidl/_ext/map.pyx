# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Where the values of a compiled network stand in its arena: channels in lanes, core/program.h."""

from minidl._ext.kernels cimport map, size


cdef class Map:
    """Where a map stands: (n, blocks, rows, columns, lanes) from element `at` of the arena on, its halo around it.

    shape: (C, H, W) of an image; lanes: channels side by side; halo: (top, bottom, left, right). `size` elements an
    image, halo included; `before` elements stand before `at`.
    """

    def __init__(self, tuple shape, size lanes, tuple halo=(0, 0, 0, 0), size at=0):
        cdef double elements
        cdef map *m = &self.m
        m.C, m.H, m.W = shape
        m.top, m.bottom, m.left, m.right = halo
        if min(m.C, m.H, m.W, lanes) < 1 or min(halo) < 0:
            raise ValueError(f"a map must have positive sizes and lanes and a halo of at least 0, got {shape}, {lanes},"
                             f" {halo}")
        elements = (<double>m.C + lanes) * (<double>m.H + m.top + m.bottom) * (<double>m.W + m.left + m.right)
        if elements > 2.0 ** 44:
            raise ValueError(f"a map of {shape} with a halo of {halo} is too large")
        m.lanes = m.step = lanes
        m.pitch = (m.left + m.W + m.right) * lanes
        m.plane = (m.top + m.H + m.bottom) * m.pitch
        m.image = (m.C + lanes - 1) // lanes * m.plane
        self.shape, self.size = shape, m.image
        self.before = m.top * m.pitch + m.left * lanes
        m.at = at + self.before

    def phase(self, size row, size column, tuple stride):
        """Its pixels in every stride-th row and column from (row, column) on, without a halo."""
        cdef Map found = Map.__new__(Map)
        cdef size down, across
        down, across = stride
        if not (0 <= row < self.m.H and 0 <= column < self.m.W) or down < 1 or across < 1:
            raise ValueError(f"a phase of {self.shape} must start in it, got {(row, column)} and stride {stride}")
        found.m = self.m
        found.m.at += row * self.m.pitch + column * self.m.step
        found.m.H, found.m.W = (self.m.H - row + down - 1) // down, (self.m.W - column + across - 1) // across
        found.m.pitch *= down
        found.m.step *= across
        found.m.top = found.m.bottom = found.m.left = found.m.right = 0
        found.shape = (self.m.C, found.m.H, found.m.W)
        found.size, found.before = self.size, self.before + found.m.at - self.m.at
        return found
