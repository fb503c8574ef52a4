"""Records in memory: what a caller hands over, and the plans that `fourier_plans.py` makes."""

from __future__ import annotations

from symgraph.codegen.gemm.record import Record

#: what the caller of ``kernel`` hands over: outer sequences, so many inner ones whose elements lie
#: beside each other, their length; what is transformed to what (`KINDS`), whether the exponent's
#: sign is turned, the scale (`SCALES`); memory; the thread team, and from how many picoseconds of
#: work on it is woken; plans. The rest is the kernel's own
JOB = Record([
    "outer", "inner", "n", "x*", "y*", "kind", "turn", "norm",
    "malloc*", "free*", "pool*", "run*", "threads*", "awake*", "team*", "least", "plans*",
    # length of the complex transform; numbers that are read and written; the scale's bits
    "length", "read", "written", "scale",
    # plans of the transform, of the step between real and complex, and of what brings bundles in
    # or out, or functions for that; memory of threads, each so many bytes; bundles of an outer
    # sequence
    "plan*", "real_plan*", "end_plan*", "in*", "out*", "room*", "each", "bundles",
    # of a sequence that several threads do: where it is read and written, memory of their own
    "row*", "target*", "rooms*",
])  # fmt: skip

RADICES = (1, 2, 3, 4, 5, 7, 8, 16)  # of passes that are written out
PRIMES = (11, 13, 17, 19, 23, 29, 31)  # of the others
#: what is known of plans: the function to ask, ``ask(record, number)``; how many transforms are
#: running; whether there is so much that all of it is to be forgotten when none is; then as many
#: plans as there are slots, which are found without asking, each by bits of the product below
PLANS = Record(["ask*", "running", "full"])
SLOTS = 64
FORGET, NO_MEMORY = -2, -1  # numbers that are asked for in the place of a plan's
GOLDEN = -7046029254386353131  # 2^64 / golden ratio, to scatter numbers (Knuth, 6.4)
LINE = 64  # bytes of cache
COMPLEX, TO_REAL, FROM_REAL = 0, 1, 2  # KINDS
PLAIN, BY_LENGTH, BY_ROOT = 0, 1, 2  # SCALES

#: plans are asked for by a number: the length, times KINDS_OF_PLANS, and one of these: of bundles;
#: of lanes beside each other in arrays, in the first pass, the last one or both; so many numbers
#: from such an array, or to one; of one sequence; what stands beside a transform of real numbers;
#: one of the functions ENDS_OF_BUNDLES, by its number. One more is that with the exponent's sign
#: turned, or on the way back to real numbers
(BUNDLE, COLUMNS, LINES, BESIDE, BRING, CARRY, ROW, BUNDLE_OF_REAL, ROW_OF_REAL, END) = range(
    0, 20, 2
)
KINDS_OF_PLANS = 32

#: how a bundle is transformed: so many passes follow
PLAN = Record(["number", "count"])
PASS = Record(["radix", "s", "m", "factors*", "table*", "code*"])
PASS_AT = 8 * len(PLAN.names)

#: the arrays of a first and a last pass: bytes between numbers, lanes that are there, the scale
ENDS = Record(["x*", "x_step", "x_live", "y*", "y_step", "y_live", "scale"])

#: how one sequence is: as a matrix of ``high`` rows and ``wide`` columns, with the plans of its
#: columns and rows and the factors between; or, where ``folded`` is not 0, by a convolution of
#: ``folded`` numbers, with their plans there and back. ``room`` are the bytes of memory that it
#: takes, ``turned_at`` is a place in it, and ``whole`` is a function that does all, or null
LONG = Record([
    "number", "length", "folded", "room", "turned_at", "high", "wide",
    "of_columns*", "of_rows*", "near*", "coarse*", "fine*", "shift",
    "inner*", "inner_back*", "chirp*", "filter*", "code*", "whole*",
])  # fmt: skip

#: the step beside a transform of real numbers, and its factors exp(-2 pi i k / n): of each k, or of
#: the first as many as lanes and of each such group
REAL = Record(["number", "near*", "groups*", "code*"])

#: a function alone
FUNCTION = Record(["number", "code*"])
ENDS_OF_BUNDLES = ("rows_in", "reals_in", "rows_out", "reals_out")

AT_ONCE = "matrix_"  # how the names of parts begin that transform a row at once (`squares.py`)


def at_once(high: int, wide: int, lanes: int, exchanged: bool) -> str:
    """The name of the part for a matrix of that shape; empty where there is none.

    >>> at_once(8, 16, 8, True), at_once(8, 16, 16, False)
    ('matrix_8x16_i', '')
    """
    fits = high % lanes == wide % lanes == 0 and {high, wide} <= set(RADICES)
    return f"{AT_ONCE}{high}x{wide}{'_i' * exchanged}" if fits else ""
