/* Pooling and LRN: some windows and rows of pixels, against loops in double precision. */

/* Numbers of channels: one, parts of vectors, more than are added up at a time. */
static const ptrdiff_t channel_counts[] = {1, 3, 7, 16, 33, 64, 131};
#define CHANNEL_COUNTS ((int)(sizeof channel_counts / sizeof channel_counts[0]))

typedef void CheckWindow(const Isa *isa, Tally *tally, const float *input, ptrdiff_t height,
                         ptrdiff_t width, ptrdiff_t row, ptrdiff_t channels);

/* Windows up to 3*3 pixels in rows of 4, down to empty ones; a NaN, and a channel of -inf. */
static void for_all_windows(const Isa *isa, Tally *tally, CheckWindow *check) {
    for (int i = 0; i < CHANNEL_COUNTS; i++) {
        const ptrdiff_t channels = channel_counts[i], row = 4 * channels;
        float *input = random_array(3 * row);
        input[row + channels - 1] = (float)NAN; /* in the last channel, not in the first pixel */
        for (ptrdiff_t p = 0; p < 12; p++) input[p * channels] = -INFINITY;
        for (ptrdiff_t height = 0; height <= 3; height++)
            for (ptrdiff_t width = 0; width <= 3; width++)
                check(isa, tally, input, height, width, row, channels);
        free(input);
    }
}

static void check_max_of_window(const Isa *isa, Tally *tally, const float *input, ptrdiff_t height,
                                ptrdiff_t width, ptrdiff_t row, ptrdiff_t channels) {
    float *out = filled_array(channels + 1, UNTOUCHED);
    isa->max_window(input, height, width, row, channels, out);
    for (ptrdiff_t c = 0; c < channels; c++) {
        double most = -INFINITY;
        for (ptrdiff_t p = 0; p < height * width; p++) {
            const double value = input[p / width * row + p % width * channels + c];
            if (isnan(value) || value > most) most = value;
            if (isnan(most)) break;
        }
        compare(tally, out[c], most, 1);
    }
    must(tally, out[channels] == UNTOUCHED);
    free(out);
}

static void check_mean_of_window(const Isa *isa, Tally *tally, const float *input,
                                 ptrdiff_t height, ptrdiff_t width, ptrdiff_t row,
                                 ptrdiff_t channels) {
    const ptrdiff_t count = height * width + 2; /* with padding that counts */
    float *out = filled_array(channels + 1, UNTOUCHED);
    isa->mean_window(input, height, width, row, channels, count, out);
    for (ptrdiff_t c = 0; c < channels; c++) {
        double sum = 0, magnitude = 0;
        for (ptrdiff_t p = 0; p < height * width; p++) {
            const double value = input[p / width * row + p % width * channels + c];
            sum += value;
            magnitude += fabs(value);
        }
        compare(tally, out[c], sum / (double)count, magnitude / (double)count);
    }
    must(tally, out[channels] == UNTOUCHED);
    free(out);
}

static void check_max_window(const Isa *isa, Tally *tally) {
    for_all_windows(isa, tally, check_max_of_window);
}

static void check_mean_window(const Isa *isa, Tally *tally) {
    for_all_windows(isa, tally, check_mean_of_window);
}

typedef struct {
    ptrdiff_t before, after;
    float scale, beta, k;
} Lrn;

/* AlexNet's, one neighbour alone, even and long windows, powers with and without roots. */
static const Lrn lrns[] = {
    {2, 2, 2e-5f, 0.75f, 1}, {2, 2, 0.3f, 0.75f, 2},  {0, 0, 1, 0.5f, 1},
    {2, 1, 0.7f, 0.75f, 1},  {4, 4, 0.2f, 1.25f, 2},  {1, 1, 0.5f, 0.75f, 0.1f},
};
#define LRNS ((int)(sizeof lrns / sizeof lrns[0]))

static void compare_lrn(Tally *tally, float got, double x, double energy, const Lrn *lrn) {
    const double want = x / pow(lrn->k + lrn->scale * energy, lrn->beta);
    compare(tally, got, want, fabs(want));
}

static void check_across(const Isa *isa, Tally *tally, const Lrn *lrn, ptrdiff_t channels) {
    const ptrdiff_t pixels = 3;
    float *input = random_array(pixels * channels), *alone = filled_array(channels, 0);
    float *out = filled_array(pixels * channels + 1, UNTOUCHED);
    float *scratch = filled_array(lrn->before + 2 * channels + lrn->after, UNTOUCHED);
    isa->lrn_across(input, pixels, channels, lrn->before, lrn->after, lrn->scale, lrn->beta,
                    lrn->k, scratch, out);
    for (ptrdiff_t i = 0; i < pixels * channels; i++) {
        const ptrdiff_t first = i / channels * channels;
        double energy = 0;
        for (ptrdiff_t j = i - lrn->before; j <= i + lrn->after; j++)
            if (j >= first && j < first + channels) energy += (double)input[j] * input[j];
        compare_lrn(tally, out[i], input[i], energy, lrn);
    }
    must(tally, out[pixels * channels] == UNTOUCHED);
    for (ptrdiff_t p = 0; p < pixels; p++) { /* each pixel alone: the same bits */
        isa->lrn_across(input + p * channels, 1, channels, lrn->before, lrn->after, lrn->scale,
                        lrn->beta, lrn->k, scratch, alone);
        same_bits(tally, out + p * channels, alone, channels);
    }
    free(input), free(alone), free(out), free(scratch);
}

static void check_within(const Isa *isa, Tally *tally, const Lrn *lrn, ptrdiff_t channels,
                         ptrdiff_t height) {
    const ptrdiff_t width = 6, row = width * channels;
    float *input = random_array(row), *window = random_array(height * row);
    float *out = filled_array(row + 1, UNTOUCHED);
    float *scratch =
        filled_array((lrn->before + 2 * width + lrn->after) * channels, UNTOUCHED);
    isa->lrn_within(input, window, height, width, channels, lrn->before, lrn->after, lrn->scale,
                    lrn->beta, lrn->k, scratch, out);
    for (ptrdiff_t i = 0; i < row; i++) {
        double energy = 0;
        for (ptrdiff_t x = i / channels - lrn->before; x <= i / channels + lrn->after; x++) {
            if (x < 0 || x >= width) continue;
            for (ptrdiff_t y = 0; y < height; y++) {
                const double value = window[y * row + x * channels + i % channels];
                energy += value * value;
            }
        }
        compare_lrn(tally, out[i], input[i], energy, lrn);
    }
    must(tally, out[row] == UNTOUCHED);
    free(input), free(window), free(out), free(scratch);
}

static void check_lrn_across(const Isa *isa, Tally *tally) {
    for (int i = 0; i < CHANNEL_COUNTS * LRNS; i++)
        check_across(isa, tally, &lrns[i % LRNS], channel_counts[i / LRNS]);
}

static void check_lrn_within(const Isa *isa, Tally *tally) {
    for (int i = 0; i < CHANNEL_COUNTS * LRNS; i++)
        for (ptrdiff_t height = 1; height <= 3; height++)
            check_within(isa, tally, &lrns[i % LRNS], channel_counts[i / LRNS], height);
}
