"""How several threads share one step: they take numbered tasks from one counter.

A kernel cuts its work into tasks by shape alone, never by the number of threads, and every
task writes values of its own.  So it does not matter who does which task, or when: the
answer is the same for any number of threads, and a thread that starts late or runs slowly
takes fewer tasks.
"""


cdef class Tasks:
    """The counter.  A fresh one, or a reset one, for every step."""

    def reset(self):
        """Start again at task 0 and member 0."""
        self._next = 0
        self._member = 0
