"""Functions built in several ways from one definition, and the comparison of what they return."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import compiler, stages
from symgraph.codegen import llvm
from symgraph.errors import SymgraphError
from symgraph.function import Definition
from symgraph.ir.graph import Graph
from symgraph.ir.interpret import interpret
from symgraph.ir.text import graph_text
from symgraph.loops.program import Program
from tests.backend.random_graphs import Case

SINGLE, DOUBLE = 2e-4, 1e-9  # relative errors of graphs that compute in float32 somewhere, or not


def definition(case: Case, name: str = "case") -> Definition:
    """The definition of a random case."""
    options = {"mode": "run"}
    return compiler.define(case.inputs, case.outputs, case.updates, None, name, "ignore", options)


def native(d: Definition, optimized: bool = True, scheduled: bool = True) -> Any:
    """A compiled function, with or without passes and loop scheduling; no cache."""
    graph = stages.optimized_graph(d) if optimized else d.graph
    low = stages.emit(d, graph, stages.lower(d, graph, scheduled))
    meta = {"layout": low.layout, "failures": low.failures, "callbacks": low.callbacks}
    modules = {"function": low.main, **low.kernels}
    return compiler._linked(d, meta, {name: _object(text) for name, text in modules.items()})


_object = functools.lru_cache(maxsize=512)(llvm.compile_object)


def program_of(d: Definition, scheduled: bool = False) -> Program:
    """The Program of the optimized graph."""
    return stages.lower(d, stages.optimized_graph(d), scheduled)


Outcome = tuple[str, list[Any]]


class Interpreted:
    """The graph of a definition (or another one in its place) by the reference interpreter."""

    def __init__(self, d: Definition, graph: Graph) -> None:
        self.d, self.graph = d, graph

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        results = interpret(self.graph, arrays)
        count = len(results) - len(self.d.updates)
        for s, value in zip(self.d.updates, results[count:], strict=True):
            s.set_value(value)
        return results[:count]


def outcome(
    function: Any, d: Definition, calls: Sequence[Sequence[Any]], start: list[Any]
) -> Outcome:
    """What calls in a row return and leave in the shared variables, or the class of the error."""
    for s, value in zip(d.shared, start, strict=True):
        s.set_value(value)
    found: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for arrays in calls:
            try:
                found += function(*arrays)
            except SymgraphError as error:
                code = "sizes" if error.code in ("SG101", "SG202") else error.code
                return code, [s.get_value() for s in d.shared]
    return "", found + [s.get_value() for s in d.shared]


def difference(found: Sequence[Any], wanted: Sequence[Any], rtol: float) -> str:
    """Where two lists of arrays differ, or ""."""
    for k, (f, w) in enumerate(zip(found, wanted, strict=True)):
        if f.dtype != w.dtype or f.shape != w.shape:
            return f"value {k} is {f.dtype}{f.shape}, expected {w.dtype}{w.shape}"
        if f.dtype.kind != "f":
            if not np.array_equal(f, w):
                return f"value {k} is\n{f}\nexpected\n{w}"
            continue
        finite = np.abs(w[np.isfinite(w)])
        scale = rtol * float(finite.max(initial=1.0))
        if not np.allclose(f, w, rtol=rtol, atol=scale, equal_nan=True):
            return f"value {k} is\n{f}\nexpected\n{w}"
    return ""


def check_case(case: Case, ways: Sequence[tuple[bool, bool]] = ((True, True),)) -> str:
    """Compare the compiled functions of a case with the interpreter; what differs, or ""."""
    d = definition(case)
    start = [s.get_value() for s in d.shared]
    wanted = outcome(Interpreted(d, d.graph), d, case.calls, start)
    optimized = Interpreted(d, stages.optimized_graph(d))
    lenient = outcome(optimized, d, case.calls, start)
    found = {}
    # some rules are right over the reals only, not for NaN and infinities
    if not wanted[0] and not case.special:
        found["interpreted after the passes"], lenient = lenient, wanted
    for passes, scheduled in ways:
        name = f"compiled {'with' if passes else 'without'} passes, "
        name += "scheduled" if scheduled else "unscheduled"
        function = native(d, passes, scheduled)
        as_tuple = function if d.outputs.container != "single" else lambda *a, f=function: [f(*a)]
        found[name] = outcome(as_tuple, d, case.calls, start)
    rtol = SINGLE if "float32" in graph_text(d.graph) else DOUBLE
    for name, (code, values) in found.items():
        # what the passes find to be dead is not checked; of two mistakes either may be told
        passed = "with passes" in name or "after" in name
        target = lenient if passed and not code else wanted
        if bool(code) != bool(target[0]):
            return f"{name}: error {code or 'none'}, expected {target[0] or 'none'}"
        problem = difference(values, target[1], rtol)
        if problem:
            return f"{name}: {problem}"
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
