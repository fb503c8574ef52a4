"""f(u) - f(v) where u and v have a part in common: by the difference of u and v, not of the values.

More rules for stabilize, all STABLE. Each function has a form for its step from x to x + e in
`ops/neighbours.py`; what u and v are sums of is found by `passes/linear.py`, so that one rule
serves all spellings: f(x + e) - f(x), f(x - e) - f(x + e), f(1 + x) - f(1 - x). Where both are sums
that rounding changes there is no place to step from; sines and cosines then have their addition
theorem, if the middle of both arguments is a variable, roots and logarithms the exact u - v.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ops import neighbours as near
from symgraph.ops.arithmetic import sqrt
from symgraph.ops.comparison import less, where
from symgraph.ops.exponential import log
from symgraph.ops.trigonometric import cos, sin
from symgraph.passes.adapter import TENSORS, number
from symgraph.passes.linear import Fraction, Linear, gap, linear, written
from symgraph.records import NamedTuple
from symgraph.rewrite.pattern import wild
from symgraph.rewrite.rules import STABLE, Rule, rule, rule_function

x, y = wild("x", "f"), wild("y", "f")

# the kind of a value -> its step; the ops of these kinds are recognized by _seen
STEPS: dict[str, Callable[..., Variable]] = {
    "cbrt": near.cbrt_step, "rsqrt": near.rsqrt_step,
    "reciprocal": near.reciprocal_step, "power": near.power_step, "log": near.log_step,
    "exp": near.exp_step, "xlogx": near.xlogx_step, "sin": near.sin_step, "cos": near.cos_step,
    "tan": near.tan_step, "atan": near.atan_step,
}  # fmt: skip
_SAME = ("cbrt", "log", "exp", "sin", "cos", "tan", "atan")
_BETWEEN = frozenset(("sin", "cos", "cbrt", "log"))


class Seen(NamedTuple):
    """A value as a function of a sum: ``times`` * kind(argument, *rest)."""

    kind: str
    argument: Linear
    rest: tuple[Variable, ...] = ()
    times: Variable | None = None


def _one() -> Linear:
    """The number 1."""
    return Linear({}, Fraction(1))


def _seen(v: Variable) -> Seen | None:
    node = v.owner
    if node is None:
        return None
    name, inputs = node.op.name, node.inputs
    if name in _SAME:
        return Seen(name, linear(inputs[0]))
    if name == "log1p":
        return Seen("log", linear(inputs[0]).plus(_one()))
    if name == "power":
        return Seen("power", linear(inputs[0]), (inputs[1],))
    if name == "compound":
        return Seen("power", linear(inputs[0]).plus(_one()), (inputs[1],))
    if name == "divide":
        root = inputs[1].owner
        times = None if number(inputs[0]) == 1 else inputs[0]
        if root is not None and root.op.name == "sqrt":
            return Seen("rsqrt", linear(root.inputs[0]), (), times)
        return Seen("reciprocal", linear(inputs[1]), (), times)
    return _logarithmic(name, inputs)


def _logarithmic(name: str, inputs: Any) -> Seen | None:
    """x * log(x), in which another rule may have put log1p already."""
    if name == "xlogy" and inputs[0] is inputs[1]:
        return Seen("xlogx", linear(inputs[0]))
    if name == "multiply":
        for a, b in (inputs, inputs[::-1]):
            if b.owner is not None and b.owner.op.name == "log1p":
                whole = linear(a)
                if not whole.plus(linear(b.owner.inputs[0]).plus(_one()), -1).size:
                    return Seen("xlogx", whole)
    return None


def _same(p: Variable | None, q: Variable | None) -> bool:
    if p is None or q is None:
        return p is q
    return p is q or (number(p) is not None and number(p) == number(q) and p.shape == q.shape)


def _alike(p: Seen, q: Seen) -> bool:
    if p.kind != q.kind or not _same(p.times, q.times):
        return False
    return all(_same(a, b) for a, b in zip(p.rest, q.rest, strict=True))


def _step(p: Seen, q: Seen, like: Variable) -> Variable | None:
    """p - q as a step from the simpler argument; None when their arguments share nothing."""
    if not _alike(p, q):
        return None
    forward = q.argument.size <= p.argument.size
    start, end = (q, p) if forward else (p, q)
    e = gap(end.argument, start.argument)
    if e is None or start.argument.size > 1:  # from a rounded sum, the end would be lost
        return None
    base = written(start.argument, like)
    found = STEPS[p.kind](base, written(e, like), *p.rest)
    if p.times is not None:
        found = TENSORS.build("multiply", [found, p.times], {}, like)
    return found if forward else TENSORS.build("negative", [found], {}, like)


def _difference_of_neighbours(x: Variable, y: Variable, root: Variable) -> Variable | None:
    """u - v as a step of their function from v to u, or by what lies in the middle"""
    p = _seen(x)
    q = _seen(y) if p is not None else None
    if p is None or q is None or not _alike(p, q):
        return None
    found = _step(p, q, root)
    return _between(p, q, x, y) if found is None else found


def _between(p: Seen, q: Seen, x: Variable, y: Variable) -> Variable | None:
    """p - q, of the values x and y, where both arguments are sums that rounding changes."""
    e = gap(p.argument, q.argument)
    if e is None or p.kind not in _BETWEEN or min(p.argument.size, q.argument.size) < 2:
        return None
    if p.kind == "cbrt":
        return near.gap_over_squares(x, y, written(e, x))  # type: ignore[no-any-return]
    if p.kind == "log":
        u, v = written(p.argument, x), written(q.argument, x)
        return where(less(v, 0), math.nan, near.log_near_one(u, v, written(e, x)))
    half, middle = (_halved(a) for a in (e, p.argument.plus(q.argument)))
    if half is None or middle is None:  # else they are as exact as variables are
        return None
    a, b = written(middle, x), sin(written(half, x)) * 2
    return cos(a) * b if p.kind == "sin" else -(sin(a) * b)


def _halved(a: Linear) -> Linear | None:
    """Half of a, if that is one term by a power of two."""
    found = Linear({}, Fraction(0)).plus(a, Fraction(1, 2))
    if found.size != 1 or found.constant:
        return None
    (k,) = found.terms.values()
    powers = abs(k.numerator), k.denominator
    return found if all(n & (n - 1) == 0 for n in powers) else None


def _sum_of_neighbours(x: Variable, y: Variable, root: Variable) -> Variable | None:
    """u + v where v is a negative multiple"""
    p, q = _seen(x), _seen(y)
    if p is None or q is None or p.times is None or q.times is None:
        return None
    a, b = number(p.times), number(q.times)
    if a is None or b is None or a != -b:
        return None
    found = _step(p, q._replace(times=p.times), root)
    return found


def _difference_of_roots(x: Variable, y: Variable, root: Variable) -> Variable | None:
    """the difference of what is under the roots, over the sum of the roots"""
    e = gap(linear(x), linear(y))
    return None if e is None else near.gap_over_sum(sqrt(x), sqrt(y), written(e, root))


def _logarithm_of_neighbours(x: Variable, y: Variable, root: Variable) -> Variable | None:
    """the logarithm of a quotient that is near 1"""
    e = gap(linear(x), linear(y))
    return None if e is None else near.log_near_one(x, y, written(e, root))


_FUNCTIONS = (*_SAME, "log1p", "power", "compound", "divide", "xlogy", "multiply")
DIFFERENCES_OF_NEIGHBOURS: tuple[Rule, ...] = (
    rule_function(x - y, _difference_of_neighbours, klass=STABLE, among=_FUNCTIONS),
    rule_function(x + y, _sum_of_neighbours, klass=STABLE, among=("divide",)),
    rule_function(sqrt(x) - sqrt(y), _difference_of_roots, klass=STABLE),
    rule_function(log(x / y), _logarithm_of_neighbours, klass=STABLE),
    rule(log(near.exp_step(x, y)), near.log_exp_step(x, y)),
    rule(log(-near.exp_step(x, y)), near.log_exp_fall(x, y)),
)
