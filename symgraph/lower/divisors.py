"""Greatest common divisors.

In one element Euclid's algorithm is shortest, and a GPU has a thread for each. Lanes have no
division, so that they run the binary algorithm (J. Stein, 1967), a block of pairs at a time:

    a, b >>= their twos, which both have are put back at the end
    until all b of the block are 0:  t = b >> its twos;  a, b = min(a, t), |a - t|

where t, like a, is odd unless it is 0, and each turn takes a bit at least from a and b. The twos of
a word are the exponent of its lowest bit as a float.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply
from symgraph.ir.types import Size
from symgraph.loops.compute import Operand, elements, index_axes
from symgraph.loops.statements import Alloc, Fold, For, If, Let, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel, nest, view
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

ROOM = 256  # pairs of a block, whose words stay in the nearest cache
FLOATS = {"uint32": ("int32", "float32", 23, 127), "uint64": ("int64", "float64", 52, 1023)}
I = var("_i")  # noqa: E741


def gcd(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The divisor of each pair."""
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    if b.ctx.device or not apply.output.ndim:
        _euclid(b, apply, names, needs)
        return
    shape: tuple[Size, ...] = b.buffers[names[2]].shape
    given = names
    if all(b.buffers[n].shape == shape for n in names):  # one row of all pairs
        shape = (elements(shape),)
        given = [view(b, n, shape) for n in names]
    made = kernel(b, given, "iio", _in_blocks(b, given, shape), apply.origins)
    b.add_steps(names[:2], names[2:], [made], needs)


def _in_blocks(b: Builder, names: list[str], shape: tuple[Size, ...]) -> tuple[Stmt, ...]:
    dtype, block = b.buffers[names[2]].dtype, var("_block")
    axes = list(index_axes(len(shape)))
    at = (*axes[:-1], block * ROOM + I)
    x, y = (
        _word(Operand(f"p{k}", dtype, b.buffers[names[k]].shape).at_broadcast(list(at)))
        for k in (0, 1)
    )
    word = x.dtype
    count = as_size(F.minimum(as_expr(shape[-1]) - block * ROOM, const(ROOM)))
    bits, more, turn = 8 * dtypes.itemsize(dtype), var("_more", "bool"), var("_turn")
    again = F.ne(load("b", (I,), word), 0)
    step = For(I, count, "vector", _step(word))
    turns: tuple[Stmt, ...] = (
        Fold((more,), "or", I, count, "vector", (), (again,)),
        If(more, (step, step)),
    )
    found = F.shl(load("a", (I,), word), load("twos", (I,), word))
    signed = FLOATS[word][0] if dtypes.kind(dtype) == "i" else word
    body: tuple[Stmt, ...] = (
        *(Alloc(name, word, (ROOM,)) for name in ("a", "b", "twos")),
        For(I, count, "vector", _start(x, y)),
        For(turn, bits + 1, "serial", turns),
        For(I, count, "vector", (Store("p2", at, F.cast(F.bitcast(found, signed), dtype)),)),
    )
    blocks = as_size((as_expr(shape[-1]) + (ROOM - 1)) // ROOM)
    return nest([*axes[:-1], block], [*shape[:-1], blocks], body)


def _word(x: Expr) -> Expr:
    """The size of a number, which the least one of a dtype has as a word only."""
    wide = "64" if dtypes.itemsize(x.dtype) == 8 else "32"
    if dtypes.kind(x.dtype) == "u":
        return F.cast(x, f"uint{wide}")
    return F.bitcast(F.abs_(F.cast(x, f"int{wide}")), f"uint{wide}")


def _twos(x: Expr) -> Expr:
    """How often 2 divides a word; more than it has bits for 0."""
    signed, real, digits, bias = FLOATS[x.dtype]
    lowest = F.bitcast(F.and_(x, F.sub(const(0, x.dtype), x)), signed)
    raw = F.bitcast(F.cast(lowest, real), x.dtype)
    exponent = F.and_(F.shr(raw, const(digits, x.dtype)), const(2 * bias + 1, x.dtype))
    return F.sub(exponent, const(bias, x.dtype))


def _start(x: Expr, y: Expr) -> tuple[Stmt, ...]:
    """What is not 0 comes first, and is odd."""
    a, c = var("_a", x.dtype), var("_c", x.dtype)
    none = F.eq(a, 0)
    first = F.select(none, c, a)
    both = F.or_(a, c)
    return (
        Let(a, x),
        Let(c, y),
        Store("a", (I,), F.shr(first, _twos(first))),
        Store("b", (I,), F.select(none, const(0, x.dtype), c)),
        Store("twos", (I,), F.select(F.eq(both, 0), const(0, x.dtype), _twos(both))),
    )


def _step(word: str) -> tuple[Stmt, ...]:
    a, c, odd = (var(name, word) for name in ("_a", "_c", "_odd"))
    least = var("_least", word)
    rest = F.sub(F.maximum(a, odd), F.minimum(a, odd))
    done = F.eq(c, 0)
    return (
        Let(a, load("a", (I,), word)),
        Let(c, load("b", (I,), word)),
        Let(odd, F.shr(c, _twos(c))),
        Let(least, F.select(done, a, F.minimum(a, odd))),
        Store("b", (I,), F.select(done, c, rest)),
        Store("a", (I,), least),
    )


def _euclid(b: Builder, apply: Apply, names: list[str], needs: set[int]) -> None:
    """Euclid's algorithm on each pair: (a, b) becomes (b, a mod b) until b is 0. Numbers of w bits
    take at most 1.45 w turns (Lame), those of Fibonacci."""
    dtype = b.buffers[names[2]].dtype
    room = b.scratch(apply.output.type)
    axes = list(index_axes(apply.output.ndim))
    x, y = (Operand(f"p{k}", dtype, b.buffers[names[k]].shape).at_broadcast(axes) for k in (0, 1))
    signed = dtypes.kind(dtype) == "i"
    at = tuple(axes)
    first, second = load("p2", at, dtype), load("p3", at, dtype)
    rest = var("_rest", dtype)
    remainder = F.mod(first, second)  # of operands that are not negative but for the least integer
    turn: tuple[Stmt, ...] = (
        Let(rest, F.abs_(remainder) if signed else remainder),
        Store("p2", at, second),
        Store("p3", at, rest),
    )
    again = If(F.ne(second, 0), turn)
    turns = int(1.45 * 8 * dtypes.itemsize(dtype)) + 2
    body = (
        Store("p2", at, F.abs_(x) if signed else x),
        Store("p3", at, F.abs_(y) if signed else y),
        *nest([var("_k")], [turns], (again,)),
    )
    buffers = [*names, room]
    made = kernel(b, buffers, "iioo", nest(axes, list(apply.output.shape), body), apply.origins)
    b.add_steps(names[:2], [names[2], room], [made], needs)
