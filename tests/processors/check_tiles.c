/* The inner loops of decaf/_kernels, checked without Python, for any compiler and processor.
 *
 * Every function of every instruction set that this processor has is compared with plain loops
 * in double precision.  Prints the worst error of each; exits with 1 if one is too large, or if
 * there is a function that nothing checks.
 *
 *   cc -O3 -ffp-contract=fast -Idecaf/_kernels tests/processors/check_tiles.c -lm && ./a.out
 */
#include "isa_list.h"

#include "checks.h"

#include "check_conv.h"
#include "check_linear.h"
#include "check_rows.h"
#include "check_winograd.h"

typedef struct {
    const char *what;
    void (*check)(const Isa *isa, Tally *tally);
    double allowed;
} Check;

/* One for each function of Isa, in that order; then those of several functions together. */
static const Check checks[] = {
    {"mac_tile", check_mac_tile, 3e-7},
    {"dot_tile", check_dot_tile, 3e-7},
    {"dot_panel", check_dot_panel, 0},
    {"dot_panel_tile", check_dot_panel_tile, 3e-7},
    {"dot_finish", check_dot_finish, 5e-7},
    {"winograd_input", check_winograd_input, 3e-7},
    {"winograd_output", check_winograd_output, 3e-7},
    {"max_window", check_max_window, 0},
    {"mean_window", check_mean_window, 1e-7},
    {"lrn_across", check_lrn_across, 1e-6},
    {"lrn_within", check_lrn_within, 1e-6},
    {"winograd", check_winograd_convolution, 2e-5},
};
#define TOGETHER 1

int main(void) {
    const size_t functions = (sizeof(Isa) - offsetof(Isa, mac_tile)) / sizeof(MacTile *);
    const size_t count = sizeof checks / sizeof checks[0];
    const Isa *found[8];
    const int sets = isa_list(found);
    int failed = 0;
    if (functions != count - TOGETHER) {
        printf("%d functions in Isa, checks for %d\n", (int)functions, (int)count - TOGETHER);
        failed = 1;
    }
    for (int i = 0; i < sets; i++) {
        for (size_t k = 0; k < count; k++) {
            Tally tally = {checks[k].what, checks[k].allowed, 0, 0};
            checks[k].check(found[i], &tally);
            failed |= !passed(found[i]->name, &tally);
        }
    }
    return failed;
}
