/* float16, as numbers are stored; all arithmetic is float32. */
#ifndef DECAF_HALF_H
#define DECAF_HALF_H

#include <stdint.h>
#include <string.h>

/* A float16 has a sign, 5 bits of exponent (bias 15) and 10 of mantissa, a float32 has a sign, 8
 * (bias 127) and 23.  These are bits of a float32. */
#define HALF_EXPONENT (0x1fu << 23)    /* the exponent, moved to its place */
#define HALF_BIAS ((127u - 15u) << 23) /* what it lacks there; once more for infinity and NaN */
#define HALF_ONE (1u << 23)            /* one step of it */
#define HALF_LOWEST (113u << 23)       /* 2^-14, the least normal float16 */

/* A float16 as float32: exact, NaN stays NaN.
 *
 * Zero and denormals have no hidden bit: they are given one, and it is taken away again.  So no
 * step works on a denormal float32, and a processor may well take those for zero. */
static inline float float_of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13, lowest = 0;
    const uint32_t exponent = bits & HALF_EXPONENT;
    float value, hidden;
    bits += HALF_BIAS;
    if (exponent == HALF_EXPONENT) bits += HALF_BIAS;
    if (exponent == 0) {
        bits += HALF_ONE;
        lowest = HALF_LOWEST;
    }
    memcpy(&value, &bits, sizeof value);
    memcpy(&hidden, &lowest, sizeof hidden);
    value -= hidden;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
