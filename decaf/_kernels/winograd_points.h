/* The points of F(4, 3) and F(4, 5), and the polynomials through them; see winograd.h. */
#ifndef DECAF_WINOGRAD_POINTS_H
#define DECAF_WINOGRAD_POINTS_H

/* By number of pairs: 0, +-p1, +-p2 (, +-p3), infinity. */
static const float winograd_points[4][3] = {{0}, {0}, {0.75f, 1.5f}, {0.5f, 1.0f, 2.0f}};

/* Coefficients in x*x, lowest first, of the product of (x*x - p*p) over all pairs but one; the
 * last row is over all pairs. */
#define P1 (0.75f * 0.75f)
#define P2 (1.5f * 1.5f)
static const float winograd_products2[3][4] = {{-P2, 1}, {-P1, 1}, {P1 * P2, -P1 - P2, 1}};
#undef P1
#undef P2
static const float winograd_products3[4][4] = {
    {4, -5, 1}, {1, -4.25f, 1}, {0.25f, -1.25f, 1}, {-1, 5.25f, -5.25f, 1}};

#endif
