"""The cold half of the compiler: optimize, lower, emit, one function for each stage.

    optimize   passes/pipeline.py: graph -> graph
    lower      lower/: graph -> Program of kernels, calls and loops
    emit       codegen/: Program -> LLVM module with its entry, its address table and failures

A warm start finds its artefact in the disk cache and never loads this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from symgraph import config
from symgraph.codegen import llvm
from symgraph.codegen.program_llvm import ProgramModule
from symgraph.codegen.writer import ModuleWriter
from symgraph.function import Definition
from symgraph.ir.graph import Apply, Graph
from symgraph.ir.hashing import inner_graphs, large_constants
from symgraph.ir.types import SizeCheck
from symgraph.loops.cost import program_cost
from symgraph.loops.legalize import legalize
from symgraph.loops.program import Branch, Call, Failure, Loop, Program, Run
from symgraph.lower.build import Builder, context
from symgraph.lower.routines import realise
from symgraph.lower.widening import widen_routines
from symgraph.passes.pipeline import PassRecord, optimize
from symgraph.records import NamedTuple
from symgraph.rewrite.record import Firing
from symgraph.runtime.collecting import uncollected
from symgraph.runtime.later import Later

if TYPE_CHECKING:
    from symgraph.codegen import c_entry_llvm, entry_llvm, profile_llvm
    from symgraph.loops import verify as verification
    from symgraph.lower import epilogues, parallel
else:
    # where the setting `verify` asks for it
    verification = Later("symgraph.loops.verify")
    # for programs that are more than calls
    epilogues = Later("symgraph.lower.epilogues")
    parallel = Later("symgraph.lower.parallel")
    # for functions with a profile
    profile_llvm = Later("symgraph.codegen.profile_llvm")
    # imported when the texts of the kernels are there, which other threads compile meanwhile
    entry_llvm = Later("symgraph.codegen.entry_llvm")
    c_entry_llvm = Later("symgraph.codegen.c_entry_llvm")


class Lowered(NamedTuple):
    """Everything between the graph and machine code, for the command line and the tests."""

    optimized: Graph
    program: Program
    main: str
    modules: dict[str, llvm.Module]  # those of kernels by name
    layout: list[list[str]]
    failures: list[dict[str, Any]]
    callbacks: list[tuple[Graph, tuple[str, ...]]]
    profile: list[dict[str, Any]] | None = None  # the rows of a function that counts

    @property
    def kernels(self) -> dict[str, str]:
        """The texts of the kernels' modules."""
        return {name: llvm.text_of(module) for name, module in self.modules.items()}

    @property
    def text(self) -> str:
        """All modules for reading: the kernels, then the function that calls them."""
        parts = [f"; {name}\n{text}" for name, text in self.kernels.items()]
        return "\n".join([*parts, f"; function\n{self.main}"])

    def assembly(self) -> str:
        """The machine code of all modules for reading."""
        modules = {**self.kernels, "function": self.main}
        level = {"function": llvm.CALLS}
        return "\n".join(
            f"# {name}\n{llvm.assembly(text, level.get(name, llvm.level(text)))}"
            for name, text in modules.items()
        )


@uncollected()
def optimized_graph(d: Definition, record: Any = None) -> Graph:
    """The graph after the passes of passes/pipeline.py."""
    options = d.options
    own = options.get("exclude", ()), options.get("rules", ())
    return optimize(d.graph, options.get("mode", "run"), record, *own)


def rewrites(d: Definition) -> list[Firing]:
    """The rules that fired on a definition's graph, in their order."""
    record = PassRecord()
    optimized_graph(d, record)
    return record.firings


def lower(d: Definition, optimized: Graph, scheduled: bool = True, device: bool = False) -> Program:
    """The Program of an optimized graph; the last outputs are the updates. With ``device`` it has
    routines that only a GPU's schedules know (lower/cuda/)."""
    return planned(d, optimized, scheduled, device)[1]


@uncollected()
def planned(
    d: Definition, optimized: Graph, scheduled: bool = True, device: bool = False
) -> tuple[Builder, Program]:
    """The Program with what made it, which knows the variable behind each buffer."""
    constants = {c: k for k, c in enumerate(large_constants(d.graph))}
    scatters = not device and _scatters()
    ctx = context(d.checks, constants, scheduled)._replace(device=device, scatters=scatters)
    optimized = widen_routines(optimized)
    count = len(optimized.outputs) - len(d.updates)
    graph = Graph(optimized.inputs, optimized.outputs[:count])
    builder = Builder(graph, d.name, d.shared, ctx)
    pairs = zip(d.updates, optimized.outputs[count:], strict=True)
    return builder, _verified(builder.build(list(pairs), realise))


def _verified(program: Program) -> Program:
    """The program, checked where the setting `verify` asks for it."""
    if config.get("verify"):
        verification.verify_program(program)
    return program


@uncollected()
def _scatters() -> bool:
    """Whether the processor can store elements of many places at once."""
    return "avx512f" in llvm.instructions().features


def emit(
    d: Definition, optimized: Graph, program: Program,
    made: Callable[[llvm.Module], None] | None = None,
) -> Lowered:  # fmt: skip
    """The LLVM module of a program with its entry; ``made`` is told the module of each kernel as
    soon as it is there."""
    host = llvm.instructions()
    module = ModuleWriter(host.words)
    least = config.get("parallel_from")
    alone = all(isinstance(step, Call) for step in program.steps)
    legal = program if alone else _verified(legalize(parallel.share_out(program), vectors=True))
    profile = profile_llvm.Profiler(_kernel_origins(legal)) if d.options.get("profile") else None
    programs = ProgramModule(module, host.vector_bits, host.words, least, profile, made)
    calls = any(isinstance(step, Call | Loop | Branch) for step in legal.steps)
    if config.get("matmul") == "own" and calls and not alone:
        legal = epilogues.join_epilogues(legal, _scatters())
    main = programs.emit(legal)
    count = len(optimized.outputs) - len(d.updates)
    port = entry_llvm.Port
    signature = entry_llvm.Signature(
        tuple(port(v.dtype, v.shape) for v in optimized.inputs),
        tuple(port(v.dtype, v.shape) for v in d.graph.outputs[:count]),
        tuple(port(v.dtype, v.shape) for v in d.shared),
        program.sizes,
        tuple(_unnamed(c) for c in d.checks) + _update_checks(d, count),
        programs.plan.total(),
        bool(d.updates),
        d.outputs.container if d.outputs.container != "nested" else "tuple",
        program_cost(program),
    )
    entry_llvm.emit_entry(module, programs.table, signature, main, profile)
    if profile is None:
        c_entry_llvm.emit_c_entry(module, programs.table, signature, main)
    places = _Places(d.graph) if programs.failures or profile else None
    failures = [places.record(f) for f in programs.failures] if places else []
    return Lowered(
        optimized,
        program,
        module.text(),
        programs.kernels,
        programs.table.layout(),
        failures,
        programs.callbacks,
        [places.row(r) for r in profile.rows] if profile and places else None,
    )


def failure_records(graph: Graph, failures: Sequence[Failure]) -> list[dict[str, Any]]:
    """What a function keeps of failures: their words and the user's node by its path."""
    places = _Places(graph)
    return [places.record(f) for f in failures]


def _kernel_origins(program: Program) -> dict[str, tuple[Any, ...]]:
    """The lines of every kernel and phase by name, before kernels become part of other steps."""
    found: dict[str, tuple[Any, ...]] = {}
    waiting = [program]
    while waiting:
        for step in waiting.pop().steps:
            match step:
                case Run():
                    names = [step.kernel.name, *(p.kernel.name for p in step.phases)]
                    found.update(dict.fromkeys(names, step.origins))
                case Loop():
                    waiting.append(step.body)
                case Branch():
                    waiting += [step.then, step.otherwise]
    return found


def _unnamed(check: SizeCheck) -> tuple[Any, Any, str]:
    return check.left, check.right, check.what


def _update_checks(d: Definition, count: int) -> tuple[tuple[Any, Any, str], ...]:
    out = []
    for s, v in zip(d.updates, d.graph.outputs[count:], strict=True):
        out += [
            (a, b, f"update of {s.label()}")
            for a, b in zip(s.shape, v.shape, strict=True)
            if a is not b and a != b
        ]
    return tuple(out)


def _asks(node: Apply, what: str) -> bool:
    """Whether a node is checked at run time with these words."""
    requires = getattr(node.op, "requires", None)
    return requires is not None and any(r[2] == what for r in requires(*node.inputs))


class _Places:
    """The nodes of a graph and of the graphs inside it by origin: (path, node), where a path is the
    number of a node, and for each level further in the number of the graph and of a node there."""

    def __init__(self, graph: Graph) -> None:
        self.of: dict[Any, list[tuple[tuple[int, ...], Apply]]] = {}
        self._enter(graph, ())

    def _enter(self, graph: Graph, path: tuple[int, ...]) -> None:
        for k, node in enumerate(graph.toposort()):
            for origin in node.origins:
                self.of.setdefault(origin, []).append(((*path, k), node))
            for j, inner in enumerate(inner_graphs(node.op)):
                self._enter(inner, (*path, k, j))  # as deep as loops are nested

    def record(self, failure: Any) -> dict[str, Any]:
        """What a function keeps of a failure."""
        found = [pair for o in failure.origins for pair in self.of.get(o, ())]
        asking = [p for p, a in found if _asks(a, failure.what)]  # others share the user's line
        path = min(asking, key=lambda p: (len(p), p), default=())
        if not asking:  # the last of a call's nodes is what the user knows it by
            path = min((p for p, _ in found), key=lambda p: (len(p), [-k for k in p]), default=())
        fields = {"code": failure.code, "what": failure.what, "hint": failure.hint}
        return {**fields, "path": list(path)}

    def row(self, row: Any) -> dict[str, Any]:
        """What a function keeps of a row of its profile: the user's nodes by their paths."""
        paths = dict.fromkeys(p for o in row.origins for p, _ in self.of.get(o, ()))
        return {**row._asdict(), "origins": [list(p) for p in sorted(paths)]}
