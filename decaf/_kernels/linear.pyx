"""Fully connected layer: the fast twin of ``decaf.layers.linear``.

For one image the work is to read the weights from memory once; for many it is to multiply.
So the weights stay as they are in the file (a row an output: it may be memory-mapped), and
each visit to a few rows serves many images of the batch.

Tiles of a few outputs and a few images do the work (see dots.h).  What fits into one tile is
multiplied where it lies.  Where there are more images, the input is copied first, block by
block of its terms; and where copying pays, so is each block of a few rows of the weights, just
before all images of the task pass it:

  blocks         D/DOT_BLOCK, N, DOT_BLOCK     the input
  panel          one block of a few rows of the weights, float32; see dots.h
  sums           RUN, images, LANES            partial sums, a lane each, added up at the end

A task is a run of outputs, for a group of images.
"""

from libc.stdint cimport uint16_t
from libc.string cimport memcpy, memset

from decaf._kernels.crew cimport Crew, Step, take
from decaf._kernels.isa cimport DOT_BLOCK, DOT_ROWS, Dots, Isa, pick

import numpy as np

from decaf._kernels.arrays import single
from decaf._kernels.crew import Program
from decaf.errors import ShapeError
from decaf.layers.linear import check_linear

cdef Py_ssize_t RUN = 32      # outputs a task
cdef Py_ssize_t GROUP = 36    # most images a task
cdef Py_ssize_t AHEAD = 2048  # bytes of a row that are fetched from memory ahead of their use

cdef struct Job:
    const Isa* isa
    const char* weight    # IN  O,D float32 or float16
    const float* bias     # IN  O, or NULL
    const float* input    # IN  N,D
    float* out            # OUT N,O
    float* blocks         # the copy of the input, or NULL where there are few images
    float* scratch        # panel and sums, `floats` for each thread
    Py_ssize_t floats, n, outputs, depth, size
    bint relu


cdef class PackedLinear:
    """Weights of a fully connected layer, unchanged, and the instruction set to use.

    Parameters
    ----------
    weight : O,D float32 or float16, C-contiguous
    bias : O float32, or None
    isa : str, optional
        Name of an instruction set; the best that the processor has by default.
    """

    cdef const Isa* isa
    cdef readonly object weight
    cdef const float[::1] bias

    def __init__(self, weight, const float[::1] bias, str isa=None):
        if weight.dtype not in (np.float32, np.float16):
            raise ShapeError(
                f"linear: weight must be of a dtype that is stored; expected float32 or float16, "
                f"got {weight.dtype}"
            )
        if bias is not None and bias.shape[0] != weight.shape[0]:
            raise ShapeError(
                f"linear: bias must be O; expected {weight.shape[0]}, got {bias.shape[0]}"
            )
        self.isa = pick(isa)
        self.weight = weight
        self.bias = bias

    def workspace(self, Py_ssize_t n, Py_ssize_t threads):
        """Floats of scratch memory that all threads together need."""
        return self.shared(n) + threads * self.floats(n)

    cdef Py_ssize_t shared(self, Py_ssize_t n):
        """Floats of the copy of the input."""
        if n <= self.isa.images:
            return 0  # read where it lies
        return n * round_up(max(1, self.weight.shape[1]), DOT_BLOCK)

    cdef Py_ssize_t floats(self, Py_ssize_t n):
        """Floats of the panel and the sums of one thread."""
        return (self.isa.panel_rows * <Py_ssize_t>DOT_BLOCK
                + round_up(RUN * min(n, GROUP) * self.isa.lanes, 16))

    def steps(self, const float[:, ::1] input, float[:, ::1] out, bint relu,
              Py_ssize_t threads, float[::1] workspace):
        """The steps that compute ``out = linear(input)``, with ReLU if wanted."""
        multiply = MultiplyStep(self, input, out, relu, threads, workspace)
        if input.shape[0] <= self.isa.images:
            return [multiply]
        return [BlocksStep(multiply), multiply]


cdef class MultiplyStep(Step):
    """All products; see :meth:`PackedLinear.steps`."""

    cdef Job linear

    def __init__(self, PackedLinear packed, const float[:, ::1] input, float[:, ::1] out,
                 bint relu, Py_ssize_t threads, float[::1] workspace):
        cdef const float[:, ::1] single_weight
        cdef const uint16_t[:, ::1] half_weight
        cdef Job* job = &self.linear
        cdef Py_ssize_t shared = packed.shared(input.shape[0])
        outputs, depth = packed.weight.shape
        shapes = ((input.shape[0], depth), (input.shape[0], outputs))
        given = ((input.shape[0], input.shape[1]), (out.shape[0], out.shape[1]))
        floats = packed.workspace(input.shape[0], threads)
        if given != shapes or workspace.shape[0] < floats:
            raise ShapeError(
                f"linear: input N,D, out N,O and workspace must fit together; expected "
                f"{shapes} and {floats} floats, got {given} and {workspace.shape[0]}"
            )
        job.isa, job.relu = packed.isa, relu
        job.n, job.depth, job.outputs = input.shape[0], input.shape[1], out.shape[1]
        job.size = packed.weight.itemsize
        job.floats = packed.floats(job.n)
        self.work, self.job = multiply_work, job
        self.keep = (packed, input, out, workspace)
        if out.shape[0] == 0 or out.shape[1] == 0:
            job.n = 0  # nothing to compute
            return
        job.out = &out[0, 0]
        if packed.bias is not None:
            job.bias = &packed.bias[0]
        if job.depth > 0:
            job.input = &input[0, 0]
            if job.size == 2:
                half_weight = packed.weight.view(np.uint16)
                job.weight = <const char*>&half_weight[0, 0]
            else:
                single_weight = packed.weight
                job.weight = <const char*>&single_weight[0, 0]
        job.scratch = &workspace[0] + shared
        if shared > 0:
            job.blocks = &workspace[0]


cdef class BlocksStep(Step):
    """Copy the input, block by block, for a step that multiplies."""

    def __init__(self, MultiplyStep multiply):
        self.work, self.job = blocks_work, multiply.job
        self.keep = multiply


cdef Py_ssize_t round_up(Py_ssize_t size, Py_ssize_t step) noexcept nogil:
    return (size + step - 1) // step * step


cdef void blocks_work(void* job_, Crew* crew, int member) noexcept nogil:
    cdef Job* job = <Job*>job_
    cdef Py_ssize_t d, n
    while True:
        d = take(crew) * <Py_ssize_t>DOT_BLOCK
        if d >= job.depth:
            return
        for n in range(job.n):
            memcpy(job.blocks + d * job.n + n * DOT_BLOCK, job.input + n * job.depth + d,
                   min(<Py_ssize_t>DOT_BLOCK, job.depth - d) * sizeof(float))


cdef void multiply_work(void* job_, Crew* crew, int member) noexcept nogil:
    """Take tasks until none is left."""
    cdef Job* job = <Job*>job_
    cdef float* panel = job.scratch + member * job.floats
    cdef Py_ssize_t groups = (job.n + GROUP - 1) // GROUP, task, first, start, rows, images
    cdef Py_ssize_t most  # groups are of about the same size, in whole tiles
    if job.n == 0:
        return
    most = round_up((job.n + groups - 1) // groups, job.isa.panel_images)
    while True:
        task = take(crew)
        first, start = task // groups * RUN, task % groups * most
        if first >= job.outputs:
            return
        rows, images = min(RUN, job.outputs - first), min(most, job.n - start)
        if images > 0:
            multiply(job, first, rows, start, images, panel)


cdef void multiply(
    Job* job, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t start, Py_ssize_t images,
    float* panel,         # scratch, with the sums behind it
) noexcept nogil:
    """One task: outputs from `first` on, images from `start` on."""
    cdef Py_ssize_t lanes = job.isa.lanes, whole = job.depth // lanes * lanes
    cdef float* sums = panel + job.isa.panel_rows * <Py_ssize_t>DOT_BLOCK
    cdef const char* weight = job.weight + first * job.depth * job.size
    cdef const float* input = job.input + start * job.depth
    cdef const float* bias = NULL
    cdef Dots dots
    if job.bias != NULL:
        bias = job.bias + first
    dots.half, dots.weight_row = job.size == 2, job.depth * job.size
    dots.images, dots.outputs, dots.input_row = images, job.outputs, job.depth
    memset(sums, 0, round_up(rows, job.isa.panel_rows) * images * lanes * sizeof(float))
    if job.blocks == NULL:
        sum_few(job, &dots, rows, whole, weight, input, sums)
    else:
        dots.input_row = DOT_BLOCK
        sum_many(job, &dots, rows, whole, weight, job.blocks + start * DOT_BLOCK, panel, sums)
        dots.input_row = job.depth
    job.isa.dot_finish(
        &dots, <int>rows, job.depth - whole, weight + whole * job.size, input + whole, sums,
        bias, job.relu,
        job.out + start * job.outputs + first)


cdef void sum_few(
    Job* job, Dots* dots, Py_ssize_t rows, Py_ssize_t whole,
    const char* weight,   # IN  rows,D
    const float* input,   # IN  images,D
    float* sums,          # OUT rows,images,LANES
) noexcept nogil:
    """Sum the products lane by lane; the images fit into one tile."""
    cdef Py_ssize_t o = 0
    while o < rows:
        job.isa.dot_tile(
            dots, <int>min(<Py_ssize_t>DOT_ROWS, rows - o), <int>dots.images, whole, weight,
            input, sums + o * dots.images * job.isa.lanes, weight + AHEAD, DOT_ROWS)
        weight += DOT_ROWS * dots.weight_row
        o += DOT_ROWS


cdef void sum_many(
    Job* job, Dots* dots, Py_ssize_t rows, Py_ssize_t whole,
    const char* weight,   # IN  rows,D
    const float* blocks,  # IN  D/DOT_BLOCK,N,DOT_BLOCK
    float* panel,         # scratch
    float* sums,          # OUT rows,images,LANES; rows in whole panels
) noexcept nogil:
    """Sum the products lane by lane, block by block; any number of images.

    While a few rows are multiplied with all images, the next few are fetched from memory.  All
    tiles ask for about the same share of them: memory answers only so many at once.
    """
    cdef bint panels = dots.images > job.isa.panel_above[1 if dots.half else 0]
    cdef Py_ssize_t together = job.isa.panel_rows if panels else DOT_ROWS
    cdef Py_ssize_t most = job.isa.panel_images if panels else job.isa.images
    cdef Py_ssize_t tiles = (dots.images + most - 1) // most
    cdef Py_ssize_t images = (dots.images + tiles - 1) // tiles  # a tile
    cdef Py_ssize_t first = together // (tiles + 1) if panels else 0  # share of the copy
    cdef Py_ssize_t share = (together - first + tiles - 1) // tiles
    cdef Py_ssize_t d = 0, o, n, length, fetched
    cdef int height, width
    cdef const char* next
    cdef const char* ahead
    cdef const float* block
    cdef float* sum
    while d < whole:
        length = min(<Py_ssize_t>DOT_BLOCK, whole - d)
        o = 0
        while o < rows:
            if o + together < rows:
                next = weight + (o + together) * dots.weight_row
            else:
                next = weight + length * job.size
            height = <int>min(together, rows - o)
            if panels:
                job.isa.dot_panel(
                    dots, height, length, weight + o * dots.weight_row, panel, next, <int>first)
            n, fetched = 0, first
            while n < dots.images:
                width = <int>min(images, dots.images - n)
                block = blocks + d * job.n + n * DOT_BLOCK
                sum = sums + (o * dots.images + n) * job.isa.lanes
                ahead = next + fetched * dots.weight_row
                if panels:
                    job.isa.dot_panel_tile(
                        dots, width, length, panel, block, sum, ahead,
                        <int>min(share, together - fetched))
                else:
                    job.isa.dot_tile(
                        dots, height, width, length, weight + o * dots.weight_row, block, sum,
                        ahead, <int>min(share, together - fetched))
                fetched = min(together, fetched + share)
                n += images
            o += together
        weight += length * job.size
        d += length


def linear(input, weight, bias=None, *, out=None):
    """Twin of :func:`decaf.layers.linear`, float32 only."""
    out = check_linear(input, weight, bias, out)
    packed = PackedLinear(
        single("linear", weight), None if bias is None else single("linear", bias)
    )
    *_, features = input.shape
    *_, outputs = out.shape
    rows = out.size // outputs if outputs else 0
    workspace = np.empty(packed.workspace(rows, 1), np.float32)
    steps = packed.steps(
        single("linear", input).reshape(rows, features), out.reshape(rows, outputs), False, 1,
        workspace)
    Program(steps).run()
    return out
