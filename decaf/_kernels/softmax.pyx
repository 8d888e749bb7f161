"""Softmax: the fast twin of ``decaf.layers.softmax``.  A task is one row of scores."""

from libc.math cimport expf

from decaf._kernels.crew cimport Crew, Step, take

import numpy as np

from decaf._kernels.arrays import single
from decaf.errors import ShapeError
from decaf.layers.softmax import check_softmax

cdef struct Softmax:
    const float* input  # ROWS,K
    float* out          # ROWS,K
    Py_ssize_t rows, classes


cdef void softmax_rows(void* job, Crew* crew, int member) noexcept nogil:
    cdef Softmax* p = <Softmax*>job
    cdef Py_ssize_t task = take(crew), c
    cdef const float* x
    cdef float* y
    cdef float largest
    cdef double total
    while task < p.rows:
        x, y = p.input + task * p.classes, p.out + task * p.classes
        largest = x[0]
        for c in range(p.classes):
            if x[c] > largest or x[c] != x[c]:
                largest = x[c]
        total = 0
        for c in range(p.classes):
            y[c] = expf(x[c] - largest)
            total += y[c]
        for c in range(p.classes):
            y[c] = <float>(y[c] / total)
        task = take(crew)


cdef class SoftmaxStep(Step):
    """``out = softmax(input)`` along the rows.  All instruction sets share it."""

    cdef Softmax softmax

    def __init__(
        self,
        const float[:, ::1] input,  # IN  ROWS,K    K scores compete
        float[:, ::1] out,          # OUT ROWS,K    may be the input
        isa=None,
    ):
        if input.shape[0] != out.shape[0] or input.shape[1] != out.shape[1]:
            raise ShapeError(
                "softmax: out must have the input's shape; expected "
                f"{(input.shape[0], input.shape[1])}, got {(out.shape[0], out.shape[1])}"
            )
        self.keep = (input, out)
        self.work, self.job = softmax_rows, &self.softmax
        if out.size:
            self.softmax = Softmax(&input[0, 0], &out[0, 0], out.shape[0], out.shape[1])


def softmax(input, dim=1, *, out=None):
    """Twin of :func:`decaf.layers.softmax`, float32 only."""
    dim, out = check_softmax(input, dim, out)
    x = np.ascontiguousarray(np.moveaxis(single("softmax", input), dim, -1))
    y = np.empty_like(x)
    classes = input.shape[dim]
    rows = (x.size // classes, classes)  # ROWS,K
    SoftmaxStep(x.reshape(rows), y.reshape(rows)).run()
    np.copyto(np.moveaxis(out, dim, -1), y)
    return out
