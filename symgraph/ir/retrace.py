"""Which value was wrong: a call that failed is run once more by the references, as far as it takes.

Compiled code stops where an index is out of range and does not say which index. Outside of loops
it is computed again; what it is inside a loop only the loop's own steps can tell. So the loop is
run by the references until one of them raises. Only what an index can depend on is computed, which
is mostly integers; of everything else zeros of the right shape are enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from symgraph import dtypes
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Apply, Graph, Variable, toposort
from symgraph.ir.hashing import inner_graphs, shared_variables
from symgraph.ir.interpret import Env, Machine, bind_sizes
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared
from symgraph.scalar import evaluate_size

SECONDS = 0.5  # that a message may take to make


def error_of(graph: Graph, loop: Apply, arrays: Sequence[np.ndarray]) -> SymgraphError | None:
    """What the references raise inside a loop (a node of the graph) for these arguments; None when
    nothing is raised, or not soon enough.

    >>> import symgraph as sg
    >>> x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    >>> y = sg.scan(lambda k: sg.exp(x)[k], [i])
    >>> g = sg.Graph([x, i], [y])
    >>> print(error_of(g, y.owner, [np.ones(3), np.array([2, 7])]).what)
    index 7 is out of range for axis 0 of size 3
    """
    part = Graph(graph.inputs, loop.outputs)
    state = {s: s.get_value(borrow=True) for s in shared_variables(part)}
    env: Env = {}
    bind_sizes([*zip(part.inputs, arrays, strict=True), *state.items()], env)
    try:
        with np.errstate(all="ignore"):
            _Sparing(state, _needed(part)).run(part, arrays, env)
    except SymgraphError as error:
        return error
    except _TooLong:
        return None
    return None


class _TooLong(Exception):
    pass


class _Sparing(Machine):
    """Runs some of the nodes, for a while; the others give zeros."""

    def __init__(self, state: dict[Shared, np.ndarray], needed: set[Apply]) -> None:
        super().__init__(state)
        self.needed, self.until = needed, time.perf_counter() + SECONDS

    def _apply(self, node: Apply, op: Op, inputs: list[np.ndarray], env: Env) -> list[np.ndarray]:
        if time.perf_counter() > self.until:
            raise _TooLong
        if node in self.needed:
            return super()._apply(node, op, inputs, env)
        return [
            np.zeros([evaluate_size(s, env) for s in v.shape], dtypes.numpy_dtype(v.dtype))
            for v in node.outputs
        ]


def _needed(graph: Graph) -> set[Apply]:
    """The nodes that a failing index can depend on, those of inner graphs too."""
    found: set[Apply] = set()
    _mark(graph, set(), found)
    return found


def _mark(graph: Graph, values: set[Variable], found: set[Apply]) -> bool:
    """Add to ``found`` what makes these values and what may raise; whether that reads a float
    among the graph's inputs."""
    for node in reversed(toposort(graph.outputs)):
        wanted = [v for v in node.outputs if v in values]
        inner = inner_graphs(node.op)
        if not (wanted or inner or hasattr(node.op, "requires")):
            continue
        found.add(node)
        floats = _mark_inner(inner, wanted, found) if inner else bool(wanted)
        values.update(v for v in node.inputs if floats or not _is_float(v))
    return any(_is_float(v) for v in graph.inputs if v in values)


def _mark_inner(graphs: Sequence[Graph], wanted: Sequence[Variable], found: set[Apply]) -> bool:
    """The same for the graphs of a loop; whether it needs the floats that it is given. A state is
    read by the next turn, so that all integers count, and all floats as soon as one does."""
    floats = any(map(_is_float, wanted))
    if not floats:
        integers = [{v for v in g.outputs if not _is_float(v)} for g in graphs]
        floats = any([_mark(g, v, found) for g, v in zip(graphs, integers, strict=True)])
    if floats:
        for g in graphs:
            _mark(g, set(g.outputs), found)
    return floats


def _is_float(v: Variable) -> bool:
    return dtypes.kind(v.dtype) in "fc"
