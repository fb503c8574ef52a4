"""Every rewrite by value: what a rule replaced and what it put there, on the arrays of a call.

The optimizer runs again with a record of its firings. Then the graph is interpreted, graphs inside
loops at every turn, together with both sides of every firing:

EXACT    both sides have the same bits
STABLE   the new value may differ as far as rounding moves the old one (noise.py), and be anything
         where the old one is not finite; but where the old formula's value over the reals is known
         (exactly.py) it is that as far as rounding moves the new one, which then may differ more
         from the old one if it is nearer

Passes that are no rules are checked like a STABLE rule from outputs to outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph.checking.exactly import Exact, exactly
from symgraph.checking.noise import (
    FACTOR,
    SIZES,
    Memory,
    Noisy,
    Piece,
    at,
    element,
    moves,
    near,
    operand,
    piece,
    same_bits,
    within,
    worst,
)
from symgraph.errors import DebugError
from symgraph.ir.graph import Apply, Constant, Graph, Variable, toposort
from symgraph.ir.interpret import Env, bind_sizes
from symgraph.ir.shared import Shared
from symgraph.passes.pipeline import PassRecord, optimize
from symgraph.records import NamedTuple
from symgraph.rewrite.rules import EXACT, STABLE, Rule


class Change(NamedTuple):
    """A value that the optimizer put in the place of another, and who did."""

    before: Variable
    after: Variable
    exact: bool
    who: str
    stable: bool = False


class _Plan(NamedTuple):
    """The nodes behind a graph and both sides of the changes in it, in order; for each node the
    changes that can be compared after it, and the variables that nobody needs any more."""

    order: tuple[Apply, ...]
    own: frozenset[Apply]
    ready: Mapping[Apply, Sequence[Change]]
    dead: Mapping[Apply, Sequence[Variable]]


class RewriteCheck:
    """The rewrites of one graph, found once, checked for any arrays."""

    def __init__(
        self, graph: Graph, exclude: Sequence[str] = (), rules: Sequence[Rule] = ()
    ) -> None:
        self.graph = graph
        record = PassRecord()
        self.optimized = optimize(graph, "debug", record, exclude, rules)
        self.plans = {g: _planned(g, c, g is graph) for g, c in _changes(record).items()}

    def __call__(self, arrays: Sequence[np.ndarray], state: Mapping[Shared, np.ndarray]) -> None:
        """Raises DebugError for the first rewrite that changes a value more than it may."""
        if not self.plans:
            return
        env: Env = {}
        bind_sizes([*zip(self.graph.inputs, arrays, strict=True), *state.items()], env)
        with np.errstate(all="ignore"):
            _Rewrites(state, self.plans).run(self.graph, arrays, env)


def _changes(record: PassRecord) -> dict[Graph, list[Change]]:
    """All changes, by the graph in which they happened."""
    found: dict[Graph, list[Change]] = {}
    ends = [*record.graphs[1:], (None, len(record.firings), len(record.changes))]
    for (graph, f, c), (_, f_end, c_end) in zip(record.graphs, ends, strict=True):
        rows = found.setdefault(graph, [])
        for firing in record.firings[f:f_end]:
            r = firing.rule
            who = f"the rule {r.equation():.120} ({r.location()}, {firing.pass_name})"
            rows.append(
                Change(firing.before, firing.after, r.klass == EXACT, who, r.klass == STABLE)
            )
        for step, before, after in record.changes[c:c_end]:
            pairs = zip(before.outputs, after.outputs, strict=True)
            who = f"the pass {step.name}"
            rows += [Change(a, b, False, who) for a, b in pairs if a is not b]
    return {g: rows for g, rows in found.items() if rows}


def _planned(graph: Graph, changes: Sequence[Change], whole: bool) -> _Plan:
    sides = [v for c in changes for v in (c.before, c.after)]
    own = toposort(graph.outputs, sized=whole)
    order = toposort([*graph.outputs, *sides], sized=whole)
    place = {node: k for k, node in enumerate(order)}
    ready: dict[Apply, list[Change]] = {}
    last: dict[Variable, int] = {}
    for node in order:
        last.update(dict.fromkeys((*node.inputs, *node.outputs), place[node]))
    for c in changes:
        ends = [place[v.owner] for v in (c.before, c.after) if v.owner is not None]
        ready.setdefault(order[max(ends)], []).append(c)
        last.update({v: max(last.get(v, 0), *ends) for v in (c.before, c.after)})
    kept = {*graph.outputs, *graph.inputs}
    dead: dict[Apply, list[Variable]] = {}
    for v, k in last.items():
        if v.owner is not None and v not in kept:
            dead.setdefault(order[k], []).append(v)
    return _Plan(tuple(order), frozenset(own), ready, dead)


class _Rewrites(Noisy):
    """The interpreter that compares both sides of every change on its way."""

    def __init__(self, state: Mapping[Shared, np.ndarray], checks: Mapping[Graph, _Plan]) -> None:
        super().__init__(state)
        self.checks = checks

    def run(self, graph: Graph, arrays: Sequence[np.ndarray], env: Env) -> list[np.ndarray]:
        plan = self.checks.get(graph)
        if plan is None:
            return super().run(graph, arrays, env)
        memory: Memory = dict(zip(graph.inputs, arrays, strict=True))
        failed: dict[Variable, Exception] = {}
        for node in plan.order:
            lost = next((failed[v] for v in node.inputs if v in failed), None)
            try:
                if lost is not None:
                    raise lost
                memory.update(zip(node.outputs, self.step(node, memory, env), strict=True))
            except DebugError:
                raise
            except Exception as error:  # a value that only a rewrite wants may be undefined
                if node in plan.own:
                    raise
                failed.update(dict.fromkeys(node.outputs, error))
            for change in plan.ready.get(node, ()):
                if change.before not in failed:
                    self.compare(change, graph, arrays, memory, failed, env)
            for v in plan.dead.get(node, ()):
                memory.pop(v, None)
        return [self.value(v, memory) for v in graph.outputs]

    def compare(
        self, change: Change, graph: Graph, arrays: Sequence[np.ndarray], memory: Memory,
        failed: Mapping[Variable, Exception], env: Env,
    ) -> None:  # fmt: skip
        """Raises DebugError when a change is more than its class allows."""
        before = self.value(change.before, memory)
        if change.after in failed:
            raise _error(change, f"cannot be computed: {failed[change.after]}")
        after = self.value(change.after, memory)
        if before.shape != after.shape:
            raise _error(change, f"has the shape {after.shape}, before {before.shape}")
        if not before.size:
            return
        good, finite = same_bits(before, after), np.asarray(True)
        if before.dtype.kind in "fcV":
            finite = np.isfinite(before.astype("complex128"))
        if not change.exact and not good.all():
            good |= near(before, after) & finite
        if good.all():
            return
        if not change.exact:
            good |= ~finite
        if good.all() and not change.stable:
            return
        later = set(toposort([change.after]))
        part = piece(change.before, toposort([change.before]), lambda v: v.owner in later)
        below = Graph(graph.inputs, part.given)
        values = Noisy(self.state).run(below, arrays, dict(env))
        given = dict(zip(part.given, values, strict=True))
        if not change.exact or any(not n.op.elementwise for n in part.nodes):
            good |= within(before, after, moves(part, self.state, given, env))
        if change.stable:
            old, new = _from_common_values(change.before, change.after, part.given)
            leaves = (*old.given, *new.given)
            values = Noisy(self.state).run(Graph(graph.inputs, leaves), arrays, dict(env))
            own = dict(zip(leaves, values, strict=True))
            true = exactly(old, self.state, own, env)
            if true is not None:
                right = self.over_the_reals(true, new, own, after, env)
                good = right & (good | true.nearer(before, after))
                good |= near(before, after) & finite
        if not change.exact and not all(map(_finite, given.values())):
            good |= ~np.isfinite(after.astype("complex128"))  # 0 * inf, also of no elements
        if not good.all():
            k = worst(good, before, after)
            rows = [operand(v, a, k, before.shape) for v, a in given.items()]
            what = f"is {element(after, k)}{at(k)}, before {element(before, k)}"
            raise _error(change, what, rows)

    def over_the_reals(
        self, true: Exact, new: Piece, own: Memory, after: np.ndarray, env: Env
    ) -> np.ndarray:
        """Where the new value is what the old formula is over the reals, as far as rounding moves
        the new one, or where that is not known."""
        if not true.known.any():
            return np.ones(after.shape, bool)
        found = after.astype(true.values.dtype)
        noisy = [n.astype(found.dtype) for n in moves(new, self.state, own, env)]
        spread = np.maximum.reduce([abs(n - found) for n in noisy])
        allowed = FACTOR * spread + true.doubt + SIZES[after.dtype] * abs(true.values)
        near_it = (abs(found - true.values) <= allowed) | (found == true.values)
        undetermined = ~np.isfinite(spread) | (abs(true.values) > np.finfo(after.dtype).max)
        return np.asarray(near_it | undetermined | ~true.known)


def _from_common_values(
    before: Variable, after: Variable, given: Sequence[Variable]
) -> tuple[Piece, Piece]:
    """Both sides of a change as pieces over values none of which is made of another one, so that
    what holds between these over the reals holds between the numbers that they are."""
    cut, (low, high) = set(given), (toposort([before]), toposort([after]))
    while True:
        old, new = (piece(v, order, lambda v: v in cut or v.owner is None)
                    for v, order in ((before, low), (after, high)))  # fmt: skip
        used = {i for n in (*old.nodes, *new.nodes) for i in n.inputs}
        bound = [v for v in cut if v.owner is not None and _depends(v, used)]
        if not bound:
            return old, new
        cut.difference_update(bound)
        cut.update(i for v in bound for i in v.owner.inputs)  # type: ignore[union-attr]


def _depends(v: Variable, others: set[Variable]) -> bool:
    return any(i in others for n in toposort([v]) for i in n.inputs if not isinstance(i, Constant))


def _finite(array: np.ndarray) -> bool:
    return array.dtype.kind not in "fcV" or bool(np.isfinite(array.astype("complex128")).all())


def _error(change: Change, what: str, operands: Sequence[Any] = ()) -> DebugError:
    origins = change.before.owner.origins if change.before.owner is not None else ()
    return DebugError(
        f"{change.before.label()} {what}: {change.who} changed it",
        origin=origins[0] if origins else None,
        operands=operands,
        hint='this is a mistake in symgraph, please report it; mode="interpret" uses no rules',
    )
