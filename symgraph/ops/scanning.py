"""scan: loops over sequences with Theano's meaning, taps included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from symgraph.errors import ArgumentError, DTypeError, RankError, ShapeError
from symgraph.ir.graph import Graph, Input, Variable, constant
from symgraph.ir.types import Size, TensorType
from symgraph.ops.control import Cond, Scan, close_over, results
from symgraph.ops.data_sizes import size_from
from symgraph.ops.indexing import getitem
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.operands import as_variable, traced
from symgraph.ops.shape import as_shape, reshape
from symgraph.ops.slicing import zeros
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.sizes import smaller

__all__ = ["scan", "until"]


class _State(NamedTuple):
    """A recurrent output: ``initial[k]`` is its value k + 1 steps before the first; the step reads
    ``taps``; ``depth`` earlier values are carried."""

    name: str
    initial: tuple[Variable, ...]
    taps: tuple[int, ...]


def scan(
    step: Callable[..., Any], sequences: Any = None, outputs_info: Any = None,
    non_sequences: Any = None, n_steps: Any = None, go_backwards: bool = False,
    truncate_gradient: int = -1, checkpoint: int | bool = False, cut: bool = False,
) -> Any:  # fmt: skip
    """A loop: ``step`` is called once, symbolically, and runs for every row of the sequences.

    ``step(*rows, *previous, *non_sequences)`` returns the new outputs. ``sequences`` are tensors,
    or ``dict(input=x, taps=[-1, 0])`` for rows at offsets from t. ``outputs_info`` has an entry for
    each output: None when the step does not read it, its initial value, or ``dict(initial=rows,
    taps=[-2, -1])`` with as many initial rows as the oldest tap is steps back. Variables that the
    step uses without being given them are found. ``n_steps`` is needed when there are no sequences.

    ``truncate_gradient=k`` lets derivatives run back through the last k steps only.
    ``checkpoint=k`` keeps the state of every k-th step for the derivative, which computes the
    others again (k about the root of the number of steps, or True for that: Griewank 1992).

    Returns every output with a leading axis over the steps: a list, or the tensor when there is
    one. A step may return ``(outputs, sg.until(condition))``; then the result is ``(outputs,
    count)``, the rows from ``count`` on being zeros, or with ``cut`` only the first ``count`` rows:
    see :func:`until`.
    Raises DTypeError or ShapeError when an output differs from its initial value.

    >>> import symgraph as sg
    >>> sg.scan(lambda x, s: s + x, [sg.arange(4)], [sg.constant(0)]).eval().tolist()
    [0, 1, 3, 6]
    """
    named = _rows(sequences, go_backwards)
    length = _length([r for _, r in named], n_steps)
    rows = [_first_rows(r, length, n_steps is not None) for _, r in named]
    inputs = [Input(r.type.with_shape(r.shape[1:]), name) for name, r in named]
    states = [_state(info, k) for k, info in enumerate(_as_list(outputs_info))]
    carried = [[Input(v.type, _tap_name(s.name, k)) for k, v in enumerate(s.initial)] if s else []
               for s in states]  # fmt: skip
    taps = [c[-1 - t] for s, c in zip(states, carried, strict=True) if s for t in s.taps]
    fixed = [as_variable(v) for v in _as_list(non_sequences)]
    returned = traced(step, [*inputs, *taps, *fixed], "scan: the step")
    returned, stop = _stopping(returned)
    single = not isinstance(returned, tuple | list)
    outputs = [as_variable(v) for v in ([returned] if single else returned)]
    if outputs_info is not None and len(outputs) != len(states):
        raise ArgumentError(
            f"scan: the step returned {len(outputs)} outputs, outputs_info has {len(states)}",
            hint="give None for an output that the step does not read",
        )
    new: list[Variable] = []
    for s, c, out in zip(states, carried, outputs, strict=False):
        if s is not None:
            _check_state(s, out)
            new += [out, *c[:-1]]
    own = [v for c in carried for v in c] + inputs
    flags = [] if stop is None else [stop.flag]
    captured, inner, body = close_over([*new, *outputs, *flags], own)
    initial = [v for s in states if s is not None for v in s.initial]
    loop = Looping(Graph([*own, *inner], body), initial, rows, captured, length)
    if stop is not None:
        loop = _ending(loop)
    loop = loop._replace(truncate=truncate_gradient, segment=segment_of(checkpoint, length))
    finals, found = loop.run()
    if cut and stop is not None:
        steps = size_from(finals[0])
        found = [part_of(v, 0, 0, steps) for v in found]
    outs = found[0] if single else found
    return outs if stop is None else (outs, finals[0])


class Until:
    """The condition that ends a scan; made by :func:`until`."""

    __slots__ = ("flag",)

    def __init__(self, flag: Variable) -> None:
        self.flag = flag


def until(condition: Any) -> Until:
    """Returned by the step of a scan beside its outputs: the loop ends after the first step whose
    0-d ``condition`` holds. ``outputs, count = sg.scan(...)`` then gives outputs of the full length
    whose rows from ``count`` on are zeros, since their number is known at run time only; steps
    after the end are not computed. ``sg.scan(..., cut=True)`` leaves these rows out: the size of
    the outputs depends on data then (docs/sizes.md).

    >>> import symgraph as sg
    >>> def step(x, total):
    ...     return total + x, sg.until(total + x > 2)
    >>> sums, count = sg.scan(step, sg.arange(5), sg.constant(0))
    >>> sums.eval().tolist(), count.eval().item()
    ([0, 1, 3, 0, 0], 3)
    """
    flag = as_variable(condition)
    if flag.ndim:
        raise RankError(f"until: the condition is a scalar, got {flag.type.text()}")
    return Until(flag if flag.dtype == "bool" else flag != 0)


class Looping(NamedTuple):
    """A scan about to be built: its body, what it begins with, what it reads; ``segment`` steps
    belong together for checkpointing."""

    body: Graph
    initial: list[Variable]
    rows: list[Variable]
    captured: list[Variable]
    length: Size
    truncate: int = -1
    segment: int = 0

    def run(self) -> tuple[list[Variable], list[Variable]]:
        """The last carries, and the stacked outputs."""
        if not self.segment:
            op = Scan(self.body, len(self.initial), len(self.rows), self.length,
                      truncate=self.truncate)  # fmt: skip
            out = results(op, [*self.initial, *self.rows, *self.captured])
            return list(out[: len(self.initial)]), list(out[len(self.initial) :])
        if self.truncate >= 0:
            raise ArgumentError("scan: checkpoint and truncate_gradient exclude each other")
        return self._in_segments()

    def _in_segments(self) -> tuple[list[Variable], list[Variable]]:
        """A loop over segments around the loop over the steps of one, then the steps that remain:
        the derivative of the outer loop keeps what its steps begin with, that of the inner one
        belongs to the outer one's body and runs it again."""
        k, split = self.segment, len(self.initial)
        count = as_size(as_expr(self.length) // k)
        whole = as_size(as_expr(count) * k)
        blocks = [part_of(r, 0, 0, whole).reshape(count, k, *r.shape[1:]) for r in self.rows]
        types = [v.type for v in self.initial]
        types += [b.type.with_shape(b.shape[1:]) for b in blocks]
        types += [v.type for v in self.captured]
        inputs = [Input(t) for t in types]
        outputs = results(Scan(self.body, split, len(blocks), k), inputs)
        outer = Scan(Graph(inputs, outputs), split, len(blocks), count)
        out = results(outer, [*self.initial, *blocks, *self.captured])
        carries = list(out[:split])
        stacked = [v.reshape(whole, *v.shape[2:]) for v in out[split:]]
        rest = as_size(as_expr(self.length) - whole)
        if rest == 0:
            return carries, stacked
        rows = [part_of(r, 0, whole, rest) for r in self.rows]
        tail = self._replace(initial=carries, rows=rows, length=rest, segment=0)
        carries, ends = tail.run()
        both = zip(stacked, ends, strict=True)
        return carries, [reshape(concatenate([a, b]), (self.length, *a.shape[1:])) for a, b in both]


def _stopping(returned: Any) -> tuple[Any, Until | None]:
    """What a step returned, apart from its condition to end."""
    if isinstance(returned, Until):
        return [], returned
    several = isinstance(returned, tuple | list)
    if not several or not returned or not isinstance(returned[-1], Until):
        return returned, None
    rest = returned[:-1]
    return (rest[0] if len(rest) == 1 else list(rest)), returned[-1]


def _ending(loop: Looping) -> Looping:
    """The loop with two more carries in front, the number of steps done and whether it goes on:
    when it does not, a step is a choice that leaves the carries and gives zeros."""
    body, split = loop.body, len(loop.initial)
    running, count = Input(TensorType("bool")), Input(TensorType("int64"))
    *outputs, stop = body.outputs
    counts = [Input(count.type), *body.inputs]
    going = Graph(counts, [counts[0] + 1, ~stop, *outputs])
    ended = [Input(v.type) for v in counts]
    still = [ended[0], constant(False), *ended[1 : 1 + split]]
    still += [zeros(v.type) for v in outputs[split:]]
    out = results(Cond(going, Graph(ended, still)), [running, count, *body.inputs])
    inner = Graph([count, running, *body.inputs], out)
    initial = [constant(0), constant(True), *loop.initial]
    return loop._replace(body=inner, initial=initial)


def segment_of(checkpoint: int | bool, length: Size) -> int:
    """The steps between two states that are kept, 0 to keep all."""
    if checkpoint is True:
        if not isinstance(length, int):
            raise ArgumentError(
                f"scan: checkpoint=True for {length} steps, a number known at run time only",
                hint="give the number of steps between two states that are kept",
            )
        return max(1, math.isqrt(length))
    if checkpoint is not False and checkpoint < 1:
        raise ArgumentError(f"scan: checkpoint is a positive number of steps, got {checkpoint}")
    return int(checkpoint)


# reading the arguments ----------------------------------------------------------------------------


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, tuple | list) else [value]


def _rows(sequences: Any, backwards: bool) -> list[tuple[str | None, Variable]]:
    """Every sequence once for each of its taps, shifted so that row t is what step t reads, each
    with a name for its row."""
    rows: list[tuple[str | None, Variable]] = []
    for k, entry in enumerate(_as_list(sequences)):
        given = entry if isinstance(entry, dict) else {"input": entry}
        unknown = set(given) - {"input", "taps"}
        if unknown or "input" not in given:
            raise ArgumentError(f"scan: sequence {k} is a dict(input=, taps=), got {sorted(given)}")
        x = as_variable(given["input"])
        if x.ndim == 0:
            raise ShapeError(f"scan: sequence {k} is a scalar; it needs a leading axis of steps")
        offsets = [int(t) for t in _as_list(given.get("taps", 0))]
        first, last = min(0, *offsets), max(0, *offsets)  # tap 0 bounds the steps in any case
        for t in offsets:
            size = as_size(as_expr(x.shape[0]) - (last - first))
            row = x if last == first else part_of(x, 0, t - first, size)
            row = getitem(row, slice(None, None, -1)) if backwards else row
            offset = f"{t:+d}" if t else ""
            rows.append((f"{x.name}[t{offset}]" if x.name else None, row))
    return rows


def _length(rows: Sequence[Variable], n_steps: Any) -> Size:
    if n_steps is not None:
        (length,) = as_shape(n_steps, "scan: n_steps")
        for r in rows:
            have = r.shape[0]
            if isinstance(have, int) and isinstance(length, int) and have < length:
                raise ShapeError(f"scan: n_steps is {length}, a sequence has only {have} rows")
        return length
    if not rows:
        raise ArgumentError("scan: without sequences n_steps is needed")
    shortest = rows[0].shape[0]
    for r in rows[1:]:
        shortest = smaller(shortest, r.shape[0])
    return shortest


def _first_rows(row: Variable, length: Size, given: bool) -> Variable:
    """As many rows as there are steps; a number of steps that is given may be too large, which
    shows when the function runs: the scan compares the sizes."""
    if _same(row.shape[0], length):
        return row
    return part_of(row, 0, 0, smaller(length, row.shape[0]) if given else length)


def _same(a: Size, b: Size) -> bool:
    return a is b or (not isinstance(a, Expr) and not isinstance(b, Expr) and a == b)


def _state(info: Any, k: int) -> _State | None:
    given = info if isinstance(info, dict) else {"initial": info}
    unknown = set(given) - {"initial", "taps"}
    if unknown:
        raise ArgumentError(f"scan: outputs_info {k} has unknown entries {sorted(unknown)}")
    if given.get("initial") is None:
        return None
    x = as_variable(given["initial"])
    taps = tuple(int(t) for t in _as_list(given.get("taps", -1)))
    if not taps or max(taps) >= 0:
        raise ArgumentError(f"scan: taps of an output are negative, got {list(taps)}")
    name = x.name or f"output {k}"
    if taps == (-1,):
        return _State(name, (x,), taps)
    depth = -min(taps)
    if x.ndim == 0 or (isinstance(x.shape[0], int) and x.shape[0] < depth):
        raise ShapeError(f"scan: {name} with taps {list(taps)} needs {depth} initial rows")
    return _State(name, tuple(getitem(x, depth - 1 - j) for j in range(depth)), taps)


def _check_state(state: _State, out: Variable) -> None:
    before = state.initial[0].type
    what = f"scan: {state.name} begins as {before.text()}, the step makes it {out.type.text()}"
    if before.dtype != out.dtype:
        raise DTypeError(what, hint=f'cast one of them, e.g. the initial value to "{out.dtype}"')
    for a, b in zip(before.shape, out.shape, strict=False):
        if isinstance(a, int) and isinstance(b, int) and a != b:
            raise ShapeError(what, hint="sg.broadcast_to gives the initial value the full shape")
    if before.ndim != out.ndim:
        raise ShapeError(what, hint="sg.broadcast_to gives the initial value the full shape")


def _tap_name(name: str, k: int) -> str:
    return f"{name}[t-{k + 1}]"
