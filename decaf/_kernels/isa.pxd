"""Instruction sets; see isa.h."""

cdef extern from "isa.h" nogil:
    ctypedef void ConvTile(
        int vectors, Py_ssize_t depth, const float* weights, const float* columns,
        const float* bias, int relu, int rows, int pixels, float* out, Py_ssize_t stride) noexcept
    ctypedef void DotTile(
        int rows, int images, Py_ssize_t depth, const float* weight, Py_ssize_t weight_stride,
        const float* input, Py_ssize_t input_stride, float* acc, Py_ssize_t acc_stride) noexcept
    ctypedef struct Isa:
        const char* name
        int lanes
        int rows
        int vectors
        int images
        ConvTile* conv_tile
        DotTile* dot_tile
    int DOT_ROWS
    int DOT_BLOCK

cdef const Isa* pick(str name) except NULL
