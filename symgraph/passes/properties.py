"""What the graph tells about matrices: ``properties(v)``, by the op that makes them.

Statements are those of ops/assumptions.py, on the last two axes of a value, for all matrices of a
batch; a property that is not found is not denied. Zeros stay zeros where the elements that they
are multiplied with are finite, as in all rules that are equal over the reals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Apply, Constant, Variable
from symgraph.ops.assumptions import PROPERTIES
from symgraph.ops.decompositions import surely_equal
from symgraph.passes.adapter import known, number

Found = frozenset[str]
NONE: Found = frozenset()
ZEROS = frozenset(("diagonal", "lower_triangular", "upper_triangular"))
_TURNED = {"lower_triangular": "upper_triangular", "upper_triangular": "lower_triangular"}
_DEEP = 40  # values one behind another that are asked at most


def properties(v: Variable) -> Found:
    """The properties of ops/assumptions.py that the matrices of v are known to have.

    >>> import symgraph as sg
    >>> x = sg.matrix("x", shape=("n", "n"))
    >>> sorted(properties(sg.linalg.cholesky(x) @ sg.linalg.cholesky(x + 1)))
    ['lower_triangular']
    """
    return _asked(v, {}, 0)


def _asked(v: Variable, asked: dict[Variable, Found], deep: int) -> Found:
    if v.ndim < 2 or not surely_equal(v.shape[-1], v.shape[-2]) or deep > _DEEP:
        return NONE
    found = asked.get(v)
    if found is None:
        found = asked[v] = closed(_told(v, lambda x: _asked(x, asked, deep + 1)))
    return found


def closed(found: Found) -> Found:
    """With all that follows."""
    more = found.union(*(PROPERTIES[name] for name in found))
    sides = more & {"lower_triangular", "upper_triangular", "symmetric"}
    return more.union(("diagonal",), PROPERTIES["diagonal"]) if len(sides) > 1 else more


def is_identity(v: Variable) -> bool:
    """Whether a value is an identity matrix, as `eye` makes it, or a batch of them."""
    if isinstance(v, Constant):
        square = v.ndim >= 2 and v.shape[-1] == v.shape[-2]
        return known(v) and square and bool((v.data == np.eye(v.data.shape[-1])).all())
    while v.owner is not None and v.owner.op.name in ("cast", "broadcast_to"):
        v = v.owner.inputs[0]
    if v.owner is None or v.owner.op.name != "equal":
        return False
    rows, columns = v.owner.inputs
    return _counter(rows, (1,)) and (_counter(columns, (0,)) or _named(columns, "iota"))


def _counter(v: Variable, axes: tuple[int, ...]) -> bool:
    """Whether v counts 0, 1, ... along its only long axis."""
    if not _named(v, "expand_dims"):
        return False
    node: Any = v.owner
    return bool(node.op.axes == axes) and _named(node.inputs[0], "iota")


def _named(v: Variable, name: str) -> bool:
    return v.owner is not None and v.owner.op.name == name


_SEEN: dict[str, Callable[[Any], bool]] = {
    "lower_triangular": lambda x: not np.triu(x, 1).any(),
    "upper_triangular": lambda x: not np.tril(x, -1).any(),
    "symmetric": lambda x: bool((x == np.swapaxes(x, -1, -2).conj()).all()),
}


# by op --------------------------------------------------------------------------------------------

Ask = Callable[[Variable], Found]


def _told(v: Variable, ask: Ask) -> Found:
    if is_identity(v):
        return frozenset(("diagonal", "positive_definite", "orthogonal"))
    if known(v):
        return frozenset(name for name, holds in _SEEN.items() if holds(v.data))
    node = v.owner
    tell = _TELLS.get(node.op.name) if node is not None else None
    if tell is None or node is None:
        return NONE
    return tell(node, v, ask)


def _same(node: Apply, v: Variable, ask: Ask) -> Found:
    """A view that leaves the matrices as they are, or another precision of them."""
    x = node.inputs[0]
    kept = x.ndim >= 2 and all(map(surely_equal, x.shape[-2:], v.shape[-2:]))
    return ask(x) if kept and dtypes.kind(v.dtype) in "fc" else NONE


def _transposed(node: Apply, v: Variable, ask: Ask) -> Found:
    axes, last = node.op.axes, (v.ndim - 2, v.ndim - 1)  # type: ignore[attr-defined]
    if axes[-2:] == last:
        return ask(node.inputs[0])
    found = ask(node.inputs[0]) if axes[-2:] == last[::-1] else NONE
    return frozenset(_TURNED.get(name, name) for name in found)


def _negative(node: Apply, v: Variable, ask: Ask) -> Found:
    return ask(node.inputs[0]) - {"positive_definite"}


def _is_number(x: Variable) -> bool:
    """Whether x stretches along both axes of the matrices."""
    return all(n == 1 for n in x.shape[-2:])


def _whole(v: Variable, x: Variable) -> bool:
    return x.ndim >= 2 and all(map(surely_equal, x.shape[-2:], v.shape[-2:]))


def _product(node: Apply, v: Variable, ask: Ask) -> Found:
    """Elementwise: the zeros of either factor."""
    x, y = node.inputs
    left, right = (ask(f) if _whole(v, f) else NONE for f in (x, y))
    found = (left | right) & ZEROS
    for factor, other in ((left, y), (right, x)):
        if "symmetric" in factor and _is_number(other) and not dtypes.is_complex(other.dtype):
            positive = (number(other) or 0) > 0
            found |= factor & ({"symmetric", "positive_definite"} if positive else {"symmetric"})
    return found | ({"symmetric"} if "symmetric" in left & right else NONE)


def _quotient(node: Apply, v: Variable, ask: Ask) -> Found:
    x, y = node.inputs
    found = ask(x) if _whole(v, x) else NONE
    real = _is_number(y) and not dtypes.is_complex(y.dtype)
    return found & ZEROS | (found & {"symmetric"} if real else NONE)


def _sum(node: Apply, v: Variable, ask: Ask) -> Found:
    if not all(_whole(v, x) for x in node.inputs):
        return NONE
    kept = {*ZEROS, "symmetric", *(["positive_definite"] if node.op.name == "add" else [])}
    return frozenset.intersection(*(ask(x) for x in node.inputs)) & kept


def _matmul(node: Apply, v: Variable, ask: Ask) -> Found:
    op: Any = node.op
    sides = [
        frozenset(_TURNED.get(name, name) for name in ask(s)) if turn else ask(s)
        for s, turn in zip(node.inputs, (op.ta, op.tb), strict=True)
    ]
    found = sides[0] & sides[1] & {*ZEROS, "orthogonal"}
    return found | ({"symmetric"} if gram(node) is not None else NONE)


def gram(node: Apply | None) -> tuple[Variable, bool] | None:
    """x where a node makes x^T x (and True) or x x^T (and False) of real matrices, spelled with a
    transpose or by the product's own flags."""
    if node is None or node.op.name != "matmul" or dtypes.is_complex(node.inputs[0].dtype):
        return None
    op: Any = node.op
    (x, ta), (y, tb) = map(_upright, node.inputs, (op.ta, op.tb))
    return (x, ta) if x is y and ta != tb else None


def _upright(x: Variable, turn: bool) -> tuple[Variable, bool]:
    """A matrix as it is, and whether it is read transposed."""
    last = (x.ndim - 2, x.ndim - 1)
    while _named(x, "transpose"):
        axes = x.owner.op.axes  # type: ignore[union-attr]
        if axes != (*range(x.ndim - 2), *last[::-1]):
            break
        x, turn = x.owner.inputs[0], not turn  # type: ignore[union-attr]
    return x, turn


def _triangle(node: Apply, v: Variable, ask: Ask) -> Found:
    """`tril` and `triu`: a choice between x and 0 by row and column."""
    mask, x, y = node.inputs
    offset = _boundary(mask)
    if offset is None:
        return NONE
    if number(y) == 0 and _whole(v, x):
        return ask(x) & ZEROS | ({"lower_triangular"} if offset <= 0 else NONE)
    if number(x) == 0 and _whole(v, y):
        return ask(y) & ZEROS | ({"upper_triangular"} if offset >= -1 else NONE)
    return NONE


def _boundary(mask: Variable) -> int | None:
    """k where the mask is column <= row + k."""
    if not _named(mask, "less_equal"):
        return None
    columns, rows = mask.owner.inputs  # type: ignore[union-attr]
    if not (_named(columns, "iota") or _counter(columns, (0,))) or not _named(rows, "expand_dims"):
        return None
    if rows.owner.op.axes != (1,):  # type: ignore[union-attr]
        return None
    count = rows.owner.inputs[0]  # type: ignore[union-attr]
    if _named(count, "iota"):
        return 0
    if count.owner is None or count.owner.op.name not in ("add", "subtract"):
        return None
    counter, step = count.owner.inputs
    k = number(step)
    if not _named(counter, "iota") or k is None:
        return None
    return int(k) if count.owner.op.name == "add" else -int(k)


def _substituted(node: Apply, v: Variable, ask: Ask) -> Found:
    """A triangular system: the inverse of a triangle, and its product with another, is one."""
    op: Any = node.op
    own = "lower_triangular" if op.low != op.trans else "upper_triangular"
    return ask(node.inputs[1]) & {own}


def _solution(node: Apply, v: Variable, ask: Ask) -> Found:
    """An inverse is symmetric, positive definite or orthogonal with its matrix."""
    a, b = node.inputs[:2]
    kept = {"symmetric", "positive_definite", "orthogonal"}
    return ask(a) & kept if is_identity(b) else NONE


def _first_orthogonal(node: Apply, v: Variable, ask: Ask) -> Found:
    return frozenset(("orthogonal" if v.index == 0 else "upper_triangular",))


def _vectors(node: Apply, v: Variable, ask: Ask) -> Found:
    return frozenset(("orthogonal",)) if v.index == 1 else NONE


_TELLS: dict[str, Callable[[Apply, Variable, Ask], Found]] = {
    "assume": lambda node, v, ask: ask(node.inputs[0]) | set(node.op.properties),  # type: ignore[attr-defined]
    "diagonal_embed": lambda node, v, ask: (
        frozenset(("diagonal",)) if node.op.offset == 0 else NONE  # type: ignore[attr-defined]
    ),
    **dict.fromkeys(("cast", "broadcast_to", "expand_dims", "conj"), _same),
    "transpose": _transposed,
    "negative": _negative,
    "multiply": _product,
    "divide": _quotient,
    **dict.fromkeys(("add", "subtract"), _sum),
    "matmul": _matmul,
    "where": _triangle,
    "cholesky": lambda node, v, ask: frozenset(("lower_triangular",)),
    "triangular_solve": _substituted,
    "solution": _solution,
    "qr": _first_orthogonal,
    "eigh": _vectors,
}
