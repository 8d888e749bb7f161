"""Pooling: the fast twins of ``decaf.layers.pool``.  A task is one channel of one image.

A window is clipped to the image first: what lies outside is -inf for the maximum and adds
nothing to a sum, so it need not be visited.
"""

from decaf._kernels.tasks cimport Tasks

import numpy as np

from decaf._kernels.arrays import single
from decaf.layers.pool import check_adaptive, check_pool

cdef float INFINITY = float("inf")


cdef inline float larger(float a, float b) noexcept nogil:
    """The larger one, or NaN where there is one.  Two choices without a jump between them."""
    cdef float most = a if a > b else b  # b, if b is NaN
    return most if a == a else a


def run_max_pool2d(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  N*C,H,W
    float[:, :, ::1] out,          # OUT N*C,OH,OW
    kernel, stride, padding,
    float[:, ::1] workspace,       # scratch, W floats a thread
):
    """Take part in ``out = max_pool2d(input)`` until no task is left."""
    cdef Py_ssize_t kh, kw, sh, sw, ph, pw
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    cdef Py_ssize_t h = input.shape[1], w = input.shape[2], oh = out.shape[1], ow = out.shape[2]
    cdef Py_ssize_t plane, i, j, y, x, top, left
    cdef float largest
    cdef const float* row
    cdef float* tallest   # the maximum of each column of a row of windows
    with nogil:
        tallest = &workspace[tasks.join(), 0]
        plane = tasks.take()
        while plane < input.shape[0]:
            for i in range(oh):
                top = i * sh - ph
                for x in range(w):
                    tallest[x] = -INFINITY
                for y in range(max(top, 0), min(top + kh, h)):
                    row = &input[plane, y, 0]
                    for x in range(w):
                        tallest[x] = larger(row[x], tallest[x])
                for j in range(ow):
                    left = j * sw - pw
                    largest = -INFINITY
                    for x in range(max(left, 0), min(left + kw, w)):
                        largest = larger(tallest[x], largest)
                    out[plane, i, j] = largest
            plane = tasks.take()


def run_avg_pool2d(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  N*C,H,W
    float[:, :, ::1] out,          # OUT N*C,OH,OW
    kernel, stride, padding,
    bint count_include_pad,
):
    """Take part in ``out = avg_pool2d(input)`` until no task is left."""
    cdef Py_ssize_t kh, kw, sh, sw, ph, pw
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    cdef Py_ssize_t h = input.shape[1], w = input.shape[2], oh = out.shape[1], ow = out.shape[2]
    cdef Py_ssize_t plane, i, j, y, x, top, left, count
    cdef double total
    with nogil:
        plane = tasks.take()
        while plane < input.shape[0]:
            for i in range(oh):
                for j in range(ow):
                    top, left, total = i * sh - ph, j * sw - pw, 0
                    for y in range(max(top, 0), min(top + kh, h)):
                        for x in range(max(left, 0), min(left + kw, w)):
                            total += input[plane, y, x]
                    if count_include_pad:
                        count = ((min(top + kh, h + ph) - top) * (min(left + kw, w + pw) - left))
                    else:
                        count = ((min(top + kh, h) - max(top, 0))
                                 * (min(left + kw, w) - max(left, 0)))
                    out[plane, i, j] = <float>(total / count)
            plane = tasks.take()


def run_adaptive_avg_pool2d(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  N*C,H,W
    float[:, :, ::1] out,          # OUT N*C,OH,OW
):
    """Take part in ``out = adaptive_avg_pool2d(input)`` until no task is left."""
    cdef Py_ssize_t h = input.shape[1], w = input.shape[2], oh = out.shape[1], ow = out.shape[2]
    cdef Py_ssize_t plane, i, j, y, x, top, left, bottom, right
    cdef double a, b, c, d  # four sums side by side: one would wait for each addition to end
    with nogil:
        plane = tasks.take()
        while plane < input.shape[0]:
            for i in range(oh):
                top, bottom = i * h // oh, ((i + 1) * h + oh - 1) // oh
                for j in range(ow):
                    left, right = j * w // ow, ((j + 1) * w + ow - 1) // ow
                    a = b = c = d = 0
                    for y in range(top, bottom):
                        x = left
                        while x + 4 <= right:
                            a += input[plane, y, x]
                            b += input[plane, y, x + 1]
                            c += input[plane, y, x + 2]
                            d += input[plane, y, x + 3]
                            x += 4
                        while x < right:
                            a += input[plane, y, x]
                            x += 1
                    out[plane, i, j] = <float>(
                        (a + b + c + d) / ((bottom - top) * (right - left))
                    )
            plane = tasks.take()


def _planes(array):
    n, c, h, w = array.shape
    return array.reshape(n * c, h, w)  # N*C,H,W


def max_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, *, out=None):
    """Twin of :func:`decaf.layers.max_pool2d`, float32 only."""
    windows, out = check_pool("max_pool2d", input, kernel_size, stride, padding, ceil_mode, out)
    workspace = np.empty((1, input.shape[3]), np.float32)
    run_max_pool2d(Tasks(), _planes(single("max_pool2d", input)), _planes(out),
                   windows.kernel, windows.stride, windows.padding, workspace)
    return out


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False,
               count_include_pad=True, *, out=None):
    """Twin of :func:`decaf.layers.avg_pool2d`, float32 only."""
    windows, out = check_pool("avg_pool2d", input, kernel_size, stride, padding, ceil_mode, out)
    run_avg_pool2d(Tasks(), _planes(single("avg_pool2d", input)), _planes(out),
                   windows.kernel, windows.stride, windows.padding, count_include_pad)
    return out


def adaptive_avg_pool2d(input, output_size, *, out=None):
    """Twin of :func:`decaf.layers.adaptive_avg_pool2d`, float32 only."""
    out = check_adaptive(input, output_size, out)
    run_adaptive_avg_pool2d(
        Tasks(), _planes(single("adaptive_avg_pool2d", input)), _planes(out)
    )
    return out
