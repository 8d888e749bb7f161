/* The instruction sets: the inner loops of tiles.h, compiled once for each, picked at run time.
 *
 * What is shipped is compiled for the oldest processor of its family; only these loops come
 * in several versions.  No -march=native, no -ffast-math.
 */
#include "isa.h"

#define BLOCK 256 /* terms of a convolution that are summed before they join the rest */
#define RELU(x) ((x) < 0.0f ? 0.0f : (x)) /* NaN stays NaN, as in torch */

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)

#if defined(__GNUC__)
#define VECTOR_EXTENSIONS
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#else
#define ALWAYS_INLINE static __forceinline
#define UNROLL
#endif

#if defined(VECTOR_EXTENSIONS) && defined(__x86_64__)

/* AVX-512: 32 registers of 16 floats, 24 of them accumulators */
#define ISA(name) PASTE(name, avx512)
#define ISA_NAME "avx512"
#define TARGET __attribute__((target("avx512f,avx2,fma")))
#define LANES 16
#define ROWS 8
#define VECTORS 3
#define IMAGES 6
#include "tiles.h"

/* AVX2: 16 registers of 8 floats, 12 of them accumulators */
#define ISA(name) PASTE(name, avx2)
#define ISA_NAME "avx2"
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define ROWS 4
#define VECTORS 3
#define IMAGES 3
#include "tiles.h"

#endif

#ifdef VECTOR_EXTENSIONS /* SSE2 or NEON: 16 (32) registers of 4 floats */
#define LANES 4
#else
#define LANES 1
#endif
#define ISA(name) PASTE(name, baseline)
#define ISA_NAME "baseline"
#define TARGET
#define ROWS 4
#define VECTORS 2
#define IMAGES 2
#include "tiles.h"

/* The instruction sets that this processor has, best first. */
static int isa_list(const Isa **found) {
    int n = 0;
#if defined(VECTOR_EXTENSIONS) && defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        if (__builtin_cpu_supports("avx512f")) found[n++] = &isa_avx512;
        found[n++] = &isa_avx2;
    }
#endif
    found[n++] = &isa_baseline;
    return n;
}
