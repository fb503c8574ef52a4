"""The structural hash of a graph: equal for graphs that compile to the same code.

It is the same in every process. Names of variables and sizes do not enter: inputs count by
position, sizes by first appearance. Small constants enter by value; large ones and shared variables
are data handed to the code, so only their type and their number count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.errors import VerifyError
from symgraph.ir.graph import SMALL_CONSTANT, Constant, Graph, Variable
from symgraph.ir.op import OPS, Op
from symgraph.ir.shared import Shared
from symgraph.ir.types import Size, SizeCheck, TensorType
from symgraph.runtime.digest import hexdigest
from symgraph.scalar import Expr, polynomial, postorder

VERSION = "1"  # part of every hash: raise it when the encoding changes
_LONG = 200  # characters of an encoded size above which its digest stands for it


def structural_hash(graph: Graph, checks: Sequence[SizeCheck] = ()) -> str:
    """64 hexadecimal digits that name what the graph computes, and ``checks`` of its sizes beyond
    those of its nodes.

    Raises VerifyError for an op with a parameter that has no form outside this process, such as a
    Python function.

    >>> from symgraph.ir.graph import Input
    >>> a, b = Input(TensorType("float64", (3,)), "a"), Input(TensorType("float64", (3,)), "b")
    >>> structural_hash(Graph((a,), (a,))) == structural_hash(Graph((b,), (b,)))
    True
    """
    encoder = _Encoder(graph)
    lines = [encoder.graph(graph, whole=True)]
    lines += [f"check {encoder.size(c.left)} {encoder.size(c.right)}" for c in checks]
    text = "\n".join(lines)
    return hexdigest(f"{VERSION}\n{text}".encode("utf-8", "surrogatepass"))


def large_constants(graph: Graph) -> list[Constant]:
    """The constants that are data and not code, in the order in which the hash numbers them."""
    return [v for v in _data_leaves(graph) if isinstance(v, Constant)]


def shared_variables(graph: Graph) -> list[Shared]:
    """The shared variables that the graph reads, in order of first use, inner graphs included."""
    return [v for v in _data_leaves(graph) if isinstance(v, Shared)]


def is_large(constant: Constant) -> bool:
    """Whether a constant is handed to compiled code as data."""
    return constant.data.nbytes > SMALL_CONSTANT


def inner_graphs(op: Op) -> tuple[Graph, ...]:
    """The graphs that an op owns: of scan and cond."""
    inner = getattr(op, "inner", None)
    return tuple(inner()) if inner is not None else ()


def is_foreign(op: Op) -> bool:
    """Whether an op, or the expression of an elementwise row, was written outside symgraph."""
    home = str(getattr(op, "home", type(op).__module__))
    return not home.startswith("symgraph.")


def _data_leaves(graph: Graph) -> list[Variable]:
    found: dict[Variable, None] = {}
    seen: set[Graph] = set()

    def visit(variables: Sequence[Variable]) -> None:
        for v in variables:
            if isinstance(v, Shared) or (isinstance(v, Constant) and is_large(v)):
                found[v] = None

    def scan(g: Graph) -> None:
        if g in seen:
            return
        seen.add(g)
        for node in g.sized_toposort() if g is graph else g.toposort():
            visit(node.inputs)
            for inner in inner_graphs(node.op):
                scan(inner)  # as deep as loops are nested
        visit(g.outputs)

    scan(graph)
    return list(found)


class _Encoder:
    """Turns a graph into text in which everything is numbered by first use."""

    def __init__(self, graph: Graph) -> None:
        leaves = _data_leaves(graph)
        self.number: dict[Variable, int] = {}
        for kind in (Constant, Shared):
            self.number |= {v: k for k, v in enumerate(v for v in leaves if isinstance(v, kind))}
        self.sizes: dict[Expr, str] = {}  # also every expression over sizes
        self.names: dict[str, int] = {}
        self.ops: dict[Op, str] = {}
        self.graphs: dict[Graph, str] = {}
        self.kinds: dict[TensorType, str] = {}

    def graph(self, graph: Graph, whole: bool = False) -> str:
        """One line for each input, leaf and node."""
        ids: dict[Variable, int] = {}
        lines: list[str] = []
        for v in graph.inputs:
            ids[v] = len(ids)
            lines.append("input " + self.type(v.type))
        ops = self.ops
        for node in graph.sized_toposort() if whole else graph.toposort():
            for v in node.inputs:
                if v not in ids:
                    ids[v] = len(ids)
                    lines.append(self.leaf(v))
            op = ops.get(node.op)
            if op is None:
                op = ops[node.op] = self.op(node.op)
            lines.append(f"{op} {[ids[v] for v in node.inputs]}")
            for o in node.outputs:
                ids.setdefault(o, len(ids))
        for v in graph.outputs:
            if v not in ids:
                ids[v] = len(ids)
                lines.append(self.leaf(v))
        lines.append(f"return {[ids[v] for v in graph.outputs]}")
        return "\n".join(lines)

    def leaf(self, v: Variable) -> str:
        if isinstance(v, Shared):
            return f"shared {self.number[v]} {self.type(v.type)}"
        if isinstance(v, Constant):
            if is_large(v):
                return f"data {self.number[v]} {self.type(v.type)}"
            return f"const {_array(v.data)}"
        return "free " + self.type(v.type)

    def op(self, op: Op) -> str:
        row = OPS.get(op.name)
        if isinstance(row, Op) and row == op:
            return op.name  # an elementwise row is its name
        parts = []
        for name, value in zip(op.fields, op._values, strict=True):
            try:
                parts.append(f"{name}={self.value(value)}")
            except TypeError as error:
                what = f"{op.name}: parameter {name} has no portable form: {error}"
                raise VerifyError(what) from None
        return f"{op.name}{{{';'.join(parts)}}}"

    def value(self, value: Any) -> str:
        """A parameter of an op, its type included."""
        if value is None or isinstance(value, bool):
            return str(value)
        if isinstance(value, int | float):
            return repr(value)
        if isinstance(value, str):
            return f"s{len(value)}:{value}"
        if isinstance(value, Expr):
            return f"e{self.size(value)}"
        if isinstance(value, TensorType):
            return f"t{self.type(value)}"
        if isinstance(value, tuple):
            kind = "" if type(value) is tuple else type(value).__name__
            return f"{kind}({','.join(map(self.value, value))})"
        if isinstance(value, slice):
            return f"slice{self.value((value.start, value.stop, value.step))}"
        if isinstance(value, Graph):
            found = self.graphs.get(value)
            if found is None:
                text = self.graph(value).encode("utf-8", "surrogatepass")
                found = self.graphs[value] = hexdigest(text)
            return f"g{found}"
        if isinstance(value, Op):
            return f"o{self.op(value)}"
        if isinstance(value, np.generic):
            return f"a{_array(np.asarray(value))}"
        raise TypeError(f"a {type(value).__name__}")

    def type(self, t: TensorType) -> str:
        found = self.kinds.get(t)
        if found is None:
            found = self.kinds[t] = f"{t.dtype}[{','.join(map(self.size, t.shape))}]"
        return found

    def size(self, size: Size) -> str:
        """A size with its names replaced by numbers; sums are ordered by their encoded terms."""
        if not isinstance(size, Expr):
            return str(size)
        for e in postorder([size]):
            if e not in self.sizes:
                text = self._expr(e)
                self.sizes[e] = text if len(text) < _LONG else hexdigest(text.encode())
        return self.sizes[size]

    def _expr(self, e: Expr) -> str:
        if e.op == "var":
            number = self.names.setdefault(e.attr, len(self.names))
            return f"n{number}" if e.dtype == "int64" else f"n{number}:{e.dtype}"
        if e.op == "const":
            return repr(e.attr) if e.dtype == "int64" else f"{e.attr!r}:{e.dtype}"
        if e.dtype == "int64" and e.op in ("add", "sub", "mul"):
            terms = (
                f"{'*'.join(sorted(self.sizes[x] for x in m))}*{c}"
                for m, c in polynomial(e).items()
            )
            return f"({'+'.join(sorted(terms))})"
        return f"{e.op}:{e.dtype}:{e.attr}({','.join(self.sizes[a] for a in e.args)})"


def _array(data: np.ndarray) -> str:
    raw = data.tobytes()
    value = raw.hex() if len(raw) <= 64 else hexdigest(raw)
    return f"{data.dtype.str}{data.shape}{value}"
