"""Concatenation: the fast twin of ``decaf.layers.concat``.  A task is one image."""

from libc.string cimport memcpy

from decaf._kernels.tasks cimport Tasks

import math

from decaf._kernels.arrays import single
from decaf.layers.concat import check_concat


def run_copy(
    Tasks tasks,
    const float[:, ::1] input,  # IN  N,D
    float[:, ::1] out,          # OUT N,E    E >= first + D
    Py_ssize_t first,
):
    """Take part in ``out[:, first : first + D] = input`` until no task is left."""
    cdef Py_ssize_t width = input.shape[1], image
    if input.size == 0:
        return
    with nogil:
        image = tasks.take()
        while image < input.shape[0]:
            memcpy(&out[image, first], &input[image, 0], width * sizeof(float))
            image = tasks.take()


def concat(inputs, dim=1, *, out=None):
    """Twin of :func:`decaf.layers.concat`, float32 only."""
    dim, out = check_concat(inputs, dim, out)
    outer, first = math.prod(out.shape[:dim]), 0
    flat = out.reshape(outer, math.prod(out.shape[dim:]))  # OUTER,E
    for array in inputs:
        width = math.prod(array.shape[dim:])
        run_copy(Tasks(), single("concat", array).reshape(outer, width), flat, first)
        first += width
    return out
