"""Convolution: the fast twin of ``decaf.layers.conv2d``.

The column matrix of im2col never exists as a whole.  The output is cut into panels of as
many pixels as fit into a few vector registers; a task packs the columns of one panel,
zeros for the padding included, and multiplies all filters with it while it is in the
cache.  The filters were packed once, ROWS of them side by side, when the plan was built.

  task           image n, group g, a run of filters, a panel of pixels
  columns        C/G*KH*KW, width     width = the panel's pixels, rounded up to whole vectors
  weights        G, O/G / ROWS, C/G*KH*KW, ROWS    packed; missing filters are zeros

A task is cut by shape alone, and every sum has one order: see tiles.h.
"""

from libc.string cimport memcpy, memset

from decaf._kernels.isa cimport Isa, pick
from decaf._kernels.tasks cimport Tasks

import numpy as np

from decaf._kernels.arrays import single
from decaf.layers.conv import check_conv2d


cdef class PackedConv2d:
    """Filters packed for one instruction set, with the options of the layer.

    Parameters
    ----------
    weight : O,C/G,KH,KW float32
    bias : O float32, or None
    stride, padding, dilation : pairs (h, w)
    groups : int
    isa : str, optional
        Name of an instruction set; the best that the processor has by default.
    """

    cdef const Isa* isa
    cdef const float[::1] weights
    cdef const float[::1] bias
    cdef Py_ssize_t groups, group_channels, group_filters, depth
    cdef Py_ssize_t kh, kw, sh, sw, ph, pw, dh, dw

    def __init__(self, const float[:, :, :, ::1] weight, bias, stride, padding, dilation,
                 int groups, str isa=None):
        self.isa = pick(isa)
        self.groups = groups
        self.group_filters = weight.shape[0] // groups
        self.group_channels = weight.shape[1]
        self.kh, self.kw = weight.shape[2], weight.shape[3]
        self.sh, self.sw = stride
        self.ph, self.pw = padding
        self.dh, self.dw = dilation
        self.depth = self.group_channels * self.kh * self.kw
        self.bias = bias
        cdef float[::1] packed = np.zeros(
            groups * self._row_panels() * self.isa.rows * self.depth, np.float32
        )
        self._pack(&weight[0, 0, 0, 0], &packed[0])
        self.weights = packed

    @property
    def nbytes(self):
        """Bytes of the packed filters."""
        return self.weights.shape[0] * sizeof(float)

    @property
    def workspace(self):
        """Floats that every thread needs for the columns of a panel."""
        return self.depth * self.isa.lanes * self.isa.vectors

    cdef Py_ssize_t _row_panels(self) noexcept nogil:
        return (self.group_filters + self.isa.rows - 1) // self.isa.rows

    cdef void _pack(
        self,
        const float* weight,  # IN  O,depth
        float* packed,        # OUT G,panels,depth,ROWS
    ) noexcept nogil:
        cdef Py_ssize_t rows = self.isa.rows, panels = self._row_panels(), g, o, k
        cdef float* target
        for g in range(self.groups):
            for o in range(self.group_filters):
                target = packed + (g * panels + o // rows) * self.depth * rows + o % rows
                for k in range(self.depth):
                    target[k * rows] = weight[k]
                weight += self.depth

    def runs(self, Py_ssize_t n, Py_ssize_t pixels, int threads):
        """Into how many runs the filters of a group are cut, so that all threads have work."""
        cdef Py_ssize_t width = self.isa.lanes * self.isa.vectors
        cdef Py_ssize_t tasks = n * self.groups * ((pixels + width - 1) // width)
        if threads == 1 or tasks == 0 or tasks >= 4 * threads:
            return 1
        return min(self._row_panels(), (4 * threads + tasks - 1) // tasks)

    def run(self, Tasks tasks, const float[:, :, :, ::1] input, float[:, :, :, ::1] out,
            bint relu, Py_ssize_t runs, float[:, ::1] workspace):
        """Take part in ``out = conv2d(input)``, with ReLU if wanted, until no task is left."""
        if input.shape[0] == 0:
            return
        with nogil:
            self._run(tasks, input.shape[0], input.shape[2], input.shape[3], &input[0, 0, 0, 0],
                      out.shape[2], out.shape[3], &out[0, 0, 0, 0], relu, runs,
                      &workspace[tasks.join(), 0])

    cdef void _run(
        self, Tasks tasks, Py_ssize_t n, Py_ssize_t h, Py_ssize_t w,
        const float* input,   # IN  N,C,H,W
        Py_ssize_t oh, Py_ssize_t ow,
        float* out,           # OUT N,O,OH,OW
        bint relu, Py_ssize_t runs,
        float* columns,       # scratch, depth,width
    ) noexcept nogil:
        cdef Py_ssize_t lanes = self.isa.lanes, rows = self.isa.rows
        cdef Py_ssize_t pixels = oh * ow, width = lanes * self.isa.vectors
        cdef Py_ssize_t panels = (pixels + width - 1) // width
        cdef Py_ssize_t row_panels = self._row_panels()
        cdef Py_ssize_t total = n * self.groups * runs * panels
        cdef Py_ssize_t task, first, count, vectors, run, group, image, row, filter_, last
        cdef const float* bias
        while True:
            task = tasks.take()
            if task >= total:
                return
            first = task % panels * width
            run = task // panels % runs
            group = task // panels // runs % self.groups
            image = task // panels // runs // self.groups
            count = min(width, pixels - first)
            vectors = (count + lanes - 1) // lanes
            self._columns(input + (image * self.groups + group) * self.group_channels * h * w,
                          h, w, ow, first, count, vectors * lanes, columns)
            last = row_panels * (run + 1) // runs
            for row in range(row_panels * run // runs, last):
                filter_ = group * self.group_filters + row * rows
                bias = NULL
                if self.bias is not None:
                    bias = &self.bias[filter_]
                self.isa.conv_tile(
                    <int>vectors, self.depth,
                    &self.weights[(group * row_panels + row) * self.depth * rows],
                    columns, bias, relu,
                    <int>min(rows, self.group_filters - row * rows), <int>count,
                    out + (image * self.groups * self.group_filters + filter_) * pixels + first,
                    pixels,
                )

    cdef void _columns(
        self,
        const float* input,   # IN  C/G,H,W
        Py_ssize_t h, Py_ssize_t w, Py_ssize_t ow,
        Py_ssize_t first, Py_ssize_t count, Py_ssize_t width,
        float* columns,       # OUT C/G*KH*KW,width
    ) noexcept nogil:
        """im2col for the pixels first .. first+count, in runs that share an output row."""
        cdef Py_ssize_t _, i, j, done, y, x, run, row
        for _ in range(self.group_channels):
            for i in range(self.kh):
                for j in range(self.kw):
                    y, x, done = first // ow, first % ow, 0
                    while done < count:
                        run = min(ow - x, count - done)
                        row = y * self.sh - self.ph + i * self.dh
                        if 0 <= row < h:
                            copy_row(input + row * w, w, x * self.sw - self.pw + j * self.dw,
                                     self.sw, columns + done, run)
                        else:
                            memset(columns + done, 0, run * sizeof(float))
                        y, x, done = y + 1, 0, done + run
                    memset(columns + count, 0, (width - count) * sizeof(float))
                    columns += width
            input += h * w


cdef void copy_row(
    const float* input,   # IN  W
    Py_ssize_t w, Py_ssize_t first, Py_ssize_t step,
    float* out,           # OUT count
    Py_ssize_t count,
) noexcept nogil:
    """out[x] = input[first + x * step], and 0 where that lies outside the row."""
    cdef Py_ssize_t left = 0, right = count, x
    if first < 0:
        left = min(count, (step - 1 - first) // step)
    if first + (count - 1) * step >= w:
        right = max(left, (w - first + step - 1) // step) if first < w else left
    for x in range(left):
        out[x] = 0
    if step == 1:
        memcpy(out + left, input + first + left, (right - left) * sizeof(float))
    else:
        for x in range(left, right):
            out[x] = input[first + x * step]
    for x in range(right, count):
        out[x] = 0


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, out=None):
    """Twin of :func:`decaf.layers.conv2d`, float32 only.  Packs the filters at every call."""
    places, out = check_conv2d(input, weight, bias, stride, padding, dilation, groups, out)
    packed = PackedConv2d(
        single("conv2d", weight), None if bias is None else single("conv2d", bias),
        places.stride, places.padding, places.dilation, groups,
    )
    workspace = np.empty((1, packed.workspace), np.float32)
    packed.run(Tasks(), single("conv2d", input), out, False, 1, workspace)
    return out
