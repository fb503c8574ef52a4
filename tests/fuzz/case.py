"""A random program: what to compile and the arrays of two calls in a row, and what it must give."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symgraph.definition import define
from symgraph.errors import SymgraphError
from symgraph.function import Definition
from symgraph.ir.graph import Input, Variable
from symgraph.ir.interpret import bind_sizes
from symgraph.ir.shared import Shared
from symgraph.ir.text import graph_text
from tests.fuzz.measuring import NOISE, Undefined, World, is_inexact


class Case(NamedTuple):
    """``special``: whether arrays hold NaN, infinities and negative zeros."""

    inputs: list[Input]
    outputs: list[Variable]
    updates: list[tuple[Shared, Variable]]
    calls: list[list[np.ndarray]]
    special: bool = False
    shared: tuple[Shared, ...] = ()  # whose values are told, besides those that the graph reads


class Wanted(NamedTuple):
    """What a case must give: the outputs of all calls and then the shared variables, how far each
    may be off, and the code of the error that ends the calls ("" for none)."""

    values: list[np.ndarray]
    room: list[float]
    error: str


def definition(case: Case, name: str = "case", mode: str = "run") -> Definition:
    """The definition of a random case."""
    options = {"mode": mode}
    return define(case.inputs, case.outputs, case.updates, None, name, "ignore", options)


def code_of(error: SymgraphError) -> str:
    """The code; of two kinds of sizes that do not fit either may be told."""
    return "sizes" if error.code in ("SG101", "SG202") else error.code


def played(case: Case, rng: Any = None) -> tuple[str, list[np.ndarray]]:
    """The calls by the interpreter, with noise when there is an ``rng``: the error's code and the
    values up to it. Shared variables keep their values. Raises Undefined."""
    d = definition(case)
    state = {s: s.get_value() for s in d.shared}
    count = len(case.outputs)
    found: list[np.ndarray] = []
    error = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for arrays in case.calls:
            try:
                pairs = [*zip(case.inputs, arrays, strict=True), *state.items()]
                env: dict[str, int] = {}
                bind_sizes(pairs, env)
                world = World(dict(pairs), env, rng)
                results = [world.value(v) for v in d.graph.outputs]
            except SymgraphError as e:
                error = code_of(e)
                break
            found += results[:count]
            state.update(zip(d.updates, map(np.array, results[count:]), strict=True))
    told = case.shared or d.shared
    return error, [*found, *(state[s] if s in state else s.get_value() for s in told)]


def wanted_of(case: Case, seed: int = 0, trials: int = 3) -> Wanted:
    """What the case must give; raises Undefined where rounding decides about it."""
    error, values = played(case)
    distance = [0.0] * len(values)
    for k in range(trials):
        other, noisy = played(case, np.random.default_rng([seed, k]))
        if other != error:
            raise Undefined
        for j, (a, b) in enumerate(zip(values, noisy, strict=True)):
            distance[j] = max(distance[j], apart(a, b))
    return Wanted(values, [room_of(a, d) for a, d in zip(values, distance, strict=True)], error)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays; infinite where they are not comparable at all."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if not is_inexact(a):
        return 0.0 if np.array_equal(a, b) else float("inf")
    if not a.size:
        return 0.0
    wide = "complex128" if a.dtype.kind == "c" else "float64"
    x, y = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        d = abs(x - y)
    same = (x == y) | ((x != x) & (y != y))
    bad = ~same & ~(np.isfinite(x) & np.isfinite(y))
    return float("inf") if bad.any() else float(np.max(np.where(same, 0.0, d)))


def room_of(a: np.ndarray, distance: float) -> float:
    """The tolerance of an output that noise moves by ``distance``; raises Undefined for too far."""
    if not is_inexact(a):
        if distance:
            raise Undefined
        return 0.0
    size = abs(a).astype("float64")
    scale = float(np.max(size[np.isfinite(size)], initial=1.0))
    unit = NOISE[a.dtype]
    if distance > max(1e-3, 50 * unit) * scale:
        raise Undefined
    return 12 * distance + 8 * unit * scale


def difference(found: Sequence[Any], wanted: Sequence[Any], room: Sequence[float]) -> str:
    """Where two lists of arrays differ, or ""."""
    for k, (f, w, r) in enumerate(zip(found, wanted, room, strict=True)):
        if f.dtype != w.dtype or f.shape != w.shape:
            return f"value {k} is {f.dtype}{f.shape}, expected {w.dtype}{w.shape}"
        d = apart(np.asarray(w), np.asarray(f))
        if d > r:
            return f"value {k} is off by {d:.3g}, above {r:.3g}: it is\n{f}\nexpected\n{w}"
    return ""


def described(case: Case, seed: int) -> str:
    """The graph of a case and the shapes of its arrays."""
    d = definition(case)
    shapes = ", ".join(
        f"{x.label()}: {a.dtype}{list(a.shape)}"
        for x, a in zip(case.inputs, case.calls[0], strict=True)
    )
    updates = ", ".join(s.label() for s in d.updates)
    return f"seed {seed}; {shapes}; updates: {updates or 'none'}\n{graph_text(d.graph)}"
