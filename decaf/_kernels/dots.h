/* Tiles of a fully connected layer, for one instruction set; tiles.h includes this file.
 *
 * Macros beyond those of tiles.h:
 *
 *   WIDEN(p)  LANES float16 from p on as float32, if the instruction set has it
 *
 * Weights are float32 or float16.  A float16 is widened in a register, which is exact; all
 * arithmetic is float32.
 *
 * The lanes of a vector sum every LANES-th term of a row, in blocks of DOT_BLOCK terms, and are
 * added up at the end.  So the order of a sum depends on D and LANES alone: a row that is read
 * where it lies and one that is read from a panel give the same bits.
 *
 *   sums   rows, images, LANES               partial sums, images being those of a task
 *   panel  DOT_BLOCK/LANES, PANEL_ROWS, LANES  one block of a few rows, float32
 *
 * A panel lies in the nearest cache while many images pass it.  The rows themselves are many
 * pages long, so that equal places in them compete for the same lines of a cache.
 */

#ifndef WIDEN
#ifdef VECTOR_EXTENSIONS
typedef uint16_t ISA(halves) __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef uint32_t ISA(bits) __attribute__((vector_size(4 * LANES)));

/* As float_of_half, all lanes at once. */
TARGET ALWAYS_INLINE VEC ISA(widen)(const uint16_t *p) {
    typedef ISA(bits) Bits;
    const Bits half = __builtin_convertvector(*(const ISA(halves) *)p, Bits);
    Bits bits = (half & 0x7fff) << 13;
    const Bits huge = (Bits)((bits & HALF_EXPONENT) == HALF_EXPONENT);
    const Bits tiny = (Bits)((bits & HALF_EXPONENT) == 0);
    bits += HALF_BIAS + (huge & HALF_BIAS) + (tiny & HALF_ONE);
    bits = (Bits)((VEC)bits - (VEC)(tiny & HALF_LOWEST));
    return (VEC)(bits | (half & 0x8000) << 16);
}
#define WIDEN(p) ISA(widen)(p)
#else
#define WIDEN(p) float_of_half(*(p))
#endif
#endif

/* LANES weights from place d on. */
TARGET ALWAYS_INLINE VEC ISA(weights_at)(const void *row, ptrdiff_t d, const int half) {
    if (!half) return LOAD((const float *)row + d);
    return WIDEN((const uint16_t *)row + d);
}

/* Ask memory for what the first `rows` rows, at most `most`, have at place d: once for each
 * cache line. */
TARGET ALWAYS_INLINE void ISA(fetch)(const int most, const int half, ptrdiff_t row, ptrdiff_t d,
                                     const char *ahead, int rows) {
    const ptrdiff_t size = half ? 2 : 4, line = 64 / size; /* bytes; weights in a cache line */
    if (LANES >= line || d % line == 0)
        UNROLL for (int o = 0; o < most; o++)
            if (o < rows) PREFETCH(ahead + o * row + d * size);
}

/* sums[o][n] += lane by lane, sum over d of weight[o][d] * input[n][d], d in steps of LANES
 *
 * A few rows of the weights, or a panel of them, against a few images.  `depth` is a multiple of
 * LANES, and at most DOT_BLOCK for a panel.  sums holds LANES partial sums an output, to which
 * blocks of DOT_BLOCK terms are added: that keeps the rounding error of D terms near that of
 * D / DOT_BLOCK.
 *
 * Meanwhile the first `ahead_rows` rows at `ahead`, which will be wanted soon, are fetched from
 * memory: the processor by itself does not look beyond the end of a page. */
TARGET ALWAYS_INLINE void ISA(dot_sums)(const int rows, const int images, const int half,
                                        const int panel, const Dots *dots,
                                        const ptrdiff_t input_row, ptrdiff_t depth,
                                        const char *weight, const float *input, float *sums,
                                        const char *ahead, int ahead_rows) {
    const ptrdiff_t weight_row = dots->weight_row, sums_row = dots->images * LANES;
    for (ptrdiff_t first = 0; first < depth; first += DOT_BLOCK) {
        const ptrdiff_t last = first + DOT_BLOCK < depth ? first + DOT_BLOCK : depth;
        VEC a[PANEL_ROWS][IMAGES];
        UNROLL for (int o = 0; o < rows; o++)
            UNROLL for (int n = 0; n < images; n++) a[o][n] = (VEC){0};
        for (ptrdiff_t d = first; d < last; d += LANES) {
            VEC x[IMAGES];
            ISA(fetch)(panel ? PANEL_ROWS : DOT_ROWS, half, weight_row, d, ahead, ahead_rows);
            UNROLL for (int n = 0; n < images; n++) x[n] = LOAD(input + n * input_row + d);
            UNROLL for (int o = 0; o < rows; o++) {
                VEC w = panel ? LOAD((const float *)weight + d * PANEL_ROWS + o * LANES)
                              : ISA(weights_at)(weight + o * weight_row, d, half);
                if (panel) KEEP(w); /* else memory is what it waits for */
                UNROLL for (int n = 0; n < images; n++) a[o][n] += w * x[n];
            }
        }
        UNROLL for (int o = 0; o < rows; o++) UNROLL for (int n = 0; n < images; n++) {
            float *sum = sums + o * sums_row + n * LANES;
            STORE(sum, LOAD(sum) + a[o][n]);
        }
    }
}

/* The same for any number of rows and images up to DOT_ROWS and IMAGES. */
TARGET ALWAYS_INLINE void ISA(dots)(const int half, const Dots *dots, int rows, int images,
                                    ptrdiff_t depth, const char *weight,
                                    const float *input, float *sums, const char *ahead,
                                    int ahead_rows) {
    if (rows < DOT_ROWS) { /* the last few rows of a layer, one by one */
        for (int o = 0; o < rows; o++)
            for (int n = 0; n < images; n++)
                ISA(dot_sums)(1, 1, half, 0, dots, 0, depth, weight + o * dots->weight_row,
                              input + n * dots->input_row,
                              sums + (o * dots->images + n) * LANES, ahead, 0);
        return;
    }
#define CASE(i)                                                                         \
    case i:                                                                             \
        ISA(dot_sums)(DOT_ROWS, i, half, 0, dots, dots->input_row, depth, weight,       \
                      input, sums, ahead, ahead_rows);                                  \
        break;
    switch (images) {
        CASE(1)
#if IMAGES >= 2
        CASE(2)
#endif
#if IMAGES >= 3
        CASE(3)
#endif
#if IMAGES >= 6
        CASE(4)
        CASE(5)
        CASE(6)
#endif
    }
#undef CASE
}

TARGET static void ISA(dot_tile)(const Dots *dots, int rows, int images, ptrdiff_t depth,
                                 const char *weight, const float *input, float *sums,
                                 const char *ahead, int ahead_rows) {
    if (dots->half)
        ISA(dots)(1, dots, rows, images, depth, weight, input, sums, ahead, ahead_rows);
    else
        ISA(dots)(0, dots, rows, images, depth, weight, input, sums, ahead, ahead_rows);
}

/* Copy a block of up to PANEL_ROWS rows to a panel, with zeros for rows that lack. */
TARGET ALWAYS_INLINE void ISA(copy)(const int rows, const int half, const Dots *dots,
                                    ptrdiff_t depth, const char *weight, float *panel,
                                    const char *ahead, int ahead_rows) {
    for (ptrdiff_t d = 0; d < depth; d += LANES) {
        ISA(fetch)(2, half, dots->weight_row, d, ahead, ahead_rows);
        UNROLL for (int o = 0; o < rows; o++)
            STORE(panel + d * PANEL_ROWS + o * LANES,
                  ISA(weights_at)(weight + o * dots->weight_row, d, half));
    }
}

TARGET static void ISA(dot_panel)(const Dots *dots, int rows, ptrdiff_t depth,
                                  const char *weight, float *panel, const char *ahead,
                                  int ahead_rows) {
    const int half = dots->half;
    if (rows == PANEL_ROWS && half) {
        ISA(copy)(PANEL_ROWS, 1, dots, depth, weight, panel, ahead, ahead_rows);
    } else if (rows == PANEL_ROWS) {
        ISA(copy)(PANEL_ROWS, 0, dots, depth, weight, panel, ahead, ahead_rows);
    } else { /* the last few rows of a layer, one by one */
        memset(panel, 0, (size_t)(PANEL_ROWS * depth) * sizeof *panel);
        for (int o = 0; o < rows; o++)
            ISA(copy)(1, half, dots, depth, weight + o * dots->weight_row, panel + o * LANES,
                      ahead, 0);
    }
}

/* sums += a whole panel times up to PANEL_IMAGES images, which lie DOT_BLOCK floats apart. */
TARGET static void ISA(dot_panel_tile)(const Dots *dots, int images, ptrdiff_t depth,
                                       const float *panel, const float *input, float *sums,
                                       const char *ahead, int ahead_rows) {
    const char *weight = (const char *)panel;
#define CASE(i)                                                                         \
    case i:                                                                             \
        ISA(dot_sums)(PANEL_ROWS, i, dots->half, 1, dots, DOT_BLOCK, depth, weight,     \
                      input, sums, ahead, ahead_rows);                                  \
        break;
    switch (images) {
        CASE(1)
        CASE(2)
#if PANEL_IMAGES >= 3
        CASE(3)
#endif
    }
#undef CASE
}

/* Sum of the lanes, in a fixed order. */
TARGET ALWAYS_INLINE float ISA(lanes_total)(const float *sums) {
#if LANES >= 4
    FOUR total = LOAD_FOUR(sums);
    UNROLL for (int l = 4; l < LANES; l += 4) total += LOAD_FOUR(sums + l);
    return (total[0] + total[2]) + (total[1] + total[3]);
#else
    return sums[0];
#endif
}

/* out[n][o] = total of sums[o][n] + the last `tail` terms of the row + bias[o], with ReLU if
 * wanted; `weight` and `input` begin at the tail. */
TARGET static void ISA(dot_finish)(const Dots *dots, int rows, ptrdiff_t tail, const char *weight,
                                   const float *input, const float *sums, const float *bias,
                                   int relu, float *out) {
    for (ptrdiff_t n = 0; n < dots->images; n++)
        for (ptrdiff_t o = 0; o < rows; o++) {
            const char *row = weight + o * dots->weight_row;
            float total = ISA(lanes_total)(sums + (o * dots->images + n) * LANES);
            for (ptrdiff_t d = 0; d < tail; d++) {
                const float w = dots->half ? float_of_half(((const uint16_t *)row)[d])
                                           : ((const float *)row)[d];
                total += w * input[n * dots->input_row + d];
            }
            if (bias) total += bias[o];
            out[n * dots->outputs + o] = relu && total < 0.0f ? 0.0f : total;
        }
}
