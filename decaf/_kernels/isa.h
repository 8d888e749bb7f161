/* What an instruction set offers: the sizes of its tiles, and the two inner loops of tiles.h. */
#ifndef DECAF_ISA_H
#define DECAF_ISA_H

#include <stddef.h>

#define DOT_ROWS 4 /* rows of weights in a dot tile */
#define DOT_BLOCK 512 /* terms of a row of weights that are summed before they join the rest */

typedef void ConvTile(int vectors, ptrdiff_t depth, const float *weights, const float *columns,
                      const float *bias, int relu, int rows, int pixels, float *out,
                      ptrdiff_t stride);
typedef void DotTile(int rows, int images, ptrdiff_t depth, const float *weight,
                     ptrdiff_t weight_stride, const float *input, ptrdiff_t input_stride,
                     float *acc, ptrdiff_t acc_stride);

typedef struct {
    const char *name;
    int lanes, rows, vectors, images; /* as in tiles.h */
    ConvTile *conv_tile;
    DotTile *dot_tile;
} Isa;

#endif
