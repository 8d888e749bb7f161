/* What a core can do at most: see probe.py, which compiles this for the processor it runs on.

   WIDTH: bytes of a vector register.  CHAINS: registers in use; a multiply-add waits some four
   cycles for the one before it in its chain, and a core may finish two or four in each. */

#include <stddef.h>

typedef float vector __attribute__((vector_size(WIDTH)));

#define LANES (WIDTH / sizeof(float))
#define LINE 64 /* bytes of a cache line */

static inline __attribute__((always_inline)) float sum(const vector *chain, size_t count)
{
    vector total = {0};
#pragma GCC unroll 32
    for (size_t i = 0; i < count; i++)
        total += chain[i];
    float lanes[LANES];
    __builtin_memcpy(lanes, &total, WIDTH);
    float result = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        result += lanes[lane];
    return result;
}

/* `rounds` multiply-adds in each lane of each chain. */
float multiply_add(size_t rounds, float factor, float term)
{
    vector chain[CHAINS]; /* in registers, where loops over it are unrolled */
#pragma GCC unroll 32
    for (size_t i = 0; i < CHAINS; i++)
        chain[i] = (vector){0} + i * term; /* all different, or one would do */
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 32
        for (size_t i = 0; i < CHAINS; i++)
            chain[i] = chain[i] * factor + term; /* near term / (1 - factor) */
    return sum(chain, CHAINS);
}

size_t multiply_adds_a_round(void)
{
    return CHAINS * LANES;
}

/* Read `count` floats, a multiple of a cache line, as four streams side by side. */
float read_all(const float *values, size_t count)
{
    vector chain[4] = {{0}};
    const size_t vectors = LINE / WIDTH; /* in a line */
    const size_t quarter = count / 4 / LANES / vectors * vectors;
    const vector *from = (const vector *)values;
    for (size_t i = 0; i < quarter; i += vectors)
#pragma GCC unroll 4
        for (size_t stream = 0; stream < 4; stream++)
#pragma GCC unroll 4
            for (size_t part = 0; part < vectors; part++)
                chain[stream] += from[stream * quarter + i + part];
    return sum(chain, 4);
}
