"""The Bessel functions j0 and j1 far from 0, accurate also near their zeros.

Method: J(x) = sqrt(2/pi) M/sqrt(x) cos(x - c - phase) with modulus and phase fitted in 1/x^2
(J. Harrison, Fast and accurate Bessel function computation, ARITH 2009). x is reduced by multiples
of pi/2 and the rest of the angle is kept in two parts, the phase's leading term too. Where the
angle is so close to a zero that this is not enough, which is rare, the phase is evaluated again in
double-double, in a function of its own. Floats are computed in doubles without second parts, and
as doubles are where the angle is close to a zero.
"""

from __future__ import annotations

from symgraph.codegen.literals import constant
from symgraph.codegen.vmath import bessel_coefficients as table
from symgraph.codegen.vmath import coefficients as elementary
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.vmath.reduction import reduce_quadrant
from symgraph.codegen.vmath.trigonometric import cosine_near, sine_near
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

LEAD = (0.125, -0.375)
PI_4 = elementary.PI_2["d"][0] / 2, elementary.PI_2["d"][1] / 2
_PHASES = (table.J0_PHASE, table.J1_PHASE)
_MODULI = (table.J0_MODULUS, table.J1_MODULUS)
_PRECISE = (table.J0_PRECISE, table.J1_PRECISE)
# from these x so many terms of the precise phase are left
_TERMS = ((20.0, 40), (32.0, 26), (64.0, 14), (256.0, 7), (4096.0, 4))
_CLOSE = 2.0**-11  # nearer to a zero the phase is needed in double-double
_NARROW = 2.0**-25  # nearer to a zero doubles without a second part are not enough for a float


def wave(b: Lanes, x: Value, order: int) -> Value:
    """J(x) of finite x not below ENDS[order][2]."""
    r, low, q = reduce_quadrant(b, x)
    w = b.div(1.0, x)
    z = b.mul(w, w)
    rest = b.mul(b.long_poly(_PHASES[order][b.kind], z), b.mul(z, w))
    # the angle is u + pi/4 where `up` holds, else u - pi/4; the bound keeps |u| nearest to pi/4
    up = b.cmp("ogt", r, LEAD[order] / 16)
    if low is None:
        whole, u_low = b.fma(w, LEAD[order], rest), None
        u = b.sub(r, b.sel(up, b.add(whole, PI_4[0]), b.sub(whole, PI_4[0])))
        u = b.sub(u, b.sel(up, PI_4[1], -PI_4[1]))
    else:
        w_low = b.mul(b.nfma(w, x, 1.0), w)
        lead, lead_low = b.two_product(w, LEAD[order])
        phase = b.fast_two_sum(lead, b.add(b.fma(w_low, LEAD[order], lead_low), rest))
        pair = _angle(b, up, (r, low), phase)
        close = b.cmp("olt", b.abs(pair[0]), _CLOSE)
        u, u_low = _again(b, order, x, pair, (r, low), close)
    # cos(u + k pi/2)
    k = b.int_op("add", q, b.int_sel(up, -order, -order - 1))
    odd = b.int_cmp("ne", b.int_op("and", k, 1), 0)
    s, c = b.total(sine_near(b, u, u_low)), b.total(cosine_near(b, u, u_low))
    sign = b.int_op("shl", b.int_op("and", b.int_op("add", k, 1), 2), b.bits - 2)
    value = b.from_bits(b.int_op("xor", b.to_bits(b.sel(odd, s, c)), sign))
    y = b.div(b.mul(b.long_poly(_MODULI[order][b.kind], z), value), b.sqrt(x))
    return y if low is not None else _as_doubles(b, order, x, y, b.cmp("olt", b.abs(u), _NARROW))


def _as_doubles(b: Lanes, order: int, x: Value, y: Value, close: Value) -> Value:
    """y, that of doubles in those lanes where the angle is close to 0: of all floats beyond 30
    that is so for a few."""

    def build(fn: FunctionWriter) -> None:
        fn.ret(b.F, wave(Lanes(fn, b.module, "d", b.lanes), "%x", order))

    def slow() -> list[Value]:
        name = f"sg_j{order}_wave_{b.lanes}"
        name = b.module.once(name, [(b.F, "x", "")], b.F, build, "noinline nounwind cold")
        return [b.sel(close, b.fn.call(b.F, name, [(b.F, x)]), y)]

    return b.fn.if_(b.any(close), slow, lambda: [y], [b.F], likely=False)[0]


def _angle(b: Lanes, up: Value, r: Pair, phase: Pair) -> Pair:
    """r - phase -+ pi/4 as an unrounded sum. What is taken away does not wait for r."""
    ways = []
    for sign in (1, -1):
        t, e = b.fast_two_sum(sign * PI_4[0], phase[0])
        ways.append((t, b.add(b.add(e, sign * PI_4[1]), phase[1])))
    t, low = (b.sel(up, ways[0][k], ways[1][k]) for k in range(2))
    u, e = b.fast_two_sum(b.neg(t), r[0])  # in one binade, or r in a lower one
    return u, b.add(e, b.sub(r[1], low))


def _again(b: Lanes, order: int, x: Value, u: Pair, r: Pair, close: Value) -> tuple[Value, Value]:
    """The angle, precise in those lanes where it is close to 0."""
    buffer = b.fn.slot("double", 5 * b.lanes)

    def slow() -> list[Value]:
        fn, found = b.fn, []
        for k, value in enumerate((x, *u, *r)):
            at = fn.val(f"getelementptr i8, ptr {buffer}, i64 {8 * b.lanes * k}")
            fn.raw(f"store {b.F} {value}, ptr {at}, align 8")
        fn.raw(f"call void @{_request(b.module, order, b.lanes)}(ptr {buffer})")
        for k in (1, 2):
            at = fn.val(f"getelementptr i8, ptr {buffer}, i64 {8 * b.lanes * k}")
            found.append(fn.fresh(f"load {b.F}, ptr {at}, align 8"))
        return found

    found = b.fn.if_(b.any(close), slow, lambda: list(u), [b.F, b.F], likely=False)
    return found[0], found[1]


def _request(module: ModuleWriter, order: int, lanes: int) -> str:
    """A function over a buffer of x, the angle and the reduced x (two parts each, lanes doubles),
    which makes those angles precise that are close to 0."""
    rows = ", ".join(
        f"double {constant('float64', 1, c)}" for pair in _PRECISE[order] for c in pair
    )
    data = module.constant(f"[{2 * len(_PRECISE[order])} x double]", f"[{rows}]")

    def build(fn: FunctionWriter) -> None:
        b = Lanes(fn, module, "d", 1)

        def lane(i: Value, _: list[Value]) -> list[Value]:
            places = [
                fn.val(
                    f"getelementptr double, ptr %buffer, i64 {fn.val(f'add i64 {i}, {k * lanes}')}"
                )
                for k in range(5)
            ]
            x, u, low, r, r_low = (fn.fresh(f"load double, ptr {p}, align 8") for p in places)
            close = b.cmp("olt", b.abs(u), _CLOSE)

            def precise() -> list[Value]:
                phase = _precise_phase(b, order, x, data)
                return list(_angle(b, b.cmp("ogt", r, LEAD[order] / 16), (r, r_low), phase))

            u, low = fn.if_(close, precise, lambda: [u, low], [b.F, b.F])
            fn.raw(f"store double {u}, ptr {places[1]}, align 8")
            fn.raw(f"store double {low}, ptr {places[2]}, align 8")
            return []

        fn.loop(0, lanes, 1, [], lane)

    attributes = "noinline nounwind cold"
    name = f"sg_j{order}_phase_{lanes}"
    return module.once(name, [("ptr", "buffer", "")], "void", build, attributes)


def _precise_phase(b: Lanes, order: int, x: Value, data: str) -> Pair:
    """(A + z B(z))/x in double-double, by Horner's rule over the table."""
    w = b.div(1.0, x)
    inverse = b.fast_two_sum(w, b.mul(b.nfma(w, x, 1.0), w))
    z = _times(b, inverse, inverse)

    def turn(i: Value, total: list[Value]) -> list[Value]:
        at = [
            b.fn.val(f"getelementptr double, ptr {data}, i64 {k}")
            for k in (
                b.fn.val(f"shl i64 {i}, 1"),
                b.fn.val(f"or i64 {b.fn.val(f'shl i64 {i}, 1')}, 1"),
            )
        ]
        c = [b.fn.fresh(f"load double, ptr {p}, align 8") for p in at]
        return list(_plus(b, _times(b, (total[0], total[1]), z), (c[0], c[1])))

    zero = b.c(0.0)
    last = b.i(len(_PRECISE[order]) - 1)
    for at_least, terms in _TERMS:
        last = b.int_sel(b.cmp("oge", x, at_least), terms - 1, last)
    high, low = b.fn.loop(last, -1, -1, [(b.F, zero), (b.F, zero)], turn)
    return _times(b, _plus(b, _times(b, (high, low), z), (b.c(LEAD[order]), zero)), inverse)


def _times(b: Lanes, x: Pair, y: Pair) -> Pair:
    p, low = b.two_product(x[0], y[0])
    return b.fast_two_sum(p, b.add(low, b.fma(x[0], y[1], b.mul(x[1], y[0]))))


def _plus(b: Lanes, x: Pair, y: Pair) -> Pair:
    s, e = b.two_sum(x[0], y[0])
    return b.fast_two_sum(s, b.add(e, b.add(x[1], y[1])))
