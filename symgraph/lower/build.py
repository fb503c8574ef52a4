"""From an optimized tensor graph to a Program: buffers, kernels, calls, loops, in order.

    graph -> roots (partition) -> groups -> kernels (nests) -> steps

Outputs are written where the caller wants them. An update is written into its shared variable by
the kernel that makes it when nothing reads the old value later and nothing can fail any more;
otherwise it is copied there at the very end, so a failed call changes no state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Any

from symgraph.ir.graph import Apply, Constant, Graph, Input, Variable, creating_with, toposort
from symgraph.ir.types import Size, TensorType
from symgraph.loops.memory import owner_of, touched
from symgraph.loops.program import (
    Buffer,
    Call,
    Copy,
    Failure,
    Program,
    Require,
    Run,
    Step,
)
from symgraph.loops.statements import Kernel
from symgraph.lower import nests, own_checks
from symgraph.lower.groups import Group, Grouping
from symgraph.lower.partition import Inliner, Root
from symgraph.records import NamedTuple
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, as_size, load, postorder, substitute, var

if TYPE_CHECKING:
    from symgraph.lower import in_place
    from symgraph.lower import schedule as _schedule
else:
    in_place = Later("symgraph.lower.in_place")  # for functions with updates
    _schedule = Later("symgraph.lower.schedule")  # for programs with loops of our own


class Context(NamedTuple):
    """What the programs of one function share: kernels already made, also by what they were before
    their schedule, the large constants by number, and sizes known to be equal. ``device``: the
    programs are for a GPU; ``scatters``: the processor stores the lanes of a vector at places far
    apart in one instruction."""

    kernels: dict[Any, Kernel]
    runs: dict[Any, Kernel]
    constants: dict[Constant, int]
    equal: dict[Expr, Expr]
    scheduled: bool = True
    device: bool = False
    scatters: bool = False

    def simplify(self, size: Size) -> Size:
        """A size with every size that a check makes equal replaced by one of them."""
        if isinstance(size, int) or not self.equal:
            return size
        return as_size(substitute(size, self.equal))


def context(
    checks: Sequence[tuple[Size, Size, str]], constants: dict[Constant, int], scheduled: bool = True
) -> Context:
    """A fresh context; checks of the form ``name == size`` make ``name`` an alias of the size."""
    equal: dict[Expr, Expr] = {}
    for left, right, _ in checks:
        a, b = (substitute(as_expr(s), equal) for s in (left, right))
        if a is b:
            continue
        if a.op != "var":
            a, b = b, a
        if a.op == "var" and a not in set(postorder([b])):
            equal = {k: substitute(v, {a: b}) for k, v in equal.items()}
            equal[a] = b
    return Context({}, {}, constants, equal, scheduled)


class Builder:
    """Builds one Program; opaque ops (routines, scan, cond) add their steps through it."""

    def __init__(self, graph: Graph, name: str, shared: Sequence[Variable], ctx: Context) -> None:
        self.graph, self.name, self.ctx = graph, name, ctx
        self.buffers: dict[str, Buffer] = {}
        self.names: dict[Variable, str] = {}
        self.steps: dict[int, Step | Group | list[Step]] = {}
        self.grouping = Grouping()
        self.copies_first: list[Step] = []
        self.uses: dict[Variable, int] = {}
        self.inliner: Inliner | None = None
        self.own_checks: dict[Apply, Failure] = {}  # of nodes whose steps look at indices
        for k, v in enumerate(graph.inputs):
            self._declare(v, f"in{k}", "input", k)
        for k, v in enumerate(shared):
            self._declare(v, f"state{k}", "shared", k)

    # buffers --------------------------------------------------------------------------------------

    def _declare(self, v: Variable, name: str, role: str, position: int) -> str:
        self.names[v] = name
        self.add_buffer(name, v.type, role, position)
        return name

    def add_buffer(
        self, name: str, type: TensorType, role: str = "temp", position: int = 0, alias: str = ""
    ) -> str:
        """Add a buffer of this type."""
        shape = tuple(self.ctx.simplify(s) for s in type.shape)
        self.buffers[name] = Buffer(name, type.dtype, shape, role, position, alias)
        return name

    def buffer(self, v: Variable) -> str:
        """The buffer of a variable; made on first sight."""
        name = self.names.get(v)
        if name is not None:
            return name
        if isinstance(v, Constant):
            name = f"c{len(self.names)}"
            shape, large = v.data.shape, self.ctx.constants.get(v)
            data = v.data.tobytes() if large is None else None
            self.names[v] = name
            self.buffers[name] = Buffer(name, v.dtype, shape, "constant", large or 0, "", data)
            return name
        return self._declare(v, f"b{len(self.names)}", "temp", 0)

    def take_over(self, v: Variable, target: str) -> bool:
        """Let a step that changes ``v``, and is the only one to read it, do so in place: ``v`` is
        made in the memory of ``target``. False where ``v`` has memory of its own that must stay."""
        name = self.buffer(v)
        held = self.buffers[name]
        if held.role != "temp" or held.alias or self.uses.get(v) != 1 or v.owner is None:
            return False
        if held.shape != self.buffers[target].shape or owner_of(self.buffers, target) == name:
            return False
        self.buffers[name] = held._replace(alias=target)
        return True

    def element(self, v: Variable, indices: tuple[Expr, ...]) -> Expr:
        """An element of a variable, from its buffer, or from the one that it is a view of."""
        view = self.inliner.computes.get(v) if self.inliner is not None else None
        if view is None:
            return load(self.buffer(v), indices, v.dtype)
        return substitute(view.body[0], dict(zip(view.axes, indices, strict=True)))

    def needs_of(self, v: Variable) -> set[int]:
        """The steps that a view waits for."""
        return self.inliner.needs.get(v, set()) if self.inliner is not None else set()

    def scratch(self, type: TensorType) -> str:
        """A temporary of no variable."""
        name = f"t{len(self.buffers)}"
        return self.add_buffer(name, type)

    # steps ----------------------------------------------------------------------------------------

    def add_steps(
        self, reads: list[str], writes: list[str], steps: list[Step], needs: set[int]
    ) -> int:
        """Add opaque steps that belong together."""
        number = self.grouping.add_step(reads, writes, needs)
        self.steps[number] = steps
        return number

    def run(
        self, kernel: Kernel, buffers: Sequence[str], origins: tuple[Any, ...],
        rooms: Set[str] | None = frozenset(), follows: bool = False,
    ) -> Run:  # fmt: skip
        """A step that runs a kernel; equal kernels are one. A schedule may want more memory.
        ``rooms``, ``follows``: `schedule`'s."""
        given = (kernel.params, kernel.sizes, kernel.body, rooms, follows)
        found = self.ctx.runs.get(given)  # of a layer that is like this one
        if found is None:
            if self.ctx.scheduled:
                kernel = _schedule.schedule(kernel, rooms, follows)
            key = (kernel.params, kernel.sizes, kernel.body)
            kernel = kernel._replace(name=f"kernel{len(self.ctx.kernels)}")
            found = self.ctx.runs[given] = self.ctx.kernels.setdefault(key, kernel)
        for p in found.params[len(buffers) :]:
            buffers = (*buffers, self.scratch(TensorType(p.dtype, p.shape)))
        return Run(found, tuple(buffers), origins)

    def build(
        self, updates: Sequence[tuple[Variable, Variable]], realise: Callable[..., None]
    ) -> Program:
        """The whole Program. ``realise(builder, apply, needs)`` adds the steps of an opaque op."""
        requires = _requirements(self.graph, [v for _, v in updates])
        values = [*self.graph.outputs, *(v for _, v in updates)]
        self.own_checks = own_checks.take(toposort(values), values, requires, self.ctx)
        roots = [flag for flags in requires.values() for flag, _ in flags] + values
        whole = Graph(self.graph.inputs, roots)
        inliner = Inliner(whole, self.buffer, self._root, self.ctx.simplify, not self.ctx.device)
        self.inliner, self.uses = inliner, inliner.uses
        self._outputs(values)
        numbers: dict[Variable, int] = {}
        for apply in whole.toposort():
            needs = {
                self._require(flag, failure, numbers) for flag, failure in requires.get(apply, ())
            }
            if hasattr(apply.op, "lower"):
                inliner.visit(apply, needs)
            else:
                realise(self, apply, needs)
        steps = self._in_order(updates)
        outputs = tuple(b.name for b in sorted(
            (b for b in self.buffers.values() if b.role == "output"), key=lambda b: b.position
        ))  # fmt: skip
        inputs = tuple(self.names[v] for v in self.graph.inputs)
        used = {n for s in steps for n in touched(s)} | {*inputs, *outputs}
        used |= {name for n in used for name in self._names_of_memory(n)}
        kept = {n: b for n, b in self.buffers.items() if n in used or b.role in ("input", "shared")}
        return Program(self.name, inputs, outputs, kept, _sizes(kept, steps), (), tuple(steps))

    def _root(self, root: Root) -> None:
        number = self.grouping.add_root(root)
        self.steps.setdefault(number, self.grouping.groups[-1])

    def _require(self, flag: Variable, failure: Failure, numbers: dict[Variable, int]) -> int:
        if flag not in numbers:
            buffer = self.buffer(flag)
            numbers[flag] = self.add_steps([buffer], [], [Require(buffer, failure)], set())
        return numbers[flag]

    def _outputs(self, values: Sequence[Variable]) -> None:
        """Outputs that a step makes are made in the caller's memory, also where the caller gets
        another view of what the step makes; others are copied there."""
        for k, v in enumerate(self.graph.outputs):
            made = _viewed(v)
            own = made.owner is not None and (made is v or not _is_another_name(made.owner))
            if own and made not in self.names and v not in self.names:
                name = self._declare(v, f"out{k}", "output", k)
                if made is not v:
                    self.add_buffer(self.buffer(made), made.type, "temp", 0, alias=name)
            else:
                target = self.add_buffer(f"out{k}", v.type, "output", k)
                source = self.buffer(v)
                if v.owner is None:
                    self.copies_first.append(Copy(target, source))
                else:
                    self.steps[-1 - k] = Copy(target, source)  # placed after everything else

    # ordering and updates -------------------------------------------------------------------------

    def _in_order(self, updates: Sequence[tuple[Variable, Variable]]) -> list[Step]:
        order = self.grouping.order()
        late = [s for k, s in sorted(self.steps.items(), reverse=True) if k < 0]
        last: list[Step] = [*late]  # type: ignore[list-item]
        final: list[Step] = []
        sources = [self.buffer(value) for _, value in updates]
        made = self.buffers, self.grouping.owner, self.steps, order, sources
        over = in_place.InPlace(*made) if updates else None
        for k, (state, value) in enumerate(updates):
            target, source = self.names[state], sources[k]
            home = owner_of(self.buffers, source)
            if home == target:
                continue
            if self.buffers[home].role == "shared":  # which may be written before it is read
                held = self.scratch(value.type)
                last.append(Copy(held, source))
                source = held
            elif over is not None and over.allows(target, source):
                self.buffers[source] = self.buffers[source]._replace(alias=target)
                continue
            final.append(Copy(target, source))
        outside = self._read_outside([*last, *final])
        steps: list[Step] = list(self.copies_first)
        for number in order:
            item = self.steps[number]
            if isinstance(item, Group):
                steps += self._kernel(item, outside)
            else:
                steps += item  # type: ignore[arg-type]
        return [*steps, *last, *final]

    def _names_of_memory(self, name: str) -> list[str]:
        """The buffers whose memory a buffer shares, up to the one that owns it."""
        found = []
        while self.buffers[name].alias:
            name = self.buffers[name].alias
            found.append(name)
        return found

    def _read_outside(self, last: list[Step]) -> dict[str, set[int]]:
        """For each buffer the numbers of the groups and steps that read it (-1: at the end)."""
        readers: dict[str, set[int]] = {}
        for number, item in self.steps.items():
            if isinstance(item, Group):
                names = {b for m in item.members for b in m.sources}
            elif isinstance(item, list):
                names = {n for s in item for n in touched(s)}
            else:
                names = set(touched(item))
            for n in names:
                readers.setdefault(n, set()).add(number)
        for s in last:
            for n in touched(s):
                readers.setdefault(n, set()).add(-1)
        for b in self.buffers.values():
            if b.alias:  # read under another name
                readers.setdefault(b.alias, set()).add(-1)
        return readers

    def _kernel(self, group: Group, readers: dict[str, set[int]]) -> list[Step]:
        outside = set()
        for m in group.members:
            b = self.buffers[m.buffer]
            elsewhere = readers.get(m.buffer, set()) - {group.number}
            if b.role != "temp" or b.alias or elsewhere:
                outside.add(m.buffer)

        def of(name: str) -> tuple[str, tuple[Size, ...]]:
            return self.buffers[name].dtype, self.buffers[name].shape

        follows = self._follows_product(group)
        fresh = self._fresh(group) if follows else set()
        nest = nests.build(group, outside, fresh, of, "")
        for name, (dtype, shape) in nest.scratch.items():
            self.buffers[name] = Buffer(name, dtype, shape, "temp")
        origins = tuple(dict.fromkeys(o for m in group.members for o in m.origins))
        pairs = zip(nest.kernel.params, nest.buffers, strict=True)
        rooms = frozenset(p.name for p, buffer in pairs if buffer in nest.scratch)
        kept = rooms if self.ctx.scatters else None
        return [self.run(nest.kernel, nest.buffers, origins, kept, follows)]

    def _fresh(self, group: Group) -> set[str]:
        """What a group makes in memory that holds nothing before."""
        made = [self.buffers[m.buffer] for m in group.members]
        return {b.name for b in made if b.role in ("temp", "output") and not b.alias}

    def _follows_product(self, group: Group) -> bool:
        """Whether it reads a product, which may then run it on the rows that it has made: without
        scratch rows, which threads must not share (`epilogues.py`). Elsewhere these are quicker."""
        makers = [self.steps.get(self.grouping.owner.get(b, -1)) for b in group.sources]
        steps = [s for made in makers if isinstance(made, list) for s in made]
        return not self.ctx.device and any(
            isinstance(s, Call) and s.routine == "matmul" for s in steps
        )


def _viewed(v: Variable) -> Variable:
    """What a variable is a view of: itself, where it is none."""
    while v.owner is not None and _is_alias(v.owner):
        v = v.owner.inputs[0]
    return v


def _is_alias(apply: Apply) -> bool:
    routine = getattr(apply.op, "extern", None)
    return routine is not None and apply.op.name == "reshape"


def _is_another_name(apply: Apply) -> bool:
    """Whether the result is the memory of an operand under another name."""
    routine = getattr(apply.op, "extern", None)
    return routine is not None and routine(*(v.type for v in apply.inputs)).name == "barrier"


def _requirements(
    graph: Graph, updates: Sequence[Variable]
) -> dict[Apply, list[tuple[Variable, Failure]]]:
    """The run-time conditions of the nodes, those of producers first."""
    found: dict[Apply, list[tuple[Variable, Failure]]] = {}
    for apply in toposort([*graph.outputs, *updates]):
        requires = getattr(apply.op, "requires", None)
        if requires is not None:
            with creating_with(apply.origins):  # a check belongs to the line that it checks
                conditions = requires(*apply.inputs)
            found[apply] = [
                (flag, Failure(code, what, hint, apply.origins))
                for flag, code, what, hint in conditions
            ]
    return found


def _sizes(buffers: dict[str, Buffer], steps: Sequence[Step]) -> tuple[str, ...]:
    exprs = [s for b in buffers.values() for s in b.shape if isinstance(s, Expr)]
    names = {e.attr: None for e in postorder(exprs) if e.op == "var"}
    for s in steps:
        if isinstance(s, Run):
            names.update(dict.fromkeys(s.kernel.sizes))
        for n in ("body", "then", "otherwise"):
            inner = getattr(s, n, None)
            if isinstance(inner, Program):
                names.update(dict.fromkeys(inner.sizes))
        length = getattr(s, "length", None)
        if isinstance(length, Expr):
            names.update({e.attr: None for e in postorder([length]) if e.op == "var"})
    return tuple(names)


def input_sizes(inputs: Sequence[Variable | Input]) -> list[Expr]:
    """The size names that the inputs bind, in order of first sight."""
    found: dict[Expr, None] = {}
    for v in inputs:
        for s in v.shape:
            if isinstance(s, Expr) and s.op == "var":
                found[s] = None
    return [var(s.attr) for s in found]
