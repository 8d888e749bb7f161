"""How output channels are cut into panels, each as wide as a register tile at most.

The channels of a group are rounded up to whole vectors, and the vectors shared out as evenly as
possible: 256 channels are 3, 3, 3, 3, 2, 2 vectors of 16 rather than 3, 3, 3, 3, 3, 1.
"""

from decaf._kernels.isa cimport Isa

cdef struct Panels:
    Py_ssize_t channels  # of a group
    Py_ssize_t lanes
    Py_ssize_t vectors   # of a group
    Py_ssize_t count     # panels of a group


cdef inline Panels cut(const Isa* isa, Py_ssize_t channels) noexcept nogil:
    cdef Panels panels
    panels.channels = channels
    panels.lanes = isa.lanes
    panels.vectors = (channels + isa.lanes - 1) // isa.lanes
    panels.count = (panels.vectors + isa.vectors - 1) // isa.vectors
    return panels


cdef inline Py_ssize_t start(const Panels* panels, Py_ssize_t number) noexcept nogil:
    """First vector of a panel; that of panel ``count`` is the number of vectors."""
    return panels.vectors * number // panels.count


cdef inline Py_ssize_t width(const Panels* panels) noexcept nogil:
    """Channels of a group, rounded up to whole vectors."""
    return panels.vectors * panels.lanes
