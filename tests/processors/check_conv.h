/* mac_tile: some pixels of a convolution, against sums in double precision. */

/* Lengths of the segments, 0 behind the last: one term, several of a convolution, blocks that
 * end exactly at a segment and that do not, a segment of more than a block. */
static const ptrdiff_t segment_lengths[][6] = {
    {1}, {3, 3, 3}, {MAC_BLOCK - 1, 1, 1}, {MAC_BLOCK, MAC_BLOCK}, {100, 100, 100, 100, 7}, {MAC_BLOCK + 45, 2},
};
#define MOST_SEGMENTS 6
#define MOST_TILE 16 /* pixels of a tile */

/* Segments in falling order of offset, with a gap between them; returns the floats they span. */
static ptrdiff_t lay_segments(const ptrdiff_t *lengths, Segment *segments, ptrdiff_t *count) {
    ptrdiff_t span = 0;
    for (*count = 0; *count < MOST_SEGMENTS && lengths[*count]; ++*count)
        span += lengths[*count] + 2;
    ptrdiff_t end = span;
    for (ptrdiff_t s = 0; s < *count; s++) {
        end -= lengths[s] + 2;
        segments[s].offset = end;
        segments[s].length = lengths[s];
    }
    return span;
}

/* Every number of pixels that exist, of the outputs that end in a vector, with and without bias. */
static void check_mac_sizes(const Isa *isa, Tally *tally, const ptrdiff_t *lengths, int vectors) {
    Segment segments[MOST_SEGMENTS];
    ptrdiff_t count, terms = 0;
    const ptrdiff_t span = lay_segments(lengths, segments, &count);
    const int width = vectors * isa->lanes, stride = width + 3;
    for (ptrdiff_t s = 0; s < count; s++) terms += segments[s].length;
    float *image = random_array(span + isa->pixels * 5);
    float *weights = random_array(terms * width), *bias = random_array(width);
    const float *x[MOST_TILE];
    for (int p = 0; p < isa->pixels; p++) x[p] = image + p * 5;
    image[segments[0].offset + isa->pixels / 2 * 5] = (float)NAN; /* in some pixels */
    for (int pixels = 1; pixels <= isa->pixels; pixels++) {
        for (int outputs = width - isa->lanes + 1; outputs <= width; outputs++) {
            const int relu = (pixels + outputs) % 2;
            const float *b = outputs % 3 ? bias : NULL;
            float *out = filled_array(isa->pixels * stride, UNTOUCHED);
            isa->mac_tile(vectors, segments, count, x, weights, weights, b, relu, pixels, outputs,
                          out, stride);
            for (int p = 0; p < isa->pixels; p++) {
                for (int o = 0; o < stride; o++) {
                    if (p >= pixels || o >= outputs) {
                        must(tally, out[p * stride + o] == UNTOUCHED);
                        continue;
                    }
                    double sum = b ? b[o] : 0, magnitude = fabs(sum);
                    const float *w = weights + o;
                    for (ptrdiff_t s = 0; s < count; s++) {
                        for (ptrdiff_t k = 0; k < segments[s].length; k++, w += width) {
                            const double term = (double)x[p][segments[s].offset + k] * *w;
                            sum += term;
                            magnitude += fabs(term);
                        }
                    }
                    compare(tally, out[p * stride + o], relu_of(sum, relu), magnitude);
                }
            }
            free(out);
        }
    }
    free(image), free(weights), free(bias);
}

/* The same operands everywhere: the same bits everywhere, in tiles of every width. */
static void check_mac_bits(const Isa *isa, Tally *tally, const ptrdiff_t *lengths) {
    Segment segments[MOST_SEGMENTS];
    ptrdiff_t count, terms = 0;
    const ptrdiff_t span = lay_segments(lengths, segments, &count);
    const int most = isa->vectors * isa->lanes;
    for (ptrdiff_t s = 0; s < count; s++) terms += segments[s].length;
    float *image = random_array(span), *column = random_array(terms);
    float *weights = filled_array(terms * most, 0), *out = filled_array(isa->pixels * most, 0);
    float first = 0;
    const float *x[MOST_TILE];
    for (int p = 0; p < isa->pixels; p++) x[p] = image;
    for (int vectors = 1; vectors <= isa->vectors; vectors++) {
        const int width = vectors * isa->lanes;
        for (ptrdiff_t k = 0; k < terms * width; k++) weights[k] = column[k / width];
        isa->mac_tile(vectors, segments, count, x, weights, weights, NULL, 0, isa->pixels, width,
                      out, width);
        if (vectors == 1) first = out[0];
        for (int i = 0; i < isa->pixels * width; i++) same_bits(tally, &out[i], &first, 1);
    }
    free(image), free(column), free(weights), free(out);
}

/* Terms of which MAC_BLOCK add up exactly in float32, and so do sums of whole blocks, but not 2048 of
 * them one by one: their error would be 1e-5. */
static void check_mac_blocks(const Isa *isa, Tally *tally) {
    Segment segments[16];
    const float term = 1 + 3 / 32768.0f, *x[MOST_TILE];
    float *image = filled_array(128, 1), *weights = filled_array(16 * 128 * isa->lanes, term);
    float *out = filled_array(isa->lanes, 0);
    for (int s = 0; s < 16; s++) segments[s].offset = 0, segments[s].length = 128;
    for (int p = 0; p < isa->pixels; p++) x[p] = image;
    isa->mac_tile(1, segments, 16, x, weights, weights, NULL, 0, 1, isa->lanes, out, 0);
    for (int o = 0; o < isa->lanes; o++) compare(tally, out[o], 16 * 128 * term, 16 * 128 * term);
    free(image), free(weights), free(out);
}

static void check_mac_tile(const Isa *isa, Tally *tally) {
    const int cases = (int)(sizeof segment_lengths / sizeof segment_lengths[0]);
    for (int i = 0; i < cases; i++) {
        for (int vectors = 1; vectors <= isa->vectors; vectors++)
            check_mac_sizes(isa, tally, segment_lengths[i], vectors);
        check_mac_bits(isa, tally, segment_lengths[i]);
    }
    check_mac_blocks(isa, tally);
}
