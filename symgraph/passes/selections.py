"""Selections that nobody needs to carry out: ``sum(x[mask])`` is ``sum(where(mask, x, 0))``.

A selection by a mask has a size that only data tell, and a compiled function has to stop and learn
it. Folds of a selection, counts of it and what is written back to the places it came from do not
need it. The elementwise operations between are done for all elements then; those of elements that
the mask leaves out are dropped. Values are equal; sums may be added up in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.ir.graph import (
    Apply,
    Constant,
    Graph,
    Variable,
    apply,
    constant,
    creating_with,
    making,
    toposort,
)
from symgraph.ir.op import Op
from symgraph.ir.resizing import Sizes, resized
from symgraph.loops.compute import elements
from symgraph.ops.cast import cast
from symgraph.ops.changing import COMBINE
from symgraph.ops.comparison import where
from symgraph.ops.data_sizes import FlatNonzero
from symgraph.ops.gathering import Gather, Scatter
from symgraph.ops.operands import SizeValue
from symgraph.ops.reductions import All, Any_, Prod, Reduce, Sum
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, polynomial

_NEUTRAL: dict[type, Any] = {Sum: 0, Prod: 1, All: True, Any_: False}


class Whole(NamedTuple):
    """The tensor that a selection is of: row i of the selection is its row ``positions[i]``."""

    positions: Variable
    value: Variable


def without_selections(graph: Graph) -> Graph:
    """The graph with selections taken away where their size is not needed, inner graphs too."""
    return _Work().graph(graph, whole=True)


class _Work:
    def __init__(self) -> None:
        self.whole: dict[Variable, Whole] = {}
        self.sizes: Sizes = {}
        self.here: set[Apply] | None = None  # the nodes that make sizes in the present inner graph

    def graph(self, graph: Graph, whole: bool = False) -> Graph:
        """The graph written anew; the same object when nothing changes."""
        new: dict[Variable, Variable] = {}
        order = toposort(graph.outputs, sized=whole)
        outside, self.here = self.here, None if whole else {n for n in order if n.op.makes}
        for node in order:
            inputs = [new.get(v, v) for v in node.inputs]
            op = self.owned(resized(node.op, self.sizes))
            with creating_with(node.origins):
                found = self.node(op, inputs)
                outputs = (found,) if found is not None else self.again(node, op, inputs)
                new.update(zip(node.outputs, outputs, strict=True))
                if len(outputs) == 1:
                    self.extend(outputs[0])
        self.here = outside
        found_all = [new.get(v, v) for v in graph.outputs]
        same = all(a is b for a, b in zip(found_all, graph.outputs, strict=True))
        return graph if same else Graph(graph.inputs, found_all)

    def again(self, node: Apply, op: Any, inputs: Sequence[Variable]) -> tuple[Variable, ...]:
        """The outputs of a node over its new inputs."""
        if op is node.op and all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node.outputs
        if not op.makes:
            return apply(op, inputs).outputs
        fresh = making(op, inputs)
        if self.here is not None:
            self.here.add(fresh)
        self.sizes[getattr(node.op, op.makes)] = getattr(fresh.op, op.makes)
        return fresh.outputs

    def owned(self, op: Op) -> Op:
        if not hasattr(op, "inner"):
            return op
        graphs = {n: g for n in op.fields if isinstance(g := getattr(op, n), Graph)}
        better = {n: self.graph(g) for n, g in graphs.items()}
        return op.replace(**better) if any(better[n] is not g for n, g in graphs.items()) else op

    # what a selection is of

    def extend(self, v: Variable) -> None:
        """Note the whole of a variable when it is a selection, or made of selections row by row."""
        node = v.owner
        if node is None or not v.ndim or v in self.whole:
            return
        found = self.of(node, v)
        if found is not None:
            self.whole[v] = found

    def of(self, node: Apply, v: Variable) -> Whole | None:
        op: Any = node.op
        if isinstance(op, Gather):
            x, *positions = node.inputs
            mask = _mask_of(positions[0])
            if op.axes != (0,) or mask is None or x.shape[0] != _count(positions[0]):
                return None
            return Whole(positions[0], x)
        if isinstance(op, BroadcastTo):
            (x,) = node.inputs
            maker = self.selector(v.shape[0])
            spread = x.ndim < v.ndim or x.shape[0] == 1
            if maker is None or not spread:
                return None
            p = maker.output
            return Whole(p, BroadcastTo((_count(p), *op.shape[1:]))(x))
        if isinstance(op, ExpandDims):
            known = self.whole.get(node.inputs[0])
            return (known and 0 not in op.axes and known._replace(value=op(known.value))) or None
        if isinstance(op, Reduce):
            known = self.whole.get(node.inputs[0])
            return (known and 0 not in op.axes and known._replace(value=op(known.value))) or None
        return self.rowwise(op, node.inputs, v) if op.elementwise else None

    def rowwise(self, op: Op, inputs: Sequence[Variable], v: Variable) -> Whole | None:
        wholes: list[Variable] = []
        positions: Variable | None = None
        for i in inputs:
            if i.ndim < v.ndim or i.shape[0] == 1:
                wholes.append(i)
                continue
            known = self.whole.get(i)
            if known is None or (positions is not None and known.positions is not positions):
                return None
            positions = known.positions
            wholes.append(known.value)
        return None if positions is None else Whole(positions, op(*wholes))

    def selector(self, size: Any) -> Apply | None:
        """The node whose result has this size, when it is a selection of the present graph."""
        maker = size.maker if isinstance(size, Expr) else None
        known = maker is not None and (self.here is None or maker in self.here)
        return maker if known and isinstance(maker.op, FlatNonzero) else None

    # what does not need the selection

    def node(self, op: Any, inputs: Sequence[Variable]) -> Variable | None:
        """What takes the place of a node, None when it stays."""
        if isinstance(op, SizeValue):
            return self.count(op.size)
        if isinstance(op, Reduce) and type(op) in _NEUTRAL and 0 in op.axes:
            known = self.whole.get(inputs[0])
            if known is None:
                return None
            rest = constant(_NEUTRAL[type(op)], inputs[0].dtype)
            return op(where(_test(known), known.value, rest))  # type: ignore[no-any-return]
        if isinstance(op, Scatter) and op.axes == (0,):
            x, v, positions = inputs
            known = self.whole.get(v)
            fits = known is not None and known.positions is positions
            if known is None or not fits or x.shape[0] != known.value.shape[0]:
                return None
            return where(_test(known), COMBINE[op.mode](x, known.value), x)  # type: ignore[no-any-return]
        return None

    def count(self, size: Any) -> Variable | None:
        """The value of a size that speaks of selections, by counting true elements."""
        if not isinstance(size, Expr):
            return None
        terms = polynomial(size)
        atoms = {a for monomial in terms for a in monomial}
        makers = {a: m for a in atoms if (m := self.selector(a)) is not None}
        if not makers or any(a.op != "var" for a in atoms):
            return None
        total: Variable | None = None
        for monomial, factor in terms.items():
            term: Variable = constant(factor, "int64")
            for a in monomial:
                one = _number_true(makers[a].inputs[0]) if a in makers else SizeValue(a)()
                term = one if isinstance(term, Constant) and term.data == 1 else term * one
            total = term if total is None else total + term
        return total


def _mask_of(positions: Variable) -> Variable | None:
    """The mask whose true elements the positions are of."""
    node = positions.owner
    return node.inputs[0] if node is not None and isinstance(node.op, FlatNonzero) else None


def _count(positions: Variable) -> Any:
    assert positions.owner is not None
    return elements(positions.owner.op.shape)  # type: ignore[attr-defined]


def _test(whole: Whole) -> Variable:
    """The mask, of the rank of the whole."""
    mask = _mask_of(whole.positions)
    assert mask is not None
    if mask.ndim != 1:
        mask = Reshape((_count(whole.positions),))(mask)
    ndim = whole.value.ndim
    return ExpandDims(tuple(range(1, ndim)))(mask) if ndim > 1 else mask


def _number_true(mask: Variable) -> Variable:
    return Sum(tuple(range(mask.ndim)))(cast(mask, "int64"))  # type: ignore[no-any-return]
