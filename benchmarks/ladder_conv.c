/* The rungs of ladder_conv.py that are C: convolution, from seven loops to Winograd.
 *
 * One thread, one function a rung, each with one idea more than the rung before.  Everything is
 * float32.  The alphabet, here and in all of decaf:
 *
 *   N images   C input channels   H W input   KH KW kernel   O output channels   OH OW output
 *   S stride   P padding          K = C*KH*KW terms of a sum
 *   n o i j    an image, an output channel, row and column of an output pixel
 *   c a b      an input channel, row and column inside the kernel
 *
 *   y[n,o,i,j] = sum over c,a,b of  w[o,c,a,b] * x[n, c, i*S + a - P, j*S + b - P]
 *
 * with x = 0 outside the image.  Rungs 1 to 6 take x as N,C,H,W, the others as N,H,W,C.
 * Weights are laid out beforehand, as each rung says: a network does that once.
 */
#include <string.h>

/* A register holds LANES floats.  A tile has as many sums as registers allow: two multiply-adds
 * start in every cycle and each takes four, so that at least eight must be under way; more of
 * them get more work out of every value that is loaded. */
#if defined(__AVX512F__)
#define LANES 16 /* 32 registers */
#define PIXELS 6 /* 6 * 4 sums, 4 vectors of weights */
#define VECTORS 4
#define ROWS 8 /* rungs 5 and 6: 8 * 3 sums, 3 vectors of pixels */
#elif defined(__AVX2__)
#define LANES 8 /* 16 registers */
#define PIXELS 6
#define VECTORS 2
#define ROWS 4
#else
#define LANES 4 /* SSE2: 16 registers; NEON: 32 */
#define PIXELS 6
#define VECTORS 2
#define ROWS 4
#endif
#define COLUMNS (3 * LANES) /* pixels of a tile in rungs 5 and 6 */
#define BLOCK (VECTORS * LANES) /* output channels of a tile from rung 7 on */

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define LOAD(p) (*(const vec *)(p))
#define STORE(p, v) (*(vec *)(p) = (v))
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef struct {
    long N, C, H, W, O, KH, KW, S, P, OH, OW;
} Shape;

int lanes(void) { return LANES; }
int rows(void) { return ROWS; }
int block(void) { return BLOCK; }

static long least(long a, long b) { return a < b ? a : b; }
static long most(long a, long b) { return a > b ? a : b; }

/* --- 1: the formula, word by word ---------------------------------------------------------- */

void rung1(const Shape *s, const float *x, const float *w, float *scratch, float *y) {
    for (long n = 0; n < s->N; n++)
        for (long o = 0; o < s->O; o++)
            for (long i = 0; i < s->OH; i++)
                for (long j = 0; j < s->OW; j++) {
                    float sum = 0;
                    for (long c = 0; c < s->C; c++)
                        for (long a = 0; a < s->KH; a++)
                            for (long b = 0; b < s->KW; b++) {
                                const long row = i * s->S + a - s->P, col = j * s->S + b - s->P;
                                if (row < 0 || row >= s->H || col < 0 || col >= s->W) continue;
                                sum += w[((o * s->C + c) * s->KH + a) * s->KW + b] *
                                       x[((n * s->C + c) * s->H + row) * s->W + col];
                            }
                    y[((n * s->O + o) * s->OH + i) * s->OW + j] = sum;
                }
}

/* --- 2: the loop over a row of pixels innermost -------------------------------------------- */

/* The output columns first .. last for which column b of the kernel lies inside the image. */
static long first_inside(const Shape *s, long b) {
    return least(s->OW, most(0, (s->P - b + s->S - 1) / s->S));
}
static long last_inside(const Shape *s, long b) {
    return least(s->OW, (s->W - 1 + s->P - b) / s->S + 1);
}

void rung2(const Shape *s, const float *x, const float *w, float *scratch, float *y) {
    memset(y, 0, s->N * s->O * s->OH * s->OW * sizeof(float));
    for (long n = 0; n < s->N; n++)
        for (long o = 0; o < s->O; o++)
            for (long c = 0; c < s->C; c++)
                for (long a = 0; a < s->KH; a++)
                    for (long b = 0; b < s->KW; b++) {
                        const float factor = w[((o * s->C + c) * s->KH + a) * s->KW + b];
                        const long first = first_inside(s, b), last = last_inside(s, b);
                        for (long i = 0; i < s->OH; i++) {
                            const long row = i * s->S + a - s->P;
                            if (row < 0 || row >= s->H) continue;
                            const float *from = x + ((n * s->C + c) * s->H + row) * s->W + b - s->P;
                            float *to = y + ((n * s->O + o) * s->OH + i) * s->OW;
                            for (long j = first; j < last; j++) to[j] += factor * from[j * s->S];
                        }
                    }
}

/* --- 3: im2col, and then a matrix product -------------------------------------------------- */

/* columns[k][p] = what weight k meets at output pixel first + p; rows are `width` floats apart.
 * Pixels that share a row of the output are copied together; zeros where the kernel sticks out. */
static void im2col(const Shape *s, const float *x, long first, long count, long width,
                   float *columns) {
    for (long c = 0; c < s->C; c++, x += s->H * s->W)
        for (long a = 0; a < s->KH; a++)
            for (long b = 0; b < s->KW; b++, columns += width) {
                const long in = first_inside(s, b), out = last_inside(s, b);
                long i = first / s->OW, j = first % s->OW;
                for (long p = 0; p < count; i++, j = 0) {
                    const long end = least(s->OW, j + count - p), row = i * s->S + a - s->P;
                    const int inside = row >= 0 && row < s->H;
                    const float *from = x + row * s->W + b - s->P;
                    for (; j < end && (!inside || j < in); j++) columns[p++] = 0;
                    const long run = most(0, least(end, out) - j);
                    if (s->S == 1) memcpy(columns + p, from + j, run * sizeof(float));
                    else for (long q = 0; q < run; q++) columns[p + q] = from[(j + q) * s->S];
                    p += run;
                    for (j += run; j < end; j++) columns[p++] = 0;
                }
                memset(columns + count, 0, (width - count) * sizeof(float));
            }
}

/* columns: N,K,OH*OW.  On its own for rung 4, which leaves the product to BLAS. */
void unfold(const Shape *s, const float *x, float *columns) {
    const long pixels = s->OH * s->OW, K = s->C * s->KH * s->KW;
    for (long n = 0; n < s->N; n++)
        im2col(s, x + n * s->C * s->H * s->W, 0, pixels, pixels, columns + n * K * pixels);
}

void rung3(const Shape *s, const float *x, const float *w, float *columns, float *y) {
    const long pixels = s->OH * s->OW, K = s->C * s->KH * s->KW;
    memset(y, 0, s->N * s->O * pixels * sizeof(float));
    for (long n = 0; n < s->N; n++) {
        im2col(s, x + n * s->C * s->H * s->W, 0, pixels, pixels, columns);
        for (long o = 0; o < s->O; o++)
            for (long k = 0; k < K; k++)
                for (long p = 0; p < pixels; p++)
                    y[(n * s->O + o) * pixels + p] += w[o * K + k] * columns[k * pixels + p];
    }
}

/* --- 5: a tile of sums that stays in registers --------------------------------------------- */

/* y[r][p] = sum over k of w[k][r] * columns[k][p], for ROWS output channels, COLUMNS pixels.
 * w: K,ROWS.  Three loads of columns and ROWS of weights serve 3 * ROWS multiply-adds. */
static void tile_of_pixels(long K, const float *w, const float *columns, long width, long count,
                           float *y, long stride) {
    vec sum[ROWS][3];
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < 3; v++) sum[r][v] = (vec){0};
    for (long k = 0; k < K; k++, w += ROWS, columns += width) {
        vec x[3];
        UNROLL for (int v = 0; v < 3; v++) x[v] = LOAD(columns + v * LANES);
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < 3; v++) sum[r][v] += x[v] * w[r];
    }
    float all[ROWS][COLUMNS];
    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int v = 0; v < 3; v++) STORE(&all[r][v * LANES], sum[r][v]);
    for (int r = 0; r < ROWS; r++) memcpy(y + r * stride, all[r], count * sizeof(float));
}

/* w: O/ROWS,K,ROWS */
void rung5(const Shape *s, const float *x, const float *w, float *columns, float *y) {
    const long pixels = s->OH * s->OW, K = s->C * s->KH * s->KW;
    const long width = (pixels + COLUMNS - 1) / COLUMNS * COLUMNS;
    for (long n = 0; n < s->N; n++) {
        im2col(s, x + n * s->C * s->H * s->W, 0, pixels, width, columns);
        for (long p = 0; p < pixels; p += COLUMNS)
            for (long o = 0; o < s->O; o += ROWS)
                tile_of_pixels(K, w + o * K, columns + p, width, least(COLUMNS, pixels - p),
                               y + (n * s->O + o) * pixels + p, pixels);
    }
}

/* --- 6: the matrix of columns is never written out ----------------------------------------- */

/* w: O/ROWS,K,ROWS.  columns: only K,COLUMNS, which the cache holds. */
void rung6(const Shape *s, const float *x, const float *w, float *columns, float *y) {
    const long pixels = s->OH * s->OW, K = s->C * s->KH * s->KW;
    for (long n = 0; n < s->N; n++)
        for (long p = 0; p < pixels; p += COLUMNS) {
            const long count = least(COLUMNS, pixels - p);
            im2col(s, x + n * s->C * s->H * s->W, p, count, COLUMNS, columns);
            for (long o = 0; o < s->O; o += ROWS)
                tile_of_pixels(K, w + o * K, columns, COLUMNS, count,
                               y + (n * s->O + o) * pixels + p, pixels);
        }
}

/* --- 7: channels innermost, output channels in the vectors --------------------------------- */

/* y[p][o] = sum over a, k of  x[p][a*step + k] * w[a][k][o], for P pixels and V vectors of o.
 *
 * With the channels innermost, the KW*C values that one row of the kernel meets lie side by side
 * in the image as it is: a pixel of the tile is just a pointer, and nothing is packed.  `add`
 * starts from what y holds; `ahead` fetches the weights of so many k later. */
INLINE void tile(const int P, const int V, const int add, const int ahead, long rows, long step,
                 long depth, const float *const *x, const float *w, float *const *y) {
    vec sum[12][4]; /* of which P,V are in use */
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++) sum[p][v] = add ? LOAD(y[p] + v * LANES) : (vec){0};
    for (long a = 0; a < rows; a++) {
        const float *from[12];
        UNROLL for (int p = 0; p < P; p++) from[p] = x[p] + a * step;
        for (long k = 0; k < depth; k++, w += V * LANES) {
            vec weight[4];
            UNROLL for (int v = 0; v < V; v++) {
                weight[v] = LOAD(w + v * LANES);
                if (ahead) __builtin_prefetch(w + (ahead * V + v) * LANES);
            }
            UNROLL for (int p = 0; p < P; p++) {
                const float pixel = from[p][k];
                UNROLL for (int v = 0; v < V; v++) sum[p][v] += weight[v] * pixel;
            }
        }
    }
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++) STORE(y[p] + v * LANES, sum[p][v]);
}

/* The images in a frame of zeros: N,H,W,C -> N,FH,FW,C, with padding P above and to the left. */
static void frame(const Shape *s, const float *x, long FH, long FW, float *out) {
    memset(out, 0, s->N * FH * FW * s->C * sizeof(float));
    for (long n = 0; n < s->N; n++)
        for (long row = 0; row < s->H; row++)
            memcpy(out + ((n * FH + row + s->P) * FW + s->P) * s->C,
                   x + (n * s->H + row) * s->W * s->C, s->W * s->C * sizeof(float));
}

/* All pixels of all images, P at a time; rows a0 .. a1 of the kernel.  w: O/(V*LANES),K,V*LANES
 * with k in the order KH,KW,C.  The last tile repeats its last pixel until it is full. */
INLINE void all_tiles(const int P, const int V, const int add, const int ahead, const Shape *s,
                      const float *framed, const float *w, long a0, long a1, float *y) {
    const long FH = s->H + 2 * s->P, FW = s->W + 2 * s->P, pixels = s->OH * s->OW;
    const long depth = s->KW * s->C;
    for (long o = 0; o < s->O; o += V * LANES)
        for (long first = 0; first < s->N * pixels; first += P) {
            const float *from[12];
            float *to[12];
            for (long q = 0; q < P; q++) {
                const long p = least(first + q, s->N * pixels - 1);
                const long n = p / pixels, i = p % pixels / s->OW, j = p % s->OW;
                from[q] = framed + ((n * FH + i * s->S + a0) * FW + j * s->S) * s->C;
                to[q] = y + p * s->O + o;
            }
            tile(P, V, add, ahead, a1 - a0, FW * s->C, depth, from,
                 w + (o * s->KH + a0 * V * LANES) * depth, to);
        }
}

INLINE void direct(const int P, const int V, const int ahead, const Shape *s, const float *x,
                   const float *w, float *framed, float *y) {
    frame(s, x, s->H + 2 * s->P, s->W + 2 * s->P, framed);
    all_tiles(P, V, 0, ahead, s, framed, w, 0, s->KH, y);
}

#define DIRECT(name, pixels, vectors, ahead)                                                   \
    void name(const Shape *s, const float *x, const float *w, float *framed, float *y) {       \
        direct(pixels, vectors, ahead, s, x, w, framed, y);                                    \
    }
DIRECT(rung7, PIXELS, VECTORS, 0)

/* 15 to 20: variants that gained nothing. */
DIRECT(tile_12x2, 12, 2, 0)
DIRECT(tile_8x3, 8, 3, 0)
DIRECT(tile_8x2, 8, 2, 0)
DIRECT(tile_8x1, 8, 1, 0)
DIRECT(tile_prefetch, PIXELS, VECTORS, 8)

/* Row by row of the kernel, so that the weights in use fit the cache; sums wait in y meanwhile. */
void tile_blocked(const Shape *s, const float *x, const float *w, float *framed, float *y) {
    frame(s, x, s->H + 2 * s->P, s->W + 2 * s->P, framed);
    all_tiles(PIXELS, VECTORS, 0, 0, s, framed, w, 0, 1, y);
    for (long a = 1; a < s->KH; a++) all_tiles(PIXELS, VECTORS, 1, 0, s, framed, w, a, a + 1, y);
}

/* --- 8: Winograd: fewer multiplications ---------------------------------------------------- */

/* out = (M in)^T, lane by lane: M rows,n   in n,cols   out cols,rows */
INLINE void one_side(const int rows, const int n, const int cols, const float *M, const vec *in,
                     vec *out) {
    for (int i = 0; i < rows; i++, M += n) {
        vec sum[8]; /* of which cols are in use */
        UNROLL for (int j = 0; j < cols; j++) sum[j] = in[j] * M[0];
        for (int k = 1; k < n; k++) {
            if (M[k] == 0) continue; /* as a third of them are */
            UNROLL for (int j = 0; j < cols; j++) sum[j] += in[k * cols + j] * M[k];
        }
        UNROLL for (int j = 0; j < cols; j++) out[j * rows + i] = sum[j];
    }
}

/* out = M in M^T: in n,n   out rows,rows */
INLINE void both_sides(const int rows, const int n, const float *M, const vec *in, vec *out) {
    vec half[8 * 8]; /* n,rows */
    one_side(rows, n, n, M, in, half);
    one_side(rows, n, rows, M, half, out);
}

/* F(m x m, r x r): an n x n patch of the input, n = m + r - 1, gives m x m pixels of the output.
 *
 *   Y = A^T [ (G g G^T) . (B^T d B) ] A       d patch, g kernel, . element by element
 *
 * Every one of the n*n elements is a matrix product over the channels, for which the tile of
 * rung 7 serves as it is, patches in the place of pixels.  `group` patches at a time, so that
 * what waits between the three stages stays in the cache.
 *
 *   BT n,n   AT m,n   w n*n,O/BLOCK,C,BLOCK = G g G^T   before n*n,group,C   after n*n,group,O */
INLINE void winograd(const int n, const int m, const Shape *s, const float *x, const float *w,
                     const float *BT, const float *AT, long group, float *scratch, float *y) {
    const long TH = (s->OH + m - 1) / m, TW = (s->OW + m - 1) / m, patches = s->N * TH * TW;
    const long FH = TH * m + n - m, FW = TW * m + n - m, C = s->C, O = s->O;
    float *framed = scratch, *before = framed + s->N * FH * FW * C;
    float *after = before + n * n * group * C;
    frame(s, x, FH, FW, framed);
    for (long first = 0; first < patches; first += group) {
        const long count = least(group, patches - first);

        for (long t = 0; t < count; t++) { /* 1. B^T d B */
            const long p = first + t, image = p / (TH * TW);
            const long i = p % (TH * TW) / TW * m, j = p % TW * m; /* its place in the output */
            const float *from = framed + ((image * FH + i) * FW + j) * C;
            for (long c = 0; c < C; c += LANES) {
                vec d[8 * 8], out[8 * 8];
                for (int a = 0; a < n; a++)
                    for (int b = 0; b < n; b++)
                        d[a * n + b] = LOAD(from + (a * FW + b) * C + c);
                both_sides(n, n, BT, d, out);
                for (int e = 0; e < n * n; e++) STORE(before + (e * group + t) * C + c, out[e]);
            }
        }

        for (long e = 0; e < n * n; e++) /* 2. n*n matrix products */
            for (long o = 0; o < O; o += BLOCK)
                for (long t = 0; t < count; t += PIXELS) {
                    const float *from[PIXELS];
                    float *to[PIXELS];
                    for (long q = 0; q < PIXELS; q++) {
                        const long p = e * group + least(t + q, count - 1);
                        from[q] = before + p * C;
                        to[q] = after + p * O + o;
                    }
                    tile(PIXELS, VECTORS, 0, 0, 1, 0, C, from, w + (e * O + o) * C, to);
                }

        for (long t = 0; t < count; t++) { /* 3. A^T . A, less what sticks out of the output */
            const long p = first + t, image = p / (TH * TW);
            const long i = p % (TH * TW) / TW * m, j = p % TW * m;
            const long rows = least(m, s->OH - i), cols = least(m, s->OW - j);
            for (long o = 0; o < O; o += LANES) {
                vec e[8 * 8], out[8 * 8];
                for (int k = 0; k < n * n; k++) e[k] = LOAD(after + (k * group + t) * O + o);
                both_sides(m, n, AT, e, out);
                for (long a = 0; a < rows; a++) {
                    float *to = y + ((image * s->OH + i + a) * s->OW + j) * O + o;
                    for (long b = 0; b < cols; b++) STORE(to + b * O, out[a * m + b]);
                }
            }
        }
    }
}

#define WINOGRAD(name, n, m)                                                                   \
    void name(const Shape *s, const float *x, const float *w, const float *BT,                 \
              const float *AT, long group, float *scratch, float *y) {                         \
        winograd(n, m, s, x, w, BT, AT, group, scratch, y);                                    \
    }
WINOGRAD(winograd_6_4, 6, 4) /* 8, 12 */
WINOGRAD(winograd_8_4, 8, 4) /* 8, 12 */
WINOGRAD(winograd_8_6, 8, 6) /* 13 */
WINOGRAD(winograd_4_2, 4, 2) /* 14 */
