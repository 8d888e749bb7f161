"""Convolution with 3x3 and 5x5 filters by Winograd's minimal filtering: F(4x4, 3x3), F(4x4, 5x5).

16 output pixels of a filter with r*r taps come from n*n inputs, n = r + 3, by n*n products instead
of 16 r*r: 36 instead of 144, 64 instead of 400.

  V = B^T d B        of every tile of n*n pixels and every channel: additions, mostly
  M = sum over c of U * V    for each of the n*n points a matrix product, tiles,C times C,O
  Y = A^T M A        of every tile and output channel, with bias and ReLU

U = G g G^T of every filter is made in float64 when it is packed; the points and the other two
matrices are in winograd.h.  The error is some times that of a direct convolution (of the largest
value 2e-6 for 3x3, 5e-6 for 5x5), because B and A add values that nearly cancel.  "Largest" is
over the tile: one huge value makes the other 15 outputs of its tile less exact, and where it is
NaN or an infinity, they are not finite either.  It never reaches another tile's outputs.

Tiles are taken in blocks, of several images where one has few, each in three steps:

  step        task                          memory
  transform   a tile, all channels          V   n*n, TILES, C    (C, O rounded up to whole vectors)
  multiply    a point, a panel of outputs   M   n*n, TILES, O
  gather      a tile, all output channels   N,OH,OW,O

The weights of a point are read once a block, which is what counts for a single photo.

S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast Algorithms
for Convolutional Neural Networks, 2016 (arXiv:1509.09308); on the points B. Barabasz and others,
Error Analysis and Improving the Accuracy of Winograd Convolution, 2020 (arXiv:1803.10986).
"""

from decaf._kernels.crew cimport Crew, Step, take
from decaf._kernels.isa cimport MAC_BLOCK, MOST_PIXELS, MOST_WIDTH, Isa, Segment, pick
from decaf._kernels.panels cimport Panels, cut, start, width

import numpy as np

from decaf._kernels.arrays import check_step

cdef extern from "winograd_points.h":
    const float winograd_points[4][3]

cdef enum:
    TILE = 4            # output pixels along one side
    MOST_SIDE = 8       # n
    MOST_TAPS = 5       # r
    MOST_SEGMENTS = 64
    BLOCK_FLOATS = 1 << 20  # of V and M together: 4 MB

GAIN = 1.25  # products that must be saved, as a factor, for the transformations to pay

TAPS = (3, 5)  # sizes of filters that there are points for


cdef struct WinogradJob:
    const Isa* isa
    Panels panels
    const Segment* segments
    Py_ssize_t segment_count
    const float* weights  # n*n,G,panels,C/G,width
    const float* bias     # G,width
    const float* zeros    # C: a pixel of the padding
    const float* input    # N,H,W,C
    float* v              # n*n, tiles, C
    float* m              # n*n, tiles, G,width
    float* out            # N,OH,OW,O
    Py_ssize_t v_point, m_point  # floats from a point to the next
    Py_ssize_t c, depth, h, w, oh, ow, ph, pw, groups
    Py_ssize_t down, across      # tiles of an image
    Py_ssize_t first, tiles      # of this block
    int pairs                    # of opposite points
    bint relu


def suits(shape, stride, padding, dilation, groups, input_size):
    """Whether a convolution is computed this way; decided by shapes alone."""
    o, channels, kh, kw = shape
    if kh != kw or kh not in TAPS or tuple(stride) != (1, 1) or tuple(dilation) != (1, 1):
        return False
    if channels < 16 or o // groups < 16 or channels > MOST_SEGMENTS * MAC_BLOCK:
        return False
    oh, ow = (size + 2 * pad - kh + 1 for size, pad in zip(input_size, padding))
    tiles = -(-oh // TILE) * -(-ow // TILE)
    return oh * ow * kh * kw > GAIN * tiles * (kh + TILE - 1) ** 2


cdef class PackedWinograd:
    """Filters transformed and packed; arguments and methods as for ``conv.PackedConv2d``."""

    cdef WinogradJob job      # what all blocks of all batches share
    cdef Segment segments[MOST_SEGMENTS]
    cdef float[::1] weights
    cdef float[::1] bias
    cdef float[::1] zeros

    planar = False

    def __init__(self, const float[:, :, :, ::1] weight, bias, stride, padding, dilation,
                 int groups, input_size, str isa=None):
        cdef WinogradJob* job = &self.job
        cdef Py_ssize_t pieces, i
        job.isa = pick(isa)
        job.groups = groups
        job.depth = weight.shape[1]
        job.c = groups * job.depth
        job.panels = cut(job.isa, weight.shape[0] // groups)
        job.pairs = 2 if weight.shape[2] == 3 else 3
        job.h, job.w = input_size
        job.ph, job.pw = padding
        job.oh = job.h + 2 * job.ph - weight.shape[2] + 1
        job.ow = job.w + 2 * job.pw - weight.shape[3] + 1
        job.down = (job.oh + TILE - 1) // TILE
        job.across = (job.ow + TILE - 1) // TILE
        pieces = (job.depth + MAC_BLOCK - 1) // MAC_BLOCK
        job.segment_count = pieces
        for i in range(pieces):
            self.segments[i].offset = job.depth * i // pieces
            self.segments[i].length = job.depth * (i + 1) // pieces - job.depth * i // pieces
        job.segments = self.segments
        self.weights = np.zeros(
            _side(job) ** 2 * groups * width(&job.panels) * job.depth, np.float32
        )
        self.bias = np.zeros(groups * width(&job.panels), np.float32)
        self.zeros = np.zeros(job.c, np.float32)
        job.weights, job.bias, job.zeros = &self.weights[0], &self.bias[0], &self.zeros[0]
        if bias is not None:
            rows = np.asarray(self.bias).reshape(groups, width(&job.panels))  # G,width
            rows[:, : job.panels.channels] = bias.reshape(groups, job.panels.channels)
        for group in range(groups):
            for panel in range(job.panels.count):
                self._pack(weight, group, panel)

    @property
    def nbytes(self):
        """Bytes of the packed filters."""
        return self.weights.shape[0] * sizeof(float)

    def workspace(self, Py_ssize_t n, int threads):
        """Floats of scratch memory at batch n."""
        cdef Py_ssize_t tiles = _block(&self.job, n)
        return _side(&self.job) ** 2 * (_point(tiles, _row(&self.job))
                                        + _point(tiles, _out_row(&self.job)))

    def steps(self, input, out, bint relu, int threads, workspace):
        """Steps that compute ``out = conv2d(input)``: see ``conv.PackedConv2d``."""
        cdef WinogradJob* job = &self.job
        n = len(input)
        made = (n, job.oh, job.ow, job.groups * job.panels.channels)
        check_step("conv2d", input, out, workspace, ((n, job.h, job.w, job.c), made),
                   self.workspace(n, threads))
        if n == 0:
            return []
        cdef Py_ssize_t total = len(input) * self.job.down * self.job.across
        cdef Py_ssize_t block = _block(&self.job, len(input)), first
        steps = []
        for first in range(0, total, block):
            options = (self, input, out, relu, first, min(block, total - first), workspace)
            steps += [WinogradStep(phase, *options) for phase in range(3)]
        return steps

    cdef void _pack(self, const float[:, :, :, ::1] weight, Py_ssize_t group, Py_ssize_t panel):
        """U = G g G^T for the filters of a panel, one input channel after the other."""
        cdef WinogradJob* job = &self.job
        cdef Py_ssize_t first = start(&job.panels, panel) * job.panels.lanes
        cdef Py_ssize_t last = start(&job.panels, panel + 1) * job.panels.lanes
        cdef Py_ssize_t wide = last - first, filters = min(last, job.panels.channels) - first
        cdef Py_ssize_t taps = weight.shape[2], n = _side(job), c, i, j, k, o
        cdef Py_ssize_t point = job.groups * width(&job.panels) * job.depth
        cdef double g[MOST_SIDE][MOST_TAPS]
        cdef double half[MOST_SIDE][MOST_TAPS][MOST_WIDTH]
        cdef double whole[MOST_WIDTH]
        cdef double filter_[MOST_TAPS][MOST_TAPS][MOST_WIDTH]
        cdef float* target = (
            &self.weights[0] + (group * width(&job.panels) + first) * job.depth
        )
        fill_g(job.pairs, taps, g)
        with nogil:
            for c in range(job.depth):
                for o in range(filters):
                    for i in range(taps):
                        for j in range(taps):
                            filter_[i][j][o] = (
                                weight[group * job.panels.channels + first + o, c, i, j]
                            )
                for i in range(n):
                    for j in range(taps):
                        for o in range(filters):
                            half[i][j][o] = g[i][0] * filter_[0][j][o]
                        for k in range(1, taps):
                            for o in range(filters):
                                half[i][j][o] += g[i][k] * filter_[k][j][o]
                for i in range(n):
                    for j in range(n):
                        for o in range(filters):
                            whole[o] = g[j][0] * half[i][0][o]
                        for k in range(1, taps):
                            for o in range(filters):
                                whole[o] += g[j][k] * half[i][k][o]
                        for o in range(filters):
                            target[(i * n + j) * point + c * wide + o] = <float>whole[o]


cdef class WinogradStep(Step):
    """One of the three steps of a block of tiles."""

    cdef WinogradJob options

    def __init__(self, int phase, PackedWinograd packed,
                 const float[:, :, :, ::1] input, float[:, :, :, ::1] out, bint relu,
                 Py_ssize_t first, Py_ssize_t tiles, float[::1] workspace):
        cdef WinogradJob* job = &self.options
        cdef Py_ssize_t block = _block(&packed.job, input.shape[0])
        job[0] = packed.job
        job.relu, job.first, job.tiles = relu, first, tiles
        job.v_point, job.m_point = _point(block, _row(job)), _point(block, _out_row(job))
        job.input, job.out = &input[0, 0, 0, 0], &out[0, 0, 0, 0]
        job.v = &workspace[0]
        job.m = job.v + _side(job) ** 2 * job.v_point
        if phase == 0:
            self.work = transform
        elif phase == 1:
            self.work = multiply
        else:
            self.work = gather
        self.job, self.keep = job, (packed, input, out, workspace)


cdef void fill_g(int pairs, Py_ssize_t taps, double[MOST_SIDE][MOST_TAPS] g) noexcept:
    """G: values of the filter, as a polynomial, at the points 0, +-p, infinity.

    Each is divided by the product of the point's distances from the others.
    """
    cdef Py_ssize_t i, j, k
    cdef double p, others, zero = 1
    for i in range(2 * pairs + 2):
        for k in range(taps):
            g[i][k] = 0
    for i in range(pairs):
        p = winograd_points[pairs][i]
        others = 2 * p * p
        for j in range(pairs):
            if j != i:
                others *= p * p - winograd_points[pairs][j] * winograd_points[pairs][j]
        for k in range(taps):
            g[2 * i + 1][k] = p ** k / others
            g[2 * i + 2][k] = (-p) ** k / others
        zero *= -p * p
    g[0][0] = 1 / zero
    g[2 * pairs + 1][taps - 1] = 1


cdef Py_ssize_t _side(const WinogradJob* job) noexcept nogil:
    """n: pixels along one side of an input tile."""
    return 2 * job.pairs + 2


cdef Py_ssize_t _row(const WinogradJob* job) noexcept nogil:
    """Floats of a tile in V at one point: its channels, rounded up to whole vectors."""
    return (job.c + job.isa.lanes - 1) // job.isa.lanes * job.isa.lanes


cdef Py_ssize_t _out_row(const WinogradJob* job) noexcept nogil:
    """Floats of a tile in M at one point."""
    return job.groups * width(&job.panels)


cdef Py_ssize_t _point(Py_ssize_t tiles, Py_ssize_t row) noexcept nogil:
    """Floats from one point to the next; not a multiple of 4096 bytes, lest all points meet in
    the same lines of the cache."""
    return (tiles * row + 1023) // 1024 * 1024 + 16


cdef Py_ssize_t _block(const WinogradJob* job, Py_ssize_t n) noexcept nogil:
    """Tiles of a block; whole register tiles."""
    cdef Py_ssize_t most = BLOCK_FLOATS // (_side(job) ** 2 * (_row(job) + _out_row(job)))
    most = max(most // job.isa.pixels, 1) * job.isa.pixels
    return min(most, n * job.down * job.across)


cdef void transform(void* options, Crew* crew, int member) noexcept nogil:
    """V = B^T d B"""
    cdef const WinogradJob* job = <const WinogradJob*>options
    cdef Py_ssize_t n = _side(job), task, tile, image, y, x, i, j
    cdef const float* pixels[MOST_SIDE * MOST_SIDE]
    while True:
        task = take(crew)
        if task >= job.tiles:
            return
        tile = job.first + task
        image = tile // (job.down * job.across)
        for i in range(n):
            y = tile // job.across % job.down * TILE - job.ph + i
            for j in range(n):
                x = tile % job.across * TILE - job.pw + j
                if 0 <= y < job.h and 0 <= x < job.w:
                    pixels[i * n + j] = (
                        job.input + ((image * job.h + y) * job.w + x) * job.c
                    )
                else:
                    pixels[i * n + j] = job.zeros
        job.isa.winograd_input(
            job.pairs, pixels, job.c, job.v + task * _row(job), job.v_point,
        )


cdef void multiply(void* options, Crew* crew, int member) noexcept nogil:
    """M = V U at every point"""
    cdef const WinogradJob* job = <const WinogradJob*>options
    cdef const Panels* panels = &job.panels
    cdef Py_ssize_t total = _side(job) ** 2 * job.groups * panels.count
    cdef Py_ssize_t task, point, group, panel, first, vectors, filter_, done, p
    cdef const float* v
    cdef const float* weights
    cdef const float* next
    cdef float* m
    cdef const float* x[MOST_PIXELS]
    while True:
        task = take(crew)
        if task >= total:
            return
        panel = task % panels.count
        group = task // panels.count % job.groups
        point = task // panels.count // job.groups
        first = start(panels, panel)
        vectors = start(panels, panel + 1) - first
        filter_ = first * panels.lanes
        v = job.v + point * job.v_point + group * job.depth
        m = job.m + point * job.m_point + group * width(panels) + filter_
        weights = job.weights + (
            ((point * job.groups + group) * width(panels) + filter_) * job.depth
        )
        next = weights + vectors * panels.lanes * job.depth  # the next panel lies behind it
        done = 0
        while done < job.tiles:
            for p in range(job.isa.pixels):  # beyond the last tile: once more, for nothing
                x[p] = v + min(done + p, job.tiles - 1) * _row(job)
            job.isa.mac_tile(
                <int>vectors, job.segments, job.segment_count, x, weights, next,
                NULL, False, <int>min(<Py_ssize_t>job.isa.pixels, job.tiles - done),
                <int>(vectors * panels.lanes), m + done * _out_row(job), _out_row(job),
            )
            done += job.isa.pixels
            next += 16 * job.depth


cdef void gather(void* options, Crew* crew, int member) noexcept nogil:
    """Y = A^T M A, with bias and ReLU"""
    cdef const WinogradJob* job = <const WinogradJob*>options
    cdef Py_ssize_t channels = job.groups * job.panels.channels
    cdef Py_ssize_t task, tile, image, y, x, group
    while True:
        task = take(crew)
        if task >= job.tiles:
            return
        tile = job.first + task
        image = tile // (job.down * job.across)
        y = tile // job.across % job.down * TILE
        x = tile % job.across * TILE
        for group in range(job.groups):
            job.isa.winograd_output(
                job.pairs,
                job.m + task * _out_row(job) + group * width(&job.panels), job.m_point,
                job.bias + group * width(&job.panels), job.relu,
                <int>min(<Py_ssize_t>TILE, job.oh - y), <int>min(<Py_ssize_t>TILE, job.ow - x),
                job.panels.channels,
                job.out + ((image * job.oh + y) * job.ow + x) * channels
                + group * job.panels.channels,
                job.ow * channels, channels,
            )
