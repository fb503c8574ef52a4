"""Native values, kernel by kernel, against the interpreter of the same graph.

The optimized graph is compiled once more with everything that it keeps in memory among its
outputs: what each kernel, routine and loop makes. Each is compared with what the references make
of the native values that it reads, so that a difference is found where it arises. In a wrong
kernel each op is compiled alone; a wrong loop is taken apart in the same way, turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import stages
from symgraph.checking.noise import (
    INSIDE,
    Memory,
    Noisy,
    Piece,
    aligned,
    at,
    element,
    moves,
    near,
    operand,
    piece,
    within,
    worst,
)
from symgraph.errors import DebugError
from symgraph.function import Definition
from symgraph.ir.graph import Apply, Graph, Input, Variable, apply, toposort
from symgraph.ir.interpret import Env, bind_sizes
from symgraph.ir.resizing import moved, resized, retyped
from symgraph.ir.shared import Shared
from symgraph.loops.memory import touched
from symgraph.loops.program import Call, Program, Run
from symgraph.lower.build import Builder
from symgraph.lower.groups import Group
from symgraph.lower.widening import widen_routines
from symgraph.scalar import as_expr, var
from symgraph.structure import Structure

Native = Callable[[Definition], Callable[..., Any]]


class KernelCheck:
    """The program of an optimized graph; ``native`` compiles a definition."""

    def __init__(self, d: Definition, optimized: Graph, native: Native) -> None:
        self.native, self.d = native, d
        self.graph = widen_routines(optimized)
        self.order = toposort(self.graph.outputs)
        builder, program = stages.planned(d, self.graph)
        inside = {o for n in self.order for o in n.outputs}
        made = builder.grouping.owner  # others are part of the expression of a consumer
        self.names = {v: n for v, n in builder.names.items() if n in made and v in inside}
        self.held = [v for v in self.names]
        self.makers = {name: _maker(builder, program, name) for name in self.names.values()}
        self.known = set(self.held)
        self.probe: Callable[..., Any] | None = None

    def __call__(self, arrays: Sequence[np.ndarray], state: Mapping[Shared, np.ndarray]) -> None:
        """Raises DebugError for the first kernel, routine or loop whose values are wrong."""
        if not self.held:
            return
        if self.probe is None:
            graph = Graph(self.graph.inputs, self.held)
            options = {**self.d.options, "mode": "probe"}
            self.probe = self.native(self.d._replace(
                graph=graph, updates=(), inputs=Structure(list(graph.inputs)),
                outputs=Structure(list(self.held)), options=options,
            ))  # fmt: skip
        natives = dict(zip(self.held, self.probe(*arrays), strict=True))
        env: Env = {}
        given = zip(self.graph.inputs, arrays, strict=True)
        memory: Memory = dict(given)
        bind_sizes([*memory.items(), *state.items()], env)
        machine = Noisy(state)
        for node in self.order:
            results = machine.step(node, memory, env)
            for v, expected in zip(node.outputs, results, strict=True):
                got = natives.get(v)
                if got is not None:
                    self.compare(v, expected, got, memory, state, env)
                memory[v] = expected if got is None else got

    def compare(
        self, v: Variable, expected: np.ndarray, got: np.ndarray, memory: Memory,
        state: Mapping[Shared, np.ndarray], env: Env,
    ) -> None:  # fmt: skip
        """Raises DebugError when the native value is farther off than rounding may bring it."""
        if expected.shape != got.shape:
            raise self.error(v, f"has the shape {got.shape}, not {expected.shape}", ())
        got = aligned(v, expected, got)
        good = near(expected, got)
        if good.all():
            return
        part = piece(v, self.order, lambda x: x.owner is None or x in self.known)
        machine = Noisy(state)
        given = {x: machine.value(x, memory) for x in part.given}
        good |= within(expected, got, moves(part, state, given, env, INSIDE))
        if good.all():
            return
        assert v.owner is not None
        if hasattr(v.owner.op, "inner"):
            self.look_inside(v.owner, given, state, env)
        elif len(part.nodes) > 1:
            self.op_by_op(part, given, state, env)
        raise self.wrong(v, good, expected, got, given, part)

    def wrong(
        self, v: Variable, good: np.ndarray, expected: np.ndarray, got: np.ndarray,
        given: Memory, part: Piece,
    ) -> DebugError:  # fmt: skip
        k = worst(good, expected, got)
        rows = [operand(x, a, k, got.shape) for x, a in given.items()]
        new = f"{element(got, k)}{at(k)} in compiled code, {element(expected, k)} by the references"
        return self.error(v, f"is {new}", rows, part)

    def op_by_op(
        self, part: Piece, given: Memory, state: Mapping[Shared, np.ndarray], env: Env
    ) -> None:
        """Compile the ops of a wrong kernel one by one; raises DebugError for the first of them
        that is wrong by itself."""
        memory, machine = dict(given), Noisy(state)
        for node in part.nodes:
            results = machine.step(node, memory, env)
            inputs = {v: machine.value(v, memory) for v in node.inputs}
            memory.update(zip(node.outputs, results, strict=True))
            if hasattr(node.op, "inner"):
                continue
            alone = _alone(self.d, node, inputs, env)
            for v, expected, got in zip(
                node.outputs, results, self.native(alone)(*inputs.values()), strict=True
            ):
                got = aligned(v, expected, got)
                good = near(expected, got)
                if not good.all():
                    one = Piece(v, (node,), tuple(inputs))
                    good |= within(expected, got, moves(one, state, inputs, env, INSIDE))
                if not good.all():
                    self.names[v] = self.names[part.target]
                    raise self.wrong(v, good, expected, got, inputs, one)

    def error(
        self, v: Variable, what: str, operands: Sequence[Any], part: Piece | None = None
    ) -> DebugError:
        nodes = part.nodes if part is not None else ()
        lines = dict.fromkeys(
            f"{n.op.name} ({n.origins[0].brief()})" if n.origins else n.op.name for n in nodes
        )
        return DebugError(
            f"{v.label()} {what}: {self.makers[self.names[v]]} computes {', '.join(lines)}",
            origin=v.origin,
            operands=operands,
            hint='this is a mistake in symgraph, please report it; mode="interpret" avoids it',
        )

    def look_inside(
        self, node: Apply, memory: Memory, state: Mapping[Shared, np.ndarray], env: Env
    ) -> None:
        """Check the graphs inside a node at every turn; raises DebugError naming the turn."""
        machine = _Turns(state, self)
        machine.step(node, memory, dict(env))


class _Turns(Noisy):
    """The interpreter that checks the compiled form of every graph that a node runs."""

    def __init__(self, state: Mapping[Shared, np.ndarray], above: KernelCheck) -> None:
        super().__init__(state)
        self.above = above
        self.found: dict[Any, KernelCheck] = {}
        self.turns: dict[Graph, int] = {}
        self.depth = 0

    def run(self, graph: Graph, arrays: Sequence[np.ndarray], env: Env) -> list[np.ndarray]:
        if self.depth:  # a loop within the loop is looked at when it is found to be wrong
            return super().run(graph, arrays, env)
        turn = self.turns[graph] = self.turns.get(graph, -1) + 1
        key = graph, tuple(env.items())
        if key not in self.found:
            self.found[key] = _of_body(self.above, graph, env)
        try:
            self.found[key](arrays, self.state)
        except DebugError as error:
            error.what += f" (step {turn} of what it stands in)"
            raise
        self.depth += 1
        try:
            return super().run(graph, arrays, env)
        finally:
            self.depth -= 1


def _of_body(above: KernelCheck, graph: Graph, env: Env) -> KernelCheck:
    """The check of a graph inside a node, written with the sizes of the present call."""
    sizes = _numbers(env)
    inputs = [Input(retyped(v.type, sizes), v.name) for v in graph.inputs]
    new: dict[Variable, Variable] = dict(zip(graph.inputs, inputs, strict=True))
    body = Graph(inputs, moved(graph.toposort(), graph.outputs, new, sizes))
    d = above.d._replace(
        name=f"{above.d.name} inside", graph=body, updates=(), checks=(),
        shared=tuple(v for v in body.leaves() if isinstance(v, Shared)),
        inputs=Structure(list(inputs)), outputs=Structure(list(body.outputs)),
        options={"mode": "probe"},
    )  # fmt: skip
    return KernelCheck(d, body, above.native)


def _alone(d: Definition, node: Apply, values: Memory, env: Env) -> Definition:
    """One node as a definition of its own, with the sizes of the present call."""
    inputs = [Input(retyped(v.type, _numbers(env)), v.name) for v in values]
    own = dict(zip(values, inputs, strict=True))
    fresh = apply(resized(node.op, _numbers(env)), [own[v] for v in node.inputs], node.origins)
    return d._replace(
        name=f"{d.name} {node.op.name}", graph=Graph(inputs, fresh.outputs), updates=(), shared=(),
        checks=(), inputs=Structure(list(inputs)), outputs=Structure(list(fresh.outputs)),
        options={"mode": "probe"},
    )  # fmt: skip


def _numbers(env: Env) -> dict[Any, Any]:
    """The sizes of a call in the place of their names."""
    return {var(name): as_expr(n) for name, n in env.items()}


def _maker(builder: Builder, program: Program, name: str) -> str:
    """What writes a buffer, the first step that touches it, or, for a value that never leaves its
    kernel, another that this makes."""
    group = builder.steps.get(builder.grouping.owner.get(name, -1))
    names = {m.buffer for m in group.members} if isinstance(group, Group) else {name}
    for step in program.steps:
        if not names.isdisjoint(touched(step)):
            if isinstance(step, Run):
                return step.kernel.name
            return f"the routine {step.routine}" if isinstance(step, Call) else "the loop"
    return "the code"
