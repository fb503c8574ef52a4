"""A slow interpreter of graphs, in two ways: by the ops' references and by their lowerings.

Also a reverse mode of a few lines and central differences, so that the ops are tested by nothing
but themselves.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Constant, Input, Variable, toposort
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, identity
from symgraph.ops.creation import ones_like
from symgraph.ops.reductions import sum as sum_of
from symgraph.scalar import Expr, evaluate, evaluate_size, var
from symgraph.scalar.table import SCALAR_OPS


def size_of(size: Any, sizes: dict[str, int]) -> int:
    return evaluate_size(size, sizes)


def concrete(value: Any, sizes: dict[str, int]) -> Any:
    """A field of an op with the sizes in it evaluated."""
    if isinstance(value, Expr):
        return evaluate_size(value, sizes)
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(concrete(v, sizes) for v in value)
    return value


def bound_sizes(values: dict[Variable, Any]) -> dict[str, int]:
    """The named sizes, read off the arrays."""
    sizes: dict[str, int] = {}
    for v, array in values.items():
        for s, n in zip(v.shape, np.shape(array), strict=True):
            if isinstance(s, Expr) and s.op == "var":
                assert sizes.setdefault(s.attr, n) == n
    return sizes


def run(outputs: list[Variable], values: dict[Variable, Any], lowered: bool = False) -> list[Any]:
    """The values of the outputs; ``lowered`` evaluates the Computes where an op has one."""
    sizes = bound_sizes(values)
    memo = {v: np.asarray(a) for v, a in values.items()}
    for node in toposort(outputs, sized=True):
        arrays = [memo[i] if i in memo else _leaf(i) for i in node.inputs]
        if lowered and callable(getattr(node.op, "lower", None)):
            found: Any = computed(node.op, node.outputs[0].type, node.inputs, arrays, sizes)
        else:
            with np.errstate(all="ignore"):
                found = _concrete_op(node.op, sizes).reference(*arrays)
        several = found if len(node.outputs) > 1 else (found,)
        for v, a in zip(node.outputs, several, strict=True):
            if node.op.makes:  # data tell the size
                sizes[getattr(node.op, node.op.makes).attr] = len(a)
            memo[v] = checked(v, np.asarray(a), sizes, node.op)
    return [memo[v] if v in memo else _leaf(v) for v in outputs]


def _leaf(v: Variable) -> Any:
    assert isinstance(v, Constant), v
    return v.data


def _concrete_op(op: Op, sizes: dict[str, int]) -> Op:
    if op.elementwise and not op.fields[1:]:
        return op
    known = [n for n in op.fields if n != op.makes]
    return op.replace(**{n: concrete(getattr(op, n), sizes) for n in known})


def checked(v: Variable, array: Any, sizes: dict[str, int], op: Op) -> Any:
    """The array, when it has the type that the op promised."""
    assert str(array.dtype) == v.dtype, f"{op!r}: {array.dtype} instead of {v.type.text()}"
    shape = tuple(size_of(s, sizes) for s in v.shape)
    assert array.shape == shape, f"{op!r}: shape {array.shape} instead of {shape}"
    return array


def computed(op: Op, out: TensorType, inputs: Any, arrays: list[Any], sizes: dict[str, int]) -> Any:
    """The Compute of an op, evaluated element by element."""
    names = [f"b{k}" for k in range(len(arrays))]
    operands = [Operand(n, v.dtype, v.shape) for n, v in zip(names, inputs, strict=True)]
    compute = op.lower(out, *operands)
    assert compute.dtype == out.dtype, f"{op!r}: lowers to {compute.dtype}, not {out.dtype}"
    buffers = dict(zip(names, arrays, strict=True))
    shape = tuple(size_of(s, sizes) for s in compute.shape)
    result = np.empty(shape, dtypes.numpy_dtype(out.dtype))
    for place in np.ndindex(shape):
        env = {**sizes, **{a.attr: p for a, p in zip(compute.axes, place, strict=True)}}
        result[place] = _element(compute, env, buffers)
    return result


def _element(compute: Compute, env: dict[str, int], buffers: dict[str, Any]) -> Any:
    reduction = compute.reduction
    if reduction is None:
        return evaluate(compute.body[0], env, buffers)
    best: list[Any] = [identity(reduction.combiner, compute.body[0].dtype), 0]
    first = True
    extents = [range(size_of(n, env)) for n in reduction.extents]
    for place in itertools.product(*extents):
        here = {**env, **{a.attr: p for a, p in zip(reduction.axes, place, strict=True)}}
        new = [evaluate(b, here, buffers) for b in compute.body]
        if len(new) == 1:
            function = SCALAR_OPS[reduction.combiner].reference
            with np.errstate(all="ignore"):
                best[0] = new[0] if first else function(best[0], new[0])
        elif first or _wins(reduction.combiner, new[0], best[0]):
            best = new
        first = False
    return best[len(compute.body) - 1]


def _wins(combiner: str, new: Any, old: Any) -> bool:
    if old != old:
        return False
    return bool(new != new or (new > old if combiner == "argmax" else new < old))


def gradients(cost: Variable, wrt: list[Variable]) -> list[Variable]:
    """Derivatives of a scalar by reverse mode."""
    cotangent: dict[Variable, Variable] = {cost: ones_like(cost)}
    for node in reversed(toposort([cost])):
        given = [cotangent.get(o) for o in node.outputs]
        if all(g is None for g in given) or node.op.nondifferentiable:
            continue
        parts = node.op.vjp(given[0], node.outputs[0], *node.inputs)
        broadcasts = node.op.elementwise or node.op.name == "broadcast_to"
        for x, g in zip(node.inputs, parts, strict=True):
            if g is not None and dtypes.is_inexact(x.dtype):
                assert g.dtype == x.dtype, f"{node.op!r}: cotangent {g.dtype} of {x.dtype}"
                g = unbroadcast(g, x) if broadcasts else g
                assert g.ndim == x.ndim, f"{node.op!r}: cotangent {g} of {x}"
                cotangent[x] = cotangent[x] + g if x in cotangent else g
    return [cotangent[v] if v in cotangent else v * 0 for v in wrt]


def unbroadcast(g: Variable, x: Variable) -> Variable:
    lead = g.ndim - x.ndim
    stretched = [k for k in range(x.ndim) if _one(x.shape[k]) and not _one(g.shape[k + lead])]
    axes = [*range(lead), *(k + lead for k in stretched)]
    if not axes:
        return g
    kept = sum_of(g, tuple(axes), keepdims=True)
    return kept.squeeze(tuple(range(lead))) if lead else kept


def _one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def differences(function: Any, arrays: list[Any], k: int, step: float) -> Any:
    """The derivative of a float function of arrays by the elements of array k, centrally."""
    out = np.zeros(arrays[k].shape)
    for place in np.ndindex(arrays[k].shape):
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[k][place] += sign * step
            ends.append(function(moved))
        out[place] = (ends[0] - ends[1]) / (2 * step)
    return out


def inputs_for(arrays: list[Any], symbolic: bool = False) -> list[Input]:
    """An input for each array; ``symbolic`` names each size above 1 by its value."""
    found = []
    for k, a in enumerate(arrays):
        shape = a.shape
        if symbolic:
            shape = tuple(var(f"n{n}") if n != 1 else 1 for n in a.shape)
        found.append(Input(TensorType(str(a.dtype), shape), f"x{k}"))
    return found
