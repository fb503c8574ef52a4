"""The tensor graph as the rewrite engine sees it, and the evaluation of single nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeGuard

import numpy as np

from symgraph import dtypes
from symgraph.errors import RewriteError, SymgraphError
from symgraph.ir.graph import Apply, Constant, Variable, apply, constant, creating_with
from symgraph.ir.hashing import is_large
from symgraph.ir.interpret import by_reference
from symgraph.ir.op import OPS
from symgraph.ops.nn import softmax
from symgraph.ops.reductions import log_of_sum, logsumexp
from symgraph.ops.shape import BroadcastTo, is_one
from symgraph.scalar import Expr

NEAR = 24  # nodes behind a value that are asked which sizes they check
SMALL = 4096  # bytes; larger values are never computed while compiling

# Functions that are no ops but made of them, for the right sides of rules.
COMPOSED: dict[str, Callable[..., Variable]] = {
    "logsumexp": lambda x, axes: logsumexp(x, axes),
    "softmax": lambda x, axes: softmax(x, axes),
    "log_of_sum": lambda x, axes: log_of_sum(x, axes),
}


class Tensors:
    """What patterns and rules need to know of tensors; see rewrite.engine.Adapter."""

    def is_constant(self, value: Variable) -> bool:
        return known(value)

    def number(self, value: Variable) -> bool | int | float | None:
        return number(value)

    def kind(self, value: Variable) -> str:
        return dtypes.kind(value.type.dtype)

    def param(self, node: Apply, name: str) -> Any:
        return getattr(node.op, name)

    def build(
        self, op: str, inputs: Sequence[Any], params: dict[str, Any], like: Variable
    ) -> Variable:
        """The op over the inputs; over constants alone its value, so that ``-c`` is a constant."""
        if op in COMPOSED:
            return COMPOSED[op](*inputs, **params)
        row = OPS[op]
        if isinstance(row, type):
            values = [i if isinstance(i, Variable) else self.literal(i, like) for i in inputs]
            out = row(**params)(*values)
        else:
            out = row(*inputs)
        return folded(out)

    def literal(self, number: bool | int | float, like: Variable) -> Constant:
        return constant(number, like.dtype)

    def rebuild(self, node: Apply, inputs: Sequence[Variable]) -> Apply:
        return apply(node.op, inputs, node.origins)

    def conform(self, new: Variable, old: Variable) -> Variable | None:
        if new.type == old.type:
            return new
        if new.dtype != old.dtype:
            if not isinstance(new, Constant):
                raise RewriteError(f"makes {new.type.text()} of {old.type.text()}")
            new = constant(new.data, old.dtype)
        return new if new.shape == old.shape else broadcast(new, old)

    def creating_with(self, origins: Callable[[], tuple[Any, ...]]) -> AbstractContextManager[None]:
        return creating_with(origins)


TENSORS = Tensors()


def known(value: Variable) -> TypeGuard[Constant]:
    """Whether it is a constant whose value code may depend on: large ones are data, and the code
    made for them serves others of the same type."""
    return isinstance(value, Constant) and not is_large(value)


def number(value: Variable) -> bool | int | float | None:
    """The number that every element of a constant equals, None for all other values and for
    complex constants: z * (1 + 0j) is not z where a part of z is infinite.

    >>> number(constant([2.0, 2.0])), number(constant([1, 2]))
    (2.0, None)
    """
    if not known(value) or not value.data.size or dtypes.is_complex(value.dtype):
        return None
    flat = value.data.reshape(-1)
    first = flat[0]
    if flat.size > 1 and flat.tobytes() != first.tobytes() * flat.size:
        return None
    found: bool | int | float = first.item()
    return found


def broadcast(new: Variable, old: Variable) -> Variable | None:
    """``new`` stretched to the shape of ``old``; None when an axis is not surely the same."""
    if new.ndim > old.ndim:
        return None
    own = old.shape[old.ndim - new.ndim :]
    unlike = [(a, b) for a, b in zip(new.shape, own, strict=True) if not is_one(a) and a != b]
    if not unlike or _checked(unlike, old):
        out: Variable = BroadcastTo(old.shape)(new)
        return out
    return None


def _checked(pairs: Sequence[tuple[Any, Any]], old: Variable) -> bool:
    """Whether the nodes that make ``old`` check that these sizes are equal: x + y of two unknown
    sizes has that of x, y + x that of y."""
    equal: dict[Any, set[Any]] = {}
    stack, seen = [old], 0
    while stack and seen < NEAR:
        node, seen = stack.pop(0).owner, seen + 1
        if node is not None and node.op.elementwise:
            stack.extend(node.inputs)
            for check in node.checks:
                group = {check.left, check.right}
                for size in (check.left, check.right):
                    group |= equal.get(size, set())
                equal.update(dict.fromkeys(group, group))
    return all(b in equal.get(a, ()) for a, b in pairs)


def folded(value: Variable) -> Variable:
    """The value as a constant when it is small and all that its node reads is constant."""
    node = value.owner
    if node is None or len(node.outputs) != 1:
        return value
    if not all(map(known, node.inputs)):
        return value
    found = evaluated(node)
    return value if found is None else found


def evaluated(node: Apply) -> Constant | None:
    """The value of a node over constants, by the op's reference; None when it is large, depends on
    sizes, or cannot be computed (then the compiled function says why, at the user's line)."""
    out = node.output.type
    sizes = [s for s in out.shape if isinstance(s, int)]
    if len(sizes) < out.ndim or int(np.prod(sizes)) * dtypes.itemsize(out.dtype) > SMALL:
        return None
    if (
        node.checks
        or hasattr(node.op, "inner")
        or node.op.name == "print"
        or node.op.at_each_call
        or any(map(_symbolic, node.op._values))
    ):
        return None
    data = [i.data for i in node.inputs if isinstance(i, Constant)]
    try:
        with np.errstate(all="ignore"):
            found = by_reference(node, node.op, data)[0]
    except (SymgraphError, ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError):
        return None
    return constant(found, out.dtype)


def _symbolic(parameter: Any) -> bool:
    if isinstance(parameter, tuple | list):
        return any(map(_symbolic, parameter))
    return isinstance(parameter, Expr)
