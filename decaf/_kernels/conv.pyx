"""Convolution: the fast twin of ``decaf.layers.conv2d``.

Channels are innermost (N,H,W,C), and the output channels lie in the vectors of the register tile
of tiles.h; a pixel of the input is one number, broadcast from where it lies.  So there is no
column matrix, not even a piece of one: a window is a few stretches of memory (*segments*), the
same for every pixel, counted from its upper left corner.

  KH                segments of KW*C, if the filter has no holes and there is one group
  KH*KW             segments of C/G, otherwise
  C*KH              segments of KW for the first layer, which reads the photo as N,C,H,W (*planar*)

Where there is padding (and for planar input) the rows under a band of output rows are first copied
between zeros.  The copy is small, and in the cache when it is read.

  task      image n, group g, a band of output rows, a run of panels of output channels
  weights   G, panels, K, width     width: the panel's channels, rounded up to whole vectors
  K         C/G*KH*KW, in the order of the segments

A task is cut by shape alone, and every sum has one order: see tiles.h.
"""

from libc.string cimport memcpy, memset

from decaf._kernels.crew cimport Crew, Step, take
from decaf._kernels.isa cimport MAC_BLOCK, MOST_PIXELS, Isa, Segment, pick
from decaf._kernels.panels cimport Panels, cut, start, width

import numpy as np

from decaf._kernels import winograd
from decaf._kernels.arrays import channels_first_into, channels_last, check_step, single
from decaf.errors import ShapeError
from decaf.layers.conv import check_conv2d

cdef enum:
    BAND = 64            # pixels of a band, at least
    ENOUGH_TASKS = 32    # below this number the panels are cut into runs, too
    FEW_CHANNELS = 8     # below this number a whole row of a filter is too short without KW

LARGEST = 2**31  # values of the padded input


cdef struct ConvJob:
    const Isa* isa
    Panels panels
    const Segment* segments
    Py_ssize_t segment_count
    const float* weights
    const float* bias
    const float* input    # N,H,W,C or, planar, N,C,H,W
    float* out            # N,OH,OW,O
    float* workspace      # THREADS, scratch
    Py_ssize_t scratch
    Py_ssize_t n, c, h, w, oh, ow, groups, depth
    Py_ssize_t kh, sh, sw, ph, pw, dh
    Py_ssize_t band, runs
    bint planar, copied, relu


cdef class PackedConv2d:
    """Filters packed for one instruction set, with the options of the layer.

    Parameters
    ----------
    weight : O,C/G,KH,KW float32
    bias : O float32, or None
    stride, padding, dilation : pairs (h, w)
    groups : int
    input_size : pair (H, W)
    isa : str, optional
        Name of an instruction set; the best that the processor has by default.

    Attributes
    ----------
    planar : bool
        Whether the input is N,C,H,W instead of N,H,W,C.
    """

    cdef readonly bint planar
    cdef ConvJob job        # what all batches share
    cdef float[::1] weights
    cdef float[::1] bias
    cdef Segment[::1] segments
    cdef Py_ssize_t dw, kw

    def __init__(self, const float[:, :, :, ::1] weight, bias, stride, padding, dilation,
                 int groups, input_size, str isa=None):
        cdef ConvJob* job = &self.job
        padded = tuple(size + 2 * pad for size, pad in zip(input_size, padding))
        if weight.shape[1] * padded[0] * padded[1] > LARGEST:
            raise ShapeError(
                f"conv2d: the padded input of a group must be of a size to compute with; expected "
                f"at most {LARGEST:,} values, got {weight.shape[1]} x {padded[0]} x {padded[1]}"
            )
        job.isa = pick(isa)
        job.groups = groups
        job.panels = cut(job.isa, weight.shape[0] // groups)
        job.c = weight.shape[1] * groups
        job.kh, self.kw = weight.shape[2], weight.shape[3]
        job.h, job.w = input_size
        job.sh, job.sw = stride
        job.ph, job.pw = padding
        job.dh, self.dw = dilation
        job.oh = (job.h + 2 * job.ph - (job.kh - 1) * job.dh - 1) // job.sh + 1
        job.ow = (job.w + 2 * job.pw - (self.kw - 1) * self.dw - 1) // job.sw + 1
        job.depth = weight.shape[1] * job.kh * self.kw
        job.band = min(job.oh, (BAND + job.ow - 1) // job.ow)
        self.planar = job.planar = groups == 1 and job.c < FEW_CHANNELS and self.dw == 1
        job.copied = self.planar or job.ph > 0 or job.pw > 0
        self._place_segments()
        self._pack(weight, bias)

    @property
    def nbytes(self):
        """Bytes of the packed filters."""
        return self.weights.shape[0] * sizeof(float)

    def workspace(self, Py_ssize_t n, int threads):
        """Floats of scratch memory for all threads, at batch n."""
        return threads * _scratch(&self.job)

    def steps(self, input, out, bint relu, int threads, workspace):
        """Steps that compute ``out = conv2d(input)``, with ReLU if wanted.

        Parameters
        ----------
        input : N,H,W,C (planar: N,C,H,W) float32
        out : N,OH,OW,O float32
        workspace : flat float32
        """
        cdef ConvJob* job = &self.job
        n = len(input)
        size = (job.c, job.h, job.w) if self.planar else (job.h, job.w, job.c)
        made = (n, job.oh, job.ow, job.groups * job.panels.channels)
        check_step("conv2d", input, out, workspace, ((n, *size), made), self.workspace(n, threads))
        return [ConvStep(self, input, out, relu, workspace)]

    cdef void _place_segments(self):
        """Where the terms of a window lie, from its first pixel, in pieces of MAC_BLOCK at most."""
        cdef ConvJob* job = &self.job
        cdef Py_ssize_t channels = job.c // job.groups
        rows = _rows(job, job.band)
        across = job.w + 2 * job.pw                                    # pixels of a row
        if self.planar:
            places = [
                (c * rows * across + i * job.dh * across, self.kw)
                for c in range(channels) for i in range(job.kh)
            ]
        else:
            pixel = _pixel(job)
            places = [
                ((i * job.dh * across + j * self.dw) * pixel, channels)
                for i in range(job.kh) for j in range(self.kw)
            ]
            if self.dw == 1 and pixel == channels:
                places = [(offset, self.kw * channels) for offset, _ in places[:: self.kw]]
        pieces = []
        for offset, length in places:
            count = -(-length // MAC_BLOCK)
            cuts = [length * i // count for i in range(count + 1)]
            pieces += [(offset + a, b - a) for a, b in zip(cuts, cuts[1:])]
        dtype = np.dtype([("offset", np.intp), ("length", np.intp)])
        self.segments = np.array(pieces, dtype)
        job.segments, job.segment_count = &self.segments[0], len(pieces)

    cdef void _pack(self, const float[:, :, :, ::1] weight, bias):
        cdef ConvJob* job = &self.job
        cdef Panels* panels = &job.panels
        cdef Py_ssize_t o, c, i, j, k, g, panel, first, last, size = width(panels)
        cdef float* target
        self.weights = np.zeros(job.groups * size * job.depth, np.float32)
        self.bias = np.zeros(job.groups * size, np.float32)
        for g in range(job.groups):
            for panel in range(panels.count):
                first = start(panels, panel) * panels.lanes
                last = start(panels, panel + 1) * panels.lanes
                target = &self.weights[(g * size + first) * job.depth]
                for o in range(first, min(last, panels.channels)):
                    for c in range(weight.shape[1]):
                        for i in range(job.kh):
                            for j in range(self.kw):
                                if self.planar:
                                    k = (c * job.kh + i) * self.kw + j
                                else:
                                    k = (i * self.kw + j) * weight.shape[1] + c
                                target[k * (last - first) + o - first] = (
                                    weight[g * panels.channels + o, c, i, j]
                                )
            if bias is not None:
                np.asarray(self.bias)[g * size : g * size + panels.channels] = (
                    bias[g * panels.channels : (g + 1) * panels.channels]
                )
        job.weights, job.bias = &self.weights[0], &self.bias[0]


cdef class ConvStep(Step):
    """The convolution of one batch."""

    cdef ConvJob options

    def __init__(self, PackedConv2d packed, const float[:, :, :, ::1] input,
                 float[:, :, :, ::1] out, bint relu, float[::1] workspace):
        cdef ConvJob* job = &self.options
        job[0] = packed.job
        job.n, job.relu = input.shape[0], relu
        tasks = job.n * job.groups * ((job.oh + job.band - 1) // job.band)
        job.runs = 1
        if 0 < tasks < ENOUGH_TASKS:
            job.runs = min(job.panels.count, (ENOUGH_TASKS + tasks - 1) // tasks)
        if job.n:
            job.input, job.out = &input[0, 0, 0, 0], &out[0, 0, 0, 0]
        job.scratch = _scratch(job)
        job.workspace = &workspace[0] if workspace.shape[0] else NULL
        self.work, self.job = convolve, job
        self.keep = (packed, input, out, workspace)


cdef Py_ssize_t _rows(const ConvJob* job, Py_ssize_t band) noexcept nogil:
    """Input rows under a band of output rows."""
    return (band - 1) * job.sh + (job.kh - 1) * job.dh + 1


cdef Py_ssize_t _pixel(const ConvJob* job) noexcept nogil:
    """Floats from a pixel to the next, where the windows are read."""
    if job.planar:
        return 1
    return job.c // job.groups if job.copied else job.c


cdef Py_ssize_t _scratch(const ConvJob* job) noexcept nogil:
    """Floats of scratch memory that a thread needs: whole cache lines, threads share none."""
    cdef Py_ssize_t floats = 0
    if job.copied:
        floats = _rows(job, job.band) * (job.w + 2 * job.pw) * (job.c // job.groups)
    return (floats + 15) // 16 * 16


cdef void convolve(void* options, Crew* crew, int member) noexcept nogil:
    cdef const ConvJob* job = <const ConvJob*>options
    cdef Py_ssize_t bands = (job.oh + job.band - 1) // job.band
    cdef Py_ssize_t total = job.n * job.groups * bands * job.runs
    cdef Py_ssize_t task, run, top, group, image
    cdef float* scratch = job.workspace + member * job.scratch
    while True:
        task = take(crew)
        if task >= total:
            return
        run = task % job.runs
        top = task // job.runs % bands * job.band
        group = task // job.runs // bands % job.groups
        image = task // job.runs // bands // job.groups
        convolve_band(job, image, group, top, min(job.band, job.oh - top), run, scratch)


cdef void convolve_band(const ConvJob* job, Py_ssize_t image, Py_ssize_t group, Py_ssize_t top,
                        Py_ssize_t rows, Py_ssize_t run, float* scratch) noexcept nogil:
    """Some panels of output channels for the output rows top .. top + rows of an image."""
    cdef const Isa* isa = job.isa
    cdef const Panels* panels = &job.panels
    cdef Py_ssize_t across = job.w + 2 * job.pw, pixel = _pixel(job), row = across * pixel
    cdef Py_ssize_t channels = job.groups * panels.channels, count = rows * job.ow
    cdef Py_ssize_t panel, first, vectors, done, p, place, filter_
    cdef const float* weights
    cdef const float* source
    cdef const float* x[MOST_PIXELS]
    cdef float* out = (
        job.out + (image * job.oh + top) * job.ow * channels + group * panels.channels
    )
    if job.planar:
        copy_planes(job, image, top * job.sh - job.ph, scratch)
        source = scratch
    elif job.copied:
        copy_rows(job, image, group, top * job.sh - job.ph, _rows(job, rows), scratch)
        source = scratch
    else:
        source = (
            job.input + (image * job.h + top * job.sh) * row + group * (job.c // job.groups)
        )
    for panel in range(panels.count * run // job.runs, panels.count * (run + 1) // job.runs):
        first = start(panels, panel)
        vectors = start(panels, panel + 1) - first
        filter_ = first * panels.lanes
        weights = job.weights + (group * width(panels) + filter_) * job.depth
        done = 0
        while done < count:
            for p in range(isa.pixels):
                place = min(done + p, count - 1)  # beyond the last pixel: once more, for nothing
                x[p] = source + pixel * (
                    place // job.ow * job.sh * across + place % job.ow * job.sw
                )
            isa.mac_tile(
                # (Nothing else to fetch: all panels of a first layer fit into the cache.)
                <int>vectors, job.segments, job.segment_count, x, weights, weights,
                job.bias + group * width(panels) + filter_, job.relu,
                <int>min(<Py_ssize_t>isa.pixels, count - done),
                <int>min(vectors * panels.lanes, panels.channels - filter_),
                out + done * channels + filter_, channels,
            )
            done += isa.pixels


cdef void copy_rows(const ConvJob* job, Py_ssize_t image, Py_ssize_t group, Py_ssize_t first,
                    Py_ssize_t rows, float* target) noexcept nogil:
    """Rows first .. first + rows of a group's channels, between zeros: rows, W + 2 pw, C/G"""
    cdef Py_ssize_t channels = job.c // job.groups, y, x
    cdef Py_ssize_t border = job.pw * channels
    cdef const float* source
    for y in range(first, first + rows):
        if y < 0 or y >= job.h:
            memset(target, 0, (2 * border + job.w * channels) * sizeof(float))
            target += 2 * border + job.w * channels
            continue
        source = job.input + (image * job.h + y) * job.w * job.c + group * channels
        memset(target, 0, border * sizeof(float))
        target += border
        if job.groups == 1:
            memcpy(target, source, job.w * channels * sizeof(float))
        else:
            for x in range(job.w):
                memcpy(target + x * channels, source + x * job.c, channels * sizeof(float))
        target += job.w * channels
        memset(target, 0, border * sizeof(float))
        target += border


cdef void copy_planes(const ConvJob* job, Py_ssize_t image, Py_ssize_t first,
                      float* target) noexcept nogil:
    """Rows of a whole band from row first on, plane by plane, between zeros: C, rows, W + 2 pw"""
    cdef Py_ssize_t rows = _rows(job, job.band), across = job.w + 2 * job.pw, c, y
    for c in range(job.c):
        for y in range(first, first + rows):
            if y < 0 or y >= job.h:
                memset(target, 0, across * sizeof(float))
            else:
                memset(target, 0, job.pw * sizeof(float))
                memcpy(target + job.pw, job.input + ((image * job.c + c) * job.h + y) * job.w,
                       job.w * sizeof(float))
                memset(target + job.pw + job.w, 0, job.pw * sizeof(float))
            target += across


def pack_conv2d(weight, bias, stride, padding, dilation, groups, input_size, isa=None):
    """Filters packed for the algorithm that suits the shape: Winograd's, or the direct one."""
    options = (weight, bias, stride, padding, dilation, groups, input_size, isa)
    if winograd.suits(weight.shape, stride, padding, dilation, groups, input_size):
        return winograd.PackedWinograd(*options)
    return PackedConv2d(*options)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, out=None):
    """Twin of :func:`decaf.layers.conv2d`, float32 only.  Packs the filters at every call."""
    places, out = check_conv2d(input, weight, bias, stride, padding, dilation, groups, out)
    if out.size == 0:
        return out
    packed = pack_conv2d(
        single("conv2d", weight), None if bias is None else single("conv2d", bias),
        places.stride, places.padding, places.dilation, groups, input.shape[2:],
    )
    n, o, oh, ow = out.shape
    last = np.empty((n, oh, ow, o), np.float32)
    input = single("conv2d", input)
    if not packed.planar:
        input = channels_last(input)
    workspace = np.empty(packed.workspace(n, 1), np.float32)
    for step in packed.steps(input, last, False, 1, workspace):
        step.run()
    channels_first_into(last, out)
    return out
