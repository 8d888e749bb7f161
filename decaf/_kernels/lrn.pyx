"""Local response normalisation: the fast twin of ``decaf.layers.local_response_norm``.

  across   a task is a stretch of pixels of one image; the inner loop runs over pixels
  within   a task is one channel of one image

The power is the dear part.  AlexNet's beta = 3/4 needs none: s**0.75 = sqrt(s) * sqrt(sqrt(s)).
"""

from libc.math cimport powf, sqrtf

from decaf._kernels.tasks cimport Tasks

import math

from decaf._kernels.arrays import single
from decaf.layers.lrn import check_lrn

cdef enum:
    STRETCH = 128


cdef void divide(
    const float* x,       # IN  count
    const float* energy,  # IN  count
    Py_ssize_t count, float scale, float beta, float k,
    float* y,             # OUT count
) noexcept nogil:
    """y = x / (k + scale * energy) ** beta"""
    cdef Py_ssize_t p
    cdef float root
    if beta == 0.75:
        for p in range(count):
            root = sqrtf(k + scale * energy[p])
            y[p] = x[p] / (root * sqrtf(root))
    else:
        for p in range(count):
            y[p] = x[p] / powf(k + scale * energy[p], beta)


def run_lrn_across(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  N,C,P    P pixels
    float[:, :, ::1] out,          # OUT N,C,P
    Py_ssize_t size, float alpha, float beta, float k,
):
    """Take part in ``out = local_response_norm(input)`` across channels until no task is left."""
    cdef Py_ssize_t n = input.shape[0], channels = input.shape[1], pixels = input.shape[2]
    cdef Py_ssize_t stretches = (pixels + STRETCH - 1) // STRETCH
    cdef Py_ssize_t task, image, first, count, c, near, p
    cdef float scale = alpha / size
    cdef float energy[STRETCH]
    cdef const float* x
    cdef float* y
    with nogil:
        task = tasks.take()
        while task < n * stretches:
            image, first = task // stretches, task % stretches * STRETCH
            count = min(<Py_ssize_t>STRETCH, pixels - first)
            for c in range(channels):
                for p in range(count):
                    energy[p] = 0
                for near in range(max(c - size // 2, 0), min(c + (size + 1) // 2, channels)):
                    x = &input[image, near, first]
                    for p in range(count):
                        energy[p] += x[p] * x[p]
                x, y = &input[image, c, first], &out[image, c, first]
                divide(x, energy, count, scale, beta, k, y)
            task = tasks.take()


def run_lrn_within(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  N*C,H,W
    float[:, :, ::1] out,          # OUT N*C,H,W
    Py_ssize_t size, float alpha, float beta, float k,
):
    """Take part in ``out = local_response_norm(input)`` within channels until no task is left."""
    cdef Py_ssize_t h = input.shape[1], w = input.shape[2], before = size // 2
    cdef Py_ssize_t plane, i, j, y, shift, first, count
    cdef float scale = alpha / (size * size)
    cdef float energy[STRETCH]
    cdef const float* x
    with nogil:
        plane = tasks.take()
        while plane < input.shape[0]:
            for i in range(h):
                first = 0
                while first < w:
                    count = min(<Py_ssize_t>STRETCH, w - first)
                    for j in range(count):
                        energy[j] = 0
                    for y in range(max(i - before, 0), min(i - before + size, h)):
                        # Only shifts that meet the row, however large the window.
                        for shift in range(max(first - before, 1 - count),
                                           min(first - before + size, w)):
                            x = &input[plane, y, 0] + shift
                            for j in range(max(-shift, 0), min(count, w - shift)):
                                energy[j] += x[j] * x[j]
                    divide(&input[plane, i, first], energy, count, scale, beta, k,
                           &out[plane, i, first])
                    first += STRETCH
            plane = tasks.take()


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0, *, region="across", out=None):
    """Twin of :func:`decaf.layers.local_response_norm`, float32 only."""
    out = check_lrn(input, size, alpha, beta, k, region, out)
    input = single("local_response_norm", input)
    if region == "across":
        shape = (*input.shape[:2], math.prod(input.shape[2:]))  # N,C,P
        run_lrn_across(Tasks(), input.reshape(shape), out.reshape(shape), size, alpha, beta, k)
    else:
        shape = (input.shape[0] * input.shape[1], *input.shape[2:])  # N*C,H,W
        run_lrn_within(Tasks(), input.reshape(shape), out.reshape(shape), size, alpha, beta, k)
    return out
