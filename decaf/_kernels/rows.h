/* The loops over channels in pooling and LRN, for one instruction set.
 *
 * Included once for each instruction set, with ISA(name) and TARGET as in tiles.h.  The channels of
 * a pixel lie side by side, so plain loops over them are enough: the compiler turns them into
 * vectors as wide as TARGET offers, and deals with the last few channels.  No loop adds up *along*
 * a vector, so each result has one order of summation.
 *
 * A pixel is `channels` floats; a window is `height` rows of `width` pixels, `row` floats apart.
 */
#include <math.h>
#include <string.h>

#define MEAN_BLOCK 64 /* channels whose sums are kept at a time */

/* The larger one, or NaN where there is one.  Two choices without a jump between them. */
TARGET ALWAYS_INLINE float ISA(larger)(float a, float b) {
    const float most = a > b ? a : b; /* b, if b is NaN */
    return a == a ? most : a;
}

/* out[c] = maximum over the window of input[c]; -inf if the window is empty */
TARGET static void ISA(max_window)(const float *__restrict input, ptrdiff_t height,
                                   ptrdiff_t width, ptrdiff_t row, ptrdiff_t channels,
                                   float *__restrict out) {
    for (ptrdiff_t c = 0; c < channels; c++) out[c] = -INFINITY;
    for (ptrdiff_t y = 0; y < height; y++) {
        const float *pixel = input + y * row;
        for (ptrdiff_t x = 0; x < width; x++, pixel += channels)
            for (ptrdiff_t c = 0; c < channels; c++) out[c] = ISA(larger)(pixel[c], out[c]);
    }
}

/* out[c] = sum over the window of input[c] / count, added up in double precision */
TARGET static void ISA(mean_window)(const float *__restrict input, ptrdiff_t height,
                                    ptrdiff_t width, ptrdiff_t row, ptrdiff_t channels,
                                    ptrdiff_t count, float *__restrict out) {
    double sums[MEAN_BLOCK];
    for (ptrdiff_t first = 0; first < channels; first += MEAN_BLOCK) {
        const ptrdiff_t left = channels - first;
        const ptrdiff_t block = left < MEAN_BLOCK ? left : MEAN_BLOCK;
        for (ptrdiff_t c = 0; c < block; c++) sums[c] = 0;
        for (ptrdiff_t y = 0; y < height; y++) {
            const float *pixel = input + y * row + first;
            for (ptrdiff_t x = 0; x < width; x++, pixel += channels)
                for (ptrdiff_t c = 0; c < block; c++) sums[c] += pixel[c];
        }
        for (ptrdiff_t c = 0; c < block; c++) out[first + c] = (float)(sums[c] / (double)count);
    }
}

/* sums[i] += x[i]**2 */
TARGET ALWAYS_INLINE void ISA(add_squares)(const float *__restrict x, ptrdiff_t count,
                                           float *__restrict sums) {
    for (ptrdiff_t i = 0; i < count; i++) sums[i] += x[i] * x[i];
}

/* sums[i] = x[i] + x[i + step] + ..., `terms` of them from the front to the back */
TARGET ALWAYS_INLINE void ISA(add_neighbours)(const float *__restrict x, ptrdiff_t terms,
                                              ptrdiff_t step, ptrdiff_t count,
                                              float *__restrict sums) {
    ptrdiff_t t = 1;
    if (terms >= 5) { /* AlexNet's five in one go: the sum stays in a register */
        const float *a = x + step, *b = a + step, *c = b + step, *d = c + step;
        for (ptrdiff_t i = 0; i < count; i++) sums[i] = x[i] + a[i] + b[i] + c[i] + d[i];
        t = 5;
    } else {
        for (ptrdiff_t i = 0; i < count; i++) sums[i] = x[i];
    }
    for (; t < terms; t++) {
        const float *next = x + t * step;
        for (ptrdiff_t i = 0; i < count; i++) sums[i] += next[i];
    }
}

/* y = x / (k + scale * energy)**beta
 *
 * The power is the dear part.  AlexNet's beta = 3/4 needs none: s**0.75 = sqrt(s) * sqrt(sqrt(s)).
 */
TARGET ALWAYS_INLINE void ISA(damp)(const float *__restrict x, const float *__restrict energy,
                                    ptrdiff_t count, float scale, float beta, float k,
                                    float *__restrict y) {
    if (beta == 0.75f) {
        for (ptrdiff_t i = 0; i < count; i++) {
            const float root = sqrtf(k + scale * energy[i]);
            y[i] = x[i] / (root * sqrtf(root));
        }
    } else {
        for (ptrdiff_t i = 0; i < count; i++) y[i] = x[i] / powf(k + scale * energy[i], beta);
    }
}

/* LRN across channels of some pixels: neighbours are `before` channels in front to `after` behind.
 *
 * Scratch: before + channels + after squares with zeros at both ends, then channels sums. */
TARGET static void ISA(lrn_across)(const float *__restrict input, ptrdiff_t pixels,
                                   ptrdiff_t channels, ptrdiff_t before, ptrdiff_t after,
                                   float scale, float beta, float k, float *__restrict scratch,
                                   float *__restrict out) {
    float *squares = scratch + before, *energy = squares + channels + after;
    memset(scratch, 0, (size_t)before * sizeof(float));
    memset(squares + channels, 0, (size_t)after * sizeof(float));
    for (ptrdiff_t p = 0; p < pixels; p++, input += channels, out += channels) {
        for (ptrdiff_t c = 0; c < channels; c++) squares[c] = input[c] * input[c];
        ISA(add_neighbours)(scratch, before + 1 + after, 1, channels, energy);
        ISA(damp)(input, energy, channels, scale, beta, k, out);
    }
}

/* LRN within channels of the pixels of a row: neighbours lie in the rows `window`, `height` of them
 * and each of W*C floats, from `before` pixels to the left to `after` to the right.
 *
 * Scratch: before + W + after sums of squares over the height with zeros at both ends, then W sums
 * over the whole window, all of them times C. */
TARGET static void ISA(lrn_within)(const float *__restrict input, const float *__restrict window,
                                   ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                                   ptrdiff_t before, ptrdiff_t after, float scale, float beta,
                                   float k, float *__restrict scratch, float *__restrict out) {
    const ptrdiff_t row = width * channels, sums = (before + width + after) * channels;
    float *energy = scratch + sums;
    memset(scratch, 0, (size_t)sums * sizeof(float));
    for (ptrdiff_t y = 0; y < height; y++)
        ISA(add_squares)(window + y * row, row, scratch + before * channels);
    ISA(add_neighbours)(scratch, before + 1 + after, channels, row, energy);
    ISA(damp)(input, energy, row, scale, beta, k, out);
}
