/* Winograd's transformations of one tile, for one instruction set; see winograd.pyx.
 *
 * F(4, r): 4 outputs of a filter with r taps from n = r + 3 inputs, by n products instead of 4 r.
 * Two polynomials are multiplied by their values at n - 1 points and "at infinity":
 *
 *   points      0, +-p1, +-p2 (, +-p3), infinity     PAIRS of opposite points: 2 for r = 3,
 *                                                    3 for r = 5
 *
 * Opposite points share their even and their odd part, which halves the work.  All constants are
 * exact in float32, and scaling a row by a power of two would change no bit.  With 3/4 and 3/2 the
 * error of F(4, 3) is a third of that with the textbook's 1 and 2 (benchmarks/ladder_conv.py).
 */
#define MOST 8 /* n at most */

/* y = B^T x, n values to n values: points in the order 0, +p1, -p1, +p2, -p2, ..., infinity */
TARGET ALWAYS_INLINE void ISA(winograd_b)(const int pairs, const VEC *x, ptrdiff_t step, VEC *y) {
    const float(*products)[4] = pairs == 2 ? winograd_products2 : winograd_products3;
    VEC zero = x[0] * products[pairs][0], infinity = x[step] * products[pairs][0];
    UNROLL for (int k = 1; k <= pairs; k++) {
        zero += x[2 * k * step] * products[pairs][k];
        infinity += x[(2 * k + 1) * step] * products[pairs][k];
    }
    y[0] = zero;
    y[2 * pairs + 1] = infinity;
    UNROLL for (int i = 0; i < pairs; i++) {
        VEC odd = x[step] * products[i][0], even = x[2 * step] * products[i][0];
        UNROLL for (int k = 1; k < pairs; k++) {
            odd += x[(2 * k + 1) * step] * products[i][k];
            even += x[(2 * k + 2) * step] * products[i][k];
        }
        odd *= winograd_points[pairs][i];
        y[2 * i + 1] = even + odd;
        y[2 * i + 2] = even - odd;
    }
}

/* y = A^T x, n values to 4 */
TARGET ALWAYS_INLINE void ISA(winograd_a)(const int pairs, const VEC *x, ptrdiff_t step, VEC *y) {
    VEC y0 = x[0], y1 = (VEC){0}, y2 = (VEC){0}, y3 = x[(2 * pairs + 1) * step];
    UNROLL for (int i = 0; i < pairs; i++) {
        const float p = winograd_points[pairs][i];
        const VEC plus = x[(2 * i + 1) * step], minus = x[(2 * i + 2) * step];
        const VEC sum = plus + minus, difference = (plus - minus) * p;
        y0 += sum;
        y1 += difference;
        y2 += sum * (p * p);
        y3 += difference * (p * p);
    }
    y[0] = y0, y[1] = y1, y[2] = y2, y[3] = y3;
}

/* v[point] = B^T x B for n*n pixels, LANES channels of each, of which `count` exist */
TARGET ALWAYS_INLINE void ISA(winograd_input_v)(const int pairs, const float *const *x,
                                                ptrdiff_t c, ptrdiff_t count, float *v,
                                                ptrdiff_t point) {
    const int n = 2 * pairs + 2;
    VEC half[MOST][MOST]; /* j, point */
    for (int j = 0; j < n; j++) {
        VEC column[MOST];
        UNROLL for (int i = 0; i < n; i++) column[i] = ISA(load)(x[i * n + j] + c, count);
        ISA(winograd_b)(pairs, column, 1, half[j]);
    }
    for (int i = 0; i < n; i++) {
        VEC whole[MOST];
        ISA(winograd_b)(pairs, &half[0][i], MOST, whole);
        UNROLL for (int j = 0; j < n; j++) STORE(v + (i * n + j) * point + c, whole[j]);
    }
}

/* The same for all channels of the n*n pixels that x points to.  v has room for whole vectors. */
TARGET ALWAYS_INLINE void ISA(winograd_input_n)(const int pairs, const float *const *x,
                                                ptrdiff_t channels, float *v, ptrdiff_t point) {
    ptrdiff_t c = 0;
    for (; c + LANES <= channels; c += LANES) ISA(winograd_input_v)(pairs, x, c, LANES, v, point);
    if (c < channels) ISA(winograd_input_v)(pairs, x, c, channels - c, v, point);
}

TARGET static void ISA(winograd_input)(int pairs, const float *const *x, ptrdiff_t channels,
                                       float *v, ptrdiff_t point) {
    if (pairs == 2) {
        ISA(winograd_input_n)(2, x, channels, v, point);
    } else {
        ISA(winograd_input_n)(3, x, channels, v, point);
    }
}

/* out = A^T m A + bias, with ReLU if wanted: 4*4 pixels, of which rows*columns exist */
TARGET ALWAYS_INLINE void ISA(winograd_output_n)(const int pairs, const float *m,
                                                 ptrdiff_t point, const float *bias, int relu,
                                                 int rows, int columns, ptrdiff_t channels,
                                                 float *out, ptrdiff_t row, ptrdiff_t pixel) {
    const int n = 2 * pairs + 2;
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const VEC b = LOAD(bias + c); /* padded to whole vectors */
        VEC half[MOST][4];            /* j, i */
        for (int j = 0; j < n; j++) {
            VEC column[MOST];
            UNROLL for (int i = 0; i < n; i++) column[i] = LOAD(m + (i * n + j) * point + c);
            ISA(winograd_a)(pairs, column, 1, half[j]);
        }
        for (int i = 0; i < rows; i++) {
            VEC y[4];
            ISA(winograd_a)(pairs, &half[0][i], 4, y);
            for (int j = 0; j < columns; j++) {
                VEC value = y[j] + b;
                if (relu) value = POSITIVE(value);
                ISA(store)(out + i * row + j * pixel + c, value, channels - c);
            }
        }
    }
}

TARGET static void ISA(winograd_output)(int pairs, const float *m, ptrdiff_t point,
                                        const float *bias, int relu, int rows, int columns,
                                        ptrdiff_t channels, float *out, ptrdiff_t row,
                                        ptrdiff_t pixel) {
    if (pairs == 2) {
        ISA(winograd_output_n)(2, m, point, bias, relu, rows, columns, channels, out, row, pixel);
    } else {
        ISA(winograd_output_n)(3, m, point, bias, relu, rows, columns, channels, out, row, pixel);
    }
}

#undef MOST
