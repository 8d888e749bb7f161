"""Fully connected layer: the fast twin of ``decaf.layers.linear``.

For one image the work is to read the weights from memory once; for many it is to multiply.
So the weights stay as they are in the file (a row an output: it may be memory-mapped), and
each visit to a few rows serves all images of the batch.

  task           a run of outputs, for all images
  sums           DOT_ROWS*4, N, LANES    partial sums, a lane each, added up at the end
"""

from libc.string cimport memset

from decaf._kernels.isa cimport DOT_BLOCK, DOT_ROWS, Isa, pick
from decaf._kernels.tasks cimport Tasks

import numpy as np

from decaf._kernels.arrays import single
from decaf.layers.linear import check_linear

cdef Py_ssize_t RUN = 4 * DOT_ROWS       # outputs a task
cdef Py_ssize_t NEAR = 48 * 1024         # floats of input that stay in the second-level cache


cdef class PackedLinear:
    """Weights of a fully connected layer, unchanged, and the instruction set to use.

    Parameters
    ----------
    weight : O,D float32
    bias : O float32, or None
    isa : str, optional
        Name of an instruction set; the best that the processor has by default.
    """

    cdef const Isa* isa
    cdef const float[:, ::1] weight
    cdef const float[::1] bias

    def __init__(self, const float[:, ::1] weight, bias, str isa=None):
        self.isa = pick(isa)
        self.weight = weight
        self.bias = bias

    def workspace(self, Py_ssize_t n):
        """Floats that every thread needs for the partial sums of a task."""
        return RUN * n * self.isa.lanes

    def run(self, Tasks tasks, const float[:, ::1] input, float[:, ::1] out, bint relu,
            float[:, ::1] workspace):
        """Take part in ``out = linear(input)``, with ReLU if wanted, until no task is left."""
        if input.shape[0] == 0:
            return
        with nogil:
            self._run(tasks, input.shape[0], &input[0, 0], &out[0, 0], relu,
                      &workspace[tasks.join(), 0])

    cdef void _run(
        self, Tasks tasks, Py_ssize_t n,
        const float* input,   # IN  N,D
        float* out,           # OUT N,O
        bint relu,
        float* sums,          # scratch, RUN,N,LANES
    ) noexcept nogil:
        cdef Py_ssize_t outputs = self.weight.shape[0], depth = self.weight.shape[1]
        cdef Py_ssize_t lanes = self.isa.lanes, whole = depth // lanes * lanes
        cdef Py_ssize_t task, first, rows
        while True:
            task = tasks.take()
            first = task * RUN
            if first >= outputs:
                return
            rows = min(RUN, outputs - first)
            memset(sums, 0, rows * n * lanes * sizeof(float))
            self._sums(n, rows, whole, &self.weight[first, 0], input, sums)
            self._finish(n, first, rows, whole, input, sums, relu, out)

    cdef void _sums(
        self, Py_ssize_t n, Py_ssize_t rows, Py_ssize_t whole,
        const float* weight,  # IN  rows,D
        const float* input,   # IN  N,D
        float* sums,          # OUT rows,N,LANES
    ) noexcept nogil:
        """Sum the products lane by lane, DOT_ROWS outputs and a few images at a time.

        Long rows are visited in blocks short enough that the same block of all images
        stays in the cache from one visit to the next.
        """
        cdef Py_ssize_t depth = self.weight.shape[1], lanes = self.isa.lanes
        # Whole DOT_BLOCKs, so that sums are cut in the same places for every N.
        cdef Py_ssize_t block = max(NEAR // n // DOT_BLOCK, 1) * DOT_BLOCK
        cdef Py_ssize_t d = 0, o, i, images, length
        while d < whole:
            length = min(block, whole - d)
            o = 0
            while o < rows:
                i = 0
                while i < n:
                    images = min(<Py_ssize_t>self.isa.images, n - i)
                    self.isa.dot_tile(
                        <int>min(<Py_ssize_t>DOT_ROWS, rows - o), <int>images, length,
                        weight + o * depth + d, depth, input + i * depth + d, depth,
                        sums + (o * n + i) * lanes, n * lanes)
                    i += images
                o += DOT_ROWS
            d += length

    cdef void _finish(
        self, Py_ssize_t n, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t whole,
        const float* input,   # IN  N,D
        const float* sums,    # IN  rows,N,LANES
        bint relu,
        float* out,           # OUT N,O
    ) noexcept nogil:
        """Add up the lanes, what is left of the row, and the bias; ReLU."""
        cdef Py_ssize_t depth = self.weight.shape[1], lanes = self.isa.lanes
        cdef Py_ssize_t o, i, lane, d
        cdef float total
        for i in range(n):
            for o in range(rows):
                total = 0
                for lane in range(lanes):
                    total += sums[(o * n + i) * lanes + lane]
                for d in range(whole, depth):
                    total += self.weight[first + o, d] * input[i * depth + d]
                if self.bias is not None:
                    total += self.bias[first + o]
                if relu and total < 0:
                    total = 0
                out[i * self.weight.shape[0] + first + o] = total


def linear(input, weight, bias=None, *, out=None):
    """Twin of :func:`decaf.layers.linear`, float32 only."""
    out = check_linear(input, weight, bias, out)
    packed = PackedLinear(
        single("linear", weight), None if bias is None else single("linear", bias)
    )
    *_, features = input.shape
    *_, outputs = out.shape
    rows = single("linear", input).reshape(input.size // features if features else 0, features)
    workspace = np.empty((1, packed.workspace(len(rows))), np.float32)
    packed.run(Tasks(), rows, out.reshape(len(rows), outputs), False, workspace)
    return out
