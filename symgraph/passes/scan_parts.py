"""A scan taken apart, for the passes that move work out of its body.

What the body computes at step t depends on constants alone, on the scan's constants (*fixed*), on
rows of sequences too (*rows*), or on carries (*moving*). Everything but the last can be computed
before the loop; what no carry needs, after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symgraph.batching.engine import RULES, Batch, Value
from symgraph.batching.vectorize import general
from symgraph.ir.graph import (
    Apply,
    Constant,
    Graph,
    Input,
    Variable,
    apply,
    creating_with,
    rebuild,
    toposort,
)
from symgraph.ir.types import Size
from symgraph.loops.compute import elements
from symgraph.ops.control import Scan
from symgraph.ops.shape import Reshape
from symgraph.scalar import ELEMENTARY

MOVED_ROUTINES = frozenset("matmul reshape convolution cumulative recurrence sort".split())
PRODUCTS = frozenset(("matmul", "convolution"))
DEAR = ELEMENTARY | {"power", "logaddexp", "gammaln", "digamma"}
TINY = 8  # elements of a row up to which a step's arithmetic does not fill the vector units


class Loop:
    """A scan as lists that can be added to; ``node()`` puts it together again."""

    def __init__(self, scan: Apply) -> None:
        op: Any = scan.op
        c, s = op.carries, op.carries + op.sequences
        self.scan, self.op, self.body = scan, op, op.body
        inner, outer = list(op.body.inputs), list(scan.inputs)
        self.states, self.rows, self.fixed = inner[:c], inner[c:s], inner[s:]
        self.start, self.sequences, self.constants = outer[:c], outer[c:s], outer[s:]
        self.new = list(op.body.outputs[:c])
        self.stacked = list(op.body.outputs[c:])
        self.order = op.body.toposort()

    @property
    def length(self) -> Size:
        return self.op.length  # type: ignore[no-any-return]

    def outer_of(self) -> dict[Variable, Variable]:
        """The scan's constants by their names in the body."""
        return dict(zip(self.fixed, self.constants, strict=True))

    def add_row(self, sequence: Variable) -> Input:
        """One more sequence; its row."""
        row = Input(sequence.type.with_shape(sequence.shape[1:]), sequence.name)
        self.rows.append(row)
        self.sequences.append(sequence)
        return row

    def add_constant(self, value: Variable) -> Input:
        """One more constant; its name in the body."""
        name = Input(value.type, value.name)
        self.fixed.append(name)
        self.constants.append(value)
        return name

    def replace(self, mapping: dict[Variable, Variable]) -> None:
        """Put inputs in the place of values that the body computed."""
        count = len(self.new)
        outputs = rebuild([*self.new, *self.stacked], mapping)
        self.new, self.stacked = outputs[:count], outputs[count:]
        self.order = toposort(outputs)

    def node(self) -> Apply:
        """The scan again: its outputs are the states, then the stacked values."""
        inputs = [*self.states, *self.rows, *self.fixed]
        body = Graph(inputs, [*self.new, *self.stacked])
        op = self.op.replace(body=body, carries=len(self.states), sequences=len(self.rows))
        outer = [*self.start, *self.sequences, *self.constants]
        return apply(op, outer, self.scan.origins)

    def over_steps(
        self, values: Sequence[Variable], given: dict[Variable, Variable]
    ) -> list[Variable] | None:
        """The values for all steps at once, with the steps along the first axis, by the batching
        rules; ``given`` are tensors of all steps that stand for values of one. None where a rule
        would need a loop."""
        cut = {v: Input(v.type) for v in given}
        values = rebuild(values, dict(cut))
        known = {v: Value(v2, True) for v, v2 in zip(self.rows, self.sequences, strict=True)}
        known |= {v: Value(v2, False) for v, v2 in self.outer_of().items()}
        known |= {cut[v]: Value(v2, True) for v, v2 in given.items()}
        batch = Batch(self.length, general)
        with creating_with(self.scan.origins):
            found = [batch.full(x) for x in batch.run(values, known)]
        before = set(toposort([x.v for x in known.values()]))
        fresh = (node for node in toposort(found) if node not in before)
        return None if any(isinstance(node.op, Scan) for node in fresh) else found


def movable(node: Apply) -> bool:
    """Whether a node may run another number of times than the loop has steps: it cannot fail and
    has no effect."""
    op: Any = node.op
    if op.makes or len(node.outputs) != 1:
        return False
    if hasattr(op, "requires") and op.requires(*node.inputs):
        return False
    if hasattr(op, "lower"):
        return True
    return hasattr(op, "extern") and routine(node) in MOVED_ROUTINES


def routine(node: Apply) -> str:
    """The name of the routine of an op, "" for one that has none."""
    extern = getattr(node.op, "extern", None)
    return extern(*(i.type for i in node.inputs)).name if extern else ""


def batches(node: Apply) -> bool:
    """Whether an op has a rule for many at once."""
    return node.op.name in RULES or general(node.op) is not None


def spread_from(values: Iterable[Variable], order: Sequence[Apply]) -> set[Variable]:
    """The values and all that depends on them."""
    found = set(values)
    for node in order:
        if any(v in found for v in node.inputs):
            found.update(node.outputs)
    return found


def readers(loop: Loop) -> Counter[Variable]:
    """How often each value of the body is read, by nodes and as an output."""
    count = Counter(v for node in loop.order for v in node.inputs)
    count.update([*loop.new, *loop.stacked])
    return count


def size_of(v: Variable) -> int | None:
    """The number of elements where it is known."""
    n = elements(v.shape)
    return n if isinstance(n, int) else None


def tiny(v: Variable) -> bool:
    """Whether a value has few elements, for certain."""
    n = size_of(v)
    return n is not None and n <= TINY


def is_literal(v: Variable) -> bool:
    """Whether a value depends on constants alone."""
    return isinstance(v, Constant) or (
        v.owner is not None
        and all(isinstance(i, Constant) for n in toposort([v]) for i in n.inputs if not i.owner)
    )


def over_scans(graph: Graph, change: Callable[[Apply], Sequence[Variable] | None]) -> Graph:
    """The graph with the outputs that ``change`` gives for a scan in the place of its own; None
    leaves the scan as it is."""
    order = graph.toposort()
    if not any(isinstance(node.op, Scan) for node in order):
        return graph
    new: dict[Variable, Variable] = {}
    for node in order:
        inputs = [new.get(v, v) for v in node.inputs]
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        fresh = node if same else apply(node.op, inputs, node.origins)
        found = change(fresh) if isinstance(node.op, Scan) else None
        if found is not None or fresh is not node:
            pairs = zip(node.outputs, fresh.outputs if found is None else found, strict=True)
            new.update((old, _fitted(v, old)) for old, v in pairs)
    if not new:
        return graph
    return Graph(graph.inputs, [new.get(v, v) for v in graph.outputs])


def _fitted(v: Variable, old: Variable) -> Variable:
    """The value in the type of the one that it replaces: sizes may have other names."""
    return v if v.type == old.type else Reshape(old.shape)(v)
