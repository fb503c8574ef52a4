"""Ops that own graphs: Scan, a loop over leading axes, and Cond, a choice between two graphs.

Their derivatives differentiate the inner graphs. Autodiff is a higher layer: it registers its
reverse pass in the language under the name "reverse_pass", and the ops look it up there.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError, RankError, ShapeError
from symgraph.ir.graph import Constant, Graph, Input, Variable, rebuild, toposort
from symgraph.ir.op import Op
from symgraph.ir.operators import LANGUAGE
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.ops.comparison import where
from symgraph.ops.joining import part_of
from symgraph.ops.matrix import promoted
from symgraph.ops.nests import flatten
from symgraph.ops.operands import as_variable, traced
from symgraph.ops.slicing import Embed, zeros
from symgraph.scalar import ELEMENTARY, Expr, as_expr, as_size, variables
from symgraph.scalar.sizes import smaller

__all__ = ["cond"]

Run = Callable[[Graph, Sequence[Any]], Sequence[Any]]


class Scan(Op):
    """The ``body`` once for each t = 0 .. length-1 (from the end when ``reverse``).

    Inputs: ``carries`` initial values, ``sequences`` tensors with a leading axis of ``length``, and
    constants. The body takes the carries, row t of each sequence and the constants; it returns the
    new carries and any number of further values. Outputs: the last carries, then those values
    stacked along a leading axis, the value of step t in row t. The derivative runs back through
    the last ``truncate`` steps only, when that is not negative.
    """

    name = "scan"
    body: Graph
    carries: int
    sequences: int
    length: Size
    reverse: bool = False
    truncate: int = -1

    def infer(self, *given: TensorType) -> tuple[TensorType, ...]:
        split = self.carries + self.sequences
        rows = [t.with_shape(t.shape[1:]) for t in given[self.carries : split]]
        for t in given[self.carries : split]:
            same_size(t.shape[0], self.length, "scan: length of a sequence differs")
        inner = (*given[: self.carries], *rows, *given[split:])
        for v, t in zip(self.body.inputs, inner, strict=True):
            same_type(v.type, t, f"scan: {v.label()}")
        new = self.body.outputs[: self.carries]
        for v, o in zip(self.body.inputs, new, strict=False):
            same_type(v.type, o.type, f"scan: state {v.label()}")
        check_inside(self.body)
        rest = self.body.outputs[self.carries :]
        stacked = [o.type.with_shape((self.length, *o.shape)) for o in rest]
        return (*given[: self.carries], *stacked)

    def reference(self, run: Run, *arrays: Any) -> tuple[Any, ...]:
        split = self.carries + self.sequences
        state = list(arrays[: self.carries])
        rows: list[Any] = [None] * self.length  # type: ignore[operator]
        steps = range(self.length)  # type: ignore[arg-type]
        for t in reversed(steps) if self.reverse else steps:
            here = [a[t] for a in arrays[self.carries : split]]
            out = run(self.body, [*state, *here, *arrays[split:]])
            state, rows[t] = list(out[: self.carries]), out[self.carries :]
        if not rows:
            here = [np.zeros(a.shape[1:], a.dtype) for a in arrays[self.carries : split]]
            out = run.empty(self.body, [*state, *here, *arrays[split:]])  # type: ignore[attr-defined]
            return (*state, *out[self.carries :])
        return (*state, *(np.stack(column) for column in zip(*rows, strict=True)))

    def vjp(self, g: Any, y: Any, *inputs: Variable) -> tuple[Any, ...]:
        return self.partial_vjp((True,) * len(inputs), g, y, *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The cotangents of the ``wanted`` inputs only: a scan in the opposite direction."""
        return ScanBackward(self, wanted, g, inputs).cotangents()

    def inner(self) -> tuple[Graph, ...]:
        return (self.body,)


class ScanBackward:
    """The reverse of a Scan, while it is being built.

    Its carries are the cotangents of the carries and running sums for the constants; its sequences
    the carries that each step of the forward scan began with, the sequences, and the cotangents of
    the stacked outputs.
    """

    def __init__(
        self, op: Scan, wanted: Sequence[bool], g: Sequence[Any], inputs: Sequence[Variable]
    ) -> None:
        body, c, s = op.body, op.carries, op.carries + op.sequences
        self.op, self.inputs, self.g = op, inputs, g
        real = [dtypes.is_inexact(v.dtype) for v in body.inputs]
        active = spread(body, [w and r for w, r in zip(wanted, real, strict=True)], c)
        self.carried = [k for k in range(c) if active[k] and real[k]]
        self.rows = [k for k in range(c, s) if active[k]]
        self.summed = [k for k in range(s, len(body.inputs)) if active[k]]
        self.given = [k for k in range(c, len(body.outputs)) if g[k] is not None]

    def cotangents(self) -> tuple[Any, ...]:
        """One cotangent or None for each input of the scan."""
        body = self.op.body
        seeds = {k: Input(body.outputs[k].type) for k in (*self.carried, *self.given)}
        wrt = [*self.carried, *self.rows, *self.summed]
        found = reverse_inside(
            [body.outputs[k] for k in seeds], list(seeds.values()), [body.inputs[k] for k in wrt]
        )
        by_input = {k: f for k, f in zip(wrt, found, strict=True) if f is not None}
        new = [by_input[k] if k in by_input else zeros(body.inputs[k].type) for k in self.carried]
        totals = {k: Input(body.inputs[k].type) for k in self.summed if k in by_input}
        rows = [k for k in self.rows if k in by_input]
        outputs = [*new, *(t + by_input[k] for k, t in totals.items())]
        outputs += [by_input[k] for k in rows]
        if not outputs:
            return (None,) * len(self.inputs)
        out = self._backward(seeds, totals, outputs)
        result = dict(zip([*self.carried, *totals, *rows], out, strict=True))
        if self.op.truncate >= 0:
            result = {k: self._truncated(k, g) for k, g in result.items()}
        return tuple(result.get(k) for k in range(len(self.inputs)))

    def _backward(
        self, seeds: dict[int, Input], totals: dict[int, Input], outputs: list[Variable]
    ) -> tuple[Variable, ...]:
        """The outputs of the scan in the opposite direction; it reads only what its body uses."""
        body, c, s = self.op.body, self.op.carries, self.op.carries + self.op.sequences
        outputs, kept = self._residuals(outputs)
        used = set(Graph((), outputs).leaves())
        read = [k for k, v in enumerate(body.inputs) if v in used]
        saved, constants = [k for k in read if k < c], [k for k in read if k >= s]
        sequences = [k for k in read if c <= k < s]
        start = [zeros(seeds[k].type) if self.g[k] is None else self.g[k] for k in self.carried]
        start += [zeros(t.type) for t in totals.values()]
        length, last = self._last_steps()
        inner: list[Variable] = [*(seeds[k] for k in self.carried), *totals.values()]
        inner += [body.inputs[k] for k in saved] + list(kept.values())
        inner += [body.inputs[k] for k in sequences] + [seeds[k] for k in self.given]
        inner += [body.inputs[k] for k in constants]
        forward = (*(body.inputs[k] for k in saved), *kept)
        outer = [*self._of_forward(forward), *(self.inputs[k] for k in sequences)]
        outer = [last(v) for v in (*outer, *(self.g[k] for k in self.given))]
        count = len(outer)
        op = Scan(Graph(inner, outputs), len(start), count, length, not self.op.reverse)
        return results(op, [*start, *outer, *(self.inputs[k] for k in constants)])

    def _last_steps(self) -> tuple[Size, Callable[[Variable], Variable]]:
        """How many steps the derivative runs back, and what takes their rows of a sequence."""
        whole = self.op.length
        if self.op.truncate < 0:
            return whole, lambda v: v
        count = smaller(self.op.truncate, whole)
        first = 0 if self.op.reverse else as_size(as_expr(whole) - count)
        return count, lambda v: part_of(v, 0, first, count)

    def _truncated(self, k: int, g: Variable) -> Variable:
        """A cotangent of the truncated backward scan as one of the whole: rows of steps that it
        did not reach are zero, and the carries' when it did not reach the first step."""
        whole = self.op.length
        count, _ = self._last_steps()
        reached = as_size(as_expr(count) - whole)
        if k in self.rows:
            first = 0 if self.op.reverse else as_size(as_expr(whole) - count)
            start = (first, *(0 for _ in g.shape[1:]))
            return Embed(start, (1,) * g.ndim, (whole, *g.shape[1:]))(g)  # type: ignore[no-any-return]
        if k in self.summed or reached == 0:
            return g
        if isinstance(reached, int):
            return zeros(g.type)
        return where(as_variable(whole) <= self.op.truncate, g, 0)

    def _residuals(
        self, outputs: list[Variable]
    ) -> tuple[list[Variable], dict[Variable, Variable]]:
        """The outputs with inputs in the place of the dear values of the forward step: those of
        routines (products, factorizations, convolutions) and elementary functions are kept instead
        of computed again, unlike the cheap ones between them.

        A function of what the step backwards reads anyway is computed again unless it is small:
        reading it from memory costs as much. But tanh(h @ u) is kept instead of h @ u.
        """
        moving = set(self.op.body.inputs[: self.op.carries + self.op.sequences])
        products: dict[Variable, Variable] = {}
        functions: dict[Variable, Variable] = {}
        for node in self.op.body.toposort():
            if moving.isdisjoint(node.inputs):
                continue
            moving.update(node.outputs)
            saved = getattr(node.op, "saved", None)  # of a checkpointed step
            if saved:
                products.update((v, Input(v.type)) for v in saved(node.inputs).values())
            extern = getattr(node.op, "extern", None)
            if extern and extern(*(i.type for i in node.inputs)).name not in _VIEWS:
                products.update((v, Input(v.type)) for v in node.outputs)
            elif node.op.name in _DEAR:
                functions.update((v, Input(v.type)) for v in node.outputs)
        needed = _used(outputs, products | functions)
        again = {
            v: i for v, i in functions.items()
            if _few(v) or not _used([v], products).keys() <= needed.keys()
        }  # fmt: skip
        kept = products | again
        used = _used(outputs, kept)
        return list(rebuild(outputs, kept)), used

    def _of_forward(self, values: tuple[Variable, ...]) -> Sequence[Variable]:
        """Values of each forward step, among them the carries it began with: outputs of the forward
        scan with these added to its body. All other outputs stay, so that a pass can put this scan
        in the first one's place."""
        if not values:
            return ()
        op = self.op.replace(body=_with_outputs(self.op.body, values))
        return results(op, self.inputs)[-len(values) :]


_VIEWS = ("reshape", "barrier")  # routines that compute nothing
_DEAR = ELEMENTARY | {"sqrt", "power"}
_FEW = 64  # elements of a value that is kept rather than computed again


def _few(v: Variable) -> bool:
    return all(isinstance(n, int) for n in v.shape) and math.prod(v.shape) <= _FEW


def _used(outputs: Sequence[Variable], kept: dict[Variable, Variable]) -> dict[Variable, Variable]:
    """Those of the kept values that the outputs read when their inputs stand for them."""
    read: set[Variable] = set()
    waiting = list(outputs)
    while waiting:
        v = waiting.pop()
        if v not in read:
            read.add(v)
            if v not in kept and v.owner is not None:
                waiting += v.owner.inputs
    return {v: i for v, i in kept.items() if v in read}


_extended: weakref.WeakKeyDictionary[Graph, dict[tuple[Variable, ...], Graph]] = (
    weakref.WeakKeyDictionary()
)


def _with_outputs(body: Graph, values: tuple[Variable, ...]) -> Graph:
    # Kept for each body: two derivatives of one scan then share the scan that saves its values.
    known = _extended.setdefault(body, {})
    if values not in known:
        known[values] = Graph(body.inputs, (*body.outputs, *values))
    return known[values]


class Cond(Op):
    """The outputs of ``then`` where the 0-d bool ``pred`` holds, else those of ``otherwise``; the
    other graph is not computed. Inputs: pred, then the inputs of both graphs."""

    name = "cond"
    then: Graph
    otherwise: Graph

    def infer(self, pred: TensorType, *given: TensorType) -> tuple[TensorType, ...]:
        same_type(TensorType("bool"), pred, "cond: pred")
        for branch in (self.then, self.otherwise):
            for v, t in zip(branch.inputs, given, strict=True):
                same_type(v.type, t, f"cond: {v.label()}")
        for k, (a, b) in enumerate(zip(self.then.outputs, self.otherwise.outputs, strict=True)):
            same_type(a.type, b.type, f"cond: output {k} of the branches")
        check_inside(self.then, self.otherwise)
        return tuple(o.type for o in self.then.outputs)

    def reference(self, run: Run, pred: Any, *arrays: Any) -> tuple[Any, ...]:
        return tuple(run(self.then if pred else self.otherwise, arrays))

    def vjp(self, g: Any, y: Any, *inputs: Variable) -> tuple[Any, ...]:
        return self.partial_vjp((True,) * len(inputs), g, y, *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The cotangents of the ``wanted`` inputs: a Cond of the derivatives of both graphs."""
        g = g if isinstance(g, tuple) else (g,)
        given = [k for k, v in enumerate(g) if v is not None]
        floats = [dtypes.is_inexact(v.dtype) for v in inputs[1:]]
        asked = [k for k, w in enumerate(wanted[1:]) if w and floats[k]]
        pulled = [self._pull(branch, given, asked) for branch in (self.then, self.otherwise)]
        places = [k for k in asked if any(k in found for _, found in pulled)]
        if not places:
            return (None,) * len(inputs)
        graphs = []
        for (seeds, found), branch in zip(pulled, (self.then, self.otherwise), strict=True):
            outputs = [found[k] if k in found else zeros(inputs[k + 1].type) for k in places]
            graphs.append(Graph((*branch.inputs, *seeds), outputs))
        given_values = [*inputs[1:], *(g[k] for k in given)]
        kept = [v for v, u in zip(given_values, used_inputs(graphs), strict=True) if u]
        out = results(Cond(*only_used(graphs)), [inputs[0], *kept])
        result = dict(zip([k + 1 for k in places], out, strict=True))
        return tuple(result.get(k) for k in range(len(inputs)))

    def _pull(
        self, branch: Graph, given: list[int], asked: list[int]
    ) -> tuple[list[Input], dict[int, Variable]]:
        """Seeds for the ``given`` outputs of a branch, the cotangents of its ``asked`` inputs."""
        outputs = [branch.outputs[k] for k in given]
        seeds = [Input(o.type) for o in outputs]
        found = reverse_inside(outputs, seeds, [branch.inputs[k] for k in asked])
        return seeds, {k: f for k, f in zip(asked, found, strict=True) if f is not None}

    def inner(self) -> tuple[Graph, ...]:
        return (self.then, self.otherwise)


# helpers ------------------------------------------------------------------------------------------


class _Depth(threading.local):
    """How many graphs that ops own this thread is differentiating, each inside the one before."""

    inside = 0


_depth = _Depth()


def reverse_inside(
    outputs: Sequence[Variable], seeds: Sequence[Any], wrt: Sequence[Variable]
) -> list[Any]:
    """The reverse pass through a graph that an op owns: one cotangent or None for each of wrt."""
    _depth.inside += 1
    try:
        return LANGUAGE["reverse_pass"](outputs, seeds, wrt)  # type: ignore[no-any-return]
    finally:
        _depth.inside -= 1


def is_inside() -> bool:
    """Whether a derivative is being made that will stand inside an op's own graph, where no size
    can depend on data."""
    return _depth.inside > 0


def spread(body: Graph, flags: Sequence[bool], carries: int) -> list[bool]:
    """The flags of a loop body's inputs, and of every carry on which a flagged input acts."""
    order = body.toposort()
    found = list(flags)
    while True:
        touched = {v for v, f in zip(body.inputs, found, strict=True) if f}
        for node in order:
            if any(v in touched for v in node.inputs):
                touched.update(node.outputs)
        new = [f or v in touched for f, v in zip(found[:carries], body.outputs, strict=False)]
        if new == found[:carries]:
            return found
        found[:carries] = new


def same_type(a: TensorType, b: TensorType, what: str) -> None:
    """Two types that must agree; sizes that may differ are checked at run time."""
    if a.dtype != b.dtype:
        raise DTypeError(f"{what}: {a.text()} and {b.text()}")
    if a.ndim != b.ndim:
        raise RankError(f"{what}: {a.text()} and {b.text()}")
    for k, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)):
        same_size(m, n, f"{what}: sizes of axis {k} differ")


def check_inside(*graphs: Graph) -> None:
    """Ask again for the run-time checks of sizes inside the graphs: the node that owns them makes
    them before it runs. Sizes that arise inside cannot be known there and stay with their nodes."""
    for graph in graphs:
        order = graph.toposort()
        checks = [c for node in order for c in node.checks]
        own: set[Expr] = set()
        if any(str(side).find("?") >= 0 for c in checks for side in c[:2]):
            own = _sizes_made(order)
        for left, right, what in checks:
            if own.isdisjoint((*names_in(left), *names_in(right))):
                same_size(left, right, what)


def names_in(value: Any) -> list[Expr]:
    """The names of sizes in a size, a parameter of an op or a type."""
    if isinstance(value, Expr):
        return variables(value)
    if isinstance(value, tuple):
        return [name for v in value for name in names_in(v)]
    return []


def _sizes_made(order: Sequence[Any]) -> set[Expr]:
    """The size names that nodes bring into being: they stand in the type of a result, but neither
    in the types of the inputs nor in the parameters."""
    made: set[Expr] = set()
    for node in order:
        found = {n for o in node.outputs for n in names_in(o.type)}
        if found:
            given = {n for i in node.inputs for n in names_in(i.type)}
            made |= found - given - set(names_in(node.op._values))
    return made


def results(op: Op, inputs: Sequence[Variable]) -> tuple[Variable, ...]:
    """The outputs as a tuple, also when there is one."""
    out = op(*inputs)
    return out if isinstance(out, tuple) else (out,)


def used_inputs(graphs: Sequence[Graph]) -> list[bool]:
    """For each input position whether one of the graphs reads it."""
    leaves = [set(f.leaves()) for f in graphs]
    rows = zip(*(f.inputs for f in graphs), strict=True)
    return [any(v in known for v, known in zip(row, leaves, strict=True)) for row in rows]


def only_used(graphs: Sequence[Graph]) -> list[Graph]:
    """The graphs without the inputs that none of them reads."""
    used = used_inputs(graphs)
    return [Graph([v for v, u in zip(f.inputs, used, strict=True) if u], f.outputs) for f in graphs]


def literal_variables(order: Sequence[Any]) -> set[Variable]:
    """The variables that depend on constants alone."""
    found: set[Variable] = set()
    for node in order:
        if all(isinstance(i, Constant) or i in found for i in node.inputs):
            found.update(node.outputs)
    return found


def close_over(
    outputs: Sequence[Variable], own: Sequence[Variable]
) -> tuple[list[Variable], list[Input], list[Variable]]:
    """Outputs as a graph of its own: (captured variables, their inner inputs, inner outputs).

    What depends on ``own`` becomes inner. Of the rest the largest possible parts are captured as
    values, so a loop does not repeat them; what depends on constants alone stays inner, where it
    fuses.
    """
    order = toposort(outputs)
    inside = set(own)
    for node in order:
        if any(i in inside for i in node.inputs):
            inside.update(node.outputs)
    local = inside | literal_variables(order)
    captured: dict[Variable, Variable] = {}
    reads = [i for node in order if node.outputs[0] in inside for i in node.inputs]
    for v in (*reads, *outputs):
        if v not in local and not isinstance(v, Constant) and v not in captured:
            captured[v] = Input(v.type, v.name)
    inner = rebuild(outputs, captured)
    return list(captured), list(captured.values()), inner  # type: ignore[arg-type]


# cond ---------------------------------------------------------------------------------------------


def cond(pred: Any, then: Any, otherwise: Any, *operands: Any) -> Any:
    """``then`` where ``pred`` holds, else ``otherwise``; only the chosen one is computed.

    Branches are functions of the operands, or expressions; each gives a tensor or a nest of
    tensors, of the same shapes in both. What both branches use is computed before.
    Raises ShapeError or DTypeError where the branches differ.

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> sg.cond(x > 0, lambda: sg.log(x), lambda: x - 1).eval({x: 1.0}).item()
    0.0
    """
    flag = as_variable(pred)
    if flag.ndim:
        what = f"cond: pred is a scalar, got {flag.type.text()}"
        raise RankError(what, hint="sg.where chooses elements")
    if flag.dtype != "bool":
        flag = flag != 0
    values = [
        traced(b, operands, "cond: a branch") if callable(b) else b for b in (then, otherwise)
    ]
    (first, pack), (second, _) = map(flatten, values)
    pair = first, second
    if len(pair[0]) != len(pair[1]):
        raise ShapeError(
            f"cond: the branches give {len(pair[0])} and {len(pair[1])} values",
            hint="both return the same nest of tensors",
        )
    rows = [promoted(a, b) for a, b in zip(*pair, strict=True)]
    for k, (a, b) in enumerate(rows):
        same_type(a.type, b.type, f"cond: output {k} of the branches")
    branches = [[row[0] for row in rows], [row[1] for row in rows]]
    captured = _shared_by(branches)
    graphs = []
    for outputs in branches:
        inner = {v: Input(v.type, v.name) for v in captured}
        graphs.append(Graph(inner.values(), rebuild(outputs, dict(inner))))
    found = pack(results(Cond(*graphs), [flag, *captured]))
    return list(found) if isinstance(found, tuple) else found


def _shared_by(branches: Sequence[Sequence[Variable]]) -> list[Variable]:
    """What is computed before the choice: leaves, and nodes that both branches need."""
    orders = [toposort(outputs) for outputs in branches]
    literal = set().union(*map(literal_variables, orders))
    both = set(orders[0]) & set(orders[1])
    reads = [i for order in orders for node in order if node not in both for i in node.inputs]
    captured: dict[Variable, None] = {}
    for v in (*reads, *branches[0], *branches[1]):
        outer = v.owner is None or v.owner in both
        if outer and not isinstance(v, Constant) and v not in literal:
            captured[v] = None
    return list(captured)
