"""compile(): from a graph to a callable, read from top to bottom.

define     names, defaults, updates, givens -> one Definition
key        the hash of the user's graph, options and target
cache      a finished artefact -> link (no rewriting, no LLVM)
optimize   passes/pipeline.py
lower      tensor graph -> Program
emit       Program -> LLVM text -> object
link       object + table -> Function
"""

from __future__ import annotations

import contextvars
import importlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from symgraph import callbacks, config
from symgraph.codegen import llvm
from symgraph.errors import (
    ArgumentError,
    DTypeError,
    TargetError,
    UnboundVariableError,
    UpdateError,
    VerifyError,
)
from symgraph.executor import Loaded, compiled_objects, link, prepare
from symgraph.function import (
    Compiled,
    Definition,
    Function,
    InterpretedFunction,
    StructuredFunction,
)
from symgraph.ir import made_sizes
from symgraph.ir.graph import Constant, Graph, Input, Variable
from symgraph.ir.hashing import inner_graphs, large_constants, structural_hash
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.shared import Shared
from symgraph.ir.types import same_size
from symgraph.ops import retyping
from symgraph.ops.nests import container_class, parts_of
from symgraph.ops.operands import as_variable
from symgraph.profiling.progress import telling
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.collecting import uncollected
from symgraph.runtime.sources import compiler_digest
from symgraph.scalar import Expr, variables
from symgraph.structure import Structure

MODES = ("run", "debug", "nan", "interpret")


def compile(
    inputs: Any = (),
    outputs: Any = None,
    *,
    updates: Mapping[Shared, Any] | Iterable[tuple[Shared, Any]] | None = None,
    givens: Mapping[Variable, Any] | Iterable[tuple[Variable, Any]] | None = None,
    target: str = "cpu",
    mode: str = "run",
    name: str = "function",
    on_unused_input: str = "raise",
    exclude: Sequence[str] = (),
    profile: bool | None = None,
) -> Any:
    """Compile expressions into a function of ``inputs``.

    ``inputs``: a list of input variables, a dict (their keyword names) or a nest of them;
    ``outputs``: one variable, or a list, tuple or dict, returned in the same structure as NumPy
    arrays; ``updates``: new values of shared variables, stored when the call has succeeded;
    ``givens``: variables to replace by others before compiling; ``mode``: "run" (native code),
    "debug" (every rewrite, kernel and result is checked against the interpreter at every call),
    "nan" (native code; a result with NaN or infinities raises NonFiniteError, which names where
    they began), "interpret" (NumPy); ``exclude``: passes and rules to leave out, by name: a rule's
    name is its equation (`symgraph explain --rules` lists all); ``profile``: count in the attribute
    ``profile`` where the time of calls goes (mode "run" only; default: the setting of that name).

    Raises ArgumentError, UnboundVariableError and UpdateError for what cannot be a function.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> f = sg.compile([x], (x ** 2).sum())
    >>> f([1.0, 2.0, 3.0])
    array(14.)
    """
    if target != "cpu":
        raise TargetError(f"unknown target {target!r}", hint='this build compiles for target="cpu"')
    if not isinstance(name, str):
        raise ArgumentError(f"the name of a function is text, not {name!r:.60}")
    if mode not in MODES:
        raise ArgumentError(f"unknown mode {mode!r}", hint=f"modes are {', '.join(MODES)}")
    if on_unused_input not in ("raise", "ignore"):
        raise ArgumentError(
            f"on_unused_input is 'raise' or 'ignore', not {on_unused_input!r}",
        )
    if profile and mode != "run":
        raise ArgumentError(f'only mode="run" has a profile, not mode={mode!r}')
    counted = mode == "run" and (config.get("profile") if profile is None else profile)
    options = {
        "mode": mode, **({"exclude": _excluded(exclude)} if exclude else {}),
        **({"profile": True} if counted else {}),
    }  # fmt: skip
    d = define(inputs, outputs, updates, givens, name, on_unused_input, options)
    return build_function(d)


def _excluded(names: Sequence[str]) -> tuple[str, ...]:
    """The names, sorted. Raises ArgumentError for one that is no pass and no rule."""
    found = tuple(sorted([names] if isinstance(names, str) else names))
    importlib.import_module("symgraph.passes.pipeline").steps_without(found)
    return found


def build_function(d: Definition) -> Any:
    """The callable of a definition, by its mode."""
    mode = d.options["mode"]
    if made_sizes.in_graph(d.graph):  # a definition that was read has other names of such sizes
        checks = dict.fromkeys(c for n in d.graph.sized_toposort() for c in n.checks)
        d = d._replace(checks=tuple(checks))
    if mode == "interpret":
        _check_told(d)
        if made_sizes.in_graph(d.graph):
            importlib.import_module("symgraph.segments").simplified(d)  # refuses what cannot run
        return InterpretedFunction(d)
    if mode == "nan":
        nonfinite = importlib.import_module("symgraph.checking.nonfinite")
        flat = nonfinite.flattened(d)
        return nonfinite.NanFunction(d, _native(flat))
    function = _structured(d, _native(d))
    if mode != "debug":
        return function
    return importlib.import_module("symgraph.checking.debug").DebugFunction(d, function)


Compiled.rebuild = staticmethod(build_function)


def _native(d: Definition) -> Any:
    """Machine code for a definition: one function, or parts where a size depends on data."""
    if not made_sizes.in_graph(d.graph):
        return _checked(d)
    segments = importlib.import_module("symgraph.segments")
    simple = segments.simplified(d)
    if not segments.has_parts(simple.graph):  # nobody needs the size
        return _checked(simple)
    parts = segments.cut(simple)
    functions = [_checked(p.definition) for p in parts]
    if d.options.get("profile"):
        return _profiling().joined(d, parts, functions)
    return segments.Parted(d, parts, functions)


def _profiling() -> Any:
    """What only functions with a profile need."""
    return importlib.import_module("symgraph.profiling.attach")


def _checked(d: Definition) -> Any:
    """A native function, in debug mode with the checks of what the compiler did."""
    function = native_function(d)
    if d.options["mode"] != "debug":
        return function
    return importlib.import_module("symgraph.checking.debug").CheckedFunction(
        d, function, native_function
    )


def _structured(d: Definition, function: Any) -> Any:
    """The function for nested inputs and outputs, which a function in parts has by itself."""
    nested = "nested" in (d.outputs.container, d.inputs.container)
    if not nested or function.packs:
        return function
    return _profiling().packed(d, function) if d.options.get("profile") else StructuredFunction(
        d, function)  # fmt: skip


# define -------------------------------------------------------------------------------------------


def define(
    inputs: Any, outputs: Any, updates: Any, givens: Any, name: str, unused: str,
    options: Mapping[str, Any],
) -> Definition:  # fmt: skip
    """Check what the user wants and write it as one graph."""
    if isinstance(inputs, Variable) or container_class(inputs) is not None:
        inputs = [inputs]
    into = _named_inputs(inputs)
    out = Structure([] if outputs is None else _variables(outputs))
    pairs = _update_pairs(updates)
    values = [*out.leaves, *(v for _, v in pairs)]
    replaced = _given_pairs(givens)
    if replaced:
        values = retyping.replaced(values, replaced)
    count = len(out.leaves)
    pairs = [(s, v) for (s, _), v in zip(pairs, values[count:], strict=True)]
    pairs = _with_defaults(pairs, values)
    values = [*values[:count], *(v for _, v in pairs)]
    graph = Graph(into.leaves, values)
    leaves = graph.leaves(sized=True)
    _check_bound(graph, leaves, set(into.leaves), name)
    if unused != "ignore":
        _check_used(into, leaves, values, unused)
    shared = dict.fromkeys([v for v in leaves if isinstance(v, Shared)] + [s for s, _ in pairs])
    checks = dict.fromkeys(c for node in graph.sized_toposort() for c in node.checks)
    return Definition(
        name, graph, tuple(shared), tuple(s for s, _ in pairs), tuple(checks), into, out, options
    )


def _named_inputs(inputs: Any) -> Structure:
    if isinstance(inputs, Mapping):
        for key, v in inputs.items():
            if isinstance(v, Input):
                v.name = v.name or str(key)
        inputs = list(inputs.values())
    into = Structure(list(inputs) if not isinstance(inputs, list | tuple) else inputs)
    seen: set[Variable] = set()
    names: set[str] = set()
    for k, v in enumerate(into.leaves):
        if not isinstance(v, Input):
            kind = "a shared variable" if isinstance(v, Shared) else "a constant" if isinstance(
                v, Constant) else "the result of an expression"  # fmt: skip
            raise ArgumentError(
                f"input {k} ({v.label()}) is {kind}, not an input variable",
                hint="inputs come first, then outputs; inputs are made by sg.tensor, sg.vector "
                "...; other variables are replaced by givens",
            )
        if v in seen or (v.name and v.name in names):
            raise ArgumentError(
                f"input {v.label()} is listed twice, or two inputs share its name",
                operands=[
                    (i.label(), i.type.text(), i.origin)
                    for i in (*seen, v)
                    if i is v or i.name == v.name
                ],
                hint="names serve as keywords at the call: give each input its own",
            )
        seen.add(v)
        names.add(v.name or "")
    return into


def _variables(nest: Any) -> Any:
    """The same nest with numbers and arrays made constants."""
    if container_class(nest) is not None:
        return nest
    if isinstance(nest, dict):
        return {k: _variables(v) for k, v in nest.items()}
    if isinstance(nest, list | tuple):
        return type(nest)(_variables(v) for v in nest) if type(nest) in (list, tuple) else tuple(
            _variables(v) for v in nest)  # fmt: skip
    return as_variable(nest)


def _pairs(mapping: Any, what: str) -> list[tuple[Any, Any]]:
    if mapping is None:
        return []
    found = list(mapping.items()) if isinstance(mapping, Mapping) else list(mapping)
    for pair in found:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ArgumentError(
                f"{what} are a dict or pairs of old and new, not {pair!r:.60}",
                hint=f"write {what}={{w: new_w}}",
            )
    return [p for old, new in found for p in _part_pairs(old, new, what)]


def _part_pairs(old: Any, new: Any, what: str) -> list[tuple[Any, Any]]:
    """A container and its new value as pairs of their parts, without those that stay."""
    if container_class(old) is None:
        return [(old, new)]
    if container_class(new) is not container_class(old):
        raise ArgumentError(f"{what}: {old!r} cannot become {new!r:.60}")
    pairs = list(zip(parts_of(old), parts_of(new), strict=True))
    return [(a, b) for a, b in pairs if a is not b]


def _update_pairs(updates: Any) -> list[tuple[Shared, Variable]]:
    out: list[tuple[Shared, Variable]] = []
    for target, value in _pairs(updates, "updates"):
        if not isinstance(target, Shared):
            made = isinstance(target, Variable) and target.owner is not None
            raise UpdateError(
                f"updates need shared variables as keys, not {target!r}",
                hint="w -= 0.1 makes a new tensor of that name: write updates={w: w - 0.1}"
                if made
                else "sg.shared(value) makes one",
            )
        if target in {s for s, _ in out}:
            raise UpdateError(f"shared variable {target.label()} is updated twice")
        new = as_variable(value)
        out.append((target, _fitting(target, new)))
    return out


def _fitting(target: Shared, new: Variable) -> Variable:
    operands = [
        ("new value", new.type.text(), new.origin),
        (target.label(), target.type.text(), target.origin),
    ]
    if new.dtype != target.dtype:
        raise UpdateError(
            f"update of {target.label()} ({target.type.text()}) has dtype {new.dtype}",
            operands=operands, hint=f"cast it: value.astype({target.dtype!r})",
        )  # fmt: skip
    same = len(new.shape) == len(target.shape) and all(
        a is b or a == b or not (isinstance(a, int) and isinstance(b, int))
        for a, b in zip(new.shape, target.shape, strict=True)
    )
    if not same:
        raise UpdateError(
            f"update of {target.label()} ({target.type.text()}) has type {new.type.text()}",
            operands=operands,
            hint="sg.broadcast_to(value, w.shape); for an axis that changes: "
            "sg.shared(value, shape=(None,))",
        )
    return new


def _with_defaults(
    pairs: list[tuple[Shared, Variable]], values: Sequence[Variable]
) -> list[tuple[Shared, Variable]]:
    """Add the default updates (random streams) of shared variables that the graph reads."""
    out, seen, start = list(pairs), {s for s, _ in pairs}, list(values)
    while True:
        found = [
            v for v in Graph((), start).leaves(sized=True)
            if isinstance(v, Shared) and v.default_update is not None and v not in seen
        ]  # fmt: skip
        if not found:
            return out
        for s in found:
            assert s.default_update is not None
            seen.add(s)
            out.append((s, s.default_update))
            start.append(s.default_update)


def _given_pairs(givens: Any) -> dict[Variable, Variable]:
    out: dict[Variable, Variable] = {}
    for old, new in _pairs(givens, "givens"):
        if not isinstance(old, Variable):
            raise ArgumentError(
                f"givens replace variables, not {old!r}",
                hint="the key is the variable itself, not its name",
            )
        replacement = as_variable(new)
        if replacement.dtype != old.dtype or replacement.ndim != old.ndim:
            raise DTypeError(
                f"givens: {old.label()} is {old.type.text()}, "
                f"its replacement {replacement.type.text()}",
                hint=f"cast it: value.astype({old.dtype!r})"
                if replacement.ndim == old.ndim
                else "",
            )
        for a, b in zip(old.shape, replacement.shape, strict=True):
            if isinstance(a, int) and isinstance(b, int):
                same_size(a, b, f"givens: sizes of {old.label()} and its replacement differ")
        out[old] = replacement
    return out


def _check_bound(graph: Graph, leaves: list[Variable], inputs: set[Any], name: str) -> None:
    for v in leaves:
        if isinstance(v, Input) and v not in inputs:
            user = next((n for n in graph.sized_toposort() if any(i is v for i in n.inputs)), None)
            raise UnboundVariableError(
                f"{name}: an output depends on {v.label()}, which is not among the inputs",
                origin=user.origins[0] if user is not None and user.origins else v.origin,
                operands=[(v.label(), v.type.text(), v.origin)],
                hint=f"add {v.label()} to the inputs, or replace it by givens",
            )


def _check_told(d: Definition) -> None:
    """Every size that the graph speaks of is the size of an axis of an input or shared variable."""
    leaves = [*d.arguments, *d.shared]
    told = {s for v in leaves for s in v.shape if isinstance(s, Expr) and s.op == "var"}
    order = d.graph.sized_toposort()
    told |= {getattr(n.op, n.op.makes) for n in order if n.op.makes}
    places: list[tuple[Any, str, Any]] = [(v.shape, v.label(), v.origin) for v in leaves]
    places += [((n.op._values, *(o.shape for o in n.outputs)), n.op.name, n.origin) for n in order]
    for held, what, origin in places:
        lost = next((s for s in _sizes_in(held) if s not in told), None)
        if lost is not None:
            name = "a size" if str(lost).startswith("?") else f"the size {lost}"
            raise UnboundVariableError(
                f"{d.name}: {what} depends on {name}, which is not the size of any input",
                origin=origin,
                hint="add an input or shared variable with an axis of just this size",
            )


def _sizes_in(value: Any) -> list[Expr]:
    if isinstance(value, Expr):
        return variables(value)
    return [s for v in value for s in _sizes_in(v)] if isinstance(value, tuple) else []


def _check_used(
    inputs: Structure, leaves: list[Variable], values: Sequence[Variable], unused: str
) -> None:
    reached = set(leaves) | set(values)
    lost = []
    for whole, places in inputs.containers:  # of which one part is enough
        parts = [inputs.leaves[k] for k in places]
        if not any(v in reached for v in parts):
            lost.append(getattr(whole, "name", None) or type(whole).__name__)
        reached.update(parts)
    lost += [v.label() for v in inputs.leaves if v not in reached]
    if lost and unused == "raise":
        raise ArgumentError(
            f"no output depends on the input{'s' * (len(lost) > 1)} {', '.join(lost)}",
            hint='remove it, or pass on_unused_input="ignore"',
        )


# key, cache, link ---------------------------------------------------------------------------------


def native_function(d: Definition) -> Function:
    """A function from the disk cache, or compiled now and kept there."""
    clock = [time.perf_counter()]
    cache = open_cache()
    key = cache_key(d) if cache is not None else None
    found = cache.get(key) if cache is not None and key is not None else None
    if found is not None:
        read = [callbacks.from_text(c) for c in found.meta["callbacks"]]
        meta = {**found.meta, "callbacks": read}
        objects = {n: bytes(b) for n, b in found.sections.items()}
    else:
        with telling(d.name) as tell:
            meta, objects = _compiled(d, clock, tell)
        if cache is not None and key is not None:
            written = [callbacks.to_text(*c) for c in meta["callbacks"]]
            cache.put(key, {**meta, "callbacks": written}, objects)
    clock.append(time.perf_counter())
    function = _linked(d, meta, objects)
    clock.append(time.perf_counter())
    function.statistics = _statistics(clock, found is not None, sum(map(len, objects.values())))
    return function


def _compiled(
    d: Definition, clock: list[float], tell: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The cold way, loaded when it is first needed: half of the package's import time is in it."""
    _check_told(d)
    with _getting_ready(), uncollected():
        stages = importlib.import_module("symgraph.stages")
        loaded = time.perf_counter()
        record = _profiling().CompileRecord() if d.options.get("profile") else None
        optimized = stages.optimized_graph(d, record)
        clock.append(time.perf_counter())
        tell("lower")
        program = stages.lower(d, optimized)
        clock.append(time.perf_counter())
        tell("emit")
        low = stages.emit(d, optimized, program)
        clock.append(time.perf_counter())
    tell("llvm")
    objects = compiled_objects(low.main, low.kernels)
    meta = {"name": d.name, "layout": low.layout, "failures": low.failures}
    if record is not None:
        moments = [clock[0], loaded, *clock[1:], time.perf_counter()]
        meta["profile"] = {"rows": low.profile, "compile": record.summary(moments)}
    return {**meta, "callbacks": low.callbacks}, objects


@contextmanager
def _getting_ready() -> Iterator[None]:
    """Meanwhile a thread loads LLVM and what every function calls, once in a process: both are
    another library's work, beside which Python runs. What fails there fails again, and is told,
    where it is needed."""
    global _ready
    thread = None
    if not _ready:
        run = contextvars.copy_context().run  # with the settings of a block
        thread = llvm.started(threading.Thread(target=run, args=(prepare,), name="symgraph-llvm"))
    try:
        yield
    finally:
        if thread is not None:
            thread.join()
        _ready = True


_ready = False


def _linked(d: Definition, meta: Mapping[str, Any], objects: Mapping[str, bytes]) -> Function:
    constants = [c.data for c in large_constants(d.graph)]
    python = [callbacks.make(*c) for c in meta["callbacks"]]
    counters = _profiling().Counters(len(meta["profile"]["rows"])) if "profile" in meta else None
    words = counters.addresses() if counters is not None else None

    def make(slow: Any, fail: Any) -> Loaded:
        loaded = link(objects, meta["layout"], slow, fail, d.shared, constants, python, words)
        return loaded._replace(kept=(*loaded.kept, counters))

    function = Function(d, make)
    function.failures += meta["failures"]
    if counters is not None:
        _profiling().native(function, counters, meta)
    return function


def _statistics(clock: list[float], cached: bool, size: int) -> dict[str, Any]:
    names = ["cache", "link"] if cached else ["optimize", "lower", "emit", "llvm", "link"]
    spans = [b - a for a, b in itertools.pairwise(clock)]
    out: dict[str, Any] = {"cached": cached, "object_bytes": size, "total": clock[-1] - clock[0]}
    out.update(zip(names, spans, strict=True))
    return out


def _all_ops(graph: Graph) -> set[Op]:
    """The ops of a graph and of the graphs inside it."""
    found: set[Op] = set()
    waiting = [graph]
    while waiting:
        for op in {node.op for node in waiting.pop().sized_toposort()} - found:
            found.add(op)
            waiting.extend(inner_graphs(op))
    return found


def _is_foreign(op: Op) -> bool:
    """Whether an op, or the expression of an elementwise row, was written outside symgraph."""
    home = str(getattr(op, "home", type(op).__module__))
    return not home.startswith("symgraph.")


def cache_key(d: Definition) -> Key | None:
    """Everything that the finished artefact depends on, by name; None when an op holds something
    without a form outside this process, such as a Python function, or is the user's own: its code
    is not part of the key, so an edit of it would find the old artefact."""
    if any(_is_foreign(op) for op in _all_ops(d.graph)):
        return None
    try:
        graph = structural_hash(d.graph)
    except VerifyError:
        return None
    positions = {s: k for k, s in enumerate(d.shared)}
    return Key("function", {
        "graph": graph,
        "updates": json.dumps([positions[s] for s in d.updates]),
        "outputs": d.outputs.container,
        "mode": " ".join([str(d.options["mode"]), *d.options.get("exclude", ())]),
        **({"profile": "1"} if d.options.get("profile") else {}),
        "parallel": str(config.get("parallel_from")),
        "matmul": config.get("matmul"),
        "host": llvm.host_fingerprint(),
        "compiler": compiler_digest(),
    })  # fmt: skip


@in_language("eval")
def evaluate(variable: Variable, values: Mapping[Variable, Any] | None = None) -> Any:
    """The value of an expression for looking: ``x.eval({y: 3.0})``; compiled once per expression.

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> (x + 1).eval({x: 2.0})
    array(3.)
    """
    if not isinstance(values, Mapping | None):
        raise ArgumentError(f"eval takes a dict of values, not {type(values).__name__}")
    given = dict(values or {})
    if name := next((k for k in given if isinstance(k, str)), None):
        raise ArgumentError(
            f"eval: the keys are variables, not the name {name!r}", hint="x.eval({x: 1.0})"
        )
    inputs = [v for v in given if isinstance(v, Input) or container_class(v) is not None]
    others = [(k, v) for k, v in given.items() if not any(k is i for i in inputs)]
    function = compile(inputs, variable, on_unused_input="ignore", givens=others, name="eval")
    return function(*(given[v] for v in inputs))


def stage_definition(outputs: Any, name: str = "expression", mode: str = "run") -> Definition:
    """A definition whose inputs are all free variables of the expressions: for `symgraph dump`."""
    nest = [outputs] if isinstance(outputs, Variable) else outputs
    flat = Structure(_variables(nest)).leaves
    free = [v for v in Graph((), flat).leaves(sized=True) if isinstance(v, Input)]
    return define(free, nest, None, None, name, "ignore", {"mode": mode})
