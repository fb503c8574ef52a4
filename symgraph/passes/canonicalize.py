"""One spelling for each meaning: neutral elements, signs, constants to the right, views composed.

The rules of all later passes are written for this form: subtraction of what is negated, a constant
operand last, multiplication instead of division by a power of two, no cast, reshape, transpose or
broadcast that another one makes needless.
"""

from __future__ import annotations

import math

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Constant, Variable, constant
from symgraph.ops.arithmetic import (
    absolute,
    ceil,
    floor,
    floor_divide,
    maximum,
    minimum,
    negative,
    reciprocal,
    remainder,
    rint,
    sign,
    square,
    trunc,
)
from symgraph.ops.comparison import (
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    equal,
    invert,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    where,
)
from symgraph.ops.exponential import exp
from symgraph.ops.special import relu, sigmoid
from symgraph.passes.adapter import number
from symgraph.passes.transforms import TRANSFORMS
from symgraph.passes.views import VIEWS
from symgraph.rewrite.pattern import COMMUTATIVE, attr, const, node, wild
from symgraph.rewrite.rules import EXACT, STABLE, RuleSet, rule

x, y, z = wild("x"), wild("y"), wild("z")
i, j = wild("i", "iu"), wild("j", "iu")  # integers
n = wild("n", "biu")  # anything but floats
f = wild("f", "f")  # floats
r = wild("r", "biuf")  # real numbers
p = wild("p", "b")  # truth values
c, d = const("c"), const("d")
a, b, s = attr("a"), attr("b"), attr("s")


# conditions ---------------------------------------------------------------------------------------


def _constant_first(c: Variable, x: Variable, root: Variable) -> bool:
    """c is the left operand, x is no constant"""
    return root.owner.inputs[0] is c and not isinstance(x, Constant)  # type: ignore[union-attr]


def _negative(c: Constant) -> bool:
    """c is one negative number that has a negation"""
    value = number(c)
    return value is not None and value < 0 and value != dtypes.min_value(c.dtype)


def _of_truths(root: Variable) -> bool:
    """the values are bool (the number 1 matches True too)"""
    return bool(root.dtype == "bool")


def _power_of_two(c: Constant) -> bool:
    """c is a power of two whose reciprocal is exact"""
    if not dtypes.is_float(c.dtype):
        return False
    mantissa, exponent = np.frexp(c.data.astype("float64"))
    limit = math.frexp(dtypes.limits(c.dtype).max)[1] - 2
    return bool(c.data.size and np.all(abs(mantissa) == 0.5) and np.all(abs(exponent) < limit))


def _both_powers_of_two(c: Constant, d: Constant) -> bool:
    """c, d and c * d are powers of two"""
    if c.shape != d.shape or not (_power_of_two(c) and _power_of_two(d)):
        return False
    return _power_of_two(constant(c.data * d.data))


def _number(x: Variable) -> bool:
    """x is no truth value"""
    return x.dtype != "bool"


# equations ----------------------------------------------------------------------------------------

NEUTRAL = (
    rule(n + 0, n, klass=EXACT),
    rule(f + -0.0, f, klass=EXACT),
    rule(f + 0, f, doc="-0.0 + 0 is 0"),
    rule(x - 0, x, klass=EXACT),
    rule(f - -0.0, f),
    rule(x * 1, x, klass=EXACT),
    rule(x / 1, x, klass=EXACT),
    rule(i**1, i, klass=EXACT),
    rule(f**1, f),
    rule(x**0, 1, klass=EXACT),
    rule(x**2, square(x)),
    rule(x * x, square(x), when=_number, klass=EXACT),
    rule(reciprocal(x), 1 / x, klass=EXACT),
    rule(1**x, 1, klass=EXACT),
    rule(n * 0, 0, klass=EXACT),
    rule(i - i, 0, klass=EXACT),
    rule(floor_divide(i, 1), i, klass=EXACT),
    rule(remainder(i, 1), 0, klass=EXACT),
)

SIGNS = (
    rule(negative(-x), x, klass=EXACT),
    rule(x * -1, -x, klass=EXACT),
    rule(x / -1, -x, klass=EXACT),
    rule(0 - i, -i, klass=EXACT),
    rule(0 - f, -f, doc="0 - 0 is 0, -0 is -0.0"),
    rule(x + -y, x - y, klass=EXACT),
    rule(x - -y, x + y, klass=EXACT),
    rule(-(i - j), j - i, klass=EXACT),
    rule(-(f - y), y - f, doc="the sign of a zero difference"),
    rule(-(x * c), x * -c, klass=EXACT),
    rule(-(x / c), x / -c, klass=EXACT),
    rule(-(c / x), -c / x, klass=EXACT),
    rule(-x * c, x * -c, klass=EXACT),
    rule(-x * y, -(x * y), klass=EXACT),
    rule(-x / y, -(x / y), klass=EXACT),
    rule(x / -y, -(x / y), klass=EXACT),
    rule(absolute(-f), absolute(f), klass=EXACT),
    rule(square(-x), square(x), klass=EXACT),
    rule(square(absolute(r)), square(r), klass=EXACT),
    rule(absolute(absolute(x)), absolute(x), klass=EXACT),
    rule(absolute(square(f)), square(f), klass=EXACT),
    rule(absolute(exp(f)), exp(f), klass=EXACT),
    rule(absolute(sigmoid(x)), sigmoid(x), klass=EXACT),
    rule(sign(sign(x)), sign(x), klass=EXACT),
)

CONSTANTS = (
    [
        rule(node(op, (c, x)), node(op, (x, c)), when=_constant_first, klass=klass)
        for op in sorted(COMMUTATIVE)
        # of 0 and -0.0 either may be the greater one
        for klass in [STABLE if op in ("maximum", "minimum") else EXACT]
    ],
    rule(x + c, x - -c, when=_negative, klass=EXACT),
    rule(x - c, x + -c, when=_negative, klass=EXACT),
    rule(x / c, x * (1 / c), when=_power_of_two, klass=EXACT),
    rule(i + c + d, i + (c + d), klass=EXACT),
    rule(i - c + d, i + (d - c), klass=EXACT),
    rule(i + c - d, i + (c - d), klass=EXACT),
    rule(i - c - d, i - (c + d), klass=EXACT),
    rule(i * c * d, i * (c * d), klass=EXACT),
    rule(f * c * d, f * (c * d), when=_both_powers_of_two, doc="exact but for overflow"),
)

LOGIC = (
    rule(minimum(x, x), x, klass=EXACT),
    rule(maximum(x, x), x, klass=EXACT),
    rule(relu(relu(x)), relu(x), klass=EXACT),
    rule(bitwise_and(x, x), x, klass=EXACT),
    rule(bitwise_or(x, x), x, klass=EXACT),
    rule(bitwise_xor(x, x), 0, klass=EXACT),
    rule(bitwise_and(x, 0), 0, klass=EXACT),
    rule(bitwise_or(x, 0), x, klass=EXACT),
    rule(bitwise_xor(x, 0), x, klass=EXACT),
    rule(invert(invert(x)), x, klass=EXACT),
    rule(bitwise_and(p, True), p, klass=EXACT),
    rule(bitwise_or(p, True), True, klass=EXACT),
    rule(logical_and(x, x), x, klass=EXACT),
    rule(logical_or(x, x), x, klass=EXACT),
    rule(logical_xor(x, x), False, klass=EXACT),
    rule(logical_and(x, True), x, klass=EXACT),
    rule(logical_and(x, False), False, klass=EXACT),
    rule(logical_or(x, True), True, klass=EXACT),
    rule(logical_or(x, False), x, klass=EXACT),
    rule(logical_xor(x, False), x, klass=EXACT),
    rule(logical_xor(x, True), logical_not(x), klass=EXACT),
    rule(logical_not(logical_not(x)), x, klass=EXACT),
    rule(logical_not(equal(x, y)), not_equal(x, y), klass=EXACT),
    rule(logical_not(not_equal(x, y)), equal(x, y), klass=EXACT),
    rule(logical_not(less(n, y)), less_equal(y, n), klass=EXACT, doc="with NaN both are false"),
    rule(logical_not(less_equal(n, y)), less(y, n), klass=EXACT),
    rule(equal(n, n), True, klass=EXACT),
    rule(not_equal(n, n), False, klass=EXACT),
    rule(less(x, x), False, klass=EXACT),
    rule(less_equal(n, n), True, klass=EXACT),
)

CHOICE = (
    rule(where(True, x, y), x, klass=EXACT),
    rule(where(False, x, y), y, klass=EXACT),
    rule(where(p, x, x), x, klass=EXACT),
    rule(where(logical_not(p), x, y), where(p, y, x), klass=EXACT),
    rule(where(p, True, False), p, when=_of_truths, klass=EXACT),
    rule(where(p, False, True), logical_not(p), when=_of_truths, klass=EXACT),
    rule(where(p, where(p, x, y), z), where(p, x, z), klass=EXACT),
    rule(where(p, x, where(p, y, z)), where(p, x, z), klass=EXACT),
)

ROUNDING = [
    r
    for op in (floor, ceil, trunc, rint)
    for r in (
        rule(op(floor(f)), floor(f), klass=EXACT),
        rule(op(ceil(f)), ceil(f), klass=EXACT),
        rule(op(trunc(f)), trunc(f), klass=EXACT),
        rule(op(rint(f)), rint(f), klass=EXACT),
    )
] + [rule(op(n), n, klass=EXACT) for op in (floor, ceil, trunc)]


CANONICALIZE = RuleSet(
    "canonicalize",
    NEUTRAL, SIGNS, CONSTANTS, LOGIC, CHOICE, ROUNDING, VIEWS, TRANSFORMS,
)  # fmt: skip
