/* Tiles of a fully connected layer, for one instruction set; tiles.h includes this file.
 *
 * Macros beyond those of tiles.h:
 *
 *   IMAGES    most images in a tile
 *   WIDEN(p)  LANES float16 from p on as float32, if the instruction set has it
 *
 * Weights are float32 or float16.  A float16 is widened in a register, which is exact; all
 * arithmetic is float32.
 *
 * The lanes of a vector sum every LANES-th term of a row, in blocks of DOT_BLOCK terms, and are
 * added up at the end.  So the order of a sum depends on D and LANES alone.
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

/* sums[o][n] += lane by lane, sum over d of weight[o][d] * input[n][d], d in steps of LANES
 *
 * A few rows of the weights against a few images.  `depth` is a multiple of LANES.  sums holds
 * LANES partial sums an output, to which blocks of DOT_BLOCK terms are added: that keeps the
 * rounding error of D terms near that of D / DOT_BLOCK.
 *
 * Meanwhile the first `ahead_rows` rows at `ahead`, which will be wanted soon, are fetched from
 * memory: the processor by itself does not look beyond the end of a page. */
TARGET ALWAYS_INLINE void ISA(dot_sums)(const int rows, const int images, const int half,
                                        const Dots *dots, ptrdiff_t depth, const char *weight,
                                        const float *input, float *sums, const char *ahead,
                                        int ahead_rows) {
    const ptrdiff_t size = half ? 2 : 4, line = 64 / size; /* bytes; weights in a cache line */
    const ptrdiff_t weight_row = dots->weight_row, input_row = dots->input_row;
    const ptrdiff_t sums_row = dots->images * LANES;
    for (ptrdiff_t first = 0; first < depth; first += DOT_BLOCK) {
        const ptrdiff_t last = first + DOT_BLOCK < depth ? first + DOT_BLOCK : depth;
        VEC a[DOT_ROWS][IMAGES];
        UNROLL for (int o = 0; o < rows; o++)
            UNROLL for (int n = 0; n < images; n++) a[o][n] = (VEC){0};
        for (ptrdiff_t d = first; d < last; d += LANES) {
            VEC x[IMAGES];
            if (LANES >= line || d % line == 0)
                UNROLL for (int o = 0; o < DOT_ROWS; o++)
                    if (o < ahead_rows) PREFETCH(ahead + o * weight_row + d * size);
            UNROLL for (int n = 0; n < images; n++) x[n] = LOAD(input + n * input_row + d);
            UNROLL for (int o = 0; o < rows; o++) {
                const VEC w = ISA(weights_at)(weight + o * weight_row, d, half);
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
                ISA(dot_sums)(1, 1, half, dots, depth, weight + o * dots->weight_row,
                              input + n * dots->input_row,
                              sums + (o * dots->images + n) * LANES, ahead, 0);
        return;
    }
#define CASE(i)                                                                         \
    case i:                                                                             \
        ISA(dot_sums)(DOT_ROWS, i, half, dots, depth, weight, input, sums, ahead,       \
                      ahead_rows);                                                      \
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
