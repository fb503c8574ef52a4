"""What a rewrite made of a graph, as rows that another process follows without the rules.

Rows are JSON: they name the nodes of the graph before by number, and say of each new node the op,
what it reads, and which of the old nodes' lines of the user's program are its own. Nothing in them
is executed: every node goes through its op's type rule. The rows of a graph fit every graph with
the same :func:`signature`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import SymgraphError, VerifyError
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Constant, Graph, Variable, apply, constant, toposort
from symgraph.ir.hashing import is_foreign, is_large, structural_hash
from symgraph.ir.op import OPS, Op
from symgraph.ir.types import TensorType
from symgraph.runtime.digest import hexdigest
from symgraph.scalar import Expr

Rows = list[Any]
Marks = Callable[[Variable], int]


class NotPortable(Exception):
    """The new graph holds something that has no form outside this process."""


class Numbering:
    """A graph, and those inside its ops, with numbers for all that rows speak of."""

    def __init__(self, outputs: Sequence[Variable]) -> None:
        self.outputs = list(outputs)
        self.variables: list[Variable] = []
        self.nodes: list[Apply] = []
        self.graphs: list[Graph] = []
        self.numbers: dict[Variable, int] = {}
        self.origins: dict[Any, int] = {}
        self._ops: set[Op] = set()
        self._visit(self.outputs)

    def add(self, variables: Sequence[Variable]) -> None:
        """Give the next numbers to those that have none."""
        for v in variables:
            if v not in self.numbers:
                self.numbers[v] = len(self.variables)
                self.variables.append(v)

    def _visit(self, outputs: Sequence[Variable]) -> None:
        for node in toposort(outputs):
            self.add(node.inputs)
            self.add(node.outputs)
            self.nodes.append(node)
            for origin in node.origins:
                self.origins.setdefault(origin, len(self.origins))
            if node.op not in self._ops:
                self._ops.add(node.op)
                for value in node.op._values:
                    if isinstance(value, Graph):
                        self.graphs.append(value)
                        self.add(value.inputs)
                        self._visit(value.outputs)  # as deep as loops are nested
        self.add(outputs)

    def sizes(self) -> list[Expr]:
        """The expressions over sizes in types and parameters."""
        held = ((v.type.shape for v in self.variables), (n.op._values for n in self.nodes))
        return list(dict.fromkeys(e for values in held for e in _expressions(tuple(values))))


def _expressions(value: Any) -> Iterator[Expr]:
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, tuple):
        for v in value:
            yield from _expressions(v)


def signature(held: Numbering, kept: Sequence[Variable]) -> str | None:
    """A digest of the graph, of how its nodes share lines of the user's program, and of which of
    its variables are ``kept``. None where rows cannot be written: for ops of the user's own, whose
    code may change, and for sizes that depend on data."""
    whole = Graph((), held.outputs)
    if made_sizes.in_graph(whole) or any(is_foreign(node.op) for node in held.nodes):
        return None
    try:
        graph = structural_hash(whole)
    except VerifyError:
        return None
    number = held.origins
    lines = [[number[o] for o in node.origins] for node in held.nodes]
    fixed = sorted(held.numbers[v] for v in kept if v in held.numbers)
    return hexdigest(f"{graph} {lines} {fixed}".encode())


# writing ------------------------------------------------------------------------------------------


class _Writer:
    def __init__(self, held: Numbering, mark: Marks) -> None:
        self.held, self.mark = held, mark
        self.rows: Rows = []
        self.numbers = dict(held.numbers)
        self.count = len(held.variables)
        self.ops = {node.op: k for k, node in reversed(list(enumerate(held.nodes)))}
        self.graphs = {graph: k for k, graph in enumerate(held.graphs)}
        self.sizes: dict[Expr, int] | None = None

    def graph(self, outputs: Sequence[Variable]) -> list[int]:
        """Rows for what is new below the outputs, and their numbers."""
        for node in toposort(outputs):
            if node.outputs[0] not in self.numbers:
                self.node(node)
        return [self.number(v) for v in outputs]

    def node(self, node: Apply) -> None:
        known = self.held.origins
        if any(o not in known for o in node.origins) or any(o.name for o in node.outputs):
            raise NotPortable
        op = self.ops.get(node.op)
        named = self.op(node.op) if op is None else op
        inputs = [self.number(v) for v in node.inputs]
        marks = [self.mark(o) for o in node.outputs]
        self.rows.append([named, inputs, [known[o] for o in node.origins], marks])
        self.take(node.outputs)

    def take(self, variables: Sequence[Variable]) -> None:
        self.numbers.update((v, self.count + k) for k, v in enumerate(variables))
        self.count += len(variables)

    def number(self, v: Variable) -> int:
        found = self.numbers.get(v)
        if found is None:
            if not isinstance(v, Constant) or is_large(v):
                raise NotPortable
            self.rows.append([v.dtype, list(v.data.shape), v.data.tobytes().hex()])
            self.take([v])
            found = self.numbers[v]
        return found

    def op(self, op: Op) -> list[Any]:
        row = OPS.get(op.name)
        if row is op:  # an elementwise row is its name
            return [op.name, getattr(op, "home", ""), None]
        if is_foreign(op) or row is not type(op):
            raise NotPortable
        return [op.name, type(op).__module__, [self.value(v) for v in op._values]]

    def value(self, value: Any) -> Any:
        """A parameter: what JSON holds as it is, all else as a list that begins with its kind."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return ["float", value.hex()]
        if type(value) is tuple:
            return ["tuple", *map(self.value, value)]
        if isinstance(value, Expr):
            if self.sizes is None:
                self.sizes = {e: k for k, e in enumerate(self.held.sizes())}
            if value in self.sizes:
                return ["size", self.sizes[value]]
        elif isinstance(value, TensorType):
            return ["type", value.dtype, *map(self.value, value.shape)]
        elif isinstance(value, Op):
            return ["op", *self.op(value)]
        elif isinstance(value, Graph):
            return self.inner(value)
        raise NotPortable

    def inner(self, graph: Graph) -> Any:
        """A graph inside an op, whose inputs are those of an old one."""
        if graph in self.graphs:
            return ["known", self.graphs[graph]]
        if any(v not in self.numbers for v in graph.inputs):
            raise NotPortable
        outputs = self.graph(graph.outputs)
        self.graphs[graph] = len(self.graphs)
        return ["graph", [self.numbers[v] for v in graph.inputs], outputs]


def written(held: Numbering, outputs: Sequence[Variable], mark: Marks) -> dict[str, Any] | None:
    """The rows of the new ``outputs`` of a graph; None when they cannot be written. ``mark`` is a
    number that a reader is told of each new variable."""
    writer = _Writer(held, mark)
    try:
        numbers = writer.graph(outputs)
    except NotPortable:
        return None
    return {"rows": writer.rows, "outputs": numbers}


# reading ------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, held: Numbering, mark: Callable[[Variable, int], None]) -> None:
        self.held, self.mark = held, mark
        self.made = list(held.variables)
        self.origins = list(held.origins)
        self.graphs = list(held.graphs)
        self.sizes: list[Expr] = []

    def row(self, row: Any) -> None:
        made = self.made
        if len(row) == 3:
            dtype, shape, raw = row
            data = np.frombuffer(bytes.fromhex(raw), dtypes.numpy_dtype(dtype)).reshape(shape)
            made.append(constant(data))
            return
        named, inputs, origins, marks = row
        op = self.held.nodes[named].op if type(named) is int else self.op(*named)
        node = apply(op, [made[k] for k in inputs], tuple([self.origins[k] for k in origins]))
        for v, m in zip(node.outputs, marks, strict=True):
            if m:
                self.mark(v, m)
        made += node.outputs

    def op(self, name: str, home: str, values: list[Any] | None) -> Op:
        if name not in OPS and home.startswith("symgraph."):
            importlib.import_module(home)
        row = OPS[name]
        return row if values is None else row(*map(self.value, values))  # type: ignore[no-any-return]

    def value(self, value: Any) -> Any:
        if type(value) is not list:
            return value
        kind, *rest = value
        if kind == "tuple":
            return tuple(map(self.value, rest))
        if kind == "float":
            return float.fromhex(rest[0])
        if kind == "size":
            self.sizes = self.sizes or self.held.sizes()
            return self.sizes[rest[0]]
        if kind == "type":
            return TensorType(rest[0], tuple(map(self.value, rest[1:])))
        if kind == "op":
            return self.op(*rest)
        if kind == "known":
            return self.graphs[rest[0]]
        inputs, outputs = rest
        made = self.made
        self.graphs.append(Graph([made[k] for k in inputs], [made[k] for k in outputs]))
        return self.graphs[-1]


def followed(
    held: Numbering, found: Any, mark: Callable[[Variable, int], None]
) -> list[Variable] | None:
    """The new outputs that rows tell, over the nodes of this graph; None for rows that do not fit
    it. ``mark`` is given the new variables that have a number other than 0."""
    reader = _Reader(held, mark)
    try:
        for row in found["rows"]:
            reader.row(row)
        made = [reader.made[k] for k in found["outputs"]]
    except (SymgraphError, LookupError, TypeError, ValueError, AttributeError):
        return None
    fits = len(made) == len(held.outputs)
    return made if fits else None
