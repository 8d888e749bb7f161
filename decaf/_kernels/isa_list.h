/* The instruction sets: the inner loops of tiles.h, compiled once for each, picked at run time.
 *
 * What is shipped is compiled for the oldest processor of its family; only these loops come
 * in several versions.  No -march=native, no -ffast-math.
 */
#include "half.h"
#include "isa.h"
#include "winograd_points.h"

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)

#if defined(__GNUC__) && !defined(DECAF_PLAIN_C) /* the latter: to check the other branch */
#define VECTOR_EXTENSIONS
#define FORGET __asm__ volatile("" ::: "memory")
#define PREFETCH(p) __builtin_prefetch((p), 0, 3)
typedef float FOUR __attribute__((vector_size(16), aligned(4), may_alias));
#define LOAD_FOUR(p) (*(const FOUR *)(p))
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#ifdef __x86_64__ /* GCC would rather read v again for each use than keep it in a register */
#define KEEP(v) __asm__("" : "+v"(v))
#else
#define KEEP(v) ((void)(v))
#endif
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#else
#define FORGET ((void)0)
#define PREFETCH(p) ((void)(p))
#define KEEP(v) ((void)(v))
#define ALWAYS_INLINE static __forceinline
#define UNROLL
#endif

#if defined(VECTOR_EXTENSIONS) && defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

/* AVX-512: 32 registers of 16 floats, 24 of them accumulators */
#define ISA(name) PASTE(name, avx512)
#define ISA_NAME "avx512"
#define TARGET __attribute__((target("avx512f,avx2,fma")))
#define LANES 16
#define PIXELS 8
#define WIDEN(p) ((VEC)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p))))
#define VECTORS 3
#define IMAGES 6
#define PANEL_ROWS 8
#define PANEL_IMAGES 3
#define PANEL_ABOVE {12, 18}
#include "tiles.h"

/* AVX2: 16 registers of 8 floats, 12 of them accumulators */
#define ISA(name) PASTE(name, avx2)
#define ISA_NAME "avx2"
#define TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES 8
#define PIXELS 6
#define WIDEN(p) ((VEC)_mm256_cvtph_ps(_mm_loadu_si128((const void *)(p))))
#define VECTORS 2
#define IMAGES 3
#define PANEL_ROWS 4
#define PANEL_IMAGES 3
#define PANEL_ABOVE {NEVER, NEVER}
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
#define PIXELS 4
#define VECTORS 2
#define IMAGES 2
#define PANEL_ROWS 4
#define PANEL_IMAGES 2
#define PANEL_ABOVE {NEVER, 2} /* it takes long to widen a float16 */
#include "tiles.h"

#if defined(VECTOR_EXTENSIONS) && defined(__x86_64__)
static int f16c(void) { /* which __builtin_cpu_supports does not know everywhere */
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

/* The instruction sets that this processor has, best first. */
static int isa_list(const Isa **found) {
    int n = 0;
#if defined(VECTOR_EXTENSIONS) && defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        if (__builtin_cpu_supports("avx512f")) found[n++] = &isa_avx512;
        if (f16c()) found[n++] = &isa_avx2;
    }
#endif
    found[n++] = &isa_baseline;
    return n;
}
