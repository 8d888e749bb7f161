"""Reordering: N,C,H,W to N,H,W,C and back.  A task is a stretch of pixels of one image.

For one image either is a transposition, of C rows of H*W or of H*W rows of C values.  It goes
block by block, through a buffer: a block is a cache line wide on both sides, so that each line
is read once and written once.
"""

from libc.string cimport memcpy

from decaf._kernels.crew cimport Crew, Step, take

from decaf.errors import ShapeError

cdef enum:
    TASK = 8192  # values a task, about
    BLOCK = 16   # floats in a cache line

cdef struct Reorder:
    const float* input
    float* out
    Py_ssize_t tasks, stretches, stretch  # stretches of that many pixels in an image
    Py_ssize_t channels, pixels


cdef void transpose(
    const float* input,       # IN  rows of `columns` values, `input_row` floats apart
    Py_ssize_t input_row, Py_ssize_t rows, Py_ssize_t columns,
    float* out,               # OUT columns of `rows` values, `out_row` floats apart
    Py_ssize_t out_row,
) noexcept nogil:
    """out[column][row] = input[row][column]"""
    cdef float[BLOCK][BLOCK] block
    cdef Py_ssize_t top, left, height, width, r, c
    top = 0
    while top < rows:
        height = min(rows - top, <Py_ssize_t>BLOCK)
        left = 0
        while left < columns:
            width = min(columns - left, <Py_ssize_t>BLOCK)
            for r in range(height):
                memcpy(block[r], input + (top + r) * input_row + left, width * sizeof(float))
            for c in range(width):
                for r in range(height):
                    out[(left + c) * out_row + top + r] = block[r][c]
            left += BLOCK
        top += BLOCK


cdef void channels_last(void* job, Crew* crew, int member) noexcept nogil:
    cdef Reorder* p = <Reorder*>job
    cdef Py_ssize_t task = take(crew), image, first, count
    while task < p.tasks:
        image, first = task // p.stretches * p.channels * p.pixels, task % p.stretches * p.stretch
        count = min(p.stretch, p.pixels - first)
        transpose(p.input + image + first, p.pixels, p.channels, count,
                  p.out + image + first * p.channels, p.channels)
        task = take(crew)


cdef void channels_first(void* job, Crew* crew, int member) noexcept nogil:
    cdef Reorder* p = <Reorder*>job
    cdef Py_ssize_t task = take(crew), image, first, count
    while task < p.tasks:
        image, first = task // p.stretches * p.channels * p.pixels, task % p.stretches * p.stretch
        count = min(p.stretch, p.pixels - first)
        transpose(p.input + image + first * p.channels, p.channels, count, p.channels,
                  p.out + image + first, p.pixels)
        task = take(crew)


cdef void copy(void* job, Crew* crew, int member) noexcept nogil:
    """One channel, or one pixel: both orders are the same."""
    cdef Reorder* p = <Reorder*>job
    cdef Py_ssize_t task = take(crew), size = p.channels * p.pixels
    while task < p.tasks:
        memcpy(p.out + task * size, p.input + task * size, size * sizeof(float))
        task = take(crew)


cdef class _ReorderStep(Step):
    """What the two have in common."""

    cdef Reorder reorder

    cdef int _bind(
        self,
        const float[:, :, :, ::1] input,  # IN
        float[:, :, :, ::1] out,          # OUT
        Py_ssize_t channels,
        bint fits,
    ) except -1:
        cdef Reorder* p = &self.reorder
        if not fits:
            raise ShapeError(
                "reorder: out must have the input's shape with the channels moved; got "
                f"{tuple(input.shape)[:4]} and {tuple(out.shape)[:4]}"
            )
        self.keep = (input, out)
        self.job = p
        if out.size == 0:
            return 0  # no tasks
        p.input, p.out = &input[0, 0, 0, 0], &out[0, 0, 0, 0]
        p.channels, p.pixels = channels, out.size // out.shape[0] // channels
        if p.channels == 1 or p.pixels == 1:
            p.tasks, self.work = out.shape[0], copy
            return 0
        p.stretch = max(1, <Py_ssize_t>TASK // channels // BLOCK) * BLOCK
        p.stretches = (p.pixels + p.stretch - 1) // p.stretch
        p.tasks = out.shape[0] * p.stretches
        return 0


cdef class ToChannelsLastStep(_ReorderStep):
    """``out[n, h, w, c] = input[n, c, h, w]``.  All instruction sets share it."""

    def __init__(
        self,
        const float[:, :, :, ::1] input,  # IN  N,C,H,W
        float[:, :, :, ::1] out,          # OUT N,H,W,C
        isa=None,
    ):
        cdef bint fits = (
            input.shape[0] == out.shape[0] and input.shape[1] == out.shape[3]
            and input.shape[2] == out.shape[1] and input.shape[3] == out.shape[2]
        )
        self.work = channels_last
        self._bind(input, out, input.shape[1], fits)


cdef class ToChannelsFirstStep(_ReorderStep):
    """``out[n, c, h, w] = input[n, h, w, c]``.  All instruction sets share it."""

    def __init__(
        self,
        const float[:, :, :, ::1] input,  # IN  N,H,W,C
        float[:, :, :, ::1] out,          # OUT N,C,H,W
        isa=None,
    ):
        cdef bint fits = (
            input.shape[0] == out.shape[0] and input.shape[3] == out.shape[1]
            and input.shape[1] == out.shape[2] and input.shape[2] == out.shape[3]
        )
        self.work = channels_first
        self._bind(input, out, input.shape[3], fits)
