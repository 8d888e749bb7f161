"""ReLU: the fast twin of ``decaf.layers.relu``.  A task is a stretch of values."""

from decaf._kernels.tasks cimport Tasks

from decaf._kernels.arrays import single
from decaf.layers.relu import check_relu

cdef Py_ssize_t STRETCH = 16384


def run_relu(
    Tasks tasks,
    const float[::1] input,  # IN
    float[::1] out,          # OUT  may be the input
):
    """Take part in ``out = relu(input)`` until no task is left."""
    cdef Py_ssize_t size = input.shape[0], first, i
    with nogil:
        first = tasks.take() * STRETCH
        while first < size:
            for i in range(first, min(first + STRETCH, size)):
                out[i] = 0.0 if input[i] < 0.0 else input[i]  # NaN stays NaN
            first = tasks.take() * STRETCH


def relu(input, *, out=None):
    """Twin of :func:`decaf.layers.relu`, float32 only."""
    out = check_relu(input, out)
    run_relu(Tasks(), single("relu", input).reshape(-1), out.reshape(-1))
    return out
