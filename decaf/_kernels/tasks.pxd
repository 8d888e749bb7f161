cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    typedef volatile long decaf_counter;
    #define decaf_take(c) (_InterlockedExchangeAdd((c), 1))
    #else
    typedef long decaf_counter;
    #define decaf_take(c) (__atomic_fetch_add((c), 1, __ATOMIC_RELAXED))
    #endif
    """
    ctypedef long decaf_counter
    long decaf_take(decaf_counter* counter) noexcept nogil

cdef class Tasks:
    cdef decaf_counter _next
    cdef decaf_counter _member

    cdef inline long take(self) noexcept nogil:
        """Number of the next task; every number is handed out once."""
        return decaf_take(&self._next)

    cdef inline long join(self) noexcept nogil:
        """Number of the calling thread among those that work on this step."""
        return decaf_take(&self._member)
