"""Softmax: the fast twin of ``decaf.layers.softmax``.  A task is one row of scores."""

from libc.math cimport expf

from decaf._kernels.tasks cimport Tasks

import math

from decaf._kernels.arrays import single
from decaf.layers.softmax import check_softmax


def run_softmax(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  OUTER,K,INNER    K scores compete
    float[:, :, ::1] out,          # OUT OUTER,K,INNER    may be the input
):
    """Take part in ``out = softmax(input)`` until no task is left."""
    cdef Py_ssize_t classes = input.shape[1], inner = input.shape[2]
    cdef Py_ssize_t task, i, j, c
    cdef float largest
    cdef double total
    with nogil:
        task = tasks.take()
        while task < input.shape[0] * inner:
            i, j = task // inner, task % inner
            largest = input[i, 0, j]
            for c in range(classes):
                if input[i, c, j] > largest or input[i, c, j] != input[i, c, j]:
                    largest = input[i, c, j]
            total = 0
            for c in range(classes):
                out[i, c, j] = expf(input[i, c, j] - largest)
                total += out[i, c, j]
            for c in range(classes):
                out[i, c, j] = <float>(out[i, c, j] / total)
            task = tasks.take()


def softmax(input, dim=1, *, out=None):
    """Twin of :func:`decaf.layers.softmax`, float32 only."""
    dim, out = check_softmax(input, dim, out)
    shape = input.shape
    rows = (math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :]))  # OUTER,K,INNER
    run_softmax(Tasks(), single("softmax", input).reshape(rows), out.reshape(rows))
    return out
