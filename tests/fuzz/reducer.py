"""From a failing case to the smallest one that fails in the same way: fewer outputs, nodes, calls,
shared variables and elements, simpler values."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import symgraph as sg
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Constant, Graph, Variable, apply, constant, rebuild, toposort
from symgraph.ir.shared import Shared
from symgraph.scalar import Expr
from tests.fuzz.case import Case, definition
from tests.fuzz.layouts import plain
from tests.fuzz.measuring import Undefined, World

Fails = Callable[[Case], bool]
SECONDS = 30  # one try; what takes longer hangs


def isolated(check: Callable[[Case], str], case: Case) -> str:
    """What the check says, from a process of its own: it may crash or hang."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        try:
            text = check(case)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return said


def kind_of(problem: str) -> str:
    """What two failures must share to count as the same: the way and the sort of difference."""
    way, _, rest = problem.partition(":")
    sort = "error" if "error" in rest[:8] else "value" if rest.startswith(" value") else rest[:25]
    return f"{way.removeprefix('compiled ')}:{sort}" if rest else way


def reduced(case: Case, check: Callable[[Case], str], patience: int = 600) -> tuple[Case, str]:
    """The smallest case found and what it shows."""
    problem = isolated(check, case)
    wanted = kind_of(problem)
    tries = 0
    again = True
    while again and tries < patience:
        again = False
        for steps in STEPS:
            for smaller in _guarded(steps, case):
                tries += 1
                said = isolated(check, smaller)
                if said and kind_of(said) == wanted:
                    case, problem, again = smaller, said, True
                    break
                if tries >= patience:
                    return case, problem
            if again:
                break
    return case, problem


def _guarded(steps: Callable[[Case], Iterator[Case]], case: Case) -> Iterator[Case]:
    found = steps(case)
    while True:
        try:
            smaller = next(found)
        except StopIteration:
            return
        except (SymgraphError, Undefined, ValueError, TypeError):
            return
        yield smaller


def cleaned(case: Case) -> Case:
    """Without the inputs that nothing reads."""
    leaves = set(Graph((), [*case.outputs, *(v for _, v in case.updates)]).leaves())
    told = _sizes(case, leaves)
    keep = [k for k, x in enumerate(case.inputs) if x in leaves or _alone(x, told)]
    return case._replace(
        inputs=[case.inputs[k] for k in keep], calls=[[c[k] for k in keep] for c in case.calls]
    )


def _sizes(case: Case, leaves: set[Variable]) -> set[str]:
    """Names of sizes that some leaf that stays tells."""
    return {str(s) for v in leaves for s in v.shape if isinstance(s, Expr)}


def _alone(x: Variable, told: set[str]) -> bool:
    return any(isinstance(s, Expr) and str(s) not in told for s in x.shape)


# steps --------------------------------------------------------------------------------------------


def fewer_outputs(case: Case) -> Iterator[Case]:
    for v in case.outputs if len(case.outputs) > 1 else ():
        yield cleaned(case._replace(outputs=[v], updates=[]))
    for k in range(len(case.outputs)):
        if len(case.outputs) + len(case.updates) > 1:
            yield cleaned(case._replace(outputs=case.outputs[:k] + case.outputs[k + 1 :]))
    for k in range(len(case.updates)):
        yield cleaned(case._replace(updates=case.updates[:k] + case.updates[k + 1 :]))


def fewer_calls(case: Case) -> Iterator[Case]:
    for arrays in case.calls if len(case.calls) > 1 else ():
        yield case._replace(calls=[arrays])
    if any(not a.flags.c_contiguous for c in case.calls for a in c):
        yield case._replace(calls=[[plain(a) for a in c] for c in case.calls])


def _ends(case: Case) -> list[Variable]:
    return [*case.outputs, *(v for _, v in case.updates)]


def _with_ends(case: Case, ends: list[Variable]) -> Case:
    count = len(case.outputs)
    pairs = zip((s for s, _ in case.updates), ends[count:], strict=True)
    return cleaned(case._replace(outputs=ends[:count], updates=list(pairs)))


def operands_as_outputs(case: Case) -> Iterator[Case]:
    for k, v in enumerate(case.outputs):
        if v.owner is not None:
            for i in v.owner.inputs:
                yield cleaned(case._replace(outputs=[*case.outputs[:k], i, *case.outputs[k + 1 :]]))


def cut_nodes(case: Case) -> Iterator[Case]:
    """The result of a node becomes an input or one of its operands; those near the outputs first
    in halves, so that large graphs shrink fast."""
    if len(case.calls) > 1:
        return
    order = toposort(_ends(case))
    world = _world(case)
    for node in reversed(order[:-1] if len(order) > 1 else order):
        for v in node.outputs:
            for w in node.inputs:
                if w.type == v.type:
                    yield _with_ends(case, rebuild(_ends(case), {v: w}))
        yield _as_inputs(case, world, node.outputs)


def _world(case: Case) -> World:
    d = definition(case)
    pairs = dict(zip(case.inputs, case.calls[0], strict=True))
    pairs.update({s: s.get_value() for s in d.shared})
    env: dict[str, int] = {}
    for v, a in pairs.items():
        env.update(
            {str(s): n for s, n in zip(v.shape, a.shape, strict=True) if isinstance(s, Expr)}
        )
    return World(pairs, env)


def _as_inputs(case: Case, world: World, values: tuple[Variable, ...]) -> Case:
    inputs, arrays, mapping = list(case.inputs), list(case.calls[0]), {}
    for v in values:
        array = world.value(v)
        names = [str(s) if isinstance(s, Expr) and s.op == "var" else n
                 for s, n in zip(v.shape, array.shape, strict=True)]  # fmt: skip
        x = sg.tensor(f"y{len(inputs)}", v.dtype, tuple(names))
        mapping[v] = x
        inputs.append(x)
        arrays.append(plain(array))
    new = case._replace(inputs=inputs, calls=[arrays])
    return _with_ends(new, rebuild(_ends(case), mapping))


def shared_as_inputs(case: Case) -> Iterator[Case]:
    if len(case.calls) > 1:
        return
    for s in definition(case).shared:
        if s not in [t for t, _ in case.updates]:
            yield _as_inputs(case, World({s: s.get_value()}, {}), (s,))


def smaller_bodies(case: Case) -> Iterator[Case]:
    """Results inside of loops and branches become operands of the same type."""
    for node in reversed(toposort(_ends(case))):
        for name in node.op.fields:
            graph = getattr(node.op, name)
            if not isinstance(graph, Graph):
                continue
            for inner in reversed(graph.toposort()):
                for v in inner.outputs:
                    others = [*inner.inputs, *graph.inputs, *_zeros(v)]
                    for w in others:
                        if w.type == v.type and w is not v:
                            ends = rebuild(graph.outputs, {v: w})
                            op = node.op.replace(**{name: Graph(graph.inputs, ends)})
                            fresh = apply(op, node.inputs)
                            mapping = dict(zip(node.outputs, fresh.outputs, strict=True))
                            yield _with_ends(case, rebuild(_ends(case), mapping))


def _zeros(v: Variable) -> list[Variable]:
    if all(isinstance(s, int) for s in v.shape):
        return [constant(np.zeros(v.shape), v.dtype), constant(np.ones(v.shape), v.dtype)]
    return []


def smaller_sizes(case: Case) -> Iterator[Case]:
    d = definition(case)
    if any(isinstance(s, Expr) for v in d.shared for s in v.shape):
        return
    names = dict.fromkeys(str(s) for x in case.inputs for s in x.shape if isinstance(s, Expr))
    for name in names:
        for n in (0, 1, 2, 3, 5):
            calls = [[_cut(x, a, name, n) for x, a in zip(case.inputs, c, strict=True)]
                     for c in case.calls]  # fmt: skip
            if sum(a.size for c in calls for a in c) < sum(a.size for c in case.calls for a in c):
                yield case._replace(calls=calls)


def _cut(x: Variable, a: np.ndarray, name: str, n: int) -> np.ndarray:
    return a[tuple(slice(n) if str(s) == name else slice(None) for s in x.shape)]


def simpler_values(case: Case) -> Iterator[Case]:
    for c, arrays in enumerate(case.calls):
        for k, a in enumerate(arrays):
            for b in _simpler(a):
                new = [*arrays[:k], b, *arrays[k + 1 :]]
                yield case._replace(calls=[*case.calls[:c], new, *case.calls[c + 1 :]])


def _simpler(a: np.ndarray) -> Iterator[np.ndarray]:
    if not a.size or (a == a.flat[0]).all():
        return
    yield np.zeros_like(a)
    yield np.ones_like(a)
    if a.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            whole = np.rint(a).astype(a.dtype)
        if whole.tobytes() != plain(a).tobytes():
            yield whole


def simpler_constants(case: Case) -> Iterator[Case]:
    leaves = Graph((), _ends(case)).leaves()
    for v in leaves:
        if isinstance(v, Constant) and not isinstance(v, Shared):
            for b in _simpler(v.data):
                yield _with_ends(case, rebuild(_ends(case), {v: constant(b, v.dtype)}))


STEPS: tuple[Callable[[Case], Iterator[Any]], ...] = (
    fewer_outputs, fewer_calls, operands_as_outputs, shared_as_inputs, cut_nodes, smaller_bodies,
    smaller_sizes, simpler_values, simpler_constants,
)  # fmt: skip
