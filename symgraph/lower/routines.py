"""The steps of ops that are no single expression: routines, scan and cond.

Each entry of ROUTINES takes the builder and the node and adds steps. A loop nest that is no
Compute (cumulative sums, scatter) is written here once, in the loop language, for every target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph.ir.graph import Apply, Graph, Input, Variable
from symgraph.ir.graph import apply as make
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import Operand, index_axes
from symgraph.loops.program import Branch, Call, Copy, Loop, Program, Row, Step
from symgraph.loops.statements import For, Kernel, Param, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr, as_expr, as_size, const, load, load_if
from symgraph.scalar import functions as F


def realise(builder: Builder, apply: Apply, needs: set[int]) -> None:
    """Add the steps of a routine or of an op with inner graphs."""
    if hasattr(apply.op, "inner"):
        INNER[apply.op.name](builder, apply, needs)
        return
    routine = apply.op.extern(*(i.type for i in apply.inputs))  # type: ignore[attr-defined]
    ROUTINES[routine.name](builder, apply, dict(routine.params), needs)


def _matmul(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    call = Call("matmul", tuple(names), tuple(params.items()), apply.origins)
    b.add_steps(names[:2], names[2:], [call], needs)


def _reshape(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    source = b.buffer(apply.inputs[0])
    name = b.buffer(apply.output)
    b.add_buffer(name, apply.output.type, "temp", 0, alias=source)
    b.add_steps([source], [name], [], needs)


def _kernel(
    b: Builder, buffers: list[str], modes: str, body: tuple[Stmt, ...], origins: tuple[Any, ...]
) -> Step:
    """A kernel over these buffers, whose parameters are p0, p1 ... (modes: i in, o out)."""
    params = []
    for k, (name, mode) in enumerate(zip(buffers, modes, strict=True)):
        buffer = b.buffers[name]
        params.append(Param(f"p{k}", buffer.dtype, buffer.shape, "in" if mode == "i" else "out"))
    kernel = Kernel("", tuple(params), sizes_of(body, params), body)
    return b.run(kernel, buffers, origins)


def _nest(
    axes: list[Expr], extents: list[Size], body: tuple[Stmt, ...], kind: str
) -> tuple[Stmt, ...]:
    for k in reversed(range(len(axes))):
        body = (For(axes[k], extents[k], kind if k == len(axes) - 1 else "serial", body),)
    return body


def _cumsum(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out[.., k, ..] = out[.., k-1, ..] + x[.., k, ..]: the summed axis serially, the last axis as
    vectors unless it is the summed one."""
    x, out = b.buffer(apply.inputs[0]), b.buffer(apply.output)
    shape = list(b.buffers[x].shape)
    axis, reverse = params["axis"], params.get("reverse", False)
    axes = list(index_axes(len(shape)))
    turn = axes[axis]
    extent = shape[axis]
    here = as_expr(extent) - 1 - turn if reverse else turn
    before = here + 1 if reverse else here - 1
    at = tuple(here if k == axis else a for k, a in enumerate(axes))
    prior = tuple(before if k == axis else a for k, a in enumerate(axes))
    dtype = b.buffers[out].dtype
    carried = load_if("p1", F.lt(const(0), turn), prior, dtype)
    value = F.add(carried, F.cast(load("p0", at, b.buffers[x].dtype), dtype))
    order = [k for k in range(len(axes)) if k != axis]
    last = [order.pop()] if order and order[-1] == len(axes) - 1 else []
    nest = [*order, axis, *last]
    kind = "vector" if last else "serial"
    body = _nest([axes[k] for k in nest], [shape[k] for k in nest], (Store("p1", at, value),), kind)
    b.add_steps([x], [out], [_kernel(b, [x, out], "io", body, apply.origins)], needs)


def _scatter(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out = x; then for each place of the index arrays, out[place] = v or += v, one after another
    so that duplicates add up; trailing axes go as vectors."""
    x, v, *index = apply.inputs
    axes: tuple[int, ...] = params["axes"]
    names = [b.buffer(i) for i in (v, *index)]
    out = b.buffer(apply.output)
    ndim = x.ndim
    common = v.ndim - (ndim - len(axes))
    places = list(index_axes(v.ndim))
    rest = iter(places[common:])
    target: list[Expr] = []
    for k in range(ndim):
        if k in axes:
            slot = axes.index(k)
            held = Operand(f"p{2 + slot}", index[slot].dtype, b.buffers[names[1 + slot]].shape)
            i = F.cast(held.at_broadcast(places[:common]), "int64")
            size = as_expr(b.buffers[out].shape[k])
            target.append(F.select(F.lt(i, const(0)), i + size, i))
        else:
            target.append(next(rest))
    value = load("p1", tuple(places), v.dtype)
    if params["mode"] == "add":
        value = F.add(load("p0", tuple(target), x.dtype), value)
    extents = list(b.buffers[names[0]].shape)
    kind = "vector" if len(places) > common and (ndim - 1) not in axes else "serial"
    body = _nest(places, extents, (Store("p0", tuple(target), value),), kind)
    kernel = _kernel(b, [out, *names], "o" + "i" * len(names), body, apply.origins)
    steps: list[Step] = [Copy(out, b.buffer(x)), kernel]
    b.add_steps([b.buffer(x), *names], [out], steps, needs)


def _python(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The op's NumPy reference, called back: a graph of the one node goes along with the call."""
    inputs = [Input(v.type, f"x{k}") for k, v in enumerate(apply.inputs)]
    graph = Graph(inputs, make(apply.op, inputs).outputs)
    reads, writes = [b.buffer(v) for v in apply.inputs], [b.buffer(v) for v in apply.outputs]
    call = Call("python", (*reads, *writes), (("graph", graph),), apply.origins)
    b.add_steps(reads, writes, [call], needs)


ROUTINES: dict[str, Callable[..., None]] = {
    "python": _python, "matmul": _matmul, "reshape": _reshape, "cumsum": _cumsum,
    "scatter": _scatter,
}  # fmt: skip


# ops with inner graphs ----------------------------------------------------------------------------


def _program(b: Builder, graph: Graph, name: str) -> Program:
    inner = Builder(graph, name, (), b.ctx)
    return inner.build((), realise)


def _scan(b: Builder, apply: Apply, needs: set[int]) -> None:
    """A Loop. A carry whose value is also a stacked output lives in the rows of that output;
    another one alternates between two rows. Sequence rows are read where they lie."""
    op: Any = apply.op
    carries, sequences = op.carries, op.sequences
    outs: tuple[Variable, ...] = op.body.outputs
    length = b.ctx.simplify(op.length)
    step = -1 if op.reverse else 1
    start: Size = as_size(as_expr(length) - 1) if op.reverse else 0
    stacked = {v: k for k, v in reversed(list(enumerate(outs[carries:])))}
    extra = [k for k, v in enumerate(outs[carries:]) if v not in set(outs[:carries])]
    first = {v: k for k, v in reversed(list(enumerate(outs[:carries])))}
    incoming, outgoing, finals = [], [], []
    for k in range(carries):
        init = b.buffer(apply.inputs[k])
        if outs[k] in stacked and first[outs[k]] == k:
            rows = b.buffer(apply.outputs[carries + stacked[outs[k]]])
            came = Row(rows, as_size(as_expr(start) - step), step, 0, init, True)
            went = Row(rows, start, step, 0, "", True)
        else:
            ring = b.scratch(TensorType(outs[k].dtype, (2, *outs[k].shape)))
            came = Row(ring, 0, 1, 2, init, True)
            went = Row(ring, 1, 1, 2, "", True)
        incoming.append(came)
        outgoing.append(went)
        finals.append((b.buffer(apply.outputs[k]), came))
    reading = [
        Row(b.buffer(v), start, step, 0, "", True) for v in apply.inputs[carries:][:sequences]
    ]
    fixed = [Row(b.buffer(v)) for v in apply.inputs[carries + sequences :]]
    ys = [Row(b.buffer(apply.outputs[carries + k]), start, step, 0, "", True) for k in extra]
    body = _program(
        b, Graph(op.body.inputs, [*outs[:carries], *(outs[carries + k] for k in extra)]), "body"
    )
    rows_ = (*incoming, *reading, *fixed, *outgoing, *ys)
    steps: list[Step] = [Loop(length, body, rows_, tuple(finals))]
    for k, v in enumerate(outs[carries:]):  # the same value stacked twice
        if k not in extra and stacked[v] != k:
            steps.append(
                Copy(
                    b.buffer(apply.outputs[carries + k]),
                    b.buffer(apply.outputs[carries + stacked[v]]),
                )
            )
    reads = [b.buffer(v) for v in apply.inputs]
    b.add_steps(reads, [b.buffer(o) for o in apply.outputs], steps, needs)


def _cond(b: Builder, apply: Apply, needs: set[int]) -> None:
    op: Any = apply.op
    pred, *operands = (b.buffer(v) for v in apply.inputs)
    outputs = [b.buffer(o) for o in apply.outputs]
    then, otherwise = _program(b, op.then, "then"), _program(b, op.otherwise, "otherwise")
    step = Branch(pred, then, otherwise, tuple(operands), tuple(outputs))
    b.add_steps([pred, *operands], outputs, [step], needs)


INNER: dict[str, Callable[..., None]] = {"scan": _scan, "cond": _cond}
