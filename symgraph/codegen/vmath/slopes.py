"""Derivatives by parameters, as series and continued fractions: scalar/slopes.py in vectors.

Each loop runs until all lanes have converged; lanes for which a loop is not meant carry harmless
operands.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.vmath.lanes import Lanes, Operand
from symgraph.codegen.vmath.logarithm import INFINITY, NAN
from symgraph.codegen.vmath.power import pow
from symgraph.codegen.writer import Value
from symgraph.scalar.slopes import EPSILON, LARGEST, LOST, OUTERMOST, ROUNDS

Pair = tuple[Operand, Operand]  # a value and its derivative


def _mul(b: Lanes, x: Pair, y: Pair) -> tuple[Value, Value]:
    return b.mul(x[0], y[0]), b.fma(x[0], y[1], b.mul(x[1], y[0]))


def _quotient(b: Lanes, x: Pair, y: Pair) -> tuple[Value, Value]:
    q = b.div(x[0], y[0])
    return q, b.div(b.sub(x[1], b.mul(q, y[1])), y[0])


def _log_slope(b: Lanes, x: Pair) -> Value:
    return b.div(x[1], x[0])


def _settled(b: Lanes, change: Value, total: Value) -> Value:
    return b.cmp("ole", b.abs(change), b.mul(b.abs(total), EPSILON))


def _repeat(
    b: Lanes, start: list[Operand], turn: Callable[[Value, list[Value]], tuple[list[Value], Value]],
    least: int = 1,
) -> list[Value]:  # fmt: skip
    """Repeat ``turn(n, values)``, which gives the next values and which lanes have settled, for
    n = 1, 2, ... until all have; the last value is 1 in those lanes and 0 in others."""
    count = len(start)
    carried = [(b.F, b.c(x)) for x in [*start, 0.0, 0.0]]

    def going(v: list[Value]) -> Value:
        early = b.cmp("olt", v[count + 1], float(least))
        open_ = b.either(b.cmp("oeq", v[count], 0.0), early)
        return b.any(b.both(open_, b.cmp("olt", v[count + 1], float(ROUNDS))))

    def body(v: list[Value]) -> list[Value]:
        n = b.add(v[count + 1], 1.0)
        values, settled = turn(n, v[:count])
        return [*values, b.sel(settled, 1.0, 0.0), n]

    return b.fn.while_(carried, going, body)[: count + 1]


def _is_finite(b: Lanes, *xs: Value) -> Value:
    mask = b.cmp("one", b.abs(xs[0]), INFINITY)
    for x in xs[1:]:
        mask = b.both(mask, b.cmp("one", b.abs(x), INFINITY))
    return mask


def gammainc_log_slope(b: Lanes, a: Value, x: Value) -> Value:
    """See scalar/slopes.py."""
    good = b.both(b.both(b.cmp("ogt", a, 0.0), b.cmp("ogt", x, 0.0)), _is_finite(b, x))
    good = b.both(good, b.cmp("ole", a, LARGEST))
    low = b.cmp("ole", x, b.add(a, 1.0))
    here, there = b.both(good, low), b.both(good, b.invert(low))
    first = _series(b, b.sel(here, a, 1.0), b.sel(here, x, 0.5))
    second = _fraction(b, b.sel(there, a, 1.0), b.sel(there, x, 3.0))
    return b.sel(good, b.sel(low, first, second), NAN)


def _series(b: Lanes, a: Value, x: Value) -> Value:
    def turn(n: Value, v: list[Value]) -> tuple[list[Value], Value]:
        term, slope, total, total_slope = v
        inverse = b.div(1.0, b.add(a, n))
        factor = b.mul(x, inverse)
        slope = b.mul(b.nfma(term, inverse, slope), factor)
        term = b.mul(term, factor)
        total, total_slope = b.add(total, term), b.add(total_slope, slope)
        return [term, slope, total, total_slope], _settled(b, slope, total_slope)

    _, _, total, slope, _ = _repeat(b, [1.0, 0.0, 1.0, 0.0], turn)
    return b.div(slope, total)


def _fraction(b: Lanes, a: Value, x: Value) -> Value:
    start = b.sub(b.add(x, 1.0), a)
    inverse = b.div(1.0, start)

    def turn(n: Value, v: list[Value]) -> tuple[list[Value], Value]:
        c, c1, d, d1, at, total = v
        step, at = (b.mul(n, b.sub(a, n)), n), b.add(at, 2.0)
        ratio = _quotient(b, step, (c, c1))
        c, c1 = b.add(at, ratio[0]), b.sub(ratio[1], 1.0)
        under = _mul(b, step, (d, d1))
        d, d1 = _quotient(b, (1.0, 0.0), (b.add(at, under[0]), b.sub(under[1], 1.0)))
        change = b.add(_log_slope(b, (c, c1)), _log_slope(b, (d, d1)))
        total = b.add(total, change)
        return [c, c1, d, d1, at, total], _settled(b, change, total)

    begin: list[Operand] = [1e300, 0.0, inverse, b.mul(inverse, inverse), start, inverse]
    return _repeat(b, begin, turn)[5]


def betainc_log_slope(b: Lanes, p: Value, q: Value, u: Value, t: Value) -> Value:
    """See scalar/slopes.py."""
    good = b.both(b.cmp("ogt", p, 0.0), b.cmp("ogt", q, 0.0))
    good = b.both(good, b.both(b.cmp("ole", p, LARGEST), b.cmp("ole", q, LARGEST)))
    good = b.both(good, b.both(b.cmp("oge", u, 0.0), b.cmp("olt", u, 1.0)))
    p, q, u = b.sel(good, p, 1.0), b.sel(good, q, 1.0), b.sel(good, u, 0.0)
    dp, dq = t, b.sub(1.0, t)
    both = b.add(p, q)

    def lentz(step: Pair, c: Pair, d: Pair) -> tuple[Pair, Pair, Value]:
        ratio = _quotient(b, step, c)
        c = b.add(ratio[0], 1.0), ratio[1]
        under = _mul(b, step, d)
        d = _quotient(b, (1.0, 0.0), (b.add(under[0], 1.0), under[1]))
        return c, d, b.add(_log_slope(b, c), _log_slope(b, d))

    def odd(m: Operand, c: Pair, d: Pair) -> tuple[Pair, Pair, Value]:
        top = _mul(b, (b.add(p, m), dp), (b.add(both, m), 1.0))
        at = b.add(p, b.mul(m, 2.0))
        under = _mul(b, (at, dp), (b.add(at, 1.0), dp))
        minus = b.neg(u)
        return lentz(_quotient(b, (b.mul(top[0], minus), b.mul(top[1], minus)), under), c, d)

    def turn(m: Value, v: list[Value]) -> tuple[list[Value], Value]:
        scaled = b.mul(m, u)
        at = b.add(p, b.mul(m, 2.0))
        under = _mul(b, (b.sub(at, 1.0), dp), (at, dp))
        step = _quotient(b, (b.mul(scaled, b.sub(q, m)), b.mul(scaled, dq)), under)
        c, d, first = lentz(step, (v[0], v[1]), (v[2], v[3]))
        c, d, second = odd(m, c, d)
        change = b.add(first, second)
        total = b.add(v[4], change)
        return [*(b.c(x) for x in (*c, *d)), total], _settled(b, change, total)

    c, d, total = odd(b.c(0.0), (b.c(1.0), b.c(0.0)), (b.c(0.0), b.c(0.0)))
    found = _repeat(b, [*c, *d, total], turn, least=2)[4]
    return b.sel(good, b.neg(found), NAN)


def _hypergeometric(
    b: Lanes, first: Value, second: Value, third: Value, z: Value, da: float, dc: float
) -> Value:
    good = b.both(_is_finite(b, first, second, third), b.cmp("ole", z, OUTERMOST))
    good = b.both(good, b.cmp("oge", z, -OUTERMOST / (1 - OUTERMOST)))
    mirrored = b.both(good, b.cmp("olt", z, 0.0))
    start = b.sel(good, b.sel(mirrored, b.sub(third, first), first), 1.0)
    slope_of_first = b.sel(mirrored, dc - da, da)
    second, third = b.sel(good, second, 1.0), b.sel(good, third, 1.0)
    w = b.sel(good, b.sel(mirrored, b.div(z, b.sub(z, 1.0)), z), 0.0)

    def turn(n: Value, v: list[Value]) -> tuple[list[Value], Value]:
        term, slope, total, greatest = v
        k = b.sub(n, 1.0)
        factor = b.mul(b.add(second, k), b.div(w, n))
        top = _mul(b, (term, slope), (b.add(start, k), slope_of_first))
        scaled = b.mul(top[0], factor), b.mul(top[1], factor)
        term, slope = _quotient(b, scaled, (b.add(third, k), dc))
        total, size = b.add(total, slope), b.abs(slope)
        greatest = b.sel(b.cmp("ogt", size, greatest), size, greatest)
        lost = b.invert(_is_finite(b, slope))
        return [term, slope, total, greatest], b.either(_settled(b, slope, total), lost)

    _, _, total, greatest, settled = _repeat(b, [1.0, 0.0, 0.0, 0.0], turn, least=4)
    good = b.both(good, b.cmp("oge", b.abs(total), b.mul(greatest, LOST)))
    good = b.both(good, _is_finite(b, total))
    base = b.sub(1.0, b.sel(mirrored, z, 0.0))
    y = b.mul(total, pow(b, base, b.neg(second)))
    return b.sel(b.both(good, b.cmp("oeq", settled, 1.0)), y, NAN)


def hyp2f1_da(b: Lanes, p: Value, q: Value, r: Value, z: Value) -> Value:
    """See scalar/slopes.py."""
    return _hypergeometric(b, p, q, r, z, 1.0, 0.0)


def hyp2f1_dc(b: Lanes, p: Value, q: Value, r: Value, z: Value) -> Value:
    """See scalar/slopes.py."""
    return _hypergeometric(b, p, q, r, z, 0.0, 1.0)
