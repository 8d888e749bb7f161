"""Steps, and the crew of threads that does them; see crew.h and crew.pyx."""

cdef extern from "crew.h" nogil:
    ctypedef long shared_long
    ctypedef struct Crew:
        pass
    ctypedef void Work(void* job, Crew* crew, int member) noexcept
    long take(Crew* crew)
    void crew_lead(Crew* crew, Work* work, void* job)
    int crew_join(Crew* crew, long* seen, int member)
    long atomic_get(shared_long* p)
    void atomic_set(shared_long* p, long n)
    long atomic_swap(shared_long* p, long n)
    int atomic_claim(shared_long* p, long expected, long n)
    int wait_a_little(int* spins)


cdef class Step:
    """One piece of work: a function, and the job that it is called with.

    A kernel has a subclass whose ``__init__`` checks shapes, fills the job with numbers and
    pointers, and keeps the arrays that these point into.  ``job`` points into the step itself,
    which the program keeps alive.
    """

    cdef Work* work
    cdef void* job
    cdef object keep
