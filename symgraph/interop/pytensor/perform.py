"""What has no native form runs by its own `perform`, called back from the program."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.errors import ShapeError
from symgraph.interop.pytensor.table import Untranslatable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType
from symgraph.loops.routine import Routine


def perform_node(node: Any, t: Any) -> tuple[Any, ...]:
    """The outputs of a node as results of a Python op.

    Sizes of results come from the op's `infer_shape`; where it does not know them, the op runs
    first and tells them, and a second call fetches the results.
    """
    inputs = [t.get(v) for v in node.inputs]
    run = Performer(node, t.objects)
    shapes = _shapes(node, t)
    if shapes is not None:
        types = tuple(_type(v, s) for v, s in zip(node.outputs, shapes, strict=True))
        return _applied(str(node.op), run, types, inputs)
    if t.outer is not None:
        raise Untranslatable(f"{node.op} inside a loop has results whose size depends on data")
    ranks = [v.type.ndim if hasattr(v.type, "ndim") and is_tensor(v) else 0 for v in node.outputs]
    told = TensorType("int64", (sum(ranks),)), TensorType("int64", ())
    sizes, number = _applied(f"{node.op}", Measurer(run, t.objects), told, inputs)
    shapes, at = [], 0
    for rank in ranks:
        shapes.append(tuple(sg.size_from(sizes[at + k]) for k in range(rank)))
        at += rank
    types = tuple(_type(v, s) for v, s in zip(node.outputs, shapes, strict=True))
    return _applied(f"results of {node.op}", Fetcher(t.objects), types, [number])


class Performed(Op):
    """Nodes of PyTensor without a native form: ``function`` runs in Python and gives ``types``."""

    name = "pytensor_perform"
    nondifferentiable = "PyTensor has made the derivatives"
    widens = False
    title: str
    function: Callable[..., Any]
    types_made: tuple[TensorType, ...]

    def infer(self, *given: TensorType) -> tuple[TensorType, ...]:
        return self.types_made

    def reference(self, *arrays: Any) -> Any:
        found = self.function(*arrays)
        for a, t in zip(found, self.types_made, strict=True):
            if a.ndim != t.ndim or any(
                isinstance(n, int) and n != m for n, m in zip(t.shape, a.shape, strict=True)
            ):
                raise ShapeError(f"{self.title} gave the shape {a.shape}, expected {t.text()}")
        return tuple(found) if len(found) > 1 else found[0]

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


def _applied(
    title: str, function: Any, types: tuple[TensorType, ...], inputs: Sequence[Any]
) -> tuple[Any, ...]:
    found = Performed(title, function, types)(*inputs)
    return found if isinstance(found, tuple) else (found,)


def is_tensor(variable: Any) -> bool:
    """Whether a variable of PyTensor is a dense tensor or a number."""
    return type(variable.type).__name__ in ("TensorType", "ScalarType")


def _type(v: Any, shape: Sequence[Size]) -> TensorType:
    return TensorType(v.type.dtype, tuple(shape)) if is_tensor(v) else TensorType("int64", ())


class Performer:
    """Runs a node's `perform` on arrays; objects come and go by number."""

    def __init__(self, node: Any, objects: Any) -> None:
        self.node, self.objects = node, objects
        self.dense = [is_tensor(v) for v in node.inputs]
        self.scalars = [type(v.type).__name__ == "ScalarType" for v in node.inputs]
        destroyed = {k for ks in getattr(node.op, "destroy_map", {}).values() for k in ks}
        self.copied = destroyed
        self.prepared: Any = None

    def values(self, arrays: Sequence[Any]) -> list[Any]:
        """The results as `perform` leaves them."""
        node = self.node
        given: list[Any] = []
        for k, a in enumerate(arrays):
            value = a[()] if self.scalars[k] else a if self.dense[k] else self.objects.get(a)
            if k in self.copied:
                value = value.copy() if isinstance(value, np.ndarray) else copy.deepcopy(value)
            given.append(value)
        if type(node.op).__name__ == "IfElse":
            count = node.op.n_outs
            return given[1 : 1 + count] if given[0] else given[1 + count :]
        if self.prepared is None:
            node.op.prepare_node(node, storage_map=None, compute_map=None, impl="py")
            self.prepared = True
        storage: list[list[Any]] = [[None] for _ in node.outputs]
        node.op.perform(node, given, storage)
        return [cell[0] for cell in storage]

    def outputs(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """The results as arrays of the declared dtypes, objects as their numbers."""
        found = []
        for v, value in zip(self.node.outputs, self.values(arrays), strict=True):
            if is_tensor(v):
                found.append(np.asarray(value, v.type.dtype))
            else:
                found.append(self.objects.put(value))
        return found

    def __call__(self, *arrays: Any) -> Any:
        return tuple(self.outputs(arrays))


class Measurer:
    """Runs a node and gives the sizes of its results, which wait in the table of objects."""

    def __init__(self, run: Performer, objects: Any) -> None:
        self.run, self.objects = run, objects

    def __call__(self, *arrays: Any) -> Any:
        found = [np.array(a) for a in self.run.outputs(arrays)]
        sizes = [n for a in found for n in a.shape]
        return np.array(sizes, "int64"), self.objects.put(found)


class Fetcher:
    """Gives the results that wait under a number."""

    def __init__(self, objects: Any) -> None:
        self.objects = objects

    def __call__(self, number: Any) -> Any:
        return tuple(self.objects.get(number))


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
    shape_of = importlib.import_module("pytensor.tensor.shape").Shape_i
    given = [
        tuple(shape_of(k)(v) for k in range(v.type.ndim)) if is_tensor(v) else None
        for v in node.inputs
    ]
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


def _size(w: Any, t: Any) -> Size:
    return int(w) if isinstance(w, int | np.integer) else t.size(w)
