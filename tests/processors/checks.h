/* What the checks share: random arrays, and a record of the worst error of each function. */
#ifndef DECAF_CHECKS_H
#define DECAF_CHECKS_H

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNTOUCHED 12345.0f /* stands where nothing may be written */

typedef struct {
    const char *what;
    double allowed; /* error, relative to the sum of the magnitudes of a result's terms */
    double worst;
    long values;
} Tally;

/* Numbers in [-1, 1), the same on every machine. */
static float random_float(void) {
    static unsigned long state = 1;
    state = (state * 1664525ul + 1013904223ul) & 0xfffffffful;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* Each array lies apart, as long as it must be and no longer, so that a sanitizer sees every
 * step beyond its end. */
static float *filled_array(ptrdiff_t length, float value) {
    float *array = malloc((size_t)length * sizeof *array);
    if (!array) exit(2);
    for (ptrdiff_t i = 0; i < length; i++) array[i] = value;
    return array;
}

static float *random_array(ptrdiff_t length) {
    float *array = filled_array(length, 0);
    for (ptrdiff_t i = 0; i < length; i++) array[i] = random_float();
    return array;
}

static void must(Tally *tally, int holds) {
    if (!holds) tally->worst = INFINITY;
    tally->values++;
}

/* `terms` is the sum of the magnitudes of all that was added up to `want`. */
static void compare(Tally *tally, float got, double want, double terms) {
    double error = fabs(got - want) / (terms > 0 ? terms : 1);
    if (isnan(want) || isnan(got)) error = isnan(want) && isnan(got) ? 0 : INFINITY;
    if (got == want) error = 0; /* infinities, too */
    if (error > tally->worst) tally->worst = error;
    tally->values++;
}

static void same_bits(Tally *tally, const float *a, const float *b, ptrdiff_t count) {
    must(tally, memcmp(a, b, (size_t)count * sizeof *a) == 0);
}

static double relu_of(double value, int relu) { return relu && value < 0 ? 0 : value; }

/* Print a line; return whether the check passed. */
static int passed(const char *isa, const Tally *tally) {
    const int ok = tally->values > 0 && tally->worst <= tally->allowed;
    printf("%-8s %-18s error %8.2g, %.2g allowed, %7ld values: %s\n", isa, tally->what,
           tally->worst, tally->allowed, tally->values, ok ? "ok" : "FAILED");
    return ok;
}

#endif
