"""Records in memory: what a caller hands over, and what the parts of one product share."""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.codegen.writer import FunctionWriter, Value


class Record:
    """Named 64-bit words; names that end in a star are addresses.

    >>> Record(["n", "place*"]).offset("place")
    8
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.kinds = {n.rstrip("*"): "ptr" if n.endswith("*") else "i64" for n in names}
        self.names = tuple(self.kinds)

    def offset(self, name: str) -> int:
        """Where a word lies, in bytes."""
        return 8 * self.names.index(name)

    def _at(self, fn: FunctionWriter, base: Value, name: str) -> Value:
        offset = self.offset(name)
        return fn.val(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def get(self, fn: FunctionWriter, base: Value, name: str) -> Value:
        """The word, read once in a scope: nobody changes it meanwhile."""
        return fn.val(f"load {self.kinds[name]}, ptr {self._at(fn, base, name)}")

    def put(self, fn: FunctionWriter, base: Value, **values: Value | int) -> None:
        """Write words."""
        for name, value in values.items():
            fn.raw(f"store {self.kinds[name]} {value}, ptr {self._at(fn, base, name)}")

    def slot(self, fn: FunctionWriter) -> Value:
        """Memory for a record on the stack."""
        return fn.slot("i64", len(self.names), 16)


#: what the caller of ``kernel`` hands over: sizes, then for each operand its address and how far
#: apart its rows, columns and matrices lie (elements); whether C is added to; what is done with
#: rows of the result as soon as they are complete, a row being so many turns; memory;
#: the thread team, and from how many multiplications on it is woken; the record of parts
#: (`leaves.py`). The rest is the kernel's own
JOB = Record([
    "batch", "m", "n", "k",
    "a*", "a_row", "a_col", "a_next", "b*", "b_row", "b_col", "b_next",
    "c*", "c_row", "c_next", "adds",
    "after*", "context*", "scale",
    "malloc*", "free*", "pool*",
    "run*", "threads*", "awake*", "team*", "least",
    "parts*",
    # where jobs begin, of which long ones give out some;
    # which parts are packed, or copied by the first tile that reads them; how the summed axis, the
    # columns, the tiles are cut; tile heights; where packed parts lie, how much room they take,
    # where a thread's copy of a strip begins; threads inside a matrix, for how many pieces, and
    # whether they share the columns
    "kernel*", "packs_a", "packs_b", "copies_b", "depth", "width", "high", "height", "taller",
    "tiles", "place*", "room_a", "room_b", "strip_at", "limit", "pieces", "wide",
    # of convolutions, whose batch is images times groups: how far groups and the columns of the
    # result lie apart, where the elements of the operand in an image are, what is done before an
    # image (so many turns)
    "groups", "a_group", "b_group", "c_group", "c_col", "row_table*", "col_table*", "run_length",
    "before*", "before_context*", "before_scale",
])  # fmt: skip
GIVEN = JOB.names[: JOB.names.index("kernel")]

#: the products of some columns over one block of the summed axis, of one matrix
SLAB = Record([
    "job*", "a*", "b*", "b_from*", "c*", "n", "k", "flags",
    "place_a*", "groups", "group_width", "last", "first_row", "table*", "first",
])  # fmt: skip
