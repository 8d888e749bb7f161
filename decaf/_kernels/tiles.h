/* The two inner loops in which a network spends its time, for one instruction set.
 *
 * isa_list.h includes this file once for each instruction set, with these macros set:
 *
 *   ISA(name)  the name with a suffix of the instruction set
 *   TARGET     function attribute that switches the instruction set on
 *   LANES      floats in a vector register
 *   ROWS       output channels in a convolution tile
 *   VECTORS    most vectors of pixels in a convolution tile
 *   IMAGES     most images in a dot tile
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
#define VEC ISA(vec)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))
#else
typedef float VEC; /* a compiler without vector extensions: LANES is 1 */
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#endif

/* sums[r][j] = sum over k of weights[k][r] * columns[k][j]
 *
 * weights k,ROWS and columns k,vectors*LANES lie one k behind the other.  Long sums are
 * taken in blocks of BLOCK terms, which keeps the rounding error of K terms near that of
 * K / BLOCK. */
TARGET ALWAYS_INLINE void ISA(conv_sums)(const int vectors, ptrdiff_t depth,
                                         const float *weights, const float *columns,
                                         float sums[ROWS][VECTORS * LANES]) {
    for (ptrdiff_t first = 0; first < depth; first += BLOCK) {
        const ptrdiff_t last = first + BLOCK < depth ? first + BLOCK : depth;
        VEC acc[ROWS][VECTORS];
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = (VEC){0};
        for (ptrdiff_t k = first; k < last; k++) {
            const float *w = weights + k * ROWS;
            const float *column = columns + k * vectors * LANES;
            VEC x[VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) x[v] = LOAD(column + v * LANES);
            UNROLL for (int r = 0; r < ROWS; r++)
                UNROLL for (int v = 0; v < vectors; v++) acc[r][v] += x[v] * w[r];
        }
        UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < vectors; v++) {
            float *sum = &sums[r][v * LANES];
            if (first > 0) acc[r][v] += LOAD(sum);
            STORE(sum, acc[r][v]);
        }
    }
}

/* A tile of a convolution: `rows` channels times `pixels` places, with bias and ReLU.
 *
 * out[r * stride + j] for r < rows, j < pixels; vectors * LANES >= pixels, the columns
 * beyond `pixels` are padding and their sums are dropped. */
TARGET static void ISA(conv_tile)(int vectors, ptrdiff_t depth, const float *weights,
                                  const float *columns, const float *bias, int relu, int rows,
                                  int pixels, float *out, ptrdiff_t stride) {
    float sums[ROWS][VECTORS * LANES];
    switch (vectors) {
#if VECTORS >= 3
    case 3: ISA(conv_sums)(3, depth, weights, columns, sums); break;
#endif
#if VECTORS >= 2
    case 2: ISA(conv_sums)(2, depth, weights, columns, sums); break;
#endif
    default: ISA(conv_sums)(1, depth, weights, columns, sums);
    }
    for (int r = 0; r < rows; r++) {
        float *row = out + r * stride;
        const float b = bias ? bias[r] : 0.0f;
        if (relu) {
            for (int j = 0; j < pixels; j++) row[j] = RELU(sums[r][j] + b);
        } else {
            for (int j = 0; j < pixels; j++) row[j] = sums[r][j] + b;
        }
    }
}

/* acc[o][n] += lane by lane, sum over d of weight[o][d] * input[n][d], d in steps of LANES
 *
 * A few rows of the weights against a few images.  `depth` is a multiple of LANES.  acc holds
 * LANES partial sums an output, to which blocks of DOT_BLOCK terms are added: as in the
 * convolution, for the sake of the rounding error. */
TARGET ALWAYS_INLINE void ISA(dot_sums)(const int rows, const int images, ptrdiff_t depth,
                                        const float *weight, ptrdiff_t weight_stride,
                                        const float *input, ptrdiff_t input_stride, float *acc,
                                        ptrdiff_t acc_stride) {
    for (ptrdiff_t first = 0; first < depth; first += DOT_BLOCK) {
        const ptrdiff_t last = first + DOT_BLOCK < depth ? first + DOT_BLOCK : depth;
        VEC a[DOT_ROWS][IMAGES];
        UNROLL for (int o = 0; o < rows; o++)
            UNROLL for (int n = 0; n < images; n++) a[o][n] = (VEC){0};
        for (ptrdiff_t d = first; d < last; d += LANES) {
            VEC w[DOT_ROWS];
            UNROLL for (int o = 0; o < rows; o++) w[o] = LOAD(weight + o * weight_stride + d);
            UNROLL for (int n = 0; n < images; n++) {
                const VEC x = LOAD(input + n * input_stride + d);
                UNROLL for (int o = 0; o < rows; o++) a[o][n] += w[o] * x;
            }
        }
        UNROLL for (int o = 0; o < rows; o++) UNROLL for (int n = 0; n < images; n++) {
            float *sum = acc + o * acc_stride + n * LANES;
            STORE(sum, LOAD(sum) + a[o][n]);
        }
    }
}

TARGET static void ISA(dot_tile)(int rows, int images, ptrdiff_t depth, const float *weight,
                                 ptrdiff_t weight_stride, const float *input,
                                 ptrdiff_t input_stride, float *acc, ptrdiff_t acc_stride) {
    if (rows < DOT_ROWS) { /* the last few rows of a layer, one by one */
        for (int o = 0; o < rows; o++)
            for (int n = 0; n < images; n++)
                ISA(dot_sums)(1, 1, depth, weight + o * weight_stride, weight_stride,
                              input + n * input_stride, input_stride,
                              acc + o * acc_stride + n * LANES, acc_stride);
        return;
    }
#define CASE(i)                                                                       \
    case i:                                                                           \
        ISA(dot_sums)(DOT_ROWS, i, depth, weight, weight_stride, input, input_stride, \
                      acc, acc_stride);                                               \
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

static const Isa ISA(isa) = {ISA_NAME, LANES, ROWS, VECTORS, IMAGES, ISA(conv_tile), ISA(dot_tile)};

#undef VEC
#undef LOAD
#undef STORE
#undef ISA
#undef ISA_NAME
#undef TARGET
#undef LANES
#undef ROWS
#undef VECTORS
#undef IMAGES
