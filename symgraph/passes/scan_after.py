"""What no later step needs is computed after the loop, for all steps at once.

* A carry that only adds up, ``total + a.T @ b``, is not carried: a and b are stacked, and the total
  is one product over all rows of all steps. These are the weights' gradients of recurrent networks
  (Appleyard, Kocisky and Blunsom, 2016, section 3.2). Sums along axes follow when their operand is
  stacked anyway. Theano called this scan_push_out_dot1.
* A stacked output that is a product of a state with a matrix that stays the same, ``h @ v``, is one
  product of the stacked states (scan_push_out_add and kin), and so are functions of a few numbers.

Terms are added in another order than step by step: rounding may differ; a blocked sum is not less
accurate than a running one. Where a body holds a loop of its own (checkpointing) and what would be
stacked comes from it, nothing is moved: it was not to be kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from symgraph.ir.graph import Apply, Graph, Variable, creating_with, rebuild
from symgraph.ops.matrix import MatMul
from symgraph.ops.shape import Reshape, Transpose, is_one
from symgraph.passes.scan_parts import (
    DEAR,
    Loop,
    batches,
    is_literal,
    movable,
    over_scans,
    readers,
    size_of,
    spread_from,
    tiny,
)
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size

LINEAR = frozenset("expand_dims squeeze reshape transpose negative".split())
GROWTH = 16  # how many times as large as what is saved a stacked operand may be
FEW = 16  # elements of operands and product that are no work for a large product
SMALL = 1 << 20  # elements of a stack that are never too many


def scan_after(graph: Graph) -> Graph:
    """Scans without sums of products and without outputs that can be computed at the end."""
    return over_scans(over_scans(graph, _without_totals), _without_ends)


class Stacks:
    """The values of all steps: sequences, stacked outputs, and outputs added to the loop."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.known = dict(zip(loop.rows, loop.sequences, strict=True))
        self.place = {v: k for k, v in reversed(list(enumerate(loop.stacked)))}
        changing = spread_from([*loop.states, *loop.rows], loop.order)
        inner = [v for n in loop.order if hasattr(n.op, "inner") for v in n.outputs]
        self.hidden = spread_from(inner, loop.order)
        self.changing = changing

    def has(self, v: Variable) -> bool:
        """Whether the value is at hand for all steps."""
        return v in self.known or v in self.place

    def can(self, v: Variable, instead: int | None) -> bool:
        """Whether the value is at hand or may be stacked in the place of so many elements."""
        if self.has(v):
            return True
        if v in self.hidden or v not in self.changing:
            return False
        size, length = size_of(v), self.loop.length
        if size is None or instead is None or size <= GROWTH * instead:
            return True
        return isinstance(length, int) and size * length <= SMALL

    def ask(self, v: Variable) -> None:
        """Have the value stacked."""
        if not self.has(v):
            self.place[v] = len(self.loop.stacked)
            self.loop.stacked.append(v)

    def all(self, v: Variable, outputs: Sequence[Variable]) -> Variable:
        """The values of all steps, given the outputs of the new loop."""
        if v in self.known:
            return self.known[v]
        return outputs[len(self.loop.states) + self.place[v]]


# totals -------------------------------------------------------------------------------------------


class Term(NamedTuple):
    """Something added to a carry at each step: ``core`` under views, with a sign."""

    value: Variable
    core: Variable
    minus: bool


class Product(NamedTuple):
    """A term that is a product summed over time: of a and b, whose rows are summed over."""

    a: Variable
    b: Variable


def _without_totals(scan: Apply) -> Sequence[Variable] | None:
    loop = Loop(scan)
    if loop.length in (0, 1):
        return None
    stacks, count = Stacks(loop), readers(loop)
    carried = {k: t for k in range(len(loop.states)) if (t := _terms(loop, k, count)) is not None}
    moved: dict[int, list[tuple[Term, Product | Apply]]] = {}
    for asks in (_product, _sum):  # sums of what the products have stacked
        for k, terms in carried.items():
            for term in terms:
                known = any(term is t for t, _ in moved.get(k, ()))
                fits = term.value.type == loop.states[k].type  # none that a broadcast repeats
                found = asks(term, stacks) if fits and not known else None
                if found is not None:
                    moved.setdefault(k, []).append((term, found))
    if not moved:
        return None
    rest = {k: _rest(loop.states[k], carried[k], [t for t, _ in moved[k]]) for k in moved}
    gone = [k for k, v in rest.items() if v is loop.states[k]]
    begin = list(loop.start)
    loop.new = [rest.get(k, v) for k, v in enumerate(loop.new)]
    kept = [k for k in range(len(begin)) if k not in set(gone)]
    loop.states, loop.start, loop.new = (
        [column[k] for k in kept] for column in (loop.states, loop.start, loop.new)
    )
    out = loop.node().outputs
    finals = dict(zip(kept, out, strict=False))
    stacked = len(scan.outputs) - len(begin)
    with creating_with(scan.origins):
        totals = [_total(finals.get(k, v), moved.get(k, ()), stacks, out)
                  for k, v in enumerate(begin)]  # fmt: skip
    return [*totals, *out[len(kept) : len(kept) + stacked]]


def _terms(loop: Loop, k: int, count: Counter[Variable]) -> list[Term] | None:
    """What is added to carry k, None when it is more than a running total."""
    state, v = loop.states[k], loop.new[k]
    if count[state] != 1:
        return None
    below = spread_from([state], loop.order)
    terms: list[Term] = []
    minus = False
    while v is not state:
        node = v.owner
        if node is None or count[v] != 1 or node.op.name not in ("add", "subtract"):
            return None
        a, b = node.inputs
        through_a = a in below
        through, other = (a, b) if through_a else (b, a)
        if through.type != v.type or other in below:
            return None
        subtract = node.op.name == "subtract"
        if subtract and not through_a:
            return None
        terms.append(Term(other, _core_of(other), minus != subtract))
        v = through
    return terms or None


def _core_of(v: Variable) -> Variable:
    """What a term is a linear view of: the total of the view is the view of the total."""
    while v.owner is not None and v.owner.op.name in LINEAR:
        v = v.owner.inputs[0]
    return v


def _product(term: Term, stacks: Stacks) -> Product | None:
    """The operands of a sum of products of matrices, or of outer products, as rows; asks for their
    stacks."""
    node = term.core.owner
    if node is None:
        return None
    saved = size_of(term.core)
    if isinstance(node.op, MatMul) and term.core.ndim == 2:
        a, b = node.inputs
        if a not in stacks.changing or b not in stacks.changing:
            return None
        a = a if node.op.ta else _turned(a)
        b = _turned(b) if node.op.tb else b
    elif node.op.name == "multiply" and term.core.ndim == 2:
        pair = _outer(*node.inputs)
        if pair is None:
            return None
        a, b = pair
    else:
        return None
    bases = [v if v in stacks.changing or v.owner is None else v.owner.inputs[0] for v in (a, b)]
    if all((n := size_of(v)) is not None and n <= FEW for v in (term.core, *bases)):
        return None  # a loop of scalars adds them up in registers
    if not all(stacks.can(v, saved) for v in bases):
        return None
    stacks.changing.update((a, b))
    stacks.ask(a)
    stacks.ask(b)
    return Product(a, b)


def _turned(v: Variable) -> Variable:
    node = v.owner
    if node is not None and node.op.name == "transpose":
        return node.inputs[0]
    return Transpose((1, 0))(v)  # type: ignore[no-any-return]


def _outer(p: Variable, q: Variable) -> tuple[Variable, Variable] | None:
    """The factors of an outer product as one row each, for float matrices of no unit axis."""
    if not p.dtype.startswith("float"):
        return None
    column = [v for v in (p, q) if v.ndim == 2 and is_one(v.shape[1]) and not is_one(v.shape[0])]
    row = [v for v in (p, q) if v.ndim and not is_one(v.shape[-1])
           and (v.ndim == 1 or is_one(v.shape[0]))]  # fmt: skip
    if len(column) != 1 or len(row) != 1 or column[0] is row[0]:
        return None
    a, b = column[0], row[0]
    return _as_row(a, a.shape[0]), _as_row(b, b.shape[-1])


def _as_row(v: Variable, n: Any) -> Variable:
    node = v.owner
    if node is not None and node.op.name == "expand_dims" and node.inputs[0].ndim == 1:
        v = node.inputs[0]
    return v if v.shape == (1, n) else Reshape((1, n))(v)  # type: ignore[no-any-return]


def _sum(term: Term, stacks: Stacks) -> Apply | None:
    """A sum along axes of what is stacked anyway."""
    node = term.core.owner
    if node is None or node.op.name != "sum" or not stacks.has(node.inputs[0]):
        return None
    return node


def _rest(state: Variable, terms: Sequence[Term], moved: Sequence[Term]) -> Variable:
    """The new carry without the moved terms."""
    value = state
    for term in reversed(terms):
        if not any(term is m for m in moved):
            value = value - term.value if term.minus else value + term.value
    return value


def _total(
    begin: Variable, moved: Sequence[tuple[Term, Product | Apply]], stacks: Stacks,
    outputs: Sequence[Variable],
) -> Variable:  # fmt: skip
    """The carry after the loop: what it began with (or the loop gave), and the moved terms."""
    for term, how in moved:
        if isinstance(how, Product):
            whole = MatMul(True, False)(*(_flat(stacks.all(v, outputs)) for v in how))
        else:
            op: Any = how.op
            every = op.replace(axes=(0, *(a + 1 for a in op.axes)))
            whole = every(stacks.all(how.inputs[0], outputs))
        if whole.shape != term.core.shape:
            whole = Reshape(term.core.shape)(whole)
        (value,) = rebuild([term.value], {term.core: whole})
        begin = begin - value if term.minus else begin + value
    return begin


def _flat(x: Variable) -> Variable:
    """The rows of all steps below each other."""
    rows = as_size(as_expr(x.shape[0]) * x.shape[1])
    return Reshape((rows, x.shape[2]))(x)  # type: ignore[no-any-return]


# outputs at the end -------------------------------------------------------------------------------


def _without_ends(scan: Apply) -> Sequence[Variable] | None:
    loop = Loop(scan)
    if loop.length in (0, 1):
        return None
    late = _late(loop)
    ends = [k for k, v in enumerate(loop.stacked) if v in late]
    if not ends:
        return None
    values = [loop.stacked[k] for k in ends]
    count = len(loop.stacked)
    loop.stacked = [v for v in loop.stacked if v not in late]
    stacks, saved = Stacks(loop), _sum_of_sizes(values)
    needed = _frontier(values, late, stacks)
    if any(not stacks.can(v, saved) for v in needed):
        return None
    for v in needed:
        stacks.ask(v)
    states = len(loop.states)
    out = loop.node().outputs
    found = loop.over_steps(values, {v: stacks.all(v, out) for v in needed})
    if found is None:
        return None
    at_end = dict(zip(ends, found, strict=True))
    rest = iter(out[states:])
    return [*out[:states], *(at_end[k] if k in at_end else next(rest) for k in range(count))]


def _late(loop: Loop) -> set[Variable]:
    """The values that wait for the end: dear ones that no carry needs, and all made of them."""
    feeding = {v for node in Graph((), loop.new).toposort() for v in node.outputs}
    changing = spread_from([*loop.states, *loop.rows], loop.order)
    late: set[Variable] = set()
    stuck: set[Variable] = set()
    for node in loop.order:
        out = node.outputs[0]
        if out in feeding:
            continue
        if not movable(node) or not batches(node) or any(v in stuck for v in node.inputs):
            stuck.update(node.outputs)
        elif any(v in late for v in node.inputs) or _pays(node, changing):
            late.add(out)
    for node in reversed(loop.order):  # what a step that stays needs stays
        if any(v in stuck for v in node.outputs):
            late.difference_update(v for v in node.inputs)
    return late


def _pays(node: Apply, changing: set[Variable]) -> bool:
    """Whether all steps at once are cheaper than one after the other."""
    if node.op.name in DEAR:
        return node.output in changing and tiny(node.output)
    if not isinstance(node.op, MatMul):
        return False
    return sum(v in changing for v in node.inputs) == 1


def _frontier(values: Sequence[Variable], late: set[Variable], stacks: Stacks) -> list[Variable]:
    """What the late values read of the loop."""
    found: dict[Variable, None] = {}
    for node in Graph((), values).toposort():
        if node.outputs[0] in late:
            found.update(
                {v: None for v in node.inputs
                 if v not in late and v in stacks.changing and v not in stacks.known}
            )  # fmt: skip
    return [v for v in found if not is_literal(v)]


def _sum_of_sizes(values: Sequence[Variable]) -> int | None:
    total = 0
    for v in values:
        size = size_of(v)
        if size is None:
            return None
        total += size
    return total
