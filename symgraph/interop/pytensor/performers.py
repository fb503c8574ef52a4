"""Running a node's own `perform` from a compiled program.

A callback holds no Python object but the digest of its node, so that a program with callbacks has a
form on the disk. What the digest stands for is in a table of this process, which the translation
fills; a program that was read without a translation brings its nodes along.

Values that are no tensors (random generators, sparse matrices, lists, slices) are kept in a table
for each call; in the program an int64 stands for each, which only callbacks look at.
"""

from __future__ import annotations

import copy
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symgraph.errors import ShapeError, VerifyError
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.routine import Routine


class Objects:
    """The values that are no tensors, by number: constants of a program, and those of one call."""

    def __init__(self, constants: dict[int, Any] | None = None) -> None:
        self.constants: dict[int, Any] = {} if constants is None else constants
        self.values: dict[int, Any] = {}
        self._next = itertools.count(1 + max(self.constants, default=0))

    def keep(self, value: Any) -> int:
        """The number of a constant."""
        number = next(self._next)
        self.constants[number] = value
        return number

    def put(self, value: Any) -> np.ndarray:
        """The number of a value of this call, as an array."""
        number = next(self._next)
        self.values[number] = value
        return np.asarray(number)

    def get(self, number: Any) -> Any:
        """The value of a number."""
        number = int(number)
        return self.values[number] if number in self.values else self.constants[number]


_present = threading.local()


@contextmanager
def call_of(constants: dict[int, Any]) -> Iterator[Objects]:
    """The table of one call, which callbacks of this thread use meanwhile; calls may be nested."""
    outer = getattr(_present, "objects", None)
    _present.objects = Objects(constants)
    try:
        yield _present.objects
    finally:
        _present.objects = outer


def _table() -> Objects:
    """The table of the present call; one that stays for programs that are called from C."""
    if getattr(_present, "objects", None) is None:
        _present.objects = Objects()
    return _present.objects  # type: ignore[no-any-return]


def put_object(value: Any) -> np.ndarray:
    """The number of a value of the present call."""
    return _table().put(value)


def is_tensor(variable: Any) -> bool:
    """Whether a variable of PyTensor is a dense tensor or a number."""
    return type(variable.type).__name__ in ("TensorType", "ScalarType")


class Performer:
    """Runs a node's `perform` on arrays; objects come and go by number."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.dense = [is_tensor(v) for v in node.inputs]
        self.scalars = [type(v.type).__name__ == "ScalarType" for v in node.inputs]
        self.copied = {k for ks in getattr(node.op, "destroy_map", {}).values() for k in ks}
        self.prepared = False

    def values(self, arrays: Sequence[Any]) -> list[Any]:
        """The results as `perform` leaves them."""
        node, objects = self.node, _table()
        given: list[Any] = []
        for k, a in enumerate(arrays):
            value = a[()] if self.scalars[k] else a if self.dense[k] else objects.get(a)
            if k in self.copied:
                value = value.copy() if isinstance(value, np.ndarray) else copy.deepcopy(value)
            given.append(value)
        if type(node.op).__name__ == "IfElse":
            count = node.op.n_outs
            return given[1 : 1 + count] if given[0] else given[1 + count :]
        if not self.prepared:
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
                found.append(_table().put(value))
        return found


def _run(performer: Performer, arrays: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(performer.outputs(arrays))


def _measure(performer: Performer, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The sizes of the results, which wait in the table of objects."""
    found = [np.array(a) for a in performer.outputs(arrays)]
    sizes = [n for a in found for n in a.shape]
    return np.array(sizes, "int64"), _table().put(found)


def _fetch(performer: Performer, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The results that wait under a number."""
    return tuple(_table().get(arrays[0]))


KINDS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "run": _run,
    "measure": _measure,
    "fetch": _fetch,
}
# performers by the digest of their node, as long as a program holds them
_known: weakref.WeakValueDictionary[str, Performer] = weakref.WeakValueDictionary()


def register(digest: str, performer: Performer) -> Performer:
    """The performer of a digest: the one that is known, or else this."""
    return _known.setdefault(digest, performer)


class Performed(Op):
    """A node of PyTensor without a native form, run in Python: ``node`` is its digest, or a
    performer where it has none; ``kind`` is what is done with the results."""

    name = "pytensor_perform"
    nondifferentiable = "PyTensor has made the derivatives"
    widens = False
    at_each_call = True
    title: str
    kind: str
    node: Any
    types_made: tuple[TensorType, ...]

    def infer(self, *given: TensorType) -> tuple[TensorType, ...]:
        return self.types_made

    def reference(self, *arrays: Any) -> Any:
        performer = _known.get(self.node) if isinstance(self.node, str) else self.node
        if performer is None:
            raise VerifyError(f"{self.title} is unknown in this process")
        found = KINDS[self.kind](performer, arrays)
        for a, t in zip(found, self.types_made, strict=True):
            if a.ndim != t.ndim or any(
                isinstance(n, int) and n != m for n, m in zip(t.shape, a.shape, strict=True)
            ):
                raise ShapeError(f"{self.title} gave the shape {a.shape}, expected {t.text()}")
        return tuple(found) if len(found) > 1 else found[0]

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")
