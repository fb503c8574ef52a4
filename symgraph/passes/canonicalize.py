"""One spelling for each meaning: neutral elements, signs, constants to the right, views composed.

The rules of all later passes are written for this form: subtraction of what is negated, a constant
operand last, multiplication instead of division by a power of two, no cast, reshape, transpose or
broadcast that another one makes needless.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Constant, Variable, constant
from symgraph.loops.compute import elements
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
from symgraph.ops.cast import Cast
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
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import Sum
from symgraph.ops.shape import BroadcastTo, ExpandDims, Flip, Reshape, Squeeze, Transpose, is_one
from symgraph.ops.slicing import Slice
from symgraph.ops.special import relu, sigmoid, stop_gradient
from symgraph.passes.adapter import number
from symgraph.rewrite.pattern import COMMUTATIVE, attr, const, match_op, node, wild
from symgraph.rewrite.rules import EXACT, STABLE, RuleSet, rule, rule_function
from symgraph.scalar import as_expr, as_size

x, y, z = wild("x"), wild("y"), wild("z")
i, j = wild("i", "iu"), wild("j", "iu")  # integers
n = wild("n", "biu")  # anything but floats
f = wild("f", "f")  # floats
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


def _power_of_two(c: Constant) -> bool:
    """c is a power of two whose reciprocal is exact"""
    if not dtypes.is_float(c.dtype):
        return False
    mantissa, exponent = np.frexp(c.data)
    limit = np.finfo(c.data.dtype).maxexp - 2
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
    rule(square(absolute(x)), square(x), klass=EXACT),
    rule(absolute(absolute(x)), absolute(x), klass=EXACT),
    rule(absolute(square(f)), square(f), klass=EXACT),
    rule(absolute(exp(x)), exp(x), klass=EXACT),
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
    rule(where(p, True, False), p, klass=EXACT),
    rule(where(p, False, True), logical_not(p), klass=EXACT),
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


# casts and views ----------------------------------------------------------------------------------


def _same_type(x: Variable, root: Variable) -> Variable | None:
    """a conversion to the same type"""
    return x if x.type == root.type else None


def _holds(narrow: str, wide: str) -> bool:
    """Whether every value of one dtype is a value of the other."""
    if dtypes.is_float(wide) and dtypes.is_int(narrow):
        return 8 * dtypes.itemsize(narrow) <= np.finfo(wide).nmant + 1
    return bool(np.can_cast(narrow, wide, "safe"))


def _cast_twice(x: Variable, root: Variable) -> Variable | None:
    """the first cast loses nothing"""
    middle = root.owner.inputs[0].dtype  # type: ignore[union-attr]
    if not _holds(x.dtype, middle):
        return None
    if dtypes.is_float(middle) and dtypes.kind(root.dtype) == "u" and dtypes.kind(x.dtype) == "i":
        return None  # a negative float has no unsigned integer, a negative integer wraps
    return x if x.dtype == root.dtype else Cast(root.dtype)(x)


def _transpose_twice(x: Variable, a: Any, b: Any) -> Variable:
    """one permutation; none when they undo each other"""
    axes = tuple(b[k] for k in a)
    return x if axes == tuple(range(len(axes))) else Transpose(axes)(x)  # type: ignore[no-any-return]


def _transpose_nothing(x: Variable, a: Any) -> Variable | None:
    """the identity permutation"""
    return x if tuple(a) == tuple(range(len(a))) else None


def _reshape_new_axes(x: Variable, s: Any) -> Variable:
    """a reshape looks through new axes and axes taken out"""
    return x if x.shape == s else Reshape(s)(x)  # type: ignore[no-any-return]


def _slice_twice(x: Variable, a: Any, b: Any, root: Variable) -> Variable | None:
    """one slice: the start and step of the outer one counted in steps of the inner one"""
    outer = root.owner.op  # type: ignore[union-attr]
    rows = zip(outer.start, outer.step, a, b, strict=True)
    start = tuple(as_size(as_expr(first) + stride * as_expr(k)) for k, _, first, stride in rows)
    step = tuple(p * q for p, q in zip(outer.step, b, strict=True))
    return Slice(start, step, outer.size)(x)  # type: ignore[no-any-return]


def _slice_everything(x: Variable, root: Variable) -> Variable | None:
    """all elements in order"""
    op = root.owner.op  # type: ignore[union-attr]
    whole = all(k == 0 and t == 1 for k, t in zip(op.start, op.step, strict=True))
    return x if whole and x.shape == root.shape else None


def _leading_axes(x: Variable, s: Any, a: Any) -> Variable | None:
    """new leading axes come with the broadcast anyway"""
    if tuple(a) != tuple(range(len(a))):
        return None
    return x if x.shape == s else BroadcastTo(s)(x)  # type: ignore[no-any-return]


def _undo(x: Variable, root: Variable) -> Variable | None:
    """the axes are taken out and put back, or put in and taken out"""
    node = root.owner
    inner = node.inputs[0].owner  # type: ignore[union-attr]
    return x if node.op.axes == inner.op.axes and x.type == root.type else None  # type: ignore


VIEWS = (
    rule_function(match_op("cast", match_op("cast", x)), _cast_twice),
    rule_function(match_op("cast", x), _same_type, name="cast to the same dtype"),
    rule_function(Transpose(a)(Transpose(b)(x)), _transpose_twice),
    rule_function(Transpose(a)(x), _transpose_nothing),
    rule(Reshape(a)(Reshape(b)(x)), Reshape(a)(x), klass=EXACT),
    rule_function(Reshape(s)(ExpandDims(a)(x)), _reshape_new_axes),
    rule_function(Reshape(s)(Squeeze(a)(x)), _reshape_new_axes),
    rule_function(Reshape(s)(x), _same_type, name="reshape to the same shape"),
    rule(BroadcastTo(a)(BroadcastTo(b)(x)), BroadcastTo(a)(x), klass=EXACT),
    rule_function(BroadcastTo(s)(ExpandDims(a)(x)), _leading_axes),
    rule_function(BroadcastTo(s)(x), _same_type, name="broadcast to the same shape"),
    rule_function(ExpandDims(a)(Squeeze(b)(x)), _undo, name="expand what was squeezed"),
    rule_function(Squeeze(a)(ExpandDims(b)(x)), _undo, name="squeeze what was expanded"),
    rule_function(Squeeze(())(x), _same_type, name="squeeze nothing"),
    rule_function(ExpandDims(())(x), _same_type, name="expand nothing"),
    rule(Flip(a)(Flip(a)(x)), x, klass=EXACT),
    rule_function(match_op("slice", match_op("slice", x, start=a, step=b)), _slice_twice),
    rule_function(match_op("slice", x), _slice_everything),
    rule(stop_gradient(x), x, klass=EXACT, doc="derivatives have been taken"),
)


def _operands_broadcast_themselves(root: Variable) -> Variable | None:
    """an elementwise op stretches its operands by itself, and its result costs less than they do"""
    node = root.owner
    if node is None or not node.op.elementwise:
        return None
    inputs = [_unstretched(v) for v in node.inputs]
    if all(p is q for p, q in zip(inputs, node.inputs, strict=True)):
        return None
    # the engine stretches the result where the operands were all that had its shape
    return node.op(*inputs) if _meet(inputs) else None  # type: ignore[no-any-return]


def _unstretched(v: Variable) -> Variable:
    """The operand without views that NumPy's broadcasting does by itself."""
    while v.owner is not None:
        op = v.owner.op
        leading = op.name == "expand_dims" and op.axes == tuple(range(len(op.axes)))
        if op.name != "broadcast_to" and not leading:
            break
        v = v.owner.inputs[0]
    return v


def _meet(inputs: list[Variable]) -> bool:
    """Whether the operands broadcast without a check at run time."""
    sizes: dict[int, Any] = {}
    for v in inputs:
        for k, size in enumerate(reversed(v.shape)):
            if not is_one(size) and sizes.setdefault(k, size) != size:
                return False
    return True


def _below_views(root: Variable) -> Variable | None:
    """f(view(x)) is view(f(x)): patterns then see f beside what made x, and f has less to do"""
    node = root.owner
    if node is None or not node.op.elementwise or not node.inputs:
        return None
    views = [v.owner for v in node.inputs if v.ndim]
    first = views[0] if views else None
    if first is None or first.op.name not in ("expand_dims", "broadcast_to"):
        return None
    if len(node.inputs) > 1 and first.op.name == "broadcast_to":
        return None  # its operand may have any shape
    if any(view is None or view.op != first.op for view in views):
        return None
    below = [v.owner.inputs[0] if v.ndim else v for v in node.inputs]  # type: ignore[union-attr]
    return first.op(node.op(*below))  # type: ignore[no-any-return]


def _sum_of_copies(x: Variable, s: Any, a: Any) -> Variable | None:
    """a sum over axes along which x was repeated is x times their sizes"""
    lead = len(s) - x.ndim
    copied = [k for k in a if k < lead or is_one(x.shape[k - lead])]
    if not copied:
        return None
    inside = tuple(k - lead for k in copied if k >= lead)
    rest = tuple(k for k in a if k not in copied)
    shape = tuple(n for k, n in enumerate(s) if k not in copied)
    flat = Squeeze(inside)(x) if inside else x
    count = Cast(x.dtype)(as_variable(elements([s[k] for k in copied])))
    whole = BroadcastTo(shape)(flat * count)
    kept = [k for k in range(len(s)) if k not in copied]
    return Sum(tuple(kept.index(k) for k in rest))(whole) if rest else whole  # type: ignore


def _sum_of_nothing(x: Variable, a: Any) -> Variable | None:
    """no axes, or axes of size 1: nothing is added"""
    if not all(is_one(x.shape[k]) for k in a):
        return None
    return Squeeze(tuple(a))(x) if a else x  # type: ignore[no-any-return]


def _sum_twice(x: Variable, a: Any, b: Any) -> Variable:
    """one sum over the axes of both"""
    left = [k for k in range(x.ndim) if k not in b]
    axes = tuple(sorted([*b, *(left[k] for k in a)]))
    return Sum(axes)(x)  # type: ignore[no-any-return]


REDUCTIONS = (
    rule_function(match_op("sum", x, axes=a), _sum_of_nothing, klass=STABLE),
    rule_function(match_op("prod", x, axes=a), _sum_of_nothing, klass=EXACT),
    rule_function(match_op("max", x, axes=a), _sum_of_nothing, klass=EXACT),
    rule_function(match_op("min", x, axes=a), _sum_of_nothing, klass=EXACT),
    rule_function(match_op("all", x, axes=a), _sum_of_nothing, klass=EXACT),
    rule_function(match_op("any", x, axes=a), _sum_of_nothing, klass=EXACT),
    rule_function(Sum(a)(BroadcastTo(s)(x)), _sum_of_copies, klass=STABLE),
    rule_function(Sum(a)(Sum(b)(x)), _sum_twice, klass=STABLE),
    rule(Sum(a)(-x), -Sum(a)(x), klass=STABLE),
)

BROADCASTS = (
    rule_function(wild("any"), _below_views),
    rule_function(wild("any"), _operands_broadcast_themselves),
)

CANONICALIZE = RuleSet(
    "canonicalize",
    NEUTRAL, SIGNS, CONSTANTS, LOGIC, CHOICE, ROUNDING, VIEWS, REDUCTIONS, BROADCASTS,
)  # fmt: skip
