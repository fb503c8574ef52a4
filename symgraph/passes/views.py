"""The rules of canonicalize about shapes: views composed, dropped, and moved below what reads them.

A cast, reshape, transpose, slice or broadcast that another one makes needless goes; elementwise ops
come before the views that repeat or add axes; sums over copies are products.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Variable, constant
from symgraph.loops.compute import elements
from symgraph.ops.cast import Cast
from symgraph.ops.comparison import greater, where
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import Sum
from symgraph.ops.shape import BroadcastTo, ExpandDims, Flip, Reshape, Squeeze, Transpose, is_one
from symgraph.ops.slicing import Slice
from symgraph.ops.special import stop_gradient
from symgraph.rewrite.pattern import attr, match_op, wild
from symgraph.rewrite.rules import EXACT, STABLE, rule, rule_function
from symgraph.scalar import as_expr, as_size

x, y = wild("x"), wild("y")
a, b, s = attr("a"), attr("b"), attr("s")


def _same_type(x: Variable, root: Variable) -> Variable | None:
    """a conversion to the same type"""
    return x if x.type == root.type else None


def _holds(narrow: str, wide: str) -> bool:
    """Whether every value of one dtype is a value of the other."""
    if dtypes.is_inexact(wide) and dtypes.is_int(narrow):
        return 8 * dtypes.itemsize(narrow) <= dtypes.limits(wide).digits + 1
    return dtypes.promote_pair(narrow, wide) == wide


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


def _embed_everything(x: Variable, root: Variable) -> Variable | None:
    """nothing around it, in order"""
    op = root.owner.op  # type: ignore[union-attr]
    return x if all(t == 1 for t in op.step) and x.shape == root.shape else None


def _leading_axes(x: Variable, s: Any, a: Any) -> Variable | None:
    """new leading axes come with the broadcast anyway"""
    if tuple(a) != tuple(range(len(a))):
        return None
    return x if x.shape == s else BroadcastTo(s)(x)  # type: ignore[no-any-return]


def _broadcast_twice(x: Variable, a: Any, b: Any) -> Variable | None:
    """one broadcast, unless the first one tells that a size is 1, which alone lets it stretch"""
    told = zip(x.shape, b[len(b) - x.ndim :], strict=True)
    if any(is_one(wanted) and not is_one(size) for size, wanted in told):
        return None
    return x if x.shape == a else BroadcastTo(a)(x)  # type: ignore[no-any-return]


def _undo(x: Variable, root: Variable) -> Variable | None:
    """the axes are taken out and put back, or put in and taken out"""
    node = root.owner
    inner = node.inputs[0].owner  # type: ignore[union-attr]
    return x if node.op.axes == inner.op.axes and x.type == root.type else None  # type: ignore


def _first_way(x: Variable, y: Variable) -> Variable:
    """derivatives have been taken"""
    return x


AFTER_DERIVATIVES = (
    rule(stop_gradient(x), x, klass=EXACT, doc="derivatives have been taken"),
    rule_function(match_op("computed_as", x, y), _first_way),
)
COMPOSED_VIEWS = (
    rule_function(match_op("cast", match_op("cast", x)), _cast_twice),
    rule_function(match_op("cast", x), _same_type, name="cast to the same dtype"),
    rule_function(Transpose(a)(Transpose(b)(x)), _transpose_twice),
    rule_function(Transpose(a)(x), _transpose_nothing),
    rule(Reshape(a)(Reshape(b)(x)), Reshape(a)(x), klass=EXACT),
    rule_function(Reshape(s)(ExpandDims(a)(x)), _reshape_new_axes),
    rule_function(Reshape(s)(Squeeze(a)(x)), _reshape_new_axes),
    rule_function(Reshape(s)(x), _same_type, name="reshape to the same shape"),
    rule_function(BroadcastTo(a)(BroadcastTo(b)(x)), _broadcast_twice),
    rule_function(BroadcastTo(s)(ExpandDims(a)(x)), _leading_axes),
    rule_function(BroadcastTo(s)(x), _same_type, name="broadcast to the same shape"),
    rule_function(ExpandDims(a)(Squeeze(b)(x)), _undo, name="expand what was squeezed"),
    rule_function(Squeeze(a)(ExpandDims(b)(x)), _undo, name="squeeze what was expanded"),
    rule_function(Squeeze(())(x), _same_type, name="squeeze nothing"),
    rule_function(ExpandDims(())(x), _same_type, name="expand nothing"),
    rule(Flip(a)(Flip(a)(x)), x, klass=EXACT),
    rule_function(match_op("slice", match_op("slice", x, start=a, step=b)), _slice_twice),
    rule_function(match_op("slice", x), _slice_everything),
    rule_function(match_op("embed", x), _embed_everything),
    *AFTER_DERIVATIVES,
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
        op: Any = v.owner.op
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


_STRETCHING = ("broadcast_to", "expand_dims")


def _below_views(root: Variable) -> Variable | None:
    """f(view(x)) is view(f(x)): patterns then see f beside what made x, and f has less to do"""
    node = root.owner
    if node is None or not node.op.elementwise or not node.inputs:
        return None
    views = [v.owner for v in node.inputs if v.ndim]
    first = views[0] if views else None
    if first is None or first.op.name not in _STRETCHING:
        return None
    if len(node.inputs) > 1 and first.op.name == "broadcast_to":
        return None  # its operand may have any shape
    if any(view is None or view.op != first.op for view in views):
        return None
    below = [v.owner.inputs[0] if v.ndim else v for v in node.inputs]  # type: ignore[union-attr]
    if len({v.ndim for v in below if v.ndim}) > 1:
        return None  # the same axes of operands of other ranks are other axes
    return first.op(node.op(*below))  # type: ignore[no-any-return]


def _below_transposes(root: Variable) -> Variable | None:
    """f(transpose(x), z) is transpose(f(x, z turned back)) where that is only another place of new
    axes of z: transposes meet others that undo them"""
    node = root.owner
    if node is None or not node.op.elementwise or root.ndim < 2:
        return None
    turns = [v.owner.op for v in node.inputs if v.owner is not None and v.ndim == root.ndim]
    first = next((op for op in turns if op.name == "transpose"), None)
    if first is None or any(_of_product(v) for v in node.inputs):
        return None
    below = [_turned_back(v, first) for v in node.inputs]
    if any(v is None for v in below):
        return None
    return first(node.op(*below))  # type: ignore[no-any-return]


def _of_product(v: Variable) -> bool:
    """Whether it is a transposed product, which may be made as it lies (specialize)."""
    x = v.owner.inputs[0] if v.owner is not None and v.owner.op.name == "transpose" else v
    return x is not v and x.owner is not None and x.owner.op.name == "matmul"


def _turned_back(v: Variable, turn: Any) -> Variable | None:
    """What a view of a transpose's kind is of, None where it has to be moved for that."""
    rank = len(turn.axes)
    if not v.ndim:
        return v
    if v.owner is not None and v.owner.op == turn:
        return v.owner.inputs[0]
    new = list(range(rank - v.ndim))  # axes that come with the broadcast
    if v.owner is not None and v.owner.op.name == "expand_dims":
        new += [k + rank - v.ndim for k in v.owner.op.axes]  # type: ignore[attr-defined]
        v = v.owner.inputs[0]
    places = turn.axes  # of what is turned
    kept = [places[k] for k in range(rank) if k not in new]
    if not new or kept != sorted(kept):
        return None
    return ExpandDims(tuple(sorted(places[k] for k in new)))(v)  # type: ignore[no-any-return]


def _sum_of_copies(x: Variable, s: Any, a: Any) -> Variable | None:
    """a sum over axes along which x was repeated is x times their sizes; 0 where there are none,
    whatever x is"""
    lead = len(s) - x.ndim
    copied = [k for k in a if k < lead or is_one(x.shape[k - lead])]
    if not copied:
        return None
    inside = tuple(k - lead for k in copied if k >= lead)
    rest = tuple(k for k in a if k not in copied)
    shape = tuple(n for k, n in enumerate(s) if k not in copied)
    flat = Squeeze(inside)(x) if inside else x
    size = elements([s[k] for k in copied])
    total = flat * Cast(x.dtype)(as_variable(size))
    if not isinstance(size, int):
        total = where(greater(as_variable(size), 0), total, constant(0, x.dtype))
    elif not size:
        total = constant(0, x.dtype)
    whole = BroadcastTo(shape)(total)
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


_OF_ALL = {"sum": STABLE, "prod": STABLE, "max": EXACT, "min": EXACT, "all": EXACT, "any": EXACT}


def _of_transposed(x: Variable, a: Any, b: Any, root: Variable) -> Variable:
    """the same along axes of what was transposed"""
    axes = tuple(sorted(b[k] for k in a))
    left = [k for k in range(x.ndim) if k not in axes]
    turn = tuple(left.index(b[k]) for k in range(x.ndim) if k not in a)
    made = type(root.owner.op)(axes)(x)  # type: ignore[union-attr]
    return made if turn == tuple(sorted(turn)) else Transpose(turn)(made)


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
    *(
        rule_function(match_op(name, Transpose(b)(x), axes=a), _of_transposed, klass=klass)
        for name, klass in _OF_ALL.items()
    ),
)

_VIEWS = frozenset("expand_dims squeeze reshape transpose flip slice tile repeat".split())


def _view_of_one_number(root: Variable) -> Variable | None:
    """one number everywhere looks the same from all sides"""
    node = root.owner
    if node is None or node.op.name not in _VIEWS or node.inputs[0].owner is None:
        return None
    (x,) = node.inputs[0].owner.inputs
    return BroadcastTo(root.shape)(x) if x.ndim == 0 else None  # type: ignore[no-any-return]


BROADCASTS = (
    rule_function(wild("any"), _view_of_one_number, among=("broadcast_to",)),
    rule_function(wild("any"), _below_views, among=_STRETCHING),
    rule_function(wild("any"), _operands_broadcast_themselves, among=_STRETCHING),
    rule_function(wild("any"), _below_transposes, among=("transpose",)),
)

VIEWS = (*COMPOSED_VIEWS, *REDUCTIONS, *BROADCASTS)
