cdef void copy_row(
    const float* input, Py_ssize_t w, Py_ssize_t first, Py_ssize_t step,
    float* out, Py_ssize_t count) noexcept nogil
