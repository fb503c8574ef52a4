"""What has no native form becomes a callback to its own `perform`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.digest import Unstable, digest_of_node
from symgraph.interop.pytensor.performers import Performed, Performer, is_tensor, register
from symgraph.interop.pytensor.sparse_values import Matrix, number_of
from symgraph.interop.pytensor.table import Untranslatable
from symgraph.ir.types import Size, TensorType


def perform_node(node: Any, t: Any) -> tuple[Any, ...]:
    """The outputs of a node as results of a Python op.

    Sizes of results come from the op's `infer_shape`; where it does not know them, the op runs
    first and tells them, and a second call fetches the results.
    """
    inputs = [number_of(t.get(v)) for v in node.inputs]
    shapes = _shapes(node, t)
    if shapes is None and t.outer is not None:
        raise Untranslatable(f"{node.op} inside a loop has results whose size depends on data")
    held, title = _performer(node, t), _title(node)
    if shapes is not None:
        types = tuple(_type(v, s) for v, s in zip(node.outputs, shapes, strict=True))
        return _applied(title, "run", held, types, inputs)
    ranks = [v.type.ndim if hasattr(v.type, "ndim") and is_tensor(v) else 0 for v in node.outputs]
    told = TensorType("int64", (sum(ranks),)), TensorType("int64", ())
    sizes, number = _applied(title, "measure", held, told, inputs)
    shapes, at = [], 0
    for rank in ranks:
        shapes.append(tuple(sg.size_from(sizes[at + k]) for k in range(rank)))
        at += rank
    types = tuple(_type(v, s) for v, s in zip(node.outputs, shapes, strict=True))
    return _applied(f"results of {title}", "fetch", held, types, [number])


def _title(node: Any) -> str:
    """The op in words that are the same in every process."""
    text = str(node.op)
    return type(node.op).__name__ if " at 0x" in text else text


def alone(node: Any) -> Any:
    """The node without what computes its inputs; constants stay."""
    apply = importlib.import_module("pytensor.graph.basic").Apply
    inputs = [v if hasattr(v, "data") else v.type() for v in node.inputs]
    return apply(node.op, inputs, [v.type() for v in node.outputs])


def _performer(node: Any, t: Any) -> Any:
    """The digest of a node's performer, which the translation holds, or the performer itself."""
    performer = Performer(alone(node))
    try:
        digest = digest_of_node(node)
    except Unstable:
        t.performers[f"unnamed {len(t.performers)}"] = performer
        return performer
    t.performers[digest] = register(digest, performer)
    return digest


def _applied(
    title: str, kind: str, held: Any, types: tuple[TensorType, ...], inputs: Sequence[Any]
) -> tuple[Any, ...]:
    found = Performed(title, kind, held, types)(*inputs)
    return found if isinstance(found, tuple) else (found,)


def _type(v: Any, shape: Sequence[Size]) -> TensorType:
    return TensorType(v.type.dtype, tuple(shape)) if is_tensor(v) else TensorType("int64", ())


# ops whose `infer_shape` is known to differ from what `perform` returns
_MISTAKEN = ("Choose", "ARange", "Scan")


def _shapes(node: Any, t: Any) -> list[tuple[Size, ...]] | None:
    """The shapes of the results, None when they are not known before the node runs."""
    static = [tuple(getattr(v.type, "shape", ())) if is_tensor(v) else () for v in node.outputs]
    if all(n is not None for s in static for n in s):
        return static
    core = getattr(node.op, "core_op", node.op)
    if not hasattr(node.op, "infer_shape") or type(core).__name__ in _MISTAKEN:
        return None
    shaped = [is_tensor(v) or isinstance(t.get(v), Matrix) for v in node.inputs]
    given = [_given_shape(v) if s else None for v, s in zip(node.inputs, shaped, strict=True)]
    count = len(inspect.signature(node.op.infer_shape).parameters)
    try:
        found = node.op.infer_shape(*((None,) if count == 3 else ()), node, given)
        out: list[tuple[Size, ...]] = []
        for v, known, s in zip(node.outputs, static, found, strict=True):
            if not is_tensor(v):
                out.append(())
                continue
            if s is None or len(s) != len(known):
                return None
            out.append(
                tuple(n if n is not None else _size(w, t) for n, w in zip(known, s, strict=True))
            )
        return out
    except Exception:  # whatever an op of a user raises about shapes that it does not know
        return None


def _given_shape(v: Any) -> tuple[Any, ...]:
    """The shape of an operand as `infer_shape` reads it: sizes that are known are constants, by
    which it tells what broadcasts."""
    shape_of = importlib.import_module("pytensor.tensor.shape").Shape_i
    constant = importlib.import_module("pytensor.tensor").constant
    return tuple(
        shape_of(k)(v) if n is None else constant(n, dtype="int64")
        for k, n in enumerate(getattr(v.type, "shape", ()))
    )


def _size(w: Any, t: Any) -> Size:
    return int(w) if isinstance(w, int | np.integer) else t.size(w)
