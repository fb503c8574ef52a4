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

import importlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from symgraph import callbacks, config
from symgraph.codegen import llvm
from symgraph.definition import check_told, constants_made, define
from symgraph.errors import (
    ArgumentError,
    TargetError,
    VerifyError,
)
from symgraph.executor import KernelObjects, Loaded, link, prepare
from symgraph.function import (
    Compiled,
    Definition,
    Function,
    InterpretedFunction,
    StructuredFunction,
)
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Graph, Input, Variable
from symgraph.ir.hashing import inner_graphs, is_foreign, large_constants, structural_hash
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.shared import Shared
from symgraph.ops.nests import container_class
from symgraph.profiling.progress import telling
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.collecting import uncollected
from symgraph.runtime.crew import Crew, processors
from symgraph.runtime.later import Later
from symgraph.runtime.sources import compiler_digest
from symgraph.structure import Structure

if TYPE_CHECKING:
    from symgraph.rewrite.rules import Rule

_plans = Later("symgraph.fourier_plans")
_products = Later("symgraph.products")

MODES = ("run", "debug", "nan", "interpret")
CALLED = frozenset(["matmul"])  # ops of which nothing is compiled at the level of kernels


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
    rules: Sequence[Rule] = (),
    monitor: Callable[[Apply, Sequence[Any], Sequence[Any]], None] | None = None,
    profile: bool | None = None,
) -> Any:
    """Compile expressions into a function of ``inputs``.

    ``inputs``: a list of input variables, a dict (their keyword names) or a nest of them;
    ``outputs``: one variable, or a list, tuple or dict, returned in the same structure as NumPy
    arrays; ``updates``: new values of shared variables, stored when the call has succeeded;
    ``givens``: variables to replace by others before compiling; ``mode``: "run" (native code),
    "debug" (every rewrite, kernel and result is checked against the interpreter at every call),
    "nan" (native code; a result with NaN or infinities raises NonFiniteError, which names where
    they began), "interpret" (NumPy); ``target``: "cpu", or "cuda" or "cuda:sm_90" for an NVIDIA GPU
    (docs/cuda.md); ``exclude``: passes and rules to leave out, by name: a rule's
    name is its equation (`symgraph explain --rules` lists all); ``rules``: the caller's own
    (``sg.rewrite``), of whatever class; functions with such rules are not kept in the disk cache;
    ``monitor``: called with each node, the arrays that it read and those that it made (mode
    "interpret" only; nodes inside loops at every turn); ``profile``: count in the attribute
    ``profile`` where the time of calls goes (mode "run" only; default: the setting of that name).

    Raises ArgumentError, UnboundVariableError and UpdateError for what cannot be a function.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> f = sg.compile([x], (x ** 2).sum())
    >>> f([1.0, 2.0, 3.0])
    array(14.)
    """
    if target != "cpu":
        _check_target(target, mode, profile)
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
    if monitor is not None and mode != "interpret":
        raise ArgumentError(
            'only mode="interpret" calls a monitor',
            hint="sg.print_value and sg.python_op look at one value of a native function",
        )
    counted = mode == "run" and (config.get("profile") if profile is None else profile)
    options = {
        "mode": mode, **({"exclude": _excluded(exclude)} if exclude else {}),
        **({"rules": _own_rules(rules)} if rules else {}),
        **({"monitor": monitor} if monitor is not None else {}),
        **({"target": target} if target != "cpu" else {"profile": True} if counted else {}),
    }  # fmt: skip
    d = define(inputs, outputs, updates, givens, name, on_unused_input, options)
    return build_function(d)


def _check_target(target: Any, mode: str, profile: bool | None) -> None:
    """Refuse what is no target, and what only the CPU's has."""
    if not isinstance(target, str) or target.partition(":")[0] != "cuda":
        hint = "targets are cpu, cuda and cuda:sm_90"
        raise TargetError(f"unknown target {target!r}", hint=hint)
    if mode != "run" or profile:
        what = f"mode={mode!r}" if mode != "run" else "a profile"
        raise ArgumentError(f'only target="cpu" has {what}')


def _excluded(names: Sequence[str]) -> tuple[str, ...]:
    """The names, sorted. Raises ArgumentError for one that is no pass and no rule."""
    found = tuple(sorted([names] if isinstance(names, str) else names))
    importlib.import_module("symgraph.passes.pipeline").steps_without(found)
    return found


def _own_rules(rules: Any) -> tuple[Rule, ...]:
    """The rules. Raises ArgumentError for what is none."""
    kind = importlib.import_module("symgraph.rewrite.rules").Rule
    found = (rules,) if isinstance(rules, kind) else tuple(rules)
    for r in found:
        if not isinstance(r, kind):
            hint = 'from symgraph.rewrite import rule, wild; rule(sg.log(1 + wild("x")), ...)'
            raise ArgumentError(f"rules: {r!r:.60} is no rule", hint=hint)
    return found


def build_function(d: Definition) -> Any:
    """The callable of a definition, by its mode."""
    mode = d.options["mode"]
    if made_sizes.in_graph(d.graph):  # a definition that was read has other names of such sizes
        checks = dict.fromkeys(c for n in d.graph.sized_toposort() for c in n.checks)
        d = d._replace(checks=tuple(checks))
    if mode == "interpret":
        check_told(d)
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


def _rewriting(d: Definition) -> Any:
    return importlib.import_module("symgraph.stages").rewrites(d)


Compiled.rebuild = staticmethod(build_function)
Compiled.rewriting = staticmethod(_rewriting)


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
    if "target" in d.options:
        return importlib.import_module("symgraph.cuda.function").CudaFunction(
            d, cache_key(d) if open_cache() is not None else None
        )
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


# key, cache, link ---------------------------------------------------------------------------------


def native_function(d: Definition) -> Function:
    """A function from the disk cache, or compiled now and kept there."""
    clock = [time.perf_counter()]
    cache = open_cache()
    key = cache_key(d) if cache is not None else None
    found = cache.get(key) if cache is not None and key is not None else None
    if found is not None and _products_changed(found.meta):
        found = None
    if found is not None:
        read = [callbacks.from_text(c) for c in found.meta["callbacks"]]
        meta = {**found.meta, "callbacks": read}
        objects = {n: bytes(b) for n, b in found.sections.items()}
    else:
        with telling(d.name) as tell:
            meta, objects = _compiled(d, clock, tell)
        if cache is not None and key is not None:
            written = [callbacks.to_text(*c) for c in meta["callbacks"]]
            cache.put_later(key, {**meta, "callbacks": written}, objects)
    clock.append(time.perf_counter())
    function = _linked(d, meta, objects)
    tiles = [name for kind, name in meta["layout"] if kind == "parts"]
    if tiles and cache is not None and key is not None:
        _products.remember(cache, key, tiles, found is not None)
    clock.append(time.perf_counter())
    function.statistics = _statistics(clock, found is not None, sum(map(len, objects.values())))
    return function


def _products_changed(meta: Mapping[str, Any]) -> bool:
    """Whether a function has products that are made with other tiles by now (`symgraph tune`)."""
    return "tiles" in meta and meta["tiles"] != _products.tiles_chosen()


def _compiled(
    d: Definition, clock: list[float], tell: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The cold way, loaded when it is first needed: half of the package's import time is in it."""
    check_told(d)
    with _getting_ready(d.graph) as crew, uncollected():
        stages = importlib.import_module("symgraph.stages")
        loaded = time.perf_counter()
        record = _profiling().CompileRecord() if d.options.get("profile") else None
        optimized = stages.optimized_graph(d, record)
        clock.append(time.perf_counter())
        tell("lower")
        program = stages.lower(d, optimized)
        clock.append(time.perf_counter())
        tell("emit")
        kernels = KernelObjects(crew)
        low = stages.emit(d, optimized, program, kernels.add)
        clock.append(time.perf_counter())
        tell("llvm")
        objects = kernels.finish(low.main, low.modules)
    meta = {"name": d.name, "layout": low.layout, "failures": low.failures}
    if any(kind == "parts" for kind, _ in low.layout):
        meta["tiles"] = _products.tiles_chosen()
    if record is not None:
        moments = [clock[0], loaded, *clock[1:], time.perf_counter()]
        meta["profile"] = {"rows": low.profile, "compile": record.summary(moments)}
    return {**meta, "callbacks": low.callbacks}, objects


@contextmanager
def _getting_ready(graph: Graph) -> Iterator[Crew]:
    """Threads for LLVM, whose work Python runs beside. The first ones in a process load it and
    compile what every function calls."""
    global _ready
    with Crew(max(1, processors() - 1)) as crew:
        if not _ready:
            _ready = True
            calls = all(node.op.name in CALLED for node in graph.sized_toposort())
            prepare(crew, llvm.CALLS if calls else llvm.KERNELS)
        yield crew


_ready = False


def _linked(d: Definition, meta: Mapping[str, Any], objects: Mapping[str, bytes]) -> Function:
    constants = [c.data for c in large_constants(d.graph)]
    python = [callbacks.make(*c) for c in meta["callbacks"]]
    counters = _profiling().Counters(len(meta["profile"]["rows"])) if "profile" in meta else None
    words = counters.addresses() if counters is not None else None

    def make(slow: Any, fail: Any) -> Loaded:
        layout = meta["layout"]
        kept = d.shared, constants, python, words
        more: dict[str, Any] = {"products": _products, "transforms": _plans, "names": d.names()}
        loaded = link(objects, layout, slow, fail, *kept, **more)
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


def cache_key(d: Definition) -> Key | None:
    """Everything that the finished artefact depends on, by name; None when an op holds something
    without a form outside this process, such as a Python function, or is the user's own, and
    where rules are: code is not part of the key, so an edit of it would find the old artefact."""
    if d.options.get("rules") or any(is_foreign(op) for op in _all_ops(d.graph)):
        return None
    checks = d.checks if "whole" in d.options else ()  # a part has some of other parts' nodes
    try:
        graph = structural_hash(d.graph, checks)
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
        "winograd": str(config.get("winograd")),
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
    flat = Structure(constants_made(nest)).leaves
    free = [v for v in Graph((), flat).leaves(sized=True) if isinstance(v, Input)]
    return define(free, nest, None, None, name, "ignore", {"mode": mode})
