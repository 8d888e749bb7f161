"""Which instruction sets there are, and the best or a named one of them."""

from decaf.errors import ArchitectureError

cdef extern from "isa_list.h":
    int isa_list(const Isa** found) noexcept

cdef const Isa* _found[8]
cdef int _count = isa_list(_found)


def available():
    """Names of the instruction sets that this processor has, best first."""
    return tuple(_found[i].name.decode() for i in range(_count))


cdef const Isa* pick(str name) except NULL:
    """The instruction set of that name; None picks the best."""
    cdef int i
    for i in range(_count):
        if name is None or _found[i].name.decode() == name:
            return _found[i]
    raise ArchitectureError(
        f"instruction set must be one that this processor has; "
        f"expected one of {', '.join(available())}, got {name!r}"
    )
