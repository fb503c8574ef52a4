"""The structural hash of a graph: what the disk cache knows it by.

Two graphs hash alike when they compute the same thing in the same way: inputs count by position,
sizes by first appearance, shared variables by position and type, constants by value when they are
small and by type when they are large (their bytes are data of the function, not code). Names and
origins do not count. The hash is the same in every process and on every machine.
"""

from __future__ import annotations

from typing import Any, Callable

from symgraph.ir.graph import SMALL_CONSTANT, Constant, Graph, Input, Variable
from symgraph.ir.shared import Shared
from symgraph.ir.types import TensorType
from symgraph.runtime.digest import digest
from symgraph.scalar import Expr, postorder


def structural_hash(graph: Graph) -> str:
    """64 hexadecimal digits.

    >>> x, y = (Input(TensorType("float64", (3,)), n) for n in "xy")
    >>> structural_hash(Graph((x,), (x,))) == structural_hash(Graph((y,), (y,)))
    True
    """
    return _Hasher().graph(graph).hex()


def large_constants(graph: Graph) -> list[Constant]:
    """The constants too large to be code, also those of inner graphs, in order of first use."""
    found: dict[Constant, None] = {}
    waiting = [graph]
    while waiting:
        g = waiting.pop()
        for v in g.leaves():
            if isinstance(v, Constant) and v.data.nbytes > SMALL_CONSTANT:
                found[v] = None
        for node in g.toposort():
            inner = getattr(node.op, "inner", None)
            if inner is not None:
                waiting.extend(inner())
    return list(found)


class _Hasher:
    """Numbers sizes, shared variables and large constants by first appearance."""

    def __init__(self) -> None:
        self.sizes: dict[Expr, int] = {}
        self.states: dict[Variable, int] = {}
        self.large: dict[Variable, int] = {}
        self.exprs: dict[Expr, bytes] = {}
        self.ops: dict[Any, bytes] = {}

    def graph(self, g: Graph) -> bytes:
        known: dict[Variable, bytes] = {}
        for k, v in enumerate(g.inputs):
            known[v] = digest(b"input %d " % k + self.type(v.type))
        for node in g.toposort():
            parts = [self.op(node.op)]
            parts += [known.get(i) or self.leaf(i, known) for i in node.inputs]
            whole = digest(b"".join(parts))
            for k, out in enumerate(node.outputs):
                known[out] = whole + bytes([k % 256, k // 256])
        outs = [known.get(o) or self.leaf(o, known) for o in g.outputs]
        ins = [known[v] for v in g.inputs]
        return digest(b"graph %d " % len(ins) + b"".join(ins) + b"".join(outs))

    def leaf(self, v: Variable, known: dict[Variable, bytes]) -> bytes:
        if isinstance(v, Constant) and v.data.nbytes <= SMALL_CONSTANT:
            data = digest(b"constant " + self.type(v.type) + v.data.tobytes())
        elif isinstance(v, Constant):
            number = self.large.setdefault(v, len(self.large))
            data = digest(b"large %d " % number + self.type(v.type))
        elif isinstance(v, Shared):
            number = self.states.setdefault(v, len(self.states))
            data = digest(b"shared %d " % number + self.type(v.type))
        else:
            kind = "free" if isinstance(v, Input) else "unknown"
            data = digest(f"{kind} {v.name} ".encode() + self.type(v.type))
        known[v] = data
        return data

    def type(self, t: TensorType) -> bytes:
        return t.dtype.encode() + b"[" + b",".join(self.value(s) for s in t.shape) + b"]"

    def op(self, op: Any) -> bytes:
        found = self.ops.get(op)
        if found is None:
            parts = [self.value(v) for v in op._values]
            found = self.ops[op] = digest(op.name.encode() + b"{" + b",".join(parts) + b"}")
        return found

    def value(self, v: Any) -> bytes:
        """A parameter of an op; every kind is tagged so that 1, True, 1.0 and "1" differ."""
        kind = _KINDS.get(type(v))
        if kind is not None:
            return kind(v)
        if isinstance(v, Expr):
            return self.expr(v)
        if isinstance(v, TensorType):
            return b"t" + self.type(v)
        if isinstance(v, tuple | list):
            return b"(" + b",".join(self.value(x) for x in v) + b")"
        if isinstance(v, Graph):
            return b"g" + self.graph(v)
        if isinstance(v, slice):
            return b"s" + self.value((v.start, v.stop, v.step))
        raise TypeError(f"an op's parameter of type {type(v).__name__} cannot be hashed: {v!r}")

    def expr(self, e: Expr) -> bytes:
        for n in postorder([e]):
            if n in self.exprs:
                continue
            if n.op == "var":
                text = b"size %d" % self.sizes.setdefault(n, len(self.sizes))
            else:
                text = f"{n.op} {n.dtype} {n.attr!r} ".encode()
                text += b"".join(self.exprs[a] for a in n.args)
            self.exprs[n] = digest(text)
        return self.exprs[e]


_KINDS: dict[type, Callable[[Any], bytes]] = {
    int: lambda v: b"i%d" % v,
    bool: lambda v: b"b%d" % v,
    str: lambda v: b"u%d:" % len(v.encode()) + v.encode(),
    float: lambda v: b"f" + v.hex().encode(),
    type(None): lambda v: b"n",
    bytes: lambda v: b"y" + digest(v),
}

