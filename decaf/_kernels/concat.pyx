"""Concatenation: the fast twin of ``decaf.layers.concat``.  A task is some rows."""

from libc.string cimport memcpy

from decaf._kernels.crew cimport Crew, Step, take

import math

from decaf._kernels.arrays import single
from decaf.errors import ShapeError
from decaf.layers.concat import check_concat

cdef enum:
    TASK = 8192  # values a task, about

cdef struct Copy:
    const float* input  # ROWS,D
    float* out          # ROWS,E, from the first column that is written
    Py_ssize_t rows, width, stride  # D, E
    Py_ssize_t stretch              # rows a task


cdef void copy_rows(void* job, Crew* crew, int member) noexcept nogil:
    cdef Copy* p = <Copy*>job
    cdef Py_ssize_t row = take(crew) * p.stretch
    while row < p.rows:
        for row in range(row, min(row + p.stretch, p.rows)):
            memcpy(p.out + row * p.stride, p.input + row * p.width, p.width * sizeof(float))
        row = take(crew) * p.stretch


cdef class CopyStep(Step):
    """``out[:, first : first + D] = input``.  All instruction sets share it."""

    cdef Copy copy

    def __init__(
        self,
        const float[:, ::1] input,  # IN  ROWS,D
        float[:, ::1] out,          # OUT ROWS,E
        Py_ssize_t first,
        isa=None,
    ):
        cdef Py_ssize_t rows = input.shape[0], width = input.shape[1]
        if out.shape[0] != rows or not 0 <= first <= out.shape[1] - width:
            raise ShapeError(
                f"concat: out must have room; expected {rows} rows of at least {first + width}, "
                f"got {out.shape[0]} of {out.shape[1]}"
            )
        self.keep = (input, out)
        self.work, self.job = copy_rows, &self.copy
        if input.size:
            self.copy = Copy(&input[0, 0], &out[0, first], rows, width, out.shape[1],
                             max(1, <Py_ssize_t>TASK // width))


def concat(inputs, dim=1, *, out=None):
    """Twin of :func:`decaf.layers.concat`, float32 only."""
    dim, out = check_concat(inputs, dim, out)
    outer, first = math.prod(out.shape[:dim]), 0
    flat = out.reshape(outer, math.prod(out.shape[dim:]))  # OUTER,E
    for array in inputs:
        width = math.prod(array.shape[dim:])
        CopyStep(single("concat", array).reshape(outer, width), flat, first).run()
        first += width
    return out
