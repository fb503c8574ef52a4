"""Ways to compute one graph that must agree: the interpreter, each pass alone, subsets of passes
and of rules, the loop language, native code, debug mode, text and files, a second call."""

from __future__ import annotations

import functools
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import compiler, config, stages
from symgraph.codegen import llvm
from symgraph.errors import SymgraphError
from symgraph.function import Definition, bind_sizes
from symgraph.ir import made_sizes
from symgraph.ir.graph import Graph
from symgraph.ir.hashing import large_constants, structural_hash
from symgraph.ir.interpret import interpret
from symgraph.ir.parse import parse_graph
from symgraph.ir.save import load, save
from symgraph.ir.text import GraphPrinter
from symgraph.loops.interpret import run_program
from symgraph.loops.program import Program
from symgraph.loops.verify import verify_program
from symgraph.passes import pipeline
from symgraph.passes.pipeline import PIPELINE, Pass
from symgraph.rewrite.rules import RuleSet
from tests.fuzz.case import Case, Wanted, code_of, definition, difference, played, wanted_of
from tests.fuzz.measuring import Undefined, is_inexact

Way = Callable[[Definition], Any]  # gives a function of arrays: a list of outputs
Outcome = tuple[str, list[Any]]


# how a definition is computed ---------------------------------------------------------------------


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


class Loops:
    """The Program of a graph by its own interpreter, which sees reads of what nobody wrote."""

    def __init__(self, d: Definition, graph: Graph, scheduled: bool) -> None:
        self.d, self.program = d, stages.lower(d, graph, scheduled)
        verify_program(self.program)

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        state = [s.get_value() for s in self.d.shared]
        large = [c.data for c in large_constants(self.d.graph)]
        env = bind_sizes(self.d, arrays)
        out = run_program(self.program, arrays, env, state, large, {"matmul": matmul})
        for s, value in zip(self.d.shared, state, strict=True):
            s.set_value(value)
        return list(out)


def matmul(params: dict[str, Any], a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """The routine of that name for the interpreter of loops."""
    a = a.swapaxes(-1, -2) if params["ta"] else a
    out[...] = a @ (b.swapaxes(-1, -2) if params["tb"] else b)


def native(d: Definition, graph: Graph | None = None, scheduled: bool = True) -> Any:
    """A compiled function of the optimized graph or of another one; kernels are compiled once."""
    graph = stages.optimized_graph(d) if graph is None else graph
    low = stages.emit(d, graph, stages.lower(d, graph, scheduled))
    meta = {"layout": low.layout, "failures": low.failures, "callbacks": low.callbacks}
    modules = {"function": low.main, **low.kernels}
    function = compiler._linked(d, meta, {name: _object(text) for name, text in modules.items()})
    return listed(d, function)


def listed(d: Definition, function: Any) -> Any:
    """A function that returns a list, also of a single output."""
    if d.outputs.container != "single":
        return function
    return lambda *arrays: [function(*arrays)]


_object = functools.lru_cache(maxsize=2048)(llvm.compile_object)


def program_of(d: Definition, scheduled: bool = False) -> Program:
    """The Program of the optimized graph."""
    return stages.lower(d, stages.optimized_graph(d), scheduled)


# subsets of the pipeline --------------------------------------------------------------------------


def rewritten(graph: Graph, passes: Sequence[Pass]) -> Graph:
    """The graph after these passes only, inner graphs included."""
    whole = pipeline.PIPELINE
    pipeline.PIPELINE = tuple(passes)
    try:
        return pipeline.optimize(graph)
    finally:
        pipeline.PIPELINE = whole


def some_rules(rng: np.random.Generator) -> list[Pass]:
    """The pipeline with about half of the rules of every set."""
    found = []
    for p in PIPELINE:
        if isinstance(p.work, RuleSet):
            kept = [r for r in p.work if rng.random() < 0.5]
            found.append(p._replace(work=RuleSet(p.name, *kept)))
        else:
            found.append(p)
    return found


def some_passes(rng: np.random.Generator) -> list[Pass]:
    """Some of the passes, in any order."""
    kept = [p for p in PIPELINE if rng.random() < 0.5]
    return [kept[int(k)] for k in rng.permutation(len(kept))]


# the comparison -----------------------------------------------------------------------------------


def outcome(
    function: Any, d: Definition, calls: Sequence[Sequence[Any]], start: list[Any]
) -> Outcome:
    """What calls in a row return and leave in the shared variables, or the code of the error."""
    for s, value in zip(d.shared, start, strict=True):
        s.set_value(value)
    found: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for arrays in calls:
            try:
                found += function(*arrays)
            except SymgraphError as error:
                return code_of(error), [*found, *(s.get_value() for s in d.shared)]
    return "", found + [s.get_value() for s in d.shared]


class Check:
    """The comparison of all ways for one case; ``problem`` is the first that differs."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.rng = case, np.random.default_rng([seed, 7])
        self.d = definition(case)
        self.start = [s.get_value() for s in self.d.shared]
        self.before = [a.copy() for arrays in case.calls for a in arrays]
        self.wanted = wanted_of(case)
        finite = all(np.isfinite(a).all() for a in self.wanted.values if is_inexact(a))
        self.special = case.special or not finite  # what rules over the reals may change
        self.graphs: list[Graph] = []
        self.seen: set[Any] = set()  # the graphs that were checked already

    def reset(self) -> None:
        """The shared variables as they were in the beginning."""
        for s, value in zip(self.d.shared, self.start, strict=True):
            s.set_value(value)

    def agree(self, name: str, function: Any, wanted: Wanted) -> str:
        """Where a way differs from what is wanted, or ""."""
        error, values = outcome(function, self.d, self.case.calls, self.start)
        if bool(error) != bool(wanted.error):  # of two mistakes either may be told
            if error and self.wanted.error and not name.startswith("after"):
                return ""  # sizes are checked although a pass found their use to be dead
            return f"{name}: error {error or 'none'}, expected {wanted.error or 'none'}"
        found = "" if error else difference(values, wanted.values, wanted.room)
        changed = any(
            a.tobytes() != b.tobytes()
            for a, b in zip((a for c in self.case.calls for a in c), self.before, strict=True)
        )
        if changed:
            found = "an input was modified"
        return f"{name}: {found}" if found else ""

    def rewrites(self, name: str, passes: Sequence[Pass], code: bool) -> str:
        """A part of the pipeline, interpreted and perhaps compiled."""
        graph = rewritten(self.d.graph, passes)
        key = (*map(id, graph.outputs), code)
        if key in self.seen:
            return ""
        self.seen.add(key)
        self.graphs.append(graph)  # its variables stay, and their ids with them
        after, problem = self.lenient(name, graph)
        if not problem and code:
            problem = self.agree(f"compiled after {name}", native(self.d, graph), after)
        return problem

    def lenient(self, name: str, graph: Graph) -> tuple[Wanted, str]:
        """What the rewritten graph gives, which with special values or errors may be something else
        than before (rules hold over the reals; what is dead is not checked), and what is wrong."""
        new = self.case._replace(
            outputs=list(graph.outputs[: len(self.case.outputs)]), shared=self.d.shared
        )
        new = new._replace(updates=list(zip(self.d.updates, graph.outputs[len(new.outputs) :],
                                            strict=True)))  # fmt: skip
        self.reset()
        if self.wanted.error:
            error, values = played(new)
            room = wanted_of(new, trials=1).room if not error else [0.0] * len(values)
            return Wanted(values, room, error), ""
        if self.special:
            after = wanted_of(new, trials=1)
            return after, f"after {name}: error {after.error}, expected none" if after.error else ""
        return self.wanted, self.agree(f"after {name}", Interpreted(self.d, graph), self.wanted)


def check_case(case: Case, seed: int = 0, effort: str = "all") -> str:
    """Compare all ways to compute a case; what differs, or "". With the effort "turns" the dear
    ways take turns from seed to seed; with "quick" it is all passes and one way of the others."""
    try:
        c = Check(case, seed)
        ways = WHOLE if made_sizes.in_graph(c.d.graph) else WAYS
        if effort == "turns":
            resting = [way for k, way in enumerate(DEAR) if seed % len(DEAR) != k]
            ways = tuple(way for way in ways if way not in resting)
        if effort == "quick" and ways is WAYS:
            ways = (QUICK[0], QUICK[1 + seed % (len(QUICK) - 1)])
        return next(filter(None, (way(c) for way in ways)), "")
    except Undefined:
        return ""


def everything(c: Check) -> str:
    return c.rewrites("the passes", PIPELINE, True)


def untouched(c: Check) -> str:
    if (*map(id, c.d.graph.outputs), True) in c.seen:
        return ""
    return c.agree("compiled without passes", native(c.d, c.d.graph), c.wanted)


def unscheduled(c: Check) -> str:
    function = native(c.d, c.d.graph, scheduled=False)
    return c.agree("compiled without passes, unscheduled", function, c.wanted)


def one_pass(c: Check) -> str:
    for p in PIPELINE[:-1]:
        problem = c.rewrites(f"the pass {p.name}", [p], False)
        if problem:
            return problem
    return ""


def few_passes(c: Check) -> str:
    chosen = some_passes(c.rng)
    return c.rewrites(f"the passes {', '.join(p.name for p in chosen)}", chosen, False)


def few_rules(c: Check) -> str:
    return c.rewrites("a part of the rules", some_rules(c.rng), c.rng.random() < 0.3)


def loops(c: Check) -> str:
    """Both schedules by the interpreter of loops: small cases only, it goes element by element."""
    sizes = [a.size for arrays in c.case.calls for a in arrays] + [v.size for v in c.wanted.values]
    if sum(sizes) > 300 or c.wanted.error or c.special or _has_calls(c.d):
        return ""
    for scheduled in (False, True):
        name = f"interpreted loops, {'' if scheduled else 'un'}scheduled"
        problem = c.agree(name, Loops(c.d, stages.optimized_graph(c.d), scheduled), c.wanted)
        if problem:
            return problem
    return ""


def _has_calls(d: Definition) -> bool:
    """Whether routines are called that the interpreter of loops has not got."""
    ops = compiler._all_ops(d.graph)
    known = {"matmul", "reshape", "cumsum", "scatter"}
    return any(hasattr(op, "extern") and op.name not in known for op in ops)


def twice(c: Check) -> str:
    """The same calls again: the same bits, and nothing shared with the inputs."""
    if c.wanted.error:
        return ""
    function = native(c.d)
    first = outcome(function, c.d, c.case.calls, c.start)[1]
    again = outcome(function, c.d, c.case.calls, c.start)[1]
    for k, (a, b) in enumerate(zip(first, again, strict=True)):
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
            return f"called again: value {k} is\n{b}\nbefore\n{a}"
        if any(np.shares_memory(a, x) for arrays in c.case.calls for x in arrays):
            return f"called: value {k} shares memory with an input"
    return ""


def debugged(c: Check) -> str:
    """sg.compile in the modes debug and interpret, as a user calls it."""
    pairs = zip(c.wanted.values, c.wanted.room, strict=True)
    doubles = [(a, r) for a, r in pairs if a.dtype == "float64"]
    shaky = (r > 1e-9 * max(1.0, float(np.max(abs(a), initial=0))) for a, r in doubles)
    if c.special or any(shaky):  # debug mode has tolerances of its own
        return ""
    for mode in ("interpret", "debug"):
        with config.change(cache=False):
            function = listed(c.d, compiler.build_function(definition(c.case, mode=mode)))
        problem = c.agree(f"mode {mode}", function, c.wanted)
        if problem:
            return problem
    return ""


def cached(c: Check) -> str:
    """Through the disk cache: the second function is made of what the first one left."""
    if c.wanted.error:
        return ""
    for name in ("compiled", "from the cache"):
        function = listed(c.d, compiler.build_function(definition(c.case)))
        after, problem = c.lenient("the passes", stages.optimized_graph(c.d))
        problem = problem or c.agree(name, function, after)
        if problem:
            return problem
    return ""


def printed(c: Check) -> str:
    """Text, files and pickles give the graph back."""
    graph = c.d.graph
    if any(getattr(op, "name", "").startswith("python_op") for op in compiler._all_ops(graph)):
        return ""
    c.reset()
    printer = GraphPrinter(graph)
    text = "\n".join(printer.lines)
    copies = {"printed and parsed": parse_graph(text, printer.data, dict(printer.shared))}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "graph.sg")
        save(path, graph)
        copies["saved and loaded"] = load(path)
    copies["pickled"] = pickle.loads(pickle.dumps(graph))
    wanted = structural_hash(graph)
    for name, copy in copies.items():
        if structural_hash(copy) != wanted:
            return f"{name}: the hash differs"
        if "\n".join(GraphPrinter(copy).lines) != text:
            return f"{name}: the text differs:\n" + "\n".join(GraphPrinter(copy).lines)
    if c.wanted.error:
        return ""
    same = c.case.calls[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = interpret(graph, same), interpret(copies["saved and loaded"], same)
    problem = difference(after, before, [0.0] * len(before))
    return f"saved and loaded: {problem}" if problem else ""


WAYS = (everything, untouched, unscheduled, one_pass, few_passes, few_rules, printed, loops, twice,
        debugged, cached)  # fmt: skip
WHOLE = (one_pass, printed, debugged, cached)  # sizes that depend on data: compiled in parts
DEAR = (debugged, cached, unscheduled)  # half of the time is theirs
QUICK = (everything, untouched, one_pass, few_rules, printed, few_passes, unscheduled, loops)
