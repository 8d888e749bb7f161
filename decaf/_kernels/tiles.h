/* The two inner loops in which a network spends its time, for one instruction set.
 *
 * isa_list.h includes this file once for each instruction set, with these macros set:
 *
 *   ISA(name)  the name with a suffix of the instruction set
 *   TARGET     function attribute that switches the instruction set on
 *   LANES      floats in a vector register
 *   PIXELS     pixels in a convolution tile
 *   VECTORS    most vectors of output channels in a convolution tile
 *   IMAGES     most images in a dot tile
 *   PANEL_ROWS, PANEL_IMAGES  rows and most images in a dot tile that reads a panel
 *   PANEL_ABOVE               images above which panels are faster: float32, float16 weights
 *
 * Tiles are as large as the register file allows: every accumulator stays in a register for
 * the whole inner loop, so that it does nothing but multiply and add.
 *
 * Every output is summed in one fixed order that depends on its own operands alone, not on
 * where in a tile it lies or what else the tile computes.  That is why answers are
 * bit-identical for any batch size and any number of threads.
 */

#ifdef VECTOR_EXTENSIONS
typedef float ISA(vec) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ISA(ints) __attribute__((vector_size(4 * LANES)));
#define VEC ISA(vec)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))
#define POSITIVE(v) ((VEC)((ISA(ints))(v) & ~((v) < (VEC){0}))) /* NaN stays NaN, as in torch */
#else
typedef float VEC; /* a compiler without vector extensions: LANES is 1 */
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#define POSITIVE(v) ((v) < 0.0f ? 0.0f : (v))
#endif

/* What the kernels leave room for. */
typedef char ISA(fits)[PIXELS <= MOST_PIXELS && VECTORS * LANES <= MOST_WIDTH ? 1 : -1];

/* The first `count` floats of a vector, zeros behind them; all of it if count >= LANES. */
TARGET ALWAYS_INLINE VEC ISA(load)(const float *p, ptrdiff_t count) {
    float part[LANES] = {0};
    if (count >= LANES) return LOAD(p);
    for (ptrdiff_t i = 0; i < count; i++) part[i] = p[i];
    return LOAD(part);
}

TARGET ALWAYS_INLINE void ISA(store)(float *p, VEC v, ptrdiff_t count) {
    float part[LANES];
    if (count >= LANES) {
        STORE(p, v);
        return;
    }
    STORE(part, v);
    for (ptrdiff_t i = 0; i < count; i++) p[i] = part[i];
}

/* acc[p][v] = sum over k of x[p][k] * weights[k][v], in blocks of at most MAC_BLOCK terms
 *
 * The output channels lie in the vectors, so that a pixel is one number, broadcast: it is read
 * where it lies, and nothing has to be packed but the weights, once.  The terms k come in
 * segments that are contiguous in x; `weights` run on through all of them.  Blocks keep the
 * rounding error of K terms near that of K / MAC_BLOCK.  `next` is memory that will be wanted soon:
 * K cache lines of it are brought nearer on the way. */
TARGET ALWAYS_INLINE void ISA(mac_sums)(const int vectors, const Segment *segments,
                                        ptrdiff_t count, const float *const *x,
                                        const float *weights, const float *next,
                                        VEC sums[PIXELS][VECTORS]) {
    VEC acc[PIXELS][VECTORS];
    ptrdiff_t terms = 0;
    int blocks = 0;
    UNROLL for (int p = 0; p < PIXELS; p++)
        UNROLL for (int v = 0; v < vectors; v++) acc[p][v] = (VEC){0};
    for (ptrdiff_t s = 0; s < count; s++) {
        const ptrdiff_t length = segments[s].length;
        const float *pixel[PIXELS];
        FORGET; /* that x can stay in registers: the loop over k needs them all */
        if (terms > 0 && terms + length > MAC_BLOCK) {
            UNROLL for (int p = 0; p < PIXELS; p++) UNROLL for (int v = 0; v < vectors; v++) {
                if (blocks) acc[p][v] += sums[p][v];
                sums[p][v] = acc[p][v];
                acc[p][v] = (VEC){0};
            }
            blocks = 1;
            terms = 0;
        }
        UNROLL for (int p = 0; p < PIXELS; p++) pixel[p] = x[p] + segments[s].offset;
        for (ptrdiff_t k = 0; k < length; k++) {
            VEC w[VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) w[v] = LOAD(weights + v * LANES);
            UNROLL for (int p = 0; p < PIXELS; p++)
                UNROLL for (int v = 0; v < vectors; v++) acc[p][v] += w[v] * pixel[p][k];
            weights += vectors * LANES;
            PREFETCH(next);
            next += 16; /* a cache line */
        }
        terms += length;
    }
    UNROLL for (int p = 0; p < PIXELS; p++) UNROLL for (int v = 0; v < vectors; v++) {
        if (blocks) acc[p][v] += sums[p][v];
        sums[p][v] = acc[p][v];
    }
}

/* out[p][o] = sums[p][o] + bias[o], with ReLU if wanted, for p < pixels, o < outputs
 *
 * Weights and bias are padded to vectors * LANES outputs; x has PIXELS pointers, however many
 * pixels are wanted. */
TARGET static void ISA(mac_tile)(int vectors, const Segment *segments, ptrdiff_t count,
                                 const float *const *x, const float *weights,
                                 const float *next, const float *bias, int relu, int pixels,
                                 int outputs, float *out, ptrdiff_t stride) {
    VEC sums[PIXELS][VECTORS];
    switch (vectors) {
#if VECTORS >= 3
    case 3: ISA(mac_sums)(3, segments, count, x, weights, next, sums); break;
#endif
    case 2: ISA(mac_sums)(2, segments, count, x, weights, next, sums); break;
    default: ISA(mac_sums)(1, segments, count, x, weights, next, sums);
    }
    for (int p = 0; p < pixels; p++) {
        for (int v = 0; v < vectors; v++) {
            VEC y = sums[p][v];
            if (bias) y += LOAD(bias + v * LANES);
            if (relu) y = POSITIVE(y);
            ISA(store)(out + p * stride + v * LANES, y, outputs - v * LANES);
        }
    }
}

#include "dots.h"
#include "rows.h"
#include "winograd.h"

static const Isa ISA(isa) = {
    ISA_NAME, LANES, PIXELS, VECTORS, IMAGES, PANEL_ROWS, PANEL_IMAGES, PANEL_ABOVE, ISA(mac_tile),
    ISA(dot_tile), ISA(dot_panel), ISA(dot_panel_tile), ISA(dot_finish),
    ISA(winograd_input), ISA(winograd_output), ISA(max_window), ISA(mean_window),
    ISA(lrn_across), ISA(lrn_within),
};

#undef VEC
#undef LOAD
#undef STORE
#undef POSITIVE
#undef WIDEN
#undef ISA
#undef ISA_NAME
#undef TARGET
#undef LANES
#undef PIXELS
#undef VECTORS
#undef IMAGES
#undef PANEL_ROWS
#undef PANEL_IMAGES
#undef PANEL_ABOVE
