"""Choices about a kernel's loops that do not change what it computes.

``collapse``: two neighbouring loops of a perfect nest that walk through memory as one become one,
so that short rows do not waste vector lanes and loop ends, and rows are counted by one number.
``join_folds``: the same for a fold inside a fold. What comes then depends on the innermost loop of
a nest, each in a file of its own:

    moves alone         moves, elements as words
    Lets and Stores     periods, repeated rows; strides, those of windows; unrolled, few turns;
                        tiling, transposed reads in squares; borders
    folds in lanes      columns, folds down columns in strips
    folds along rows    row_order, short_rows, row_ends
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.loops.statements import (
    Fold,
    For,
    If,
    Kernel,
    Let,
    Size,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.lower.rewriting import accesses, around, perfect_nest
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, as_size, coefficient, const, node, postorder, transform
from symgraph.scalar import rebuild as rebuild_expr

if TYPE_CHECKING:
    from symgraph.lower import (
        borders,
        columns,
        moves,
        periods,
        row_ends,
        row_order,
        short_rows,
        strides,
        tiling,
        unrolled,
    )
else:
    borders, columns, moves, periods, row_ends, row_order, short_rows, strides, tiling, unrolled = (
        Later(f"symgraph.lower.{name}")
        for name in (
            "borders", "columns", "moves", "periods", "row_ends", "row_order", "short_rows",
            "strides", "tiling", "unrolled",
        )
    )  # fmt: skip

LOADS = ("load", "load_if")


def schedule(kernel: Kernel, rooms: Set[str] | None = frozenset(), follows: bool = False) -> Kernel:
    """The kernel as it will be emitted. ``rooms``: the memory that it has for one row at a time;
    None where rows that it stores stay as they are: the processor could not store elements of many
    at once. ``follows``: so they do where it may be run on those of the product before it."""
    if not follows and any(p.dtype in dtypes.WORDS for p in kernel.params):
        kernel = moves.as_words(kernel)
    kernel = collapse(join_folds(kernel))
    path = perfect_nest(kernel.body)
    kind = path[-1].kind if path else ""
    if not any(isinstance(s, Fold) for s in walk(kernel.body)):
        if any(e.op in ("mod", "floordiv") for e in postorder(_roots(kernel.body))):
            kernel = periods.periods(kernel)
            stridden = strides.strides(kernel)
            if stridden is not kernel:
                return stridden
        if len(path) > 1 and any(isinstance(p.extent, int) for p in path):
            kernel = unrolled.unrolled(kernel, rooms is not None)
        path = perfect_nest(kernel.body)
        turned = tiling.tile(kernel) if len(path) > 1 else kernel
        return borders.borders(turned) if kind == "vector" else turned
    if kind == "vector":
        return columns.strip(kernel)
    if kind == "serial":
        kernel = row_order.row_order(kernel)
        kernel = short_rows.short_rows(kernel, None if follows else rooms)
    return kernel if follows else row_ends.row_ends(kernel)


def collapse(kernel: Kernel) -> Kernel:
    """Merge neighbouring loops of a perfect nest where every access has both indices side by side
    over an axis of exactly the inner extent, or neither: of Lets and Stores, or rows with folds."""
    path = perfect_nest(kernel.body)
    if not path or not all(isinstance(s, For | Fold | Let | Store) for s in walk(path[-1].body)):
        return kernel
    if any(isinstance(s, Fold) and s.combiner == "next" for s in walk(path[-1].body)):
        return kernel  # recurrences have schedules of their own
    k = len(path) - 2
    while k >= 0:
        merged = _merged(kernel, path, k)
        if merged is not None:
            kernel, path = merged, perfect_nest(merged.body)
            k = min(k, len(path) - 1)
        k -= 1
    return kernel


def join_folds(kernel: Kernel) -> Kernel:
    """Merge folds with the ones inside them where all that they read lies side by side, so that a
    fold over whole arrays is one loop whatever the length of their rows; and the loops that go over
    the same arrays once more."""
    while True:
        shapes = {p.name: p.shape for p in kernel.params}
        pairs = {s: spots for s in walk(kernel.body) if (spots := _pair(s, shapes)) is not None}
        if not pairs:
            return kernel
        loops = [s for s in walk(kernel.body) if isinstance(s, For)]
        pairs |= {s: spots for s in loops if (spots := _nest(s, shapes)) is not None}
        pairs = _agreeing(kernel, pairs)
        if not any(isinstance(s, Fold) for s in pairs):
            return kernel
        merged = {n: spot for spots in pairs.values() for n, spot in spots.items() if spot >= 0}
        params = tuple(
            p._replace(shape=_merged_shape(p.shape, merged.get(p.name, -1))) for p in kernel.params
        )

        def visit(s: Stmt, pairs: dict[Stmt, dict[str, int]] = pairs) -> Stmt:
            if s in pairs and isinstance(s, Fold | For):
                return _joined(s, pairs[s])
            if isinstance(s, For | If | Fold):
                return s._replace(body=tuple(map(visit, s.body)))
            return s

        kernel = kernel._replace(params=params, body=tuple(map(visit, kernel.body)))


def _agreeing(kernel: Kernel, pairs: dict[Stmt, dict[str, int]]) -> dict[Stmt, dict[str, int]]:
    """Those pairs of folds whose arrays nobody reads otherwise."""
    while pairs:
        inner = {x for s in pairs if isinstance(s, Fold | For) for x in walk(s.body)}
        others = [s for s in walk(kernel.body) if s not in pairs and s not in inner]
        taken = {e.attr for s in others for e in postorder(expressions(s)) if e.op in LOADS}
        taken |= {s.buffer for s in others if isinstance(s, Store)}
        spots: dict[str, int] = {}
        for own in pairs.values():
            for name, spot in own.items():
                if spots.setdefault(name, spot) != spot:
                    taken.add(name)
        kept = {
            s: own for s, own in pairs.items()
            if not any(name in taken for name, spot in own.items() if spot >= 0)
        }  # fmt: skip
        if len(kept) == len(pairs):
            break
        pairs = kept
    return pairs


def _pair(s: Stmt, shapes: dict[str, tuple[Size, ...]]) -> dict[str, int] | None:
    """The places of the two indices in the arrays of a fold that can be merged with its inner one,
    as `_spots` has them."""
    inner = s.body[0] if isinstance(s, Fold) and len(s.body) == 1 else None
    if not isinstance(s, Fold) or not isinstance(inner, Fold) or inner.body:
        return None
    if s.values != inner.names or inner.combiner != s.combiner or s.combiner == "next":
        return None
    i, j = s.index, inner.index
    here = (Let(inner.names[0], inner.values[0]),)
    spots = _spots(here, i, inner, shapes)
    if spots is None or _uses_elsewhere(here, i, j) or max(spots.values(), default=-1) < 0:
        return None
    for place in inner.values[1:]:  # of argmax and argmin
        if coefficient(place, i) is not as_expr(inner.extent):
            return None
        if coefficient(place, j) is not const(1):
            return None
    return spots


def _spots(
    body: tuple[Stmt, ...], i: Expr, inner: Fold | For, shapes: dict[str, tuple[Size, ...]]
) -> dict[str, int] | None:
    """The place of a loop's index in the indices of each array, right before that of the loop
    inside it, over all of an axis; -1 where it reads neither, None where one stands elsewhere."""
    spots: dict[str, int] = {}
    for buffer, indices in accesses(body):
        spot = _side_by_side(indices, i, inner.index)
        if spot is None or spots.setdefault(buffer, spot) != spot:
            return None
        if spot >= 0 and shapes[buffer][spot + 1] != inner.extent:
            return None
    return spots


def _nest(s: For, shapes: dict[str, tuple[Size, ...]]) -> dict[str, int] | None:
    """The same for a loop and the one inside it."""
    inner = s.body[0] if len(s.body) == 1 else None
    if not isinstance(inner, For) or not all(isinstance(x, Let | Store) for x in inner.body):
        return None
    spots = _spots(inner.body, s.index, inner, shapes)
    return None if spots is None or _uses_elsewhere(inner.body, s.index, inner.index) else spots


def _joined(s: Fold | For, spots: dict[str, int]) -> Fold | For:
    inner = s.body[0]
    assert isinstance(inner, Fold | For)
    i, j, width = s.index, inner.index, as_expr(inner.extent)
    if isinstance(s, For) or isinstance(inner, For):
        wide = as_size(as_expr(s.extent) * width)
        body = tuple(_drop(x, j, spots) for x in inner.body)
        return inner._replace(index=i, extent=wide, body=body)
    first = _drop(Let(inner.names[0], inner.values[0]), j, spots)
    assert isinstance(first, Let)
    places = tuple(place - i * width - j + i for place in inner.values[1:])
    extent = as_size(as_expr(s.extent) * width)
    return s._replace(extent=extent, kind=inner.kind, body=(), values=(first.value, *places))


def _merged(kernel: Kernel, path: list[For], k: int) -> Kernel | None:
    """The kernel with loops k and k + 1 of the nest as one."""
    outer, inner, body = path[k], path[k + 1], path[-1].body
    shapes = {p.name: p.shape for p in kernel.params}
    spots = _spots(body, outer.index, inner, shapes)
    if spots is None or _uses_elsewhere(body, outer.index, inner.index):
        return None
    extent = as_size(as_expr(outer.extent) * as_expr(inner.extent))
    merged = inner._replace(index=outer.index, extent=extent)
    body = tuple(_drop(s, inner.index, spots) for s in body)
    loops = [*path[:k], merged, *path[k + 2 :]]
    params = tuple(
        p._replace(shape=_merged_shape(p.shape, spots.get(p.name, -1))) for p in kernel.params
    )
    return kernel._replace(params=params, body=around(loops, body))


def _roots(body: tuple[Stmt, ...]) -> list[Expr]:
    return [e for s in walk(body) for e in expressions(s)]


def _side_by_side(indices: tuple[Expr, ...], i: Expr, j: Expr) -> int | None:
    """The place of (i, j) in the indices; -1 where neither occurs, None where not side by side."""
    found = [k for k, e in enumerate(indices) if {i, j} & set(postorder([e]))]
    if not found:
        return -1
    k = found[0]
    if len(found) == 2 and found[1] == k + 1 and indices[k] is i and indices[k + 1] is j:
        return k
    return None


def _uses_elsewhere(body: tuple[Stmt, ...], i: Expr, j: Expr) -> bool:
    """Whether i or j is used other than as an index of an access."""
    inside: set[Expr] = set()
    for e in postorder(_roots(body)):
        operands = e.args if e.op == "load" else () if e.op != "load_if" else e.args[1:]
        inside.update(operands)
        plain = e.args if e.op not in ("load", "load_if") else e.args[:1] * (e.op == "load_if")
        if any(a is i or a is j for a in plain):
            return True
    values = [s._replace(indices=()) if isinstance(s, Store) else s for s in walk(body)]
    return any(e is i or e is j for s in values for e in expressions(s))


def _drop(s: Stmt, j: Expr, merged: dict[str, int]) -> Stmt:
    def without(buffer: str, indices: tuple[Expr, ...]) -> tuple[Expr, ...]:
        spot = merged.get(buffer, -1)
        return indices if spot < 0 else indices[: spot + 1] + indices[spot + 2 :]

    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e.op == "load":
            return node("load", without(e.attr, args), e.dtype, e.attr)
        if e.op == "load_if":
            return node("load_if", (args[0], *without(e.attr, args[1:])), e.dtype, e.attr)
        return rebuild_expr(e, args)

    def expr(e: Expr) -> Expr:
        return transform([e], visit)[0]

    def statement(s: Stmt) -> Stmt:
        match s:
            case For():
                return s._replace(body=tuple(map(statement, s.body)))
            case Fold():
                inner, values = tuple(map(statement, s.body)), tuple(map(expr, s.values))
                return s._replace(body=inner, values=values)
            case Let():
                return s._replace(value=expr(s.value))
        assert isinstance(s, Store)
        return Store(s.buffer, without(s.buffer, tuple(map(expr, s.indices))), expr(s.value))

    return statement(s)


def _merged_shape(shape: tuple[Size, ...], spot: int) -> tuple[Size, ...]:
    if spot < 0:
        return shape
    both = as_size(as_expr(shape[spot]) * as_expr(shape[spot + 1]))
    return (*shape[:spot], both, *shape[spot + 2 :])
