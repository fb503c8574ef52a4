"""Loops cut where a condition on their index changes, so that most turns ask nothing.

    for i { for j vector { out[i, j] = select(1 <= j & j < n & 1 <= i, f(x[i, j - 1 if ...]), 0) } }

becomes, with the range [low, high) in which all conditions on j hold,

    for i { if 1 <= i { for j in 0 .. low: all;  for j in low .. high: f(x[i, j - 1]);
                        for j in high .. n: all }
            if not 1 <= i { for j in 0 .. n: all } }

Where all conditions are about one place, as in a concatenation, there are two parts, one for each
side of it. Where no index meets all conditions and the places are known numbers, as for the
gradients of the gates of an LSTM, each stretch between two places is a part in which all of them
are decided; so are the stretches between several places of unknown sizes, where a test finds
them in their order. Padding, shifted differences and stencils then read whole registers without
masks.

Conditions on outer indices alone are asked before the innermost loop: rows one below the other
(`concatenate` along axis 0), the row before of a running sum. Beneath a mask an address at which
there is no memory costs a microsecond, though nothing is read.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from symgraph.loops.statements import For, If, Kernel, Let, Stmt, Store, expressions
from symgraph.lower.rewriting import around, moved, perfect_nest
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    coefficient,
    const,
    load,
    postorder,
    rebuild,
    transform,
)
from symgraph.scalar import functions as F
from symgraph.scalar.sizes import nonnegative

LONGEST = 150  # nodes of a body that is written four times
LEAST = 32  # elements of a known row from which it is cut
MOST = 8  # parts of a row
QUESTIONS = 4  # about outer indices, one after another
FEW = 2  # of them where rows are cut as well
PLACES = 7  # of which one may be the beginning for some conditions and the end for others


def borders(kernel: Kernel) -> Kernel:
    """The kernel with its innermost loop in three parts; itself where no condition is known."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "vector":
        return kernel
    loop, body = path[-1], path[-1].body
    if not all(isinstance(s, Let | Store) for s in body):
        return kernel
    if isinstance(loop.extent, int) and loop.extent < LEAST:
        return kernel
    nodes = postorder([e for s in body for e in expressions(s)])
    if len(nodes) > MOST * LONGEST:
        return kernel
    made = {s.name for s in body if isinstance(s, Let)}
    if any(made & set(postorder([e])) for e in atoms(nodes)):
        return kernel  # known inside of the loop only
    inside = _divided(loop, {p.index for p in path}, QUESTIONS)
    return kernel if inside is None else kernel._replace(body=around(path[:-1], inside))


def _divided(loop: For, indices: set[Expr], depth: int) -> tuple[Stmt, ...] | None:
    """The statements in the place of the loop, which ask up to so many questions before; None where
    it stays as it is."""
    nodes = postorder([e for s in loop.body for e in expressions(s)])
    asked = atoms(nodes)
    outer = [e for e in asked if loop.index not in moving(e, indices)]
    bounds = {e: bound(e, loop.index) for e in asked if moving(e, indices) == {loop.index}}
    along = {e: bound for e, bound in bounds.items() if bound is not None}
    short = len(nodes) <= LONGEST
    if short and outer and (len(outer) <= FEW if bounds else any(e.op == "load_if" for e in nodes)):
        either = _either(loop, indices, outer, depth)
        if either is not None:
            return either
    if not along or len(along) < len(bounds):
        return None
    inside = _stretches(loop, along, outer)
    return _cut(loop, along, outer) if inside is None and short else inside


def atoms(nodes: Iterable[Expr]) -> list[Expr]:
    """The comparisons of positions that conditions of loads and choices are made of."""
    found: dict[Expr, None] = {}
    stack = [e.args[0] for e in nodes if e.op in ("load_if", "select")]
    while stack:
        e = stack.pop()
        if e.op == "and":
            stack += e.args
        elif e.op in ("lt", "le") and e.args[0].dtype == "int64":
            if not any(x.op in ("load", "load_if") for x in postorder([e])):
                found[e] = None
    return list(found)


def moving(e: Expr, indices: set[Expr]) -> set[Expr]:
    return indices & set(postorder([e]))


def bound(e: Expr, index: Expr) -> tuple[str, Expr] | None:
    """The condition as index >= bound ("low") or index < bound ("high")."""
    a, b = e.args
    gap = b - a + (1 if e.op == "le" else 0)  # it holds where this is above 0
    step = coefficient(gap, index)
    if step is None or not step.is_const or abs(step.value) != 1:
        return None
    rest = gap - index * step.value
    if index in postorder([rest]):
        return None
    return ("low", 1 - rest) if step.value == 1 else ("high", rest)


def _either(
    loop: For, indices: set[Expr], outer: Sequence[Expr], depth: int
) -> tuple[Stmt, ...] | None:
    """A loop for each answer to a question that is the same in all its turns, divided in its turn;
    None where there are too many questions."""
    if not depth:
        return None
    test = outer[0]
    same = {e: e is test for e in outer if e is test or _are_opposites(e, test)}

    def part(holds: bool) -> tuple[Stmt, ...] | None:
        truth = {e: holds == alike for e, alike in same.items()}
        made = loop._replace(body=tuple(decided(s, truth) for s in loop.body))
        found = _divided(made, indices, depth - 1)
        left = atoms(postorder([e for s in made.body for e in expressions(s)]))
        return (made,) if found is None and not any(e in left for e in outer) else found

    then, otherwise = part(True), part(False)
    if then is None or otherwise is None:
        return None
    return If(test, then), If(F.not_(test), otherwise)


def _are_opposites(a: Expr, b: Expr) -> bool:
    """Whether a is "x < y" and b is "y <= x", or the other way round."""
    return {a.op, b.op} == {"lt", "le"} and a.args == b.args[::-1]


def _stretches(
    loop: For, along: dict[Expr, tuple[str, Expr]], outer: Sequence[Expr]
) -> tuple[Stmt, ...] | None:
    """A part between each two places that are next to each other; None where there are few of
    them, their order is not known, or some index meets all conditions."""
    if outer or not all(at.is_const for _, at in along.values()):
        return None
    lows = [at.value for way, at in along.values() if way == "low"]
    highs = [at.value for way, at in along.values() if way == "high"]
    places = sorted({0, *(at for at in (*lows, *highs) if at > 0)})
    if not lows or not highs or max(lows) < min(highs) or not 3 <= len(places) <= MOST:
        return None
    extent = as_expr(loop.extent)
    starts = [_least(const(at), extent) for at in places]
    parts = []
    for begin, first, end in zip(places, starts, [*starts[1:], extent], strict=True):
        # a place is met by all indices of a part or by none
        truth = {e: (at.value <= begin) == (way == "low") for e, (way, at) in along.items()}
        body = tuple(decided(s, truth) for s in loop.body)
        length = as_size(end - first)
        if length != 0:
            body = moved(body, {loop.index: loop.index + first})
            parts.append(For(loop.index, length, "vector", body))
    return tuple(parts)


def _cut(
    loop: For, along: dict[Expr, tuple[str, Expr]], outer: Sequence[Expr]
) -> tuple[Stmt, ...] | None:
    """The statements in the place of the loop; None where it is not seen how to cut it."""
    lows = {e: at for e, (way, at) in along.items() if way == "low"}
    highs = {e: at for e, (way, at) in along.items() if way == "high"}
    extent, zero = as_expr(loop.extent), const(0)
    parts: list[Stmt] = []

    def part(begin: Expr, end: Expr, true: Iterable[Expr], false: Iterable[Expr] = ()) -> None:
        length = as_size(end - begin)
        if length != 0:
            truth = dict.fromkeys((*outer, *true), True) | dict.fromkeys(false, False)
            body = tuple(decided(s, truth) for s in loop.body)
            at = {loop.index: loop.index + begin}
            parts.append(For(loop.index, length, "vector", moved(body, at)))

    if not set(lows.values()) & set(highs.values()):
        low = _least(_greatest(zero, *lows.values()), extent) if lows else zero
        high = _greatest(_least(extent, *highs.values()), low) if highs else extent
        part(zero, low, (), lows if len(set(lows.values())) == 1 else ())
        part(low, high, along)
        part(high, extent, lows, highs if len(set(highs.values())) == 1 else ())
    elif len({*lows.values(), *highs.values()}) == 1:  # one half or the other
        middle = _least(_greatest(zero, *lows.values()), extent)
        part(zero, middle, highs, lows)
        part(middle, extent, lows, highs)
    else:
        return _in_order(loop, along, outer)
    return _if_all(outer, parts, loop)


def _if_all(tests: Sequence[Expr], parts: Sequence[Stmt], loop: For) -> tuple[Stmt, ...]:
    """The parts where all tests hold, the loop as it was where not."""
    if not tests:
        return tuple(parts)
    test = functools.reduce(F.and_, tests)
    return If(test, tuple(parts)), If(F.not_(test), (loop,))


def _in_order(
    loop: For, along: dict[Expr, tuple[str, Expr]], outer: Sequence[Expr]
) -> tuple[Stmt, ...] | None:
    """A part between each two places, as for three rows one behind the other; a test says whether
    the places are in the order in which they were found."""
    places = _sorted(at for _, at in along.values())
    if len(places) > PLACES:
        return None
    extent, zero = as_expr(loop.extent), const(0)
    starts = [zero, *(_least(_greatest(zero, at), extent) for at in places)]
    parts = []
    for k, (begin, end) in enumerate(zip(starts, [*starts[1:], extent], strict=True)):
        truth = {e: (places.index(at) < k) == (way == "low") for e, (way, at) in along.items()}
        body = tuple(decided(s, truth | dict.fromkeys(outer, True)) for s in loop.body)
        at = {loop.index: loop.index + begin}
        parts.append(For(loop.index, as_size(end - begin), "vector", moved(body, at)))
    pairs = itertools.pairwise(places)
    return _if_all([*outer, *(F.le(a, b) for a, b in pairs if not _precedes(a, b))], parts, loop)


def _sorted(places: Iterable[Expr]) -> list[Expr]:
    """Each place once; before it those that are known not to be greater, numbers first."""
    found: list[Expr] = []
    for at in dict.fromkeys(places):
        later = (k for k, x in enumerate(found) if _precedes(at, x))
        found.insert(next(later, len(found)), at)
    return sorted(found, key=lambda at: not at.is_const)


def _precedes(a: Expr, b: Expr) -> bool:
    return nonnegative(as_size(b - a))


def _least(*sizes: Expr) -> Expr:
    return _extreme(F.minimum, min, sizes)


def _greatest(*sizes: Expr) -> Expr:
    return _extreme(F.maximum, max, sizes)


def _extreme(
    of: Callable[[Expr, Expr], Expr], known: Callable[..., int], sizes: Sequence[Expr]
) -> Expr:
    numbers = [e.value for e in sizes if e.is_const]
    others = list(dict.fromkeys(e for e in sizes if not e.is_const))
    return functools.reduce(of, [*others, *([const(known(numbers))] if numbers else [])])


def decided(s: Stmt, truth: Mapping[Expr, bool]) -> Stmt:
    """A statement where it is known whether these conditions hold."""

    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e in truth:
            return const(truth[e], "bool")
        known = [a.value if a.is_const else None for a in args[: 2 if e.op == "and" else 1]]
        if e.op == "and" and e.dtype == "bool":
            if False in known:
                return const(False, "bool")
            return args[1] if known[0] else args[0] if known[1] else rebuild(e, args)
        if e.op == "select" and known[0] is not None:
            return args[1 if known[0] else 2]
        if e.op == "load_if" and known[0] is not None:
            return load(e.attr, args[1:], e.dtype) if known[0] else const(0, e.dtype)
        return rebuild(e, args)

    if isinstance(s, Let):
        return s._replace(value=transform([s.value], visit)[0])
    assert isinstance(s, Store)
    value, *indices = transform([s.value, *s.indices], visit)
    return Store(s.buffer, tuple(indices), value)
