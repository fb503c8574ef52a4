"""Digests of PyTensor's graphs, ops and values that are the same in every process.

An op is its class with its properties (`__props__`, which also define when PyTensor takes two ops
for the same), or with all its attributes where it declares none, and the graph that it holds. Of a
class from outside PyTensor the code of its methods counts too, so an edited op is another one.
Whatever has no such form raises `Unstable`, and nothing is kept for it.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import itertools
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


class Unstable(Exception):
    """A value without a form outside this process."""


# attributes of ops that say how PyTensor computes and not what
_HOW = frozenset({
    "ufunc", "nfunc", "nfunc_spec", "_fn", "_hash", "_cython_func", "fgraph", "_op_use_c_code",
    "_cached_fgraph", "_rop_op_cache", "lop_overrides", "rop_overrides", "grad_overrides",
    "_lop_op_cache", "_n_inputs", "name", "fn", "_c_code", "nodenames", "prepare_node_called",
    "_shape_inference_cache", "_inner_fn", "_lop_op_interface", "connection_pattern",
})  # fmt: skip
_TRUSTED = ("pytensor", "pymc", "numpy", "scipy", "builtins")  # their versions are in the keys


def _hex(*parts: str | bytes) -> str:
    h = hashlib.blake2b(digest_size=20)
    for p in parts:
        data = p.encode("utf-8", "surrogatepass") if isinstance(p, str) else p
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()


class Digester:
    """Digests with a memory of the ops and types already seen."""

    def __init__(self) -> None:
        self.ops: dict[int, tuple[Any, str]] = {}  # by identity, the op kept alive
        self.types: dict[int, tuple[Any, str]] = {}
        self.open: set[int] = set()  # values being digested, against circles

    # graphs ---------------------------------------------------------------------------------------

    def graph(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
        """Of a graph: types of inputs, ops in the order in which outputs need them."""
        number: dict[Any, int] = {v: k for k, v in enumerate(inputs)}
        lines = [self.kind(v.type) for v in inputs]
        for node in _in_order(outputs, number):
            places = [self._place(v, number, lines) for v in node.inputs]
            made = " ".join(self.kind(v.type) for v in node.outputs)
            lines.append(f"{self.op(node.op)} {places} {made}")
            for v in node.outputs:
                number[v] = len(number)
        lines.append(str([self._place(v, number, lines) for v in outputs]))
        return _hex("\n".join(lines))

    def _place(self, v: Any, number: dict[Any, int], lines: list[str]) -> int:
        if v not in number:
            if not hasattr(v, "data"):
                raise Unstable(f"{v} is free")
            number[v] = len(number)
            lines.append(f"constant {self.kind(v.type)} {self.value(v.data)}")
        return number[v]

    def node(self, node: Any) -> str:
        """Of a node by itself: op, types, and constants among its inputs."""
        inputs = [
            f"{self.kind(v.type)} {self.value(v.data) if hasattr(v, 'data') else ''}"
            for v in node.inputs
        ]
        return _hex(self.op(node.op), *inputs, *(self.kind(v.type) for v in node.outputs))

    # ops and types --------------------------------------------------------------------------------

    def op(self, op: Any) -> str:
        """Of an op."""
        known = self.ops.get(id(op))
        if known is None:
            known = self.ops[id(op)] = op, self._op(op)
        return known[1]

    def _op(self, op: Any) -> str:
        parts = [self._class(type(op))]
        graph = getattr(op, "fgraph", None)
        if graph is not None and hasattr(graph, "outputs"):
            parts.append(self.graph(graph.inputs, graph.outputs))
        props = getattr(op, "__props__", None)
        if props is not None and graph is None:
            parts += [f"{n}={self.value(getattr(op, n))}" for n in props]
            return _hex(*parts)
        for name, value in sorted(vars(op).items()):
            if name in _HOW:
                continue
            try:
                parts.append(f"{name}={self.value(value)}")
            except Unstable:
                if graph is None:
                    raise
        return _hex(*parts)

    def kind(self, t: Any) -> str:
        """Of a type of PyTensor."""
        known = self.types.get(id(t))
        if known is None:
            if type(t).__name__ == "TensorType":
                text = f"{t.dtype}{t.shape}"
            else:
                props = getattr(t, "__props__", None) or sorted(
                    n for n in vars(t) if not n.startswith("_"))  # fmt: skip
                text = "".join(f"{n}={self.value(getattr(t, n))}" for n in props)
            known = self.types[id(t)] = t, f"{self._class(type(t))}({text})"
        return known[1]

    def _class(self, cls: type) -> str:
        home: Any = sys.modules.get(cls.__module__)
        for part in cls.__qualname__.split("."):
            home = getattr(home, part, None)
        if home is not cls:  # made by a function, with what only that call knows
            raise Unstable(f"{cls.__name__} is found in no module")
        name = f"{cls.__module__}.{cls.__qualname__}"
        if _trusted(cls):
            return name
        parts = []
        for c in itertools.takewhile(lambda c: not _trusted(c), cls.__mro__):
            for n, f in sorted(vars(c).items()):
                f = getattr(f, "fget", getattr(f, "__func__", f))
                if isinstance(f, types.FunctionType):
                    parts.append(f"{n}:{_code(f.__code__)}")
                elif not n.startswith("__") and n != "_abc_impl":
                    parts.append(f"{n}:{self.value(f)}")
        return f"{name}:{_hex(*parts)}"

    # values ---------------------------------------------------------------------------------------

    def value(self, v: Any) -> str:
        """Of a property or constant."""
        if v is None or isinstance(v, bool | int | float | complex | str | bytes | type(...)):
            return f"{type(v).__name__}:{v!r}"
        if isinstance(v, np.ndarray | np.generic):
            return _array(np.asarray(v))
        if isinstance(v, np.dtype):
            return str(v)
        if id(v) in self.open:
            raise Unstable("a value that holds itself")
        self.open.add(id(v))
        try:
            return self._compound(v)
        finally:
            self.open.discard(id(v))

    def _all(self, values: Iterable[Any]) -> str:
        return ",".join(self.value(v) for v in values)

    def _compound(self, v: Any) -> str:
        if isinstance(v, tuple | list):
            return f"{type(v).__name__}({self._all(v)})"
        if isinstance(v, set | frozenset):
            return f"set({','.join(sorted(self.value(x) for x in v))})"
        if isinstance(v, Mapping):
            pairs = sorted((self.value(k), self.value(x)) for k, x in v.items())
            return f"dict({pairs})"
        if isinstance(v, slice | range):
            return f"{type(v).__name__}({self._all((v.start, v.stop, v.step))})"
        if isinstance(v, enum.Enum):
            return f"{type(v).__qualname__}.{v.name}"
        if isinstance(v, type):
            return self._class(v)
        if dataclasses.is_dataclass(v):
            fields = [(f.name, getattr(v, f.name)) for f in dataclasses.fields(v)]
            return f"{type(v).__qualname__}({self.value(fields)})"
        if isinstance(v, types.FunctionType):
            if v.__closure__:
                raise Unstable(f"{v} holds variables")
            return f"{v.__module__}.{v.__qualname__}:{_code(v.__code__)}"
        if isinstance(v, np.ufunc):
            return f"ufunc:{v.__name__}"
        return self._foreign(v)

    def _foreign(self, v: Any) -> str:
        names = {c.__name__ for c in type(v).__mro__ if c.__module__.startswith("pytensor.")}
        if "Op" in names:
            return self.op(v)
        if "Type" in names:
            return self.kind(v)
        if "Constant" in names:
            return f"{self.kind(v.type)} {self.value(v.data)}"
        if type(v).__module__.startswith("scipy.sparse") and hasattr(v, "indptr"):
            return f"{v.format}{self._all((v.shape, v.data, v.indices, v.indptr))}"
        if names and not names & {"Variable", "Apply", "FunctionGraph"} and hasattr(v, "__dict__"):
            return f"{self._class(type(v))}({self.value(vars(v))})"
        raise Unstable(f"{type(v).__name__} has no form outside this process")


def _trusted(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in _TRUSTED


def _array(a: np.ndarray) -> str:
    if a.dtype.hasobject:
        raise Unstable("an array of objects")
    return f"{a.dtype.str}{a.shape}{_hex(np.ascontiguousarray(a).tobytes())}"


def _code(code: types.CodeType) -> str:
    inner = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts
             if not isinstance(c, frozenset)]  # fmt: skip
    return _hex(code.co_code, " ".join(code.co_names), " ".join(inner))


def _in_order(outputs: Sequence[Any], known: dict[Any, int]) -> list[Any]:
    """The nodes that make the outputs, each after those that it needs."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [v.owner for v in reversed(outputs) if v.owner is not None and v not in known]
    while stack:
        node = stack[-1]
        if node in seen:
            stack.pop()
            continue
        above = [v.owner for v in reversed(node.inputs)
                 if v.owner is not None and v.owner not in seen and v not in known]  # fmt: skip
        if above:
            stack.extend(above)
            continue
        stack.pop()
        seen.add(node)
        order.append(node)
    return order


def digest_of_node(node: Any) -> str:
    """The digest of one node; raises Unstable."""
    return Digester().node(node)
