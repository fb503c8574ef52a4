"""Derivatives of random graphs by differences, and batches of them by loops over their samples."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import symgraph as sg
from symgraph import compiler
from symgraph.errors import ShapeError, SymgraphError
from symgraph.ir.graph import Graph, Input, Variable, rebuild, toposort
from symgraph.ir.interpret import interpret
from symgraph.ir.text import graph_text
from symgraph.scalar import Expr
from tests.fuzz.case import apart, room_of
from tests.fuzz.layouts import plain
from tests.fuzz.maker import Maker
from tests.fuzz.measuring import Undefined
from tests.fuzz.running import quiet

STEP = 1e-4


def smooth_maker(seed: int, steps: int) -> Maker:
    """A graph over at least one float64 input without special values."""
    m = Maker(seed, steps, special=False)
    m.input("float64", ("n", 2), m.rng.uniform(0.3, 1.7, (m.sizes["n"], 2)))
    m.input("float64", (3,), m.rng.uniform(-1.5, 1.5, 3))
    m.grow(steps)
    return m


@quiet()
def check_derivatives(seed: int) -> str:
    """One directional derivative; what differs, or "". Kinks and noise are passed over: there the
    differences do not agree among themselves."""
    m = smooth_maker(seed, 8)
    ys = [v for v in m.values if v.dtype == "float64" and v.owner is not None and m.elements(v)]
    ys = [v for v in ys if all(n.op.name != "stop_gradient" for n in toposort([v]))]
    ys = [v for v in ys if _told(m, v)]
    if not ys:
        return ""
    y = ys[-1] if m.chance(0.6) else m.pick(ys)
    xs = _told(m, y)
    weights = m.rng.uniform(0.5, 1.5, m.plain.value(y).shape)
    cost = sg.sum(sg.sin(y) * sg.constant(weights))
    try:
        grads = sg.grad(cost, xs)
    except SymgraphError:
        return ""
    arrays = [plain(m.arrays[x]) for x in m.inputs]
    ways = [m.rng.uniform(-1, 1, m.arrays[x].shape) for x in xs]
    try:
        slopes = _differences(Graph(m.inputs, [cost]), m, xs, arrays, ways)
    except (SymgraphError, Undefined):
        return ""
    rough = max(slopes) - min(slopes)
    wanted = slopes[-1]
    if not np.isfinite(wanted) or rough > 1e-6 * max(1.0, abs(wanted)):
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = interpret(Graph(m.inputs, grads), arrays)
    found = float(sum(np.sum(g * w) for g, w in zip(values, ways, strict=True)))
    if np.isnan(found) and not _tame(cost):
        return ""  # a root of zero has no derivative, whatever stands around it
    if abs(found - wanted) <= 1e-5 * max(1.0, abs(wanted)):
        return ""
    return f"the derivative is {found}, differences say {wanted}\n{_text(m, cost)}"


def _told(m: Maker, y: Variable) -> list[Any]:
    """The float inputs on which a value depends."""
    leaves = Graph((), [y]).leaves()
    return [x for x in leaves if isinstance(x, Input) and x.dtype == "float64" and m.arrays[x].size]


# whose derivative is finite wherever their value is: NaN in a derivative of these is a mistake
TAME = frozenset(
    """add subtract multiply negative square tanh sin cos exp sigmoid softplus relu sum
where maximum minimum clip absolute cast expand_dims squeeze reshape transpose broadcast_to slice
concatenate gather scatter matmul cumsum flip tile repeat pad max min scan cond iota size_value less
less_equal equal not_equal logical_and logical_or logical_not stop_gradient""".split()
)


def _tame(y: Variable) -> bool:
    return all(op.name in TAME for op in compiler._all_ops(Graph((), [y])))


def _text(m: Maker, y: Variable) -> str:
    return graph_text(Graph(m.inputs, [y]))


def _differences(
    graph: Graph, m: Maker, xs: list[Any], arrays: list[np.ndarray], ways: list[np.ndarray]
) -> list[float]:
    """One-sided and central differences, and Richardson's of two steps last. They agree where the
    function is smooth."""

    def at(t: float) -> float:
        moved = dict(zip(xs, ways, strict=True))
        given = [a + t * moved[x] if x in moved else a
                 for x, a in zip(m.inputs, arrays, strict=True)]  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(interpret(graph, given)[0])

    f = {k: at(k * STEP) for k in (-4, -2, -1, 0, 1, 2, 4)}
    central = {k: (f[k] - f[-k]) / (2 * k * STEP) for k in (1, 2, 4)}
    one, two = ((4 * central[k] - central[2 * k]) / 3 for k in (1, 2))
    right = (-3 * f[0] + 4 * f[1] - f[2]) / (2 * STEP)  # second order, from one side
    left = (3 * f[0] - 4 * f[-1] + f[-2]) / (2 * STEP)
    if abs(right - left) > 1e-3 * max(1.0, abs(one)):
        raise Undefined
    return [two, one]


# batches ------------------------------------------------------------------------------------------


@quiet()
def check_batches(seed: int) -> str:
    """vmap over some of the inputs against a loop over the samples; what differs, or ""."""
    m = Maker(seed, 6, special=False)
    m.grow(6)
    outputs = [v for v in m.values[-3:] if v.owner is not None and not _drawn(v)]
    xs = [x for x in m.inputs if not any(isinstance(s, Expr) and s.op != "var" for s in x.shape)]
    if not outputs or not xs or m.states:
        return ""
    mapped = [x for x in xs if m.chance(0.7)] or xs[:1]
    rng = np.random.default_rng([seed, 3])
    stacks = {x: _stack(rng, plain(m.arrays[x])) for x in mapped}
    graph = Graph(m.inputs, outputs)
    samples = [[stacks[x][k] if x in stacks else m.arrays[x] for x in m.inputs] for k in range(3)]
    try:
        rows = [_quiet(graph, s) for s in samples]
    except SymgraphError:
        return ""
    axes = tuple(0 if x in stacks else None for x in m.inputs)
    batched = [sg.tensor(x.name, x.dtype, (3, *m.dims(x)) if x in stacks else m.dims(x))
               for x in m.inputs]  # fmt: skip
    f: Any = lambda *args: rebuild(outputs, dict(zip(m.inputs, args, strict=True)))
    try:
        whole = sg.vmap(f, axes)(*batched)
    except ShapeError:
        return ""  # results whose sizes would differ from sample to sample
    arrays = [stacks.get(x, m.arrays[x]) for x in m.inputs]
    found = _quiet(Graph(batched, whole), arrays)
    for k, a in enumerate(found):
        wanted = np.stack([r[k] for r in rows])
        try:
            room = room_of(wanted, 0.0) * 1e3
        except Undefined:
            continue
        if apart(wanted, a) > room:
            return f"vmap: output {k} is\n{a}\nexpected\n{wanted}\n{_text(m, outputs[k])}"
    return ""


def _drawn(v: Variable) -> bool:
    return any(n.op.name.startswith("philox") for n in Graph((), [v]).toposort())


def _quiet(graph: Graph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return interpret(graph, arrays)


def _stack(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """Three samples: the array, and twice its elements in another order."""
    flat = a.reshape(-1)
    return np.stack([a, *(rng.permutation(flat).reshape(a.shape) for _ in range(2))])
