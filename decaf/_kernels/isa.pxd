"""Instruction sets; see isa.h."""

cdef extern from "isa.h" nogil:
    ctypedef struct Segment:
        Py_ssize_t offset
        Py_ssize_t length
    ctypedef void MacTile(
        int vectors, const Segment* segments, Py_ssize_t count, const float* const* x,
        const float* weights, const float* next, const float* bias, int relu, int pixels,
        int outputs, float* out, Py_ssize_t stride) noexcept
    ctypedef struct Dots:
        bint half
        Py_ssize_t weight_row
        Py_ssize_t input_row
        Py_ssize_t images
        Py_ssize_t outputs
    ctypedef void DotPanel(
        const Dots* dots, int rows, Py_ssize_t depth, const char* weight, float* panel,
        const char* ahead, int ahead_rows) noexcept
    ctypedef void DotPanelTile(
        const Dots* dots, int images, Py_ssize_t depth, const float* panel, const float* input,
        float* sums, const char* ahead, int ahead_rows) noexcept
    ctypedef void DotTile(
        const Dots* dots, int rows, int images, Py_ssize_t depth, const char* weight,
        const float* input, float* sums, const char* ahead, int ahead_rows) noexcept
    ctypedef void DotFinish(
        const Dots* dots, int rows, Py_ssize_t tail, const char* weight, const float* input,
        const float* sums, const float* bias, int relu, float* out) noexcept
    ctypedef void WinogradInput(
        int pairs, const float* const* x, Py_ssize_t channels, float* v,
        Py_ssize_t point) noexcept
    ctypedef void WinogradOutput(
        int pairs, const float* m, Py_ssize_t point, const float* bias, int relu, int rows,
        int columns, Py_ssize_t channels, float* out, Py_ssize_t row, Py_ssize_t pixel) noexcept
    ctypedef void MaxWindow(
        const float* input, Py_ssize_t height, Py_ssize_t width, Py_ssize_t row,
        Py_ssize_t channels, float* out) noexcept
    ctypedef void MeanWindow(
        const float* input, Py_ssize_t height, Py_ssize_t width, Py_ssize_t row,
        Py_ssize_t channels, Py_ssize_t count, float* out) noexcept
    ctypedef void LrnAcross(
        const float* input, Py_ssize_t pixels, Py_ssize_t channels, Py_ssize_t before,
        Py_ssize_t after, float scale, float beta, float k, float* scratch, float* out) noexcept
    ctypedef void LrnWithin(
        const float* input, const float* window, Py_ssize_t height, Py_ssize_t width,
        Py_ssize_t channels, Py_ssize_t before, Py_ssize_t after, float scale, float beta,
        float k, float* scratch, float* out) noexcept
    ctypedef struct Isa:
        const char* name
        int lanes
        int pixels
        int vectors
        int images
        int panel_rows
        int panel_images
        int panel_above[2]
        MacTile* mac_tile
        DotTile* dot_tile
        DotPanel* dot_panel
        DotPanelTile* dot_panel_tile
        DotFinish* dot_finish
        WinogradInput* winograd_input
        WinogradOutput* winograd_output
        MaxWindow* max_window
        MeanWindow* mean_window
        LrnAcross* lrn_across
        LrnWithin* lrn_within
    enum:
        MAC_BLOCK
        MOST_PIXELS
        MOST_WIDTH
    int DOT_ROWS
    int DOT_BLOCK

cdef const Isa* pick(str name) except NULL
