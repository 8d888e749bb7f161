"""How threads share the steps of a plan: they take numbered tasks from one counter.

A kernel cuts its work into tasks by shape alone, never by the number of threads, and every
task writes values of its own.  So it does not matter who does which task, or when: the
answer is the same for any number of threads.

A whole plan runs without the GIL: between two steps there are some atomic operations, no lock and
no system call.  That matters for a single photo, whose twenty steps take some milliseconds in
all, while to wake a thread takes a twentieth of one, and can take several.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long long tv_sec
        long tv_nsec
    int TIME_UTC
    int timespec_get(timespec* now, int base)

cdef enum:
    AWAKE = 0
    ASLEEP = 1

cdef double PATIENCE = 0.0005  # seconds for which an idle helper looks out for the next run


cdef class Step:
    """See crew.pxd."""

    def run(self):
        """Do the step on the calling thread alone."""
        Program((self,)).run()


cdef class Program:
    """Steps in order of execution."""

    cdef readonly tuple steps
    cdef Work** works
    cdef void** jobs

    def __cinit__(self, steps):
        cdef Step step
        self.steps = tuple(steps)
        self.works = <Work**>calloc(len(self.steps) + 1, sizeof(void*))
        self.jobs = <void**>calloc(len(self.steps) + 1, sizeof(void*))
        if self.works == NULL or self.jobs == NULL:
            raise MemoryError
        for i, each in enumerate(self.steps):
            step = each
            if step.work == NULL:
                raise TypeError(f"{type(each).__name__}: must be a step of a kernel, made ready")
            self.works[i], self.jobs[i] = step.work, step.job

    def __dealloc__(self):
        free(self.works)
        free(self.jobs)

    def run(self, Helpers helpers=None):
        """Do all steps on the calling thread, with those helpers that come."""
        cdef Crew alone
        cdef Crew* crew = &alone
        cdef Py_ssize_t i, count = len(self.steps)
        if helpers is not None:
            crew = &helpers.crew
        else:
            memset(&alone, 0, sizeof(Crew))
        with nogil:
            for i in range(count):
                crew_lead(crew, self.works[i], self.jobs[i])
        if helpers is not None:
            atomic_set(&helpers.running, 0)


cdef class Helpers:
    """The state that a leader and its helpers share.

    Parameters
    ----------
    size : int
        Members, with the leader, who is member 0.
    """

    cdef Crew crew
    cdef shared_long leaving
    cdef shared_long running  # programs that count on helpers: one, or none
    cdef shared_long* state  # size: AWAKE or ASLEEP

    cdef readonly int size

    def __cinit__(self, unsigned short size):
        cdef int member
        self.size = size
        self.running = 0
        self.state = <shared_long*>calloc(size, sizeof(shared_long))
        if self.state == NULL:
            raise MemoryError
        for member in range(size):
            self.state[member] = ASLEEP

    def __dealloc__(self):
        free(self.state)

    def sleepers(self):
        """Members that sleep, and count as awake from now on: the caller wakes them.

        Call it before a program is run: from now to the end of that no helper falls asleep.
        """
        cdef int member
        atomic_set(&self.running, 1)
        return [
            member for member in range(1, self.size)
            if atomic_swap(&self.state[member], AWAKE) == ASLEEP
        ]

    def dismiss(self):
        """Have every helper leave when it next has nothing to do."""
        atomic_set(&self.leaving, 1)

    def help(self, int member):
        """Take part in whatever is run, until there was nothing for a while.

        Returns
        -------
        bool
            Whether to sleep until woken and then come back; False once dismissed.
        """
        with nogil:
            self._help(member)
        return atomic_get(&self.leaving) == 0

    cdef void _help(self, int member) noexcept nogil:
        cdef long seen = 0
        cdef int spins = 0
        cdef double idle_since = 0
        while True:
            if crew_join(&self.crew, &seen, member):
                spins, idle_since = 0, 0
                continue
            if wait_a_little(&spins):
                continue
            if idle_since == 0:
                idle_since = clock()
            elif 0 <= clock() - idle_since <= PATIENCE and not atomic_get(&self.leaving):
                continue  # (somebody may set the clock)
            else:
                atomic_set(&self.state[member], ASLEEP)
                # A leader who came too early to see that still counts on this helper.
                if (
                    atomic_get(&self.leaving)
                    or not atomic_get(&self.running)
                    or not atomic_claim(&self.state[member], ASLEEP, AWAKE)
                ):
                    return
                idle_since = 0


cdef double clock() noexcept nogil:
    """Seconds."""
    cdef timespec now
    timespec_get(&now, TIME_UTC)
    return now.tv_sec + 1e-9 * now.tv_nsec
