"""im2col: the fast twin of ``decaf.layers.im2col``.  A task is one row of the column matrix.

The network itself does not use it: ``conv.pyx`` packs only the few columns that it is about
to multiply.  Here to be compared with, and for BLAS-backed convolution.
"""

from libc.string cimport memset

from decaf._kernels.conv cimport copy_row
from decaf._kernels.tasks cimport Tasks

from decaf._kernels.arrays import single
from decaf.layers.im2col import check_im2col


def run_im2col(
    Tasks tasks,
    const float[:, :, ::1] input,  # IN  N*C,H,W
    float[:, :, ::1] out,          # OUT N*C*KH*KW,OH,OW
    kernel, stride, padding, dilation,
):
    """Take part in ``out = im2col(input)`` until no task is left."""
    cdef Py_ssize_t kh, kw, sh, sw, ph, pw, dh, dw
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    cdef Py_ssize_t h = input.shape[1], w = input.shape[2], oh = out.shape[1], ow = out.shape[2]
    cdef Py_ssize_t task, i, j, y, row
    with nogil:
        task = tasks.take()
        while task < out.shape[0]:
            i, j = task // kw % kh, task % kw
            for y in range(oh):
                row = y * sh - ph + i * dh
                if 0 <= row < h:
                    copy_row(&input[task // kw // kh, row, 0], w, j * dw - pw, sw,
                             &out[task, y, 0], ow)
                else:
                    memset(&out[task, y, 0], 0, ow * sizeof(float))
            task = tasks.take()


def im2col(input, kernel_size, stride=1, padding=0, dilation=1, *, out=None):
    """Twin of :func:`decaf.layers.im2col`, float32 only."""
    places, out = check_im2col(input, kernel_size, stride, padding, dilation, out)
    (n, c, h, w), (kh, kw) = input.shape, places.kernel
    run_im2col(Tasks(), single("im2col", input).reshape(n * c, h, w),  # N*C,H,W
               out.reshape(n * c * kh * kw, *places.output_size),  # N*C*KH*KW,OH,OW
               places.kernel, places.stride, places.padding, places.dilation)
    return out
