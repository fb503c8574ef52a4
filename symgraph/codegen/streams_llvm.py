"""Results that are too large for the caches are written past them.

A store to a line that is in no cache reads it from memory first, and writes it back later. A
non-temporal one does neither, but what it wrote has left the caches as well, so that whoever reads
it next waits for memory. Of 32 MB and more little would have stayed there: a copy of 40 MB
takes 0.8 of the time, together with a loop that reads the result 0.9; below 24 MB it is slower.

The kernel looks when it runs: at the size of the result, and whether its vectors begin at multiples
of their length, which these stores ask for. The flag is the same in all turns of a loop, so that
the branch at each store costs next to nothing. Non-temporal stores may reach memory in any order:
a fence at the end of the kernel ends that before another thread is told (one after each short loop
would wait for memory each time).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen.writer import Value
from symgraph.loops.compute import elements
from symgraph.loops.statements import Fold, For, Kernel, Let, Store, expressions, walk
from symgraph.scalar import Expr, as_expr, coefficient, const, postorder, substitute, variables

if TYPE_CHECKING:
    from symgraph.codegen.values import Values

FROM = 32 << 20  # bytes of a result
LINE = 64  # bytes
TURNS = 64  # of a loop, below which one does not stream


def candidates(kernel: Kernel, features: Collection[str]) -> frozenset[str]:
    """The buffers of a kernel that it may write past the caches: results that it does not read, of
    sizes that are not known to be small. None where the processor has no such stores."""
    if "sse2" not in features:
        return frozenset()
    read = {e.attr for s in walk(kernel.body) for e in postorder(expressions(s))
            if e.op in ("load", "load_if")}  # fmt: skip
    found = set()
    for p in kernel.params:
        count = elements(p.shape)
        small = isinstance(count, int) and count * dtypes.itemsize(p.dtype) < FROM
        if p.mode == "out" and p.name not in read and not small:
            found.add(p.name)
    return frozenset(found)


def prepare(values: Values, kernel: Kernel) -> None:
    """Look at the results whose rows loops inside of loops write, before the outermost one: short
    rows leave no time for that."""
    values.candidates = candidates(kernel, values.module.features)
    for outer in kernel.body:
        inner = [*walk(getattr(outer, "body", ()))]
        if any(isinstance(s, Fold) for s in inner):  # passes over rows ask ahead instead
            continue
        loops = [s for s in inner if isinstance(s, For) and s.kind == "vector" and _may_stream(s)]
        for loop, x in [(s, x) for s in loops for x in s.body]:
            if isinstance(x, Store) and x.buffer in values.candidates and x.indices:
                _look_at_rows(values, loop, x)


def _look_at_rows(values: Values, s: For, x: Store) -> None:
    """Whether a result is large and what a loop writes of each row begins at a multiple of a line;
    nothing where the loop's first column is not known yet."""
    fn, first = values.fn, x.indices[-1] - s.index
    if any(v not in values.known for v in variables(first)) or _reads(first):
        return
    row = values.uniform(as_expr(values.shapes[x.buffer][-1]))
    columns = fn.val(f"or i64 {row}, {values.uniform(first)}")
    steps = fn.val(f"mul i64 {columns}, {dtypes.itemsize(x.value.dtype)}")
    start = fn.val(f"ptrtoint ptr {values.pointers[x.buffer]} to i64")
    aligned = _is_aligned(values, fn.val(f"or i64 {steps}, {start}"))
    large = _is_large(values, x.buffer, x.value.dtype)
    values.in_rows[x.buffer, x.indices[-1]] = fn.val(f"and i1 {aligned}, {large}")


@contextmanager
def streaming(values: Values, s: For, lanes: int, register: int) -> Iterator[None]:
    """A loop of vectors whose large results are written past the caches, where a vector fills
    registers of so many bytes."""
    stores = [x for x in s.body if isinstance(x, Store) and _streams(values, s, x, lanes, register)]
    flag = _flag(values, s, stores) if stores and _reads_forwards(values, s) else ""
    if not flag:
        yield
        return
    values.streams = dict.fromkeys((x.buffer for x in stores), flag)
    yield
    values.streams = {}
    values.streamed.setdefault(stores[0].buffer, stores[0].value.dtype)


def fence(values: Values) -> None:
    """End a kernel: what its loops wrote past the caches is written."""
    fn, some = values.fn, ""
    for buffer, dtype in values.streamed.items():
        large = _is_large(values, buffer, dtype)
        some = fn.val(f"or i1 {some}, {large}") if some else large
    if some:
        fn.declare("void", "llvm.x86.sse.sfence", [])
        fn.if_(some, lambda: fn.raw("call void @llvm.x86.sse.sfence()"), likely=False)


def _may_stream(s: For) -> bool:
    """Whether a loop is one of single values and not known to be short."""
    short = isinstance(s.extent, int) and s.extent < TURNS
    return not short and all(isinstance(x, Let | Store) for x in s.body)


def _reads_forwards(values: Values, s: For) -> bool:
    """Whether a loop reads memory as it lies there. What reads nothing waits for nothing, and
    beside reading backwards these stores were slower."""
    steps = {
        coefficient(values.linear(e.attr, e.args[e.op == "load_if" :]), s.index)
        for e in postorder([v for x in s.body for v in expressions(x)])
        if e.op in ("load", "load_if")
    }
    return const(1) in steps and const(-1) not in steps


def _streams(values: Values, s: For, x: Store, lanes: int, register: int) -> bool:
    if x.buffer not in values.candidates or lanes * dtypes.itemsize(x.value.dtype) % register:
        return False
    if not _may_stream(s):
        return False
    place = values.linear(x.buffer, x.indices)
    told = all(v in values.known or v is s.index for v in variables(place))
    return told and not _reads(place) and coefficient(place, s.index) is const(1)


def _reads(place: Expr) -> bool:
    return any(e.op in ("load", "load_if") for e in postorder([place]))


def _flag(values: Values, s: For, stores: list[Store]) -> Value:
    """Whether the results are large and all vectors begin at multiples of a line; nothing where
    that would have to be asked for each row."""
    fn, flag, low = values.fn, "", ""
    if values.level:
        for x in stores:
            known = values.in_rows.get((x.buffer, x.indices[-1]), "")
            if not known:
                return ""
            flag = fn.val(f"and i1 {flag}, {known}") if flag else known
        return flag
    for x in stores:
        place = substitute(values.linear(x.buffer, x.indices), {s.index: const(0)})
        where = values.address(x.buffer, place, x.value.dtype)
        number = fn.val(f"ptrtoint ptr {where} to i64")
        low = fn.val(f"or i64 {low}, {number}") if low else number
    large = _is_large(values, stores[0].buffer, stores[0].value.dtype)
    return fn.val(f"and i1 {_is_aligned(values, low)}, {large}")


def _is_aligned(values: Values, number: Value) -> Value:
    low = values.fn.val(f"and i64 {number}, {LINE - 1}")
    return values.fn.val(f"icmp eq i64 {low}, 0")


def _is_large(values: Values, buffer: str, dtype: str) -> Value:
    count = values.uniform(as_expr(elements(values.shapes[buffer])))
    return values.fn.val(f"icmp sge i64 {count}, {FROM // dtypes.itemsize(dtype)}")
