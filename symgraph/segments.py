"""Programs in parts: where a size depends on data, the part before computes what tells it.

    cut      a definition -> its parts, and the ops between them
    Parted   the function that runs the parts one after another

Each part is a definition of its own, compiled and cached like any other; between two parts the
ops that make sizes run by their references. What a later part needs is a result of an earlier one
and an input of the later, whose size binds as that of any input. A part that speaks of a size which
none of its inputs has gets an array of that many rows without elements. Shared variables take
their new values in the last part, so a call that fails leaves them as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ShapeError
from symgraph.function import Compiled, Definition, bind_arguments, flat_arguments, laid_out
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Constant, Graph, Input, Variable, apply, toposort
from symgraph.ir.resizing import Sizes, resized, retyped
from symgraph.ir.shared import Shared
from symgraph.ir.types import SizeCheck, TensorType
from symgraph.ops.data_sizes import Below
from symgraph.passes.selections import without_selections
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, fresh_size, substitute
from symgraph.structure import Structure

# Recomputed where they are needed instead of being kept from one part to the next.
_VIEWS = frozenset("broadcast_to expand_dims squeeze transpose reshape slice".split())


class Told(NamedTuple):
    """Where a size can be read when the function runs: an axis of a value."""

    value: Variable
    axis: int


class Part(NamedTuple):
    """A native piece: what its inputs and outputs are in the whole program, what tells the sizes of
    its inputs without elements, and the nodes that run after it."""

    definition: Definition
    reads: tuple[Variable, ...]
    told: tuple[Told, ...]
    gives: tuple[Variable, ...]
    makers: tuple[Apply, ...]


def simplified(d: Definition) -> Definition:
    """The definition without selections whose sizes are not needed.

    Raises ShapeError where the graph inside a loop or a choice makes a size that depends on data.
    """
    graph = without_selections(d.graph)
    for node in graph.toposort():
        for maker in made_sizes.makers_inside(node.op):
            raise ShapeError(
                f"the size of the result of {maker.op.name} depends on data, inside {node.op.name}",
                origin=maker.origin,
                operands=[(i.label(), i.type.text(), i.origin) for i in maker.inputs],
                hint="give it a fixed size (size=, fill_value=), or take sg.where and a fold",
            )
    if graph is d.graph:
        return d
    order = toposort(graph.outputs, sized=True)
    checks = dict.fromkeys(c for node in order for c in node.checks)
    return d._replace(graph=graph, checks=tuple(checks))


def has_parts(graph: Graph) -> bool:
    """Whether a graph has to be cut."""
    return any(n.op.makes for n in toposort(graph.outputs, sized=True))


# cutting ------------------------------------------------------------------------------------------


def cut(d: Definition) -> list[Part]:
    """The parts of a definition, in order."""
    return list(_Cut(d).parts())


class _Cut:
    def __init__(self, d: Definition) -> None:
        self.d = d
        self.order = toposort(d.graph.outputs, sized=True)
        self.level: dict[Apply, int] = {}
        self.sizes: Sizes = {}  # the names of made sizes, and theirs within the parts
        self.told: dict[Expr, Told] = {}
        self.known_from: dict[Expr, int] = {}  # the level from which a size is known
        self._levels()
        self.last = 1 + max(self.level[n] for n in self.order if n.op.makes)
        self.roots = self._roots()
        self.home: dict[Apply, int] = {}  # the part that computes a node
        self.gives: list[dict[Variable, None]] = [{} for _ in range(self.last + 1)]
        for level in range(self.last + 1):
            self._demand(level)

    def _levels(self) -> None:
        for v in (*self.d.arguments, *self.d.shared):
            for axis, size in enumerate(v.shape):
                if isinstance(size, Expr) and size.op == "var":
                    self.told.setdefault(size, Told(v, axis))
                    self.known_from.setdefault(size, 0)
        for node in self.order:
            above = [v.owner for v in node.inputs if v.owner is not None]
            above += made_sizes.needs(node)
            found = [self.level[n] + bool(n.op.makes) for n in above if n in self.level]
            self.level[node] = max(found, default=0)
            if node.op.makes:
                size = getattr(node.op, node.op.makes)
                self.sizes.setdefault(size, fresh_size())
                self.told.setdefault(size, Told(node.output, 0))
                self.known_from.setdefault(size, self.level[node] + 1)

    def _roots(self) -> list[list[Variable]]:
        """What each part has to compute for the ops after it; the last one for the user."""
        roots: list[list[Variable]] = [[] for _ in range(self.last + 1)]
        for node in self.order:
            if node.op.makes:
                roots[self.level[node]] += node.inputs
        roots[-1] += self.d.graph.outputs
        return roots

    def _demand(self, level: int) -> None:
        """Walk from the roots of a part to what earlier parts have computed or will compute."""
        stack = list(self.roots[level])
        for v in stack:
            self._take(v, level)
        seen: set[Apply] = set()
        while stack:
            node = stack.pop().owner
            if node is None or node in seen or not self._runs_here(node, level):
                continue
            seen.add(node)
            self.home.setdefault(node, level)
            for v in node.inputs:
                self._take(v, level)
                stack.append(v)

    def _take(self, v: Variable, level: int) -> None:
        """Make a value that an earlier part computes one of its results."""
        node = v.owner
        if node is not None and not node.op.makes and not self._runs_here(node, level):
            self.gives[self.home[node]][v] = None

    def _runs_here(self, node: Apply, level: int) -> bool:
        """Whether a part computes a node itself."""
        if node.op.makes:
            return False
        home = self.home.get(node, level)
        return home == level or node.op.name in _VIEWS or not node.inputs

    def parts(self) -> Iterator[Part]:
        """The parts that have something to do."""
        for level in range(self.last + 1):
            for v in self.roots[level]:
                node = v.owner
                if node is not None and self._runs_here(node, level) and level < self.last:
                    self.gives[level][v] = None
            makers = tuple(n for n in self.order if n.op.makes and self.level[n] == level)
            yield self._part(level, makers)

    def _part(self, level: int, makers: tuple[Apply, ...]) -> Part:
        final = level == self.last
        outputs = list(self.d.graph.outputs) if final else list(self.gives[level])
        # the ops between take a shared variable as the part reads it
        outputs += dict.fromkeys(v for n in makers for v in n.inputs if isinstance(v, Shared))
        build = _Build(self, level)
        values = build.values(outputs)
        checks = [c for c in self.d.checks if self._check_level(c) == level]
        build.checks += checks
        definition, told = build.definition(values, final)
        return Part(definition, tuple(build.inputs), told, tuple(outputs), makers)

    def _check_level(self, check: SizeCheck) -> int:
        known = [self.known_from.get(n, 0) for n in made_sizes.names((check.left, check.right))]
        return max(known, default=0)


class _Build:
    """The graph of one part, while it is being built."""

    def __init__(self, whole: _Cut, level: int) -> None:
        self.whole, self.level = whole, level
        self.inputs: dict[Variable, Input] = {}
        self.checks: list[SizeCheck] = []
        self.names: set[str] = set()
        if level == 0:
            for v in whole.d.arguments:  # the first part checks them all
                self.read(v)

    def read(self, v: Variable) -> Input:
        """The input of the part that stands for a value of the whole program."""
        found = self.inputs.get(v)
        if found is None:
            name = self._free(v.label())
            found = self.inputs[v] = Input(retyped(v.type, self.whole.sizes), name)
            found.origins = v._own_origins() if v.owner is None else v.owner.origins  # type: ignore[assignment]
        return found

    def _free(self, name: str) -> str:
        """The name, or one like it that no other input has: arguments are told apart by it."""
        while name in self.names:
            name += "'"
        self.names.add(name)
        return name

    def values(self, outputs: Sequence[Variable]) -> list[Variable]:
        """The outputs computed from inputs of the part."""
        whole, level = self.whole, self.level
        new: dict[Variable, Variable] = {}
        for node in self._below(outputs):
            inputs = [self._value(v, new) for v in node.inputs]
            op = resized(node.op, whole.sizes)
            fresh = apply(op, inputs, node.origins)
            for old, out in zip(node.outputs, fresh.outputs, strict=True):
                new.setdefault(old, out)
                out.name = out.name or old.name
        assert level <= whole.last
        return [self._value(v, new) for v in outputs]

    def _below(self, outputs: Sequence[Variable]) -> list[Apply]:
        wanted: set[Apply] = set()
        stack = [v.owner for v in outputs]
        while stack:
            node = stack.pop()
            if node is None or node in wanted or not self.whole._runs_here(node, self.level):
                continue
            wanted.add(node)
            stack += [v.owner for v in node.inputs]
        return [n for n in self.whole.order if n in wanted]

    def _value(self, v: Variable, new: dict[Variable, Variable]) -> Variable:
        if isinstance(v, Constant | Shared):
            return v
        if v in new:
            return new[v]
        node, own = v.owner, self.read(v)
        bound = getattr(node.op, "bound", None) if node is not None and node.op.makes else None
        if node is None or bound is None:
            return own
        limit = bound(*(i.type for i in node.inputs))
        return Below(_renamed(limit, self.whole.sizes))(own)  # type: ignore[no-any-return]

    def definition(
        self, values: list[Variable], final: bool
    ) -> tuple[Definition, tuple[Told, ...]]:
        """The part as a definition, with inputs that tell the sizes it speaks of."""
        d, sizes = self.whole.d, self.whole.sizes
        order = toposort(values)
        checks = dict.fromkeys(c for node in order for c in node.checks)
        for left, right, what in self.checks:
            checks.setdefault(SizeCheck(_renamed(left, sizes), _renamed(right, sizes), what))
        self._read_composed()
        updates = d.updates if final else ()
        shared = {v: None for node in order for v in node.inputs if isinstance(v, Shared)}
        shared |= {v: None for v in (*values, *updates) if isinstance(v, Shared)}
        spoken = [n.op._values for n in order] + [o.type for n in order for o in n.outputs]
        spoken += [v.type for v in (*values, *updates)] + [tuple(c)[:2] for c in checks]
        missing = self._missing(spoken, shared)
        carriers: list[Input] = []
        told: list[Told] = []
        for size, place in missing:
            if isinstance(place.value, Shared):
                shared[place.value] = None
                continue
            name = self._free(f"size of {place.value.label()} {place.axis}")
            carriers.append(Input(TensorType("bool", (size, 0)), name))
            told.append(place)
        inputs = [*self.inputs.values(), *carriers]
        name = f"{d.name}.{self.level}"
        return Definition(
            name, Graph(inputs, values), tuple(shared), updates, tuple(checks),
            Structure(inputs), Structure(tuple(values[: len(values) - len(updates)])),
            {**d.options, "whole": d, "made": frozenset(sizes.values())},
        ), tuple(told)  # fmt: skip

    def _read_composed(self) -> None:
        """Read the arguments that alone tell a size, by an expression such as 2*n."""
        told = self.whole.told
        for v in self.whole.d.arguments:
            if any(n not in told for n in made_sizes.names(v.type)):
                self.read(v)

    def _missing(self, spoken: Any, shared: Mapping[Any, None]) -> list[tuple[Expr, Told]]:
        """The sizes that no input tells, with what does."""
        own = {s for v in (*self.inputs.values(), *shared) for s in v.shape}
        back = {new: old for old, new in self.whole.sizes.items()}
        found = dict.fromkeys(n for value in spoken for n in made_sizes.names(value))
        found |= dict.fromkeys(n for v in self.inputs.values() for n in made_sizes.names(v.type))
        told = self.whole.told
        lost = [n for n in found if n not in own]
        return [(n, told[back.get(n, n)]) for n in lost if back.get(n, n) in told]


def _renamed(size: Any, sizes: Sizes) -> Any:
    return substitute(size, sizes) if isinstance(size, Expr) else size


# running ------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A part ready to run: places of values in a row of all values that live during a call."""

    run: Callable[..., Any]
    inputs: tuple[int, ...]
    told: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]
    makers: tuple[tuple[Callable[..., Any], tuple[int, ...], int], ...]


class Parted(Compiled):
    """A function in parts: what :func:`symgraph.compile` returns where a size depends on data."""

    packs = True

    def __init__(self, d: Definition, parts: list[Part], functions: Sequence[Any]) -> None:
        self.definition, self.parts, self.functions = d, parts, tuple(functions)
        self.statistics: dict[str, Any] = {"parts": len(parts)}
        for f in functions:
            for key, value in f.statistics.items():
                known = self.statistics.get(key)
                joined = known and value if isinstance(value, bool) else (known or 0) + value
                self.statistics[key] = value if known is None else joined
        self._place: dict[Variable, int] = {v: k for k, v in enumerate(d.arguments)}
        self._steps = tuple(map(self._step, parts, functions))
        rest = list(self._place)[len(d.arguments) :]
        self._constants = [v.data if isinstance(v, Constant) else None for v in rest]
        self._wanted = [(dtypes.numpy_dtype(v.dtype), v.ndim) for v in d.arguments]
        self._single = d.outputs.container == "single"

    def _step(self, part: Part, function: Any) -> Step:
        place = self._place
        inputs = tuple(place[v] for v in part.reads)
        told = tuple((place[t.value], t.axis) for t in part.told)
        outputs = () if part is self.parts[-1] else tuple(
            place.setdefault(v, len(place)) for v in part.gives)  # fmt: skip
        makers = []
        for n in part.makers:
            given = tuple(place.setdefault(v, len(place)) for v in n.inputs)
            makers.append((n.op.reference, given, place.setdefault(n.output, len(place))))
        return Step(function, inputs, told, outputs, tuple(makers))

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        d = self.definition
        memory: list[Any] = [] if keywords else laid_out(self._wanted, args)
        if not memory:
            memory = [*bind_arguments(d, *flat_arguments(d, args, keywords))]
        memory += self._constants
        found: Any = ()
        for run, inputs, told, outputs, makers in self._steps:
            given = [memory[k] for k in inputs]
            for k, axis in told:
                given.append(np.empty((memory[k].shape[axis], 0), np.bool_))
            found = run(*given)
            for k, value in zip(outputs, found, strict=False):
                memory[k] = value
            for reference, operands, k in makers:
                memory[k] = reference(*[memory[j] for j in operands])
        return found[0] if self._single else d.outputs.pack(found)
