"""Asking for the next row while this one is worked on.

What goes over each row several times meets memory in its first pass only: that waits, and the
others, which have the row in the nearest cache, leave memory idle. So the slowest pass over a row
asks, vector by vector, for the same places of the next row: those that any pass reads, and those
that one writes, whose lines would else be read when the first store meets them.

    for i { fold r: x[i, r]; for r { ... }; for r: store y[i, r] }

Asking is no load: what lies beyond the end of an array is not touched, results do not depend on it.
Rows so long that the next one would drive this one out are left alone, which is seen when the
kernel runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen.literals import memory_type
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.cost import body_cost
from symgraph.loops.statements import Fold, For, Let, Size, Store, expressions, walk
from symgraph.records import NamedTuple
from symgraph.scalar import (
    Expr,
    as_expr,
    coefficient,
    const,
    depends,
    load,
    postorder,
    rebuild,
    substitute,
    transform,
    variables,
)
from symgraph.scalar import functions as F

if TYPE_CHECKING:
    from symgraph.codegen.values import Values

ROW = 1 << 17  # bytes of a row and the next one, of all arrays: an eighth of a second cache
LINE = 64  # bytes
FURTHER = 8192  # bytes that a loop asks ahead of itself
MOST = 4  # arrays
LATER = 16  # turns, after which a row is needed whose number is found in memory


class Stream(NamedTuple):
    """An array that goes by row by row: its place in terms of the loop that asks, and how far the
    next row is (0 where it would drive this one out)."""

    buffer: str
    dtype: str
    place: Expr
    step: Value
    written: bool


class Ahead(NamedTuple):
    """The loop that asks, for what, and where the next rows begin in memory."""

    loop: For | Fold
    streams: list[Stream]
    begins: list[Value]


@contextmanager
def rows(values: Values, s: For) -> Iterator[None]:
    """The turns of a loop; if each goes over rows several times, one of its loops asks ahead."""
    before, values.ahead = values.ahead, _plan(values, s)
    yield
    values.ahead = before


def begin(values: Values, loops: Sequence[For | Fold]) -> None:
    """Find the next rows, before the loop that asks for them (or folds that share one)."""
    ahead = values.ahead
    if ahead is None or not any(s is ahead.loop for s in loops):
        return
    ahead.begins.clear()
    for x in ahead.streams:
        here = substitute(x.place, {ahead.loop.index: const(0)})
        where = values.address(x.buffer, here, x.dtype)
        kind = memory_type(x.dtype)
        ahead.begins.append(values.fn.val(f"getelementptr {kind}, ptr {where}, i64 {x.step}"))


def ask(values: Values, loops: Sequence[For | Fold]) -> None:
    """Ask for what the lanes of this turn will need of the next rows."""
    ahead, fn = values.ahead, values.fn
    if ahead is None or not any(s is ahead.loop for s in loops):
        return
    for x, first in zip(ahead.streams, ahead.begins, strict=True):
        place = fn.val(f"getelementptr {memory_type(x.dtype)}, ptr {first}, i64 {values.base}")
        lines(fn, place, values.lanes * dtypes.itemsize(x.dtype), x.written, 3)


def further_on(values: Values, loads: Sequence[Expr], most: int | None) -> None:
    """Ask for what some loads will read FURTHER bytes from here, if a loop of at most ``most``
    turns comes so far: processors foresee that themselves, but no further than the end of a page,
    and wait there."""
    for e in loads:
        size = dtypes.itemsize(e.dtype)
        near = most is not None and most * size <= FURTHER
        if e.op != "load" or e.attr in values.rooms or near:
            continue
        place = values.linear(e.attr, e.args)
        if told(values, place) and not reads(place) and values.step_of(place) == 1:
            where = values.address(e.attr, place, e.dtype)
            where = values.fn.val(f"getelementptr i8, ptr {where}, i64 {FURTHER}")
            lines(values.fn, where, values.lanes * size, False, 3)


def is_zen_4(features: Collection[str]) -> bool:
    """Whether the processor is a Zen 4 of AMD's. It reads one array quicker if it is not asked (the
    sum of 8 MB in its third cache took 112 us in the place of 84), and elements from here and there
    one by one (rows of 3 doubles of a sparse matrix took 3 times as long, of 100 as long)."""
    return {"avx512f", "sse4a"} <= set(features) and "avxvnni" not in features


def told(values: Values, place: Expr) -> bool:
    """Whether all that a place is made of is known already: an inner loop's index is not."""
    return all(v in values.known or v is values.lane for v in variables(place))


def found_rows(values: Values, roots: Sequence[Expr], index: Expr) -> None:
    """Ask for rows that later turns of a loop over ``index`` will read, whose numbers stand in
    memory: no processor foresees them. Beyond the last number the last row is asked for again."""
    for e in postorder(roots):
        if e.op != "load" or e.attr in values.rooms or values.lanes == 1:
            continue
        place = values.linear(e.attr, e.args)
        found = [n for n in postorder([place]) if n.op == "load" and depends(n, index)]
        if len(found) != 1 or len(found[0].args) != 1 or values.step_of(place) != 1:
            continue
        if not told(values, place):
            continue
        (number,) = found
        last = as_expr(values.shapes[number.attr][0]) - 1
        later = F.minimum(substitute(number.args[0], {index: index + LATER}), last)

        def visit(n: Expr, args: tuple[Expr, ...], number: Expr = number, p: Expr = later) -> Expr:
            return load(n.attr, (p,), n.dtype) if n is number else rebuild(n, args)

        where = values.address(e.attr, transform([place], visit)[0], e.dtype)
        lines(values.fn, where, values.lanes * dtypes.itemsize(e.dtype), False, 3)


def lines(fn: FunctionWriter, first: Value, size: int, written: bool, locality: int) -> None:
    """Ask for so many bytes from an address on.

    >>> fn = FunctionWriter("f", [("ptr", "p", "")])
    >>> lines(fn, "%p", 128, False, 2)
    >>> fn.text().count("prefetch")
    2
    """
    for k in range(0, size, LINE):
        line = fn.val(f"getelementptr i8, ptr {first}, i64 {k}") if k else first
        fn.prefetch(line, written, locality)


def _plan(values: Values, s: For) -> Ahead | None:
    """The slowest loop of a turn of s with the rows that pass; None where one pass is all."""
    loops = [x for x in s.body if isinstance(x, For | Fold)]
    inner = [x for y in loops for x in y.body]
    others = [x for x in s.body if not isinstance(x, For | Fold)]
    if values.lanes > 1 or not all(isinstance(x, Let | Store) for x in [*inner, *others]):
        return None
    if not any(isinstance(x, Fold) for x in loops):  # parts of a row, not passes over it
        return None
    if len(loops) < 2 or any(x.kind != "vector" or _is_running(x) for x in loops):
        return None
    slowest = max(reversed(loops), key=_cost)
    found: dict[tuple[str, Expr], tuple[str, Expr, bool]] = {}
    for y in loops:
        if y.extent == slowest.extent:
            for buffer, dtype, place, step, written in _next_rows(values, s, y, slowest.index):
                written |= found.get((buffer, place), ("", step, False))[2]
                found[buffer, place] = dtype, step, written
    size = sum(dtypes.itemsize(dtype) for dtype, _, _ in found.values())
    if not 0 < len(found) <= MOST or not _is_near(values, slowest.extent, size):
        return None
    streams = [
        Stream(buffer, dtype, place, _step(values, slowest.extent, size, step), written)
        for (buffer, place), (dtype, step, written) in found.items()
    ]
    return Ahead(slowest, streams, [])


def _is_running(x: For | Fold) -> bool:
    return isinstance(x, Fold) and x.combiner == "next"


def _is_near(values: Values, extent: Size, size: int) -> bool:
    """Whether rows of elements of so many bytes may be neither long nor tiny, as is known before
    them."""
    if isinstance(extent, int):
        return 4 * LINE <= extent * size <= ROW
    return all(v in values.known for v in variables(extent)) and not reads(extent)


def _step(values: Values, extent: Size, size: int, step: Expr) -> Value:
    """How far the next row is; 0 where rows turn out to be too long."""
    if isinstance(extent, int):
        return values.uniform(step)
    fn = values.fn
    near = fn.val(f"icmp sle i64 {values.uniform(extent)}, {ROW // size}")
    return fn.val(f"select i1 {near}, i64 {values.uniform(step)}, i64 0")


def _cost(s: For | Fold) -> int:
    """Picoseconds of a turn."""
    cost = body_cost([s._replace(extent=1)])
    return cost if isinstance(cost, int) else 0


def _next_rows(
    values: Values, s: For, y: For | Fold, index: Expr
) -> Iterator[tuple[str, str, Expr, Expr, bool]]:
    """What a loop reads and writes side by side, and elsewhere in the next turn of s: its place
    with another index, and how much further that is."""
    turns = [s.index, *(x.name for x in s.body if isinstance(x, Let) and x.value.op == "mod")]
    for buffer, indices, dtype, written in _accesses(y):
        if buffer not in values.pointers or buffer in values.rooms:
            continue
        place = values.linear(buffer, indices)
        if coefficient(place, y.index) is not const(1):
            continue
        steps = [coefficient(place, t) for t in reversed(turns)]
        step = next((e for e in steps if e is not None and e is not const(0)), None)
        if step is None or reads(step) or reads(place):
            continue
        if all(v in values.known for v in variables(step)):
            yield buffer, dtype, substitute(place, {y.index: index}), step, written


def _accesses(y: For | Fold) -> Iterator[tuple[str, tuple[Expr, ...], str, bool]]:
    """Buffer, indices and dtype of what a loop touches, and whether it is written."""
    for x in walk((y,)):
        for e in postorder(expressions(x)):
            if e.op == "load":
                yield e.attr, e.args, e.dtype, False
        if isinstance(x, Store):
            yield x.buffer, x.indices, x.value.dtype, True


def reads(place: Expr) -> bool:
    """Whether a place is found in memory."""
    return any(e.op in ("load", "load_if") for e in postorder([place]))
