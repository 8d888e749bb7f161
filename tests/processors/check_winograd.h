/* winograd_input, winograd_output, and both together as a convolution.
 *
 * The matrices are built here once more from the points alone, without the tricks of winograd.h:
 * B from the product of (x - q) over all other points q, A and G from powers of the points.
 */
#define MOST_N 8

typedef struct {
    int pairs, n;
    double b[MOST_N][MOST_N]; /* B^T: n values to n */
    double a[4][MOST_N];      /* A^T: n values to 4 */
    double g[MOST_N][5];      /* G: n - 3 taps to n values */
} Matrices;

static Matrices matrices(int pairs) {
    Matrices t;
    double point[MOST_N] = {0};
    memset(&t, 0, sizeof t);
    t.pairs = pairs;
    t.n = 2 * pairs + 2;
    for (int i = 1; i <= 2 * pairs; i++)
        point[i] = (i % 2 ? 1 : -1) * (double)winograd_points[pairs][(i - 1) / 2];
    for (int i = 0; i < t.n; i++) { /* the last one is infinity */
        double others = 1, power = 1;
        t.b[i][0] = 1;
        for (int j = 0; j < t.n - 1; j++) {
            if (j == i) continue;
            for (int k = t.n - 1; k >= 0; k--)
                t.b[i][k] = (k ? t.b[i][k - 1] : 0) - point[j] * t.b[i][k];
            others *= point[i] - point[j];
        }
        if (i == t.n - 1) {
            t.a[3][i] = t.g[i][t.n - 4] = 1;
            continue;
        }
        for (int k = 0; k < t.n - 3; k++, power *= point[i]) t.g[i][k] = power / others;
        power = 1;
        for (int k = 0; k < 4; k++, power *= point[i]) t.a[k][i] = power;
    }
    return t;
}

/* sum over i, j of row[i] * column[j] * x[i * n + j], and the sum of the magnitudes.  What has a
 * zero before it is no term: NaN times zero would be NaN. */
static double both_sides(const double *row, const double *column, int n, const double *x,
                         double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int i = 0; i < n * n; i++) {
        const double factor = row[i / n] * column[i % n];
        if (factor == 0) continue;
        sum += factor * x[i];
        *magnitude += fabs(factor * x[i]);
    }
    return sum;
}

static ptrdiff_t whole_vectors(const Isa *isa, ptrdiff_t channels) {
    return (channels + isa->lanes - 1) / isa->lanes * isa->lanes;
}

static void check_input_size(const Isa *isa, Tally *tally, int pairs, ptrdiff_t channels) {
    const Matrices t = matrices(pairs);
    const int n = t.n;
    const ptrdiff_t width = whole_vectors(isa, channels), point = width + 7;
    const float *x[MOST_N * MOST_N] = {0};
    float *pixels[MOST_N * MOST_N], *v = filled_array(n * n * point, UNTOUCHED);
    for (int i = 0; i < n * n; i++) x[i] = pixels[i] = random_array(channels);
    isa->winograd_input(pairs, x, channels, v, point);
    for (ptrdiff_t c = 0; c < point; c++) {
        double values[MOST_N * MOST_N], magnitude;
        for (int i = 0; i < n * n; i++) values[i] = c < channels ? x[i][c] : 0;
        for (int i = 0; i < n * n; i++) {
            const float got = v[i * point + c];
            const double want = both_sides(t.b[i / n], t.b[i % n], n, values, &magnitude);
            if (c < width) {
                compare(tally, got, want, magnitude);
            } else {
                must(tally, got == UNTOUCHED);
            }
        }
    }
    for (int i = 0; i < n * n; i++) /* the same values in all channels: the same bits */
        for (ptrdiff_t c = 0; c < channels; c++) pixels[i][c] = pixels[i][0];
    isa->winograd_input(pairs, x, channels, v, point);
    for (int i = 0; i < n * n; i++)
        for (ptrdiff_t c = 0; c < channels; c++)
            same_bits(tally, &v[i * point + c], &v[i * point], 1);
    for (int i = 0; i < n * n; i++) free(pixels[i]);
    free(v);
}

static void check_winograd_input(const Isa *isa, Tally *tally) {
    for (int pairs = 2; pairs <= 3; pairs++)
        for (ptrdiff_t channels = 1; channels <= 2 * isa->lanes + 1; channels++)
            check_input_size(isa, tally, pairs, channels);
}

static void check_output_size(const Isa *isa, Tally *tally, int pairs, ptrdiff_t channels, int rows,
                              int columns, int relu) {
    const Matrices t = matrices(pairs);
    const int n = t.n;
    const ptrdiff_t width = whole_vectors(isa, channels), point = width + 7;
    const ptrdiff_t pixel = channels + 2, row = 4 * pixel + 1;
    float *m = random_array(n * n * point), *bias = random_array(width);
    float *out = filled_array(4 * row, UNTOUCHED);
    m[n * point] = (float)NAN; /* at point 0 of the columns: reaches the first column alone */
    isa->winograd_output(pairs, m, point, bias, relu, rows, columns, channels, out, row, pixel);
    for (ptrdiff_t i = 0; i < 4 * row; i++) {
        const ptrdiff_t y = i / row, x = i % row / pixel, c = i % row % pixel;
        if (y >= rows || x >= columns || c >= channels) {
            must(tally, out[i] == UNTOUCHED);
            continue;
        }
        double values[MOST_N * MOST_N], magnitude;
        for (int k = 0; k < n * n; k++) values[k] = m[k * point + c];
        const double want = both_sides(t.a[y], t.a[x], n, values, &magnitude) + bias[c];
        compare(tally, out[i], relu_of(want, relu), magnitude + fabs(bias[c]));
    }
    free(m), free(bias), free(out);
}

static void check_winograd_output(const Isa *isa, Tally *tally) {
    for (int pairs = 2; pairs <= 3; pairs++)
        for (ptrdiff_t channels = 1; channels <= 2 * isa->lanes + 1; channels++)
            for (int size = 0; size < 16; size++)
                check_output_size(isa, tally, pairs, channels, size / 4 + 1, size % 4 + 1,
                                  size % 3 > 0);
}

/* 4*4 outputs of a convolution of one channel with (n - 3)*(n - 3) taps, by way of both. */
static void check_winograd_convolution(const Isa *isa, Tally *tally) {
    for (int pairs = 2; pairs <= 3; pairs++) {
        const Matrices t = matrices(pairs);
        const int n = t.n, taps = n - 3;
        const ptrdiff_t width = isa->lanes;
        const float *x[MOST_N * MOST_N];
        float *image = random_array(n * n), *filter = random_array(taps * taps), out[16];
        float *v = filled_array(n * n * width, 0), *bias = filled_array(width, 0);
        for (int i = 0; i < n * n; i++) x[i] = image + i;
        isa->winograd_input(pairs, x, 1, v, width);
        for (int i = 0; i < n * n; i++) {
            double u = 0;
            for (int k = 0; k < taps * taps; k++)
                u += t.g[i / n][k / taps] * t.g[i % n][k % taps] * filter[k];
            v[i * width] = (float)(v[i * width] * u);
        }
        isa->winograd_output(pairs, v, width, bias, 0, 4, 4, 1, out, 4, 1);
        for (int o = 0; o < 16; o++) {
            double want = 0, magnitude = 0;
            for (int k = 0; k < taps * taps; k++) {
                const double term =
                    (double)image[(o / 4 + k / taps) * n + o % 4 + k % taps] * filter[k];
                want += term;
                magnitude += fabs(term);
            }
            compare(tally, out[o], want, magnitude);
        }
        free(image), free(filter), free(v), free(bias);
    }
}
