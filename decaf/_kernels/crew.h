/* A crew: the thread that runs a program, and helpers that join it when they can.
 *
 * The leader posts one step after the other.  Whoever is there takes numbered tasks of it from
 * one counter until none is left; then the leader closes the step and waits for those that are
 * still at a task of it.  Nobody waits for a helper that has not come: one that starts late, or
 * that the system has put aside, only takes fewer tasks.
 *
 *   epoch   even: closed;  odd: a step is open.  Only the leader changes it.
 *   active  helpers that may be at a task of the open step
 *   next    number of the next task
 *
 * A helper first counts itself among the active and then looks whether the step it saw is still
 * open; the leader first closes the step and then looks whether anybody is active.  One of the two
 * sees the other, so no helper can slip into a step that the leader has left.  (Each writes first
 * and then reads what the other wrote: nothing weaker than sequential consistency will do.)
 */
#ifndef DECAF_CREW_H
#define DECAF_CREW_H

#if defined(_MSC_VER)
#include <intrin.h>
#include <windows.h>
#define atomic_add(p, n) (_InterlockedExchangeAdd((p), (n)))
#define atomic_get(p) (_InterlockedOr((p), 0))
#define atomic_set(p, n) ((void)_InterlockedExchange((p), (n)))
#define atomic_swap(p, n) (_InterlockedExchange((p), (n)))
#define atomic_claim(p, from, to) (_InterlockedCompareExchange((p), (to), (from)) == (from))
#define relax() YieldProcessor()
#define give_way() SwitchToThread()
typedef volatile long shared_long;
#else
#include <sched.h>
#define atomic_add(p, n) (__atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST))
#define atomic_get(p) (__atomic_load_n((p), __ATOMIC_SEQ_CST))
#define atomic_set(p, n) (__atomic_store_n((p), (n), __ATOMIC_SEQ_CST))
#define atomic_swap(p, n) (__atomic_exchange_n((p), (n), __ATOMIC_SEQ_CST))
static inline int atomic_claim(long *p, long from, long to) {
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
#if defined(__x86_64__) || defined(__i386__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() ((void)0)
#endif
#define give_way() sched_yield()
typedef long shared_long;
#endif

#define SPINS 512 /* looks before a waiting thread gives way to others; some microseconds */

typedef struct Crew Crew;
typedef void Work(void *job, Crew *crew, int member);

struct Crew {
    shared_long next; /* each on a cache line of its own: threads write them all the time */
    char apart1[128];
    shared_long active;
    char apart2[128];
    shared_long epoch;
    Work *work;
    void *job;
};

/* Number of the next task of the open step; every number is handed out once.  A member goes on
 * until it is given a number beyond the last task, and then takes no more. */
static inline long take(Crew *crew) { return atomic_add(&crew->next, 1); }

/* Wait for a moment; after many of them, let others have the core. Returns whether it kept it. */
static inline int wait_a_little(int *spins) {
    if (*spins < SPINS) {
        ++*spins;
        relax();
        return 1;
    }
    give_way();
    return 0;
}

/* For the leader: do one step, with all who come. */
static inline void crew_lead(Crew *crew, Work *work, void *job) {
    int spins = 0;
    crew->work = work;
    crew->job = job;
    atomic_set(&crew->next, 0);
    atomic_add(&crew->epoch, 1); /* open */
    work(job, crew, 0);
    atomic_add(&crew->epoch, 1); /* closed */
    while (atomic_get(&crew->active) > 0) wait_a_little(&spins);
}

/* For a helper: take part in the open step, if there is one. Returns whether there was. */
static inline int crew_join(Crew *crew, long *seen, int member) {
    const long epoch = atomic_get(&crew->epoch);
    if (epoch == *seen || epoch % 2 == 0) return 0;
    atomic_add(&crew->active, 1);
    if (atomic_get(&crew->epoch) == epoch) crew->work(crew->job, crew, member);
    atomic_add(&crew->active, -1);
    *seen = epoch;
    return 1;
}

#endif
