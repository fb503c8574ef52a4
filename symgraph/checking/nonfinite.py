"""mode="nan": compiled code whose NaN and infinities are traced back to where they began.

A call runs native code and looks at its results once. When one of them is not finite the optimized
graph is interpreted on the same arrays, keeping what every op with a result that is not finite
read and made. From the bad element the trace goes back through operands that are not finite, into
the step of a loop where that began, to an op whose operands are finite. New values of shared
variables are outputs of the native code here, and are stored when all results are finite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes, stages
from symgraph.checking.noise import Noisy, at, element, operand, own_index
from symgraph.errors import NonFiniteError, SymgraphError
from symgraph.function import (
    Compiled,
    Definition,
    bind_arguments,
    check_updates,
    flat_arguments,
)
from symgraph.function import bind_sizes as sizes_of
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Constant, Graph, Variable
from symgraph.ir.interpret import Env, bind_sizes
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared
from symgraph.records import NamedTuple
from symgraph.structure import Structure

Index = tuple[int, ...]


def flattened(d: Definition) -> Definition:
    """The definition with the updates among its outputs, without nests."""
    return d._replace(
        updates=(), inputs=Structure(list(d.arguments)), outputs=Structure(list(d.graph.outputs))
    )


class NanFunction(Compiled):
    """What ``compile(..., mode="nan")`` returns; ``native`` is the function of `flattened`."""

    def __init__(self, d: Definition, native: Callable[..., Any]) -> None:
        self.definition, self.native = d, native
        self.statistics = native.statistics  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        d = self.definition
        flat, named = flat_arguments(d, args, keywords)
        values = self.native(*flat, **named)
        for k, value in enumerate(values):
            if not is_finite(value):
                raise self.found(k, value, bind_arguments(d, flat, named))
        count = len(values) - len(d.updates)
        for s, value in zip(d.updates, values[count:], strict=True):
            if value.shape != s.get_value(borrow=True).shape:
                check_updates(d, sizes_of(d, bind_arguments(d, flat, named)))
        for s, value in zip(d.updates, values[count:], strict=True):
            s.set_value(value)
        return d.outputs.pack(values[:count])

    def found(self, k: int, value: np.ndarray, arrays: Sequence[np.ndarray]) -> NonFiniteError:
        """The error for output ``k``, at the line where its bad element began."""
        d = self.definition
        count = len(d.graph.outputs) - len(d.updates)
        where = f"output {k}" if count > 1 else "the output"
        where = where if k < count else f"the update of {d.updates[k - count].label()}"
        state = {s: s.get_value(borrow=True) for s in d.shared}
        flat = flattened(d)
        graphs = [d.graph] if made_sizes.in_graph(d.graph) else [
            stages.optimized_graph(flat), d.graph]  # fmt: skip
        for graph in graphs:  # rules may have repaired it, or native code only does it
            start = _traced(graph, arrays, state, k)
            if start is not None:
                return _error(d.name, where, value, start)
        v = d.graph.outputs[k]
        place = first_bad(np.asarray(value))
        return NonFiniteError(
            f"{d.name}: {where} is {element(np.asarray(value), place)}{at(place)} in compiled code "
            "but not in the interpreter",
            origin=v.origin,
            hint='mode="debug" finds the kernel',
        )


def is_finite(value: Any) -> bool:
    """Whether all elements are finite; one pass, without memory for most arrays."""
    array = np.asarray(value)
    if array.dtype.kind not in "fc" and not dtypes.is_narrow(str(array.dtype)):
        return True
    with np.errstate(all="ignore"):
        if array.dtype.kind != "V" and np.isfinite(array.sum()):
            return True
        return bool(np.isfinite(_plain(array)).all())


def first_bad(array: np.ndarray) -> Index:
    """The index of the first NaN, or of the first infinity where there is no NaN."""
    plain = _plain(array)
    bad = np.isnan(plain)
    if not bad.any():
        bad = ~np.isfinite(plain)
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(bad)), bad.shape))


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype("float32") if dtypes.is_narrow(str(array.dtype)) else array


def _is_bad(array: np.ndarray) -> bool:
    return array.size > 0 and not is_finite(array)


def _is_nan(array: np.ndarray, index: Index) -> bool:
    return bool(np.isnan(_plain(array)[index]))


# recording ----------------------------------------------------------------------------------------


class Frame:
    """One run of a graph: what nodes with a bad result read and made, and the first bad run of
    each graph inside them with its number."""

    def __init__(self, graph: Graph, arrays: Sequence[np.ndarray]) -> None:
        self.graph, self.arrays = graph, arrays
        self.outputs: Sequence[np.ndarray] = ()
        self.made: dict[Apply, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        self.inside: dict[Apply, tuple[int, Frame]] = {}


class _Recorder(Noisy):
    """The interpreter that keeps frames."""

    def __init__(self, state: Mapping[Shared, np.ndarray]) -> None:
        super().__init__(state)
        self.open: list[Frame] = []
        self.runs: list[tuple[dict[Graph, int], list[tuple[int, Frame]]]] = []

    def run(self, graph: Graph, arrays: Sequence[np.ndarray], env: Env) -> list[np.ndarray]:
        frame = Frame(graph, arrays)
        self.open.append(frame)
        try:
            frame.outputs = super().run(graph, arrays, env)
        finally:
            self.open.pop()
        if self.runs:
            turns, bad = self.runs[-1]
            number = turns[graph] = turns.get(graph, -1) + 1
            if not bad and any(map(_is_bad, frame.outputs)):
                bad.append((number, frame))
        self.last = frame
        return list(frame.outputs)

    def _apply(self, node: Apply, op: Op, inputs: list[np.ndarray], env: Env) -> list[np.ndarray]:
        frame = self.open[-1]
        self.runs.append(({}, []))
        try:
            results = super()._apply(node, op, inputs, env)
        finally:
            _, bad = self.runs.pop()
        if any(map(_is_bad, results)):
            frame.made[node] = inputs, results
            if bad:
                frame.inside[node] = bad[0]
        return results


# tracing ------------------------------------------------------------------------------------------


class Start(NamedTuple):
    """Where a bad value began: a variable, its element, and its operands; none for a leaf.

    ``steps`` are the numbers of the steps of the loops around it, from 0, ``later`` the op that
    made NaN of an infinity that began here.
    """

    variable: Variable
    value: np.ndarray
    place: Index
    operands: Sequence[np.ndarray]
    steps: tuple[int, ...] = ()
    later: Apply | None = None


def _traced(
    graph: Graph, arrays: Sequence[np.ndarray], state: Mapping[Shared, np.ndarray], k: int
) -> Start | None:
    """Where the bad elements of output ``k`` began; None where the interpreter makes none."""
    recorder = _Recorder(state)
    env: Env = {}
    bind_sizes([*zip(graph.inputs, arrays, strict=True), *state.items()], env)
    try:
        with np.errstate(all="ignore"):
            recorder.run(graph, arrays, env)
    except SymgraphError:  # a condition that native code met before
        return None
    frame = recorder.last
    value = frame.outputs[k]
    if not _is_bad(value):
        return None
    return _Trace(state).back(frame, graph.outputs[k], first_bad(value))


class _Trace:
    def __init__(self, state: Mapping[Shared, np.ndarray]) -> None:
        self.state = state

    def back(self, frame: Frame, v: Variable, index: Index) -> Start:
        """From an element that is not finite to where that began."""
        birth: Start | None = None  # the op that made NaN of an infinity
        while True:
            node = v.owner
            if node is None:
                leaf = Start(v, self.leaf(frame, v), index, ())
                return birth if birth is not None and isinstance(v, Constant) else leaf
            inputs, results = frame.made[node]
            value = results[v.index]
            inner = frame.inside.get(node)
            if inner is not None:
                start = self.inside(*inner, loop=node.op.name in ("scan", "while"))
                if start.operands or start.variable.owner is not None:
                    return start if birth is None else start._replace(later=birth.variable.owner)
            found = _followed(node, inputs, value, index, nan=_is_nan(value, index))
            if found is None:
                start = Start(v, value, index, inputs)
                later = birth.variable.owner if birth is not None else None
                return start._replace(later=later)
            k, place = found
            if _is_nan(value, index) and not _is_nan(inputs[k], place):
                birth = Start(v, value, index, inputs)
            v, index = node.inputs[k], place

    def inside(self, number: int, frame: Frame, loop: bool) -> Start:
        """Where the first bad output of an inner run began."""
        bad = [k for k, a in enumerate(frame.outputs) if _is_bad(a)]
        nans = [k for k in bad if _is_nan(frame.outputs[k], first_bad(frame.outputs[k]))]
        k = (nans or bad)[0]
        start = self.back(frame, frame.graph.outputs[k], first_bad(frame.outputs[k]))
        return start._replace(steps=(number, *start.steps) if loop else start.steps)

    def leaf(self, frame: Frame, v: Variable) -> np.ndarray:
        for own, array in zip(frame.graph.inputs, frame.arrays, strict=True):
            if own is v:
                return array
        return v.data if isinstance(v, Constant) else self.state[v]  # type: ignore[index]


def _followed(
    node: Apply, inputs: Sequence[np.ndarray], value: np.ndarray, index: Index, nan: bool
) -> tuple[int, Index] | None:
    """The operand, and its element, that made a result bad: NaN before infinities."""
    places: list[tuple[int, Index]] = []
    for k, a in enumerate(inputs):
        if node.op.name == "where" and k == (2 if inputs[0][_at(inputs[0], index, value)] else 1):
            continue
        place = own_index(a.shape, index, value.shape) if node.op.elementwise else None
        if place is not None:
            if a.dtype.kind in "fcV" and not np.isfinite(_plain(a)[place]):
                places.append((k, place))
        elif _is_bad(a):
            places.append((k, first_bad(a)))
    nans = [(k, p) for k, p in places if _is_nan(inputs[k], p)]
    return next(iter([*nans, *places] if nan else [*places]), None)


def _at(array: np.ndarray, index: Index, value: np.ndarray) -> Index:
    return own_index(array.shape, index, value.shape) or ()


# words --------------------------------------------------------------------------------------------


def _error(name: str, where: str, value: np.ndarray, start: Start) -> NonFiniteError:
    v, array = start.variable, np.asarray(start.value)
    bad = element(array, start.place) + at(start.place)
    inside = f" in step {', '.join(map(str, start.steps))} of the loop" if start.steps else ""
    place = first_bad(np.asarray(value))
    then = f"{where} is {element(np.asarray(value), place)}{at(place)}"
    if v.owner is None:
        kind = "shared variable" if isinstance(v, Shared) else "input"
        kind = "constant" if isinstance(v, Constant) else kind
        return NonFiniteError(
            f"{name}: the {kind} {v.label()} holds {bad}; {then}",
            origin=v.origin,
            operands=[operand(v, array, start.place, array.shape)],
        )
    if start.later is not None:
        brief = f" ({start.later.origins[0].brief()})" if start.later.origins else ""
        then = f"{start.later.op.name}{brief} makes NaN of it; {then}"
    finite = "of finite operands" if not any(map(_is_bad, start.operands)) else ""
    what = f"{name}: {v.owner.op.name} makes {bad} {finite}".rstrip()
    rows = zip(v.owner.inputs, start.operands, strict=True)
    return NonFiniteError(
        f"{what}{inside}; {then}",
        origin=v.owner.origins[0] if v.owner.origins else v.origin,
        operands=[operand(i, a, start.place, array.shape) for i, a in rows],
        hint="where the operation is meant to be undefined, keep such operands away with sg.where",
    )
