"""ReLU: the fast twin of ``decaf.layers.relu``.  A task is a stretch of values."""

from decaf._kernels.crew cimport Crew, Step, take

from decaf._kernels.arrays import single
from decaf.errors import ShapeError
from decaf.layers.relu import check_relu

cdef Py_ssize_t STRETCH = 16384

cdef struct Relu:
    const float* input
    float* out
    Py_ssize_t size


cdef void relu_stretches(void* job, Crew* crew, int member) noexcept nogil:
    cdef Relu* p = <Relu*>job
    cdef Py_ssize_t first = take(crew) * STRETCH, i
    while first < p.size:
        for i in range(first, min(first + STRETCH, p.size)):
            p.out[i] = 0.0 if p.input[i] < 0.0 else p.input[i]  # NaN stays NaN
        first = take(crew) * STRETCH


cdef class ReluStep(Step):
    """``out = relu(input)``.  All instruction sets share it."""

    cdef Relu relu

    def __init__(
        self,
        const float[::1] input,  # IN
        float[::1] out,          # OUT  may be the input
        isa=None,
    ):
        if input.shape[0] != out.shape[0]:
            raise ShapeError(f"relu: out must be as long as the input; "
                             f"expected {input.shape[0]}, got {out.shape[0]}")
        self.keep = (input, out)
        self.work, self.job = relu_stretches, &self.relu
        if out.shape[0]:
            self.relu = Relu(&input[0], &out[0], out.shape[0])


def relu(input, *, out=None):
    """Twin of :func:`decaf.layers.relu`, float32 only."""
    out = check_relu(input, out)
    ReluStep(single("relu", input).reshape(-1), out.reshape(-1)).run()
    return out
