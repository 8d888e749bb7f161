/* What an instruction set offers: the sizes of its tiles, and the two inner loops of tiles.h. */
#ifndef DECAF_ISA_H
#define DECAF_ISA_H

#include <stddef.h>

#define DOT_ROWS 4    /* rows of weights in a dot tile */
#define NEVER 1000000 /* more images than a task has */
#define MAC_BLOCK 256  /* terms of a convolution that are summed before they join the rest */
#define MOST_PIXELS 16 /* in a convolution tile, of any instruction set */
#define MOST_WIDTH 64  /* output channels in it */
#define DOT_BLOCK 512 /* terms of a row of weights that are summed before they join the rest */

typedef struct {
    ptrdiff_t offset, length; /* floats */
} Segment;

typedef void MacTile(int vectors, const Segment *segments, ptrdiff_t count,
                     const float *const *x, const float *weights, const float *next,
                     const float *bias, int relu, int pixels, int outputs, float *out,
                     ptrdiff_t stride);

/* A fully connected layer's arrays; see dots.h. */
typedef struct {
    int half;             /* whether weights are float16 */
    ptrdiff_t weight_row; /* bytes from a row of the weights to the next */
    ptrdiff_t input_row;  /* floats from an image to the next */
    ptrdiff_t images;     /* sums in a row of sums */
    ptrdiff_t outputs;    /* floats from an image of the output to the next */
} Dots;

typedef void DotPanel(const Dots *dots, int rows, ptrdiff_t depth, const char *weight,
                      float *panel, const char *ahead, int ahead_rows);
typedef void DotPanelTile(const Dots *dots, int images, ptrdiff_t depth, const float *panel,
                          const float *input, float *sums, const char *ahead, int ahead_rows);
typedef void DotTile(const Dots *dots, int rows, int images, ptrdiff_t depth, const char *weight,
                     const float *input, float *sums, const char *ahead, int ahead_rows);
typedef void DotFinish(const Dots *dots, int rows, ptrdiff_t tail, const char *weight,
                       const float *input, const float *sums, const float *bias, int relu,
                       float *out);
typedef void WinogradInput(int pairs, const float *const *x, ptrdiff_t channels, float *v,
                           ptrdiff_t point);
typedef void WinogradOutput(int pairs, const float *m, ptrdiff_t point, const float *bias,
                            int relu, int rows, int columns, ptrdiff_t channels, float *out,
                            ptrdiff_t row, ptrdiff_t pixel);

/* The loops of rows.h, where their arguments are explained. */
typedef void MaxWindow(const float *input, ptrdiff_t height, ptrdiff_t width, ptrdiff_t row,
                       ptrdiff_t channels, float *out);
typedef void MeanWindow(const float *input, ptrdiff_t height, ptrdiff_t width, ptrdiff_t row,
                        ptrdiff_t channels, ptrdiff_t count, float *out);
typedef void LrnAcross(const float *input, ptrdiff_t pixels, ptrdiff_t channels, ptrdiff_t before,
                       ptrdiff_t after, float scale, float beta, float k, float *scratch,
                       float *out);
typedef void LrnWithin(const float *input, const float *window, ptrdiff_t height, ptrdiff_t width,
                       ptrdiff_t channels, ptrdiff_t before, ptrdiff_t after, float scale,
                       float beta, float k, float *scratch, float *out);

typedef struct {
    const char *name;
    int lanes, pixels, vectors, images, panel_rows, panel_images; /* as in tiles.h */
    int panel_above[2];
    MacTile *mac_tile;
    DotTile *dot_tile;
    DotPanel *dot_panel;
    DotPanelTile *dot_panel_tile;
    DotFinish *dot_finish;
    WinogradInput *winograd_input;
    WinogradOutput *winograd_output;
    MaxWindow *max_window;
    MeanWindow *mean_window;
    LrnAcross *lrn_across;
    LrnWithin *lrn_within;
} Isa;

#endif
