"""Pooling: the fast twins of ``decaf.layers.pool``.  A task is some output rows of one image.

A window is clipped to the image first: what lies outside is -inf for the maximum and adds
nothing to a sum, so it need not be visited.  The loops over channels are in rows.h.
"""

from decaf._kernels.crew cimport Crew, Step, take
from decaf._kernels.isa cimport Isa, pick

import numpy as np

from decaf._kernels.arrays import channels_first_into, channels_last, single
from decaf.errors import ShapeError
from decaf.layers.pool import check_adaptive, check_pool

cdef enum:
    TASK = 4096  # results a task, about

cdef struct Places:  # of windows, along one axis
    const Py_ssize_t* start  # first pixel of the image that counts
    const Py_ssize_t* stop   # the pixel behind the last one
    const Py_ssize_t* count  # pixels that a mean divides by

cdef struct Pool:
    const Isa* isa
    bint mean           # or the maximum
    const float* input  # N,H,W,C
    float* out          # N,OH,OW,C
    Py_ssize_t tasks, stretches, rows  # stretches of that many rows in an image
    Py_ssize_t h, w, c, oh, ow
    Places y, x


cdef void pool(void* job, Crew* crew, int member) noexcept nogil:
    cdef Pool* p = <Pool*>job
    cdef Py_ssize_t task = take(crew), image, first, i, j, height, width
    cdef const float* window
    cdef float* out
    while task < p.tasks:
        image, first = task // p.stretches, task % p.stretches * p.rows
        out = p.out + (image * p.oh + first) * p.ow * p.c
        for i in range(first, min(first + p.rows, p.oh)):
            height = p.y.stop[i] - p.y.start[i]
            for j in range(p.ow):
                width = p.x.stop[j] - p.x.start[j]
                window = p.input + ((image * p.h + p.y.start[i]) * p.w + p.x.start[j]) * p.c
                if p.mean:
                    p.isa.mean_window(window, height, width, p.w * p.c, p.c,
                                      p.y.count[i] * p.x.count[j], out)
                else:
                    p.isa.max_window(window, height, width, p.w * p.c, p.c, out)
                out += p.c
        task = take(crew)


cdef class _PoolStep(Step):
    """Images in, fewer pixels out, the same channels."""

    cdef Pool pool

    def _bind(
        self,
        const float[:, :, :, ::1] input,   # IN  N,H,W,C
        float[:, :, :, ::1] out,           # OUT N,OH,OW,C
        const Py_ssize_t[:, ::1] rows,     # 3,OH: start, stop, count
        const Py_ssize_t[:, ::1] columns,  # 3,OW
        bint mean,
        str isa,
    ):
        if input.shape[0] != out.shape[0] or input.shape[3] != out.shape[3]:
            raise ShapeError(
                f"pooling: out must have the input's images and channels; expected "
                f"{input.shape[0]} and {input.shape[3]}, got {out.shape[0]} and {out.shape[3]}"
            )
        self.keep = (input, out, rows, columns)
        self.work, self.job = pool, &self.pool
        self.pool.isa, self.pool.mean = pick(isa), mean
        self.pool.h, self.pool.w, self.pool.c = input.shape[1], input.shape[2], input.shape[3]
        self.pool.oh, self.pool.ow = out.shape[1], out.shape[2]
        if out.size == 0 or input.size == 0:
            return  # no tasks
        self.pool.input, self.pool.out = &input[0, 0, 0, 0], &out[0, 0, 0, 0]
        self.pool.y = Places(&rows[0, 0], &rows[1, 0], &rows[2, 0])
        self.pool.x = Places(&columns[0, 0], &columns[1, 0], &columns[2, 0])
        self.pool.rows = max(1, <Py_ssize_t>TASK // (self.pool.ow * self.pool.c))
        self.pool.stretches = (self.pool.oh + self.pool.rows - 1) // self.pool.rows
        self.pool.tasks = input.shape[0] * self.pool.stretches


def _places(size, places, kernel, stride, padding, include_pad=False):
    """Start, stop and count of each window along an axis."""
    first = np.arange(places, dtype=np.intp) * stride - padding
    start, stop = np.maximum(first, 0), np.minimum(first + kernel, size)
    count = np.minimum(first + kernel, size + padding) - first if include_pad else stop - start
    return np.stack([start, stop, count])  # 3,OH or 3,OW


def _even_places(size, places):
    """The same for windows that cover an axis evenly."""
    i = np.arange(places, dtype=np.intp)
    start, stop = i * size // places, -(-(i + 1) * size // places)
    return np.stack([start, stop, stop - start])  # 3,OH or 3,OW


cdef class MaxPoolStep(_PoolStep):
    """``out = max_pool2d(input)``; kernel, stride and padding are pairs (h, w)."""

    def __init__(self, input, out, kernel, stride, padding, isa=None):
        rows, columns = (
            _places(input.shape[axis + 1], out.shape[axis + 1], kernel[axis], stride[axis],
                    padding[axis])
            for axis in range(2)
        )
        self._bind(input, out, rows, columns, False, isa)


cdef class AvgPoolStep(_PoolStep):
    """``out = avg_pool2d(input)``; kernel, stride and padding are pairs (h, w)."""

    def __init__(self, input, out, kernel, stride, padding, include_pad, isa=None):
        rows, columns = (
            _places(input.shape[axis + 1], out.shape[axis + 1], kernel[axis], stride[axis],
                    padding[axis], include_pad)
            for axis in range(2)
        )
        self._bind(input, out, rows, columns, True, isa)


cdef class AdaptiveAvgPoolStep(_PoolStep):
    """``out = adaptive_avg_pool2d(input)``"""

    def __init__(self, input, out, isa=None):
        rows, columns = (
            _even_places(input.shape[axis], out.shape[axis]) for axis in (1, 2)
        )
        self._bind(input, out, rows, columns, True, isa)


def _result(out):
    """An N,OH,OW,C array for the result N,C,OH,OW."""
    n, c, oh, ow = out.shape
    return np.empty((n, oh, ow, c), np.float32)


def max_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, *, out=None):
    """Twin of :func:`decaf.layers.max_pool2d`, float32 only."""
    windows, out = check_pool("max_pool2d", input, kernel_size, stride, padding, ceil_mode, out)
    x = channels_last(single("max_pool2d", input))  # N,H,W,C
    y = _result(out)
    MaxPoolStep(x, y, windows.kernel, windows.stride, windows.padding).run()
    channels_first_into(y, out)
    return out


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False,
               count_include_pad=True, *, out=None):
    """Twin of :func:`decaf.layers.avg_pool2d`, float32 only."""
    windows, out = check_pool("avg_pool2d", input, kernel_size, stride, padding, ceil_mode, out)
    x = channels_last(single("avg_pool2d", input))  # N,H,W,C
    y = _result(out)
    AvgPoolStep(x, y, windows.kernel, windows.stride, windows.padding, count_include_pad).run()
    channels_first_into(y, out)
    return out


def adaptive_avg_pool2d(input, output_size, *, out=None):
    """Twin of :func:`decaf.layers.adaptive_avg_pool2d`, float32 only."""
    out = check_adaptive(input, output_size, out)
    x = channels_last(single("adaptive_avg_pool2d", input))  # N,H,W,C
    y = _result(out)
    AdaptiveAvgPoolStep(x, y).run()
    channels_first_into(y, out)
    return out
