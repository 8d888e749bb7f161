"""Local response normalisation: the fast twin of ``decaf.layers.local_response_norm``.

  across   a task is a stretch of pixels of one image
  within   a task is one row of one image

The sums and the power are in rows.h.
"""

from decaf._kernels.crew cimport Crew, Step, take
from decaf._kernels.isa cimport Isa, pick

import math

import numpy as np

from decaf._kernels.arrays import channels_first_into, channels_last, single
from decaf.errors import ShapeError
from decaf.layers.lrn import check_lrn

cdef enum:
    TASK = 8192  # values a task across channels, about

cdef struct Lrn:
    const Isa* isa
    const float* input  # N,H,W,C
    float* out          # N,H,W,C
    float* workspace    # floats a thread
    Py_ssize_t floats
    Py_ssize_t tasks, stretches, stretch  # across: stretches of that many pixels in an image
    Py_ssize_t h, w, c
    Py_ssize_t before, after  # neighbours in front and behind that can lie inside the array
    float scale, beta, k


cdef void lrn_across(void* job, Crew* crew, int member) noexcept nogil:
    cdef Lrn* p = <Lrn*>job
    cdef Py_ssize_t task = take(crew), first, count, place
    cdef float* scratch = p.workspace + member * p.floats
    while task < p.tasks:
        first = task % p.stretches * p.stretch
        count = min(p.stretch, p.h * p.w - first)
        place = (task // p.stretches * p.h * p.w + first) * p.c
        p.isa.lrn_across(p.input + place, count, p.c, p.before, p.after, p.scale, p.beta, p.k,
                         scratch, p.out + place)
        task = take(crew)


cdef void lrn_within(void* job, Crew* crew, int member) noexcept nogil:
    cdef Lrn* p = <Lrn*>job
    cdef Py_ssize_t task = take(crew), i, top, bottom, row = p.w * p.c
    cdef const float* image
    cdef float* scratch = p.workspace + member * p.floats
    while task < p.tasks:
        i = task % p.h
        image = p.input + (task - i) * row
        top, bottom = max(i - p.before, 0), min(i + p.after + 1, p.h)
        p.isa.lrn_within(image + i * row, image + top * row, bottom - top, p.w, p.c,
                         min(p.before, p.w), min(p.after, p.w), p.scale, p.beta, p.k,
                         scratch, p.out + task * row)
        task = take(crew)


def _rounded(floats):
    return (floats + 15) // 16 * 16  # whole cache lines


def across_workspace(channels, threads):
    """Floats of scratch memory that ``LrnAcrossStep`` needs: see lrn_across in rows.h."""
    return threads * _rounded(4 * channels)


def within_workspace(width, channels, threads):
    """Floats of scratch memory that ``LrnWithinStep`` needs: see lrn_within in rows.h."""
    return threads * _rounded(4 * width * channels)


cdef class _LrnStep(Step):
    """What the two have in common."""

    cdef Lrn lrn

    def _bind(
        self,
        const float[:, :, :, ::1] input,  # IN  N,H,W,C
        float[:, :, :, ::1] out,          # OUT N,H,W,C
        alpha, beta, k, threads,
        float[::1] workspace,             # scratch
        needed, isa,
    ):
        cdef int axis
        for axis in range(4):
            if input.shape[axis] != out.shape[axis]:
                raise ShapeError("LRN: out must have the input's shape; "
                                 f"expected {tuple(input.shape)[:4]}, got {tuple(out.shape)[:4]}")
        if workspace.shape[0] < needed:
            raise ShapeError(f"LRN: workspace must be large enough; "
                             f"expected {needed} floats, got {workspace.shape[0]}")
        self.keep = (input, out, workspace)
        self.job = &self.lrn
        self.lrn.isa = pick(isa)
        self.lrn.h, self.lrn.w, self.lrn.c = input.shape[1], input.shape[2], input.shape[3]
        self.lrn.scale, self.lrn.beta, self.lrn.k = alpha, beta, k
        if out.size == 0:
            return  # no tasks
        self.lrn.input, self.lrn.out = &input[0, 0, 0, 0], &out[0, 0, 0, 0]
        self.lrn.workspace, self.lrn.floats = &workspace[0], needed // threads
        self.lrn.stretch = max(1, <Py_ssize_t>TASK // self.lrn.c)
        self.lrn.stretches = (self.lrn.h * self.lrn.w + self.lrn.stretch - 1) // self.lrn.stretch

    def _reach(self, size, most):
        """Neighbours in front and behind, as many as there can be."""
        self.lrn.before, self.lrn.after = min(size // 2, most), min((size - 1) // 2, most)


cdef class LrnAcrossStep(_LrnStep):
    """``out = local_response_norm(input)`` across channels."""

    def __init__(self, input, out, size, alpha, beta, k, threads, workspace, isa=None):
        n, _, _, c = input.shape
        needed = across_workspace(c, threads)
        self._bind(input, out, alpha / size, beta, k, threads, workspace, needed, isa)
        self._reach(size, c)
        self.lrn.tasks = n * self.lrn.stretches
        self.work = lrn_across


cdef class LrnWithinStep(_LrnStep):
    """``out = local_response_norm(input)`` within channels."""

    def __init__(self, input, out, size, alpha, beta, k, threads, workspace, isa=None):
        n, h, w, c = input.shape
        needed = within_workspace(w, c, threads)
        self._bind(input, out, alpha / (size * size), beta, k, threads, workspace, needed, isa)
        self._reach(size, max(h, w))
        self.lrn.tasks = n * h if self.lrn.stretches else 0
        self.work = lrn_within


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0, *, region="across", out=None):
    """Twin of :func:`decaf.layers.local_response_norm`, float32 only."""
    out = check_lrn(input, size, alpha, beta, k, region, out)
    n, c, *rest = input.shape
    h, w = rest if region == "within" else (math.prod(rest), 1)
    x = channels_last(single("local_response_norm", input).reshape(n, c, h, w))  # N,H,W,C
    y = np.empty_like(x)
    step, needed = LrnAcrossStep, across_workspace(c, 1)
    if region == "within":
        step, needed = LrnWithinStep, within_workspace(w, c, 1)
    step(x, y, size, alpha, beta, k, 1, np.empty(needed, np.float32)).run()
    channels_first_into(y, out.reshape(n, c, h, w))  # N,C,H,W
    return out
