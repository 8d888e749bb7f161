"""im2col: the fast twin of ``decaf.layers.im2col``.

The network itself does not use it: ``conv.pyx`` never writes the column matrix out.  Here to be
compared with, and for BLAS-backed convolution.
"""

from libc.string cimport memcpy, memset

from decaf._kernels.arrays import single
from decaf.layers.im2col import check_im2col


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


def _im2col(
    const float[:, :, ::1] input,  # IN  N*C,H,W
    float[:, :, ::1] out,          # OUT N*C*KH*KW,OH,OW
    kernel, stride, padding, dilation,
):
    cdef Py_ssize_t kh, kw, sh, sw, ph, pw, dh, dw
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    cdef Py_ssize_t h = input.shape[1], w = input.shape[2], oh = out.shape[1], ow = out.shape[2]
    cdef Py_ssize_t tap, i, j, y, row
    with nogil:
        for tap in range(out.shape[0]):
            i, j = tap // kw % kh, tap % kw
            for y in range(oh):
                row = y * sh - ph + i * dh
                if 0 <= row < h:
                    copy_row(&input[tap // kw // kh, row, 0], w, j * dw - pw, sw,
                             &out[tap, y, 0], ow)
                else:
                    memset(&out[tap, y, 0], 0, ow * sizeof(float))


def im2col(input, kernel_size, stride=1, padding=0, dilation=1, *, out=None):
    """Twin of :func:`decaf.layers.im2col`, float32 only."""
    places, out = check_im2col(input, kernel_size, stride, padding, dilation, out)
    (n, c, h, w), (kh, kw) = input.shape, places.kernel
    _im2col(single("im2col", input).reshape(n * c, h, w),  # N*C,H,W
            out.reshape(n * c * kh * kw, *places.output_size),  # N*C*KH*KW,OH,OW
            places.kernel, places.stride, places.padding, places.dilation)
    return out
