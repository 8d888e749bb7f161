/* The dot functions: rows of weights, float32 or float16, against a few images. */

/* A float16 from its parts: (-1)**sign * mantissa * 2**exponent. */
static double value_of_half(uint16_t half) {
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    double value = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    if (exponent == 31) value = mantissa ? (double)NAN : (double)INFINITY;
    return half >> 15 ? -value : value;
}

/* Of magnitude 1/32 to 2, with every mantissa and sign. */
static uint16_t random_half(void) {
    const int mantissa = (int)(512 * (random_float() + 1));
    const int exponent = (int)(5 * fabsf(random_float())); /* 0 to 5 */
    return (uint16_t)((random_float() < 0) << 15 | (10 + exponent) << 10 | mantissa);
}

static char *random_weights(int half, ptrdiff_t count) {
    if (!half) return (char *)random_array(count);
    uint16_t *weights = malloc((size_t)count * sizeof *weights);
    if (!weights) exit(2);
    for (ptrdiff_t i = 0; i < count; i++) weights[i] = random_half();
    return (char *)weights;
}

static double weight_at(int half, const char *weights, ptrdiff_t i) {
    return half ? value_of_half(((const uint16_t *)weights)[i]) : ((const float *)weights)[i];
}

static void check_dot_sizes(const Isa *isa, Tally *tally, int half, int rows, int images,
                            ptrdiff_t depth) {
    const int lanes = isa->lanes, size = half ? 2 : 4;
    const ptrdiff_t weight_row = depth + 5, input_row = depth + 3, across = isa->images + 1;
    const Dots dots = {half, weight_row * size, input_row, across, 0};
    char *weight = random_weights(half, rows * weight_row);
    float *input = random_array(images * input_row);
    float *sums = random_array(DOT_ROWS * across * lanes);
    float *before = filled_array(DOT_ROWS * across * lanes, 0);
    memcpy(before, sums, (size_t)(DOT_ROWS * across * lanes) * sizeof *sums);
    isa->dot_tile(&dots, rows, images, depth, weight, input, sums, weight, rows);
    for (ptrdiff_t i = 0; i < DOT_ROWS * across * lanes; i++) {
        const ptrdiff_t o = i / lanes / across, n = i / lanes % across;
        if (o >= rows || n >= images) {
            same_bits(tally, &sums[i], &before[i], 1);
            continue;
        }
        double sum = before[i], magnitude = fabs(sum);
        for (ptrdiff_t d = i % lanes; d < depth; d += lanes) {
            const double term =
                weight_at(half, weight, o * weight_row + d) * input[n * input_row + d];
            sum += term;
            magnitude += fabs(term);
        }
        compare(tally, sums[i], sum, magnitude);
    }
    free(weight), free(input), free(sums), free(before);
}

/* The same row and the same image everywhere: the same bits everywhere, in tiles of every size. */
static void check_dot_bits(const Isa *isa, Tally *tally, int half, ptrdiff_t depth) {
    const int lanes = isa->lanes;
    const Dots dots = {half, 0, 0, isa->images, 0};
    char *row = random_weights(half, depth);
    float *image = random_array(depth), *first = filled_array(lanes, 0);
    isa->dot_tile(&dots, 1, 1, depth, row, image, first, row, 1);
    for (int rows = 1; rows <= DOT_ROWS; rows++) {
        for (int images = 1; images <= isa->images; images++) {
            float *sums = filled_array(rows * isa->images * lanes, 0);
            isa->dot_tile(&dots, rows, images, depth, row, image, sums, row, 1);
            for (int o = 0; o < rows; o++)
                for (int n = 0; n < images; n++)
                    same_bits(tally, sums + (o * isa->images + n) * lanes, first, lanes);
            free(sums);
        }
    }
    free(row), free(image), free(first);
}

/* As in check_mac_blocks: exact in blocks, not in one sum of 2048 terms. */
static void check_dot_blocks(const Isa *isa, Tally *tally) {
    const ptrdiff_t depth = 2048 * isa->lanes;
    const float term = 1 + 3 / 32768.0f;
    const Dots dots = {0, 0, 0, 1, 0};
    float *row = filled_array(depth, term), *image = filled_array(depth, 1);
    float *sums = filled_array(isa->lanes, 0);
    isa->dot_tile(&dots, 1, 1, depth, (char *)row, image, sums, (char *)row, 1);
    for (int lane = 0; lane < isa->lanes; lane++)
        compare(tally, sums[lane], 2048 * term, 2048 * term);
    free(row), free(image), free(sums);
}

/* Each of the 65536 float16, times one. */
static void check_every_half(const Isa *isa, Tally *tally) {
    const Dots dots = {1, 0, 0, 1, 0};
    float *ones = filled_array(isa->lanes, 1);
    for (long first = 0; first < 65536; first += isa->lanes) {
        float *sums = filled_array(isa->lanes, 0);
        uint16_t halves[MOST_TILE];
        for (int lane = 0; lane < isa->lanes; lane++) halves[lane] = (uint16_t)(first + lane);
        isa->dot_tile(&dots, 1, 1, isa->lanes, (char *)halves, ones, sums, (char *)halves, 1);
        for (int lane = 0; lane < isa->lanes; lane++) {
            const double want = value_of_half(halves[lane]);
            must(tally, sums[lane] == want || (isnan(sums[lane]) && isnan(want)));
        }
        free(sums);
    }
    free(ones);
}

static void check_dot_tile(const Isa *isa, Tally *tally) {
    const ptrdiff_t depths[] = {isa->lanes, 3 * isa->lanes, DOT_BLOCK, 2 * DOT_BLOCK + isa->lanes};
    for (int i = 0; i < 8; i++) {
        for (int rows = 1; rows <= DOT_ROWS; rows++)
            for (int images = 1; images <= isa->images; images++)
                check_dot_sizes(isa, tally, i % 2, rows, images, depths[i / 2]);
        check_dot_bits(isa, tally, i % 2, depths[i / 2]);
    }
    check_dot_blocks(isa, tally);
    check_every_half(isa, tally);
}

/* Copies and widens exactly, fills up with zeros, and touches nothing behind the panel. */
static void check_panel_size(const Isa *isa, Tally *tally, int half, int rows, ptrdiff_t depth) {
    const int lanes = isa->lanes;
    const ptrdiff_t weight_row = depth + 5, floats = isa->panel_rows * depth;
    const Dots dots = {half, weight_row * (half ? 2 : 4), 0, 0, 0};
    char *weight = random_weights(half, rows * weight_row);
    float *panel = filled_array(floats + lanes, UNTOUCHED);
    isa->dot_panel(&dots, rows, depth, weight, panel, weight, rows < 2 ? rows : 2);
    for (ptrdiff_t i = 0; i < floats; i++) {
        const ptrdiff_t o = i / lanes % isa->panel_rows;
        const ptrdiff_t d = i / lanes / isa->panel_rows * lanes + i % lanes;
        must(tally, panel[i] == (o < rows ? weight_at(half, weight, o * weight_row + d) : 0));
    }
    for (int lane = 0; lane < lanes; lane++) must(tally, panel[floats + lane] == UNTOUCHED);
    free(weight), free(panel);
}

static void check_dot_panel(const Isa *isa, Tally *tally) {
    for (int rows = 1; rows <= isa->panel_rows; rows++)
        for (int half = 0; half < 2; half++) {
            check_panel_size(isa, tally, half, rows, isa->lanes);
            check_panel_size(isa, tally, half, rows, DOT_BLOCK);
        }
}

/* The same bits as dot_tile, row by row and image by image; dot_tile is compared with plain
 * loops above, and so is the sum of one lane here. */
static void check_panel_tile_size(const Isa *isa, Tally *tally, int half, int images,
                                  ptrdiff_t depth) {
    const int lanes = isa->lanes, rows = isa->panel_rows;
    const ptrdiff_t across = images + 1, count = rows * across * lanes;
    const Dots dots = {half, depth * (half ? 2 : 4), DOT_BLOCK, across, 0};
    char *weight = random_weights(half, rows * depth);
    float *input = random_array(images * DOT_BLOCK), *panel = filled_array(rows * depth, 0);
    float *sums = random_array(count), *want = filled_array(count, 0);
    memcpy(want, sums, (size_t)count * sizeof *sums);
    isa->dot_panel(&dots, rows, depth, weight, panel, weight, 0);
    isa->dot_panel_tile(&dots, images, depth, panel, input, sums, weight, rows);
    for (ptrdiff_t o = 0; o < rows; o++) {
        const char *row = weight + o * dots.weight_row;
        for (ptrdiff_t n = 0; n < images; n++) {
            float *lane = want + (o * across + n) * lanes;
            double sum = lane[0], magnitude = fabs(sum);
            for (ptrdiff_t d = 0; d < depth; d += lanes) {
                const double term = weight_at(half, row, d) * input[n * DOT_BLOCK + d];
                sum += term;
                magnitude += fabs(term);
            }
            compare(tally, sums[(o * across + n) * lanes], sum, magnitude);
            isa->dot_tile(&dots, 1, 1, depth, row, input + n * DOT_BLOCK, lane, row, 0);
        }
    }
    same_bits(tally, sums, want, (int)count);
    free(weight), free(input), free(panel), free(sums), free(want);
}

static void check_dot_panel_tile(const Isa *isa, Tally *tally) {
    for (int images = 1; images <= isa->panel_images; images++)
        for (int half = 0; half < 2; half++) {
            check_panel_tile_size(isa, tally, half, images, isa->lanes);
            check_panel_tile_size(isa, tally, half, images, 3 * isa->lanes);
            check_panel_tile_size(isa, tally, half, images, DOT_BLOCK);
        }
}

static void check_finish_size(const Isa *isa, Tally *tally, int half, int rows, ptrdiff_t images,
                              ptrdiff_t tail) {
    const int lanes = isa->lanes, size = half ? 2 : 4, relu = (rows + tail) % 2;
    const ptrdiff_t weight_row = tail + 2, input_row = tail + 1, outputs = rows + 2;
    const Dots dots = {half, weight_row * size, input_row, images, outputs};
    char *weight = random_weights(half, rows * weight_row);
    float *input = random_array(images * input_row), *bias = random_array(rows);
    float *sums = random_array(rows * images * lanes);
    float *out = filled_array(images * outputs, UNTOUCHED);
    const float *b = rows % 3 ? bias : NULL;
    sums[0] = (float)NAN;
    isa->dot_finish(&dots, rows, tail, weight, input, sums, b, relu, out);
    for (ptrdiff_t i = 0; i < images * outputs; i++) {
        const ptrdiff_t n = i / outputs, o = i % outputs;
        if (o >= rows) {
            must(tally, out[i] == UNTOUCHED);
            continue;
        }
        double sum = b ? b[o] : 0, magnitude = fabs(sum);
        for (int lane = 0; lane < lanes; lane++) {
            sum += sums[(o * images + n) * lanes + lane];
            magnitude += fabs(sums[(o * images + n) * lanes + lane]);
        }
        for (ptrdiff_t d = 0; d < tail; d++) {
            const double term =
                weight_at(half, weight, o * weight_row + d) * input[n * input_row + d];
            sum += term;
            magnitude += fabs(term);
        }
        compare(tally, out[i], relu_of(sum, relu), magnitude);
    }
    free(weight), free(input), free(bias), free(sums), free(out);
}

static void check_dot_finish(const Isa *isa, Tally *tally) {
    for (int half = 0; half < 2; half++)
        for (int rows = 1; rows <= 7; rows++)
            for (ptrdiff_t images = 1; images <= 9; images += 4)
                for (ptrdiff_t tail = 0; tail < isa->lanes; tail++)
                    check_finish_size(isa, tally, half, rows, images, tail);
}
