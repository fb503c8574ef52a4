"""The interpreter of the tensor graph: the reference semantics, op by op in NumPy."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from symgraph import dtypes
from symgraph.errors import InputValueError, ShapeError, UnboundVariableError, VerifyError
from symgraph.ir.graph import Apply, Constant, Graph, Variable
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared
from symgraph.scalar import Expr, evaluate_size


def interpret(
    graph: Graph,
    values: Sequence[Any],
    shared: Mapping[Variable, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> list[np.ndarray]:
    """The outputs of a graph for these inputs.

    ``shared`` gives values of shared variables (their own by default), ``sizes`` sizes that no input
    tells. Raises InputValueError for unfit values and ShapeError where sizes disagree.

    >>> from symgraph.ir.types import TensorType
    >>> from symgraph.ir.graph import Input
    >>> x = Input(TensorType("float64", (2,)), "x")
    >>> interpret(Graph((x,), (x,)), [np.ones(2)])[0].tolist()
    [1.0, 1.0]
    """
    env = dict(sizes or {})
    known: dict[Variable, np.ndarray] = {}
    for v, value in zip(graph.inputs, values, strict=True):
        known[v] = _bound(v, np.asarray(value), env)
    for leaf in graph.leaves():
        if leaf not in known:
            known[leaf] = _bound(leaf, _leaf_value(leaf, shared or {}), env)
    for node in graph.toposort():
        results = _run(node, [known[i] for i in node.inputs], env)
        known.update(zip(node.outputs, results, strict=True))
    return [known[o] for o in graph.outputs]


def bind_op(op: Op, env: Mapping[str, int]) -> Op:
    """The op with the symbolic sizes among its parameters replaced by their values."""
    changed = tuple(_bind_value(v, env) for v in op._values)
    return op if changed == op._values else type(op)(*changed)


def _bind_value(v: Any, env: Mapping[str, int]) -> Any:
    if isinstance(v, Expr):
        return evaluate_size(v, env)
    if type(v) is tuple:
        return tuple(_bind_value(x, env) for x in v)
    return v


def _leaf_value(v: Variable, shared: Mapping[Variable, np.ndarray]) -> np.ndarray:
    if isinstance(v, Constant):
        return v.data
    if v in shared:
        return shared[v]
    if isinstance(v, Shared):
        return v.get_value(borrow=True)
    raise UnboundVariableError(f"{v.label()} has no value: it is not among the inputs", origin=v.origin)


def _bound(v: Variable, value: np.ndarray, env: dict[str, int]) -> np.ndarray:
    if str(value.dtype) != v.dtype or value.ndim != v.ndim:
        raise InputValueError(f"{v.label()} is {v.type.text()}, not {value.dtype}{list(value.shape)}")
    for axis, (size, held) in enumerate(zip(v.shape, value.shape, strict=True)):
        if isinstance(size, Expr) and size.op == "var":
            size = env.setdefault(size.attr, held)
        wanted = evaluate_size(size, env)
        if wanted != held:
            raise InputValueError(f"axis {axis} of {v.label()} has size {held}, expected {wanted}")
    return value


def _run(node: Apply, arrays: list[np.ndarray], env: Mapping[str, int]) -> list[np.ndarray]:
    for check in node.checks:
        left, right = evaluate_size(check.left, env), evaluate_size(check.right, env)
        if left != right:
            raise ShapeError(
                f"{check.what}: {left} and {right}",
                origin=node.origins[0] if node.origins else None,
                operands=[(i.label(), i.type.text(), i.origin) for i in node.inputs],
            )
    op: Any = bind_op(node.op, env)
    with np.errstate(all="ignore"):
        if hasattr(op, "inner"):
            results = op.reference(lambda g, xs: interpret(g, xs, None, env), *arrays)
        else:
            results = op.reference(*arrays)
    many = list(results) if isinstance(results, tuple | list) else [results]
    return [_result(node, k, r, env) for k, r in enumerate(many)]


def _result(node: Apply, k: int, value: Any, env: Mapping[str, int]) -> np.ndarray:
    """The array of an output; its type must be what the type rule said."""
    array = np.asarray(value)
    declared = node.outputs[k].type
    shape = tuple(evaluate_size(s, env) for s in declared.shape)
    if array.dtype != dtypes.numpy_dtype(declared.dtype) or array.shape != shape:
        raise VerifyError(
            f"reference of {node.op!r} gave {array.dtype}{list(array.shape)}, declared "
            f"{declared.text()} = {declared.dtype}{list(shape)}",
            origin=node.origins[0] if node.origins else None,
        )
    return array
