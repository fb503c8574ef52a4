"""The steps of ops that are no single expression: routines, scan and cond.

Each entry of ROUTINES takes the builder and the node and adds steps. A loop nest that is no
Compute (cumulative sums, scatter) is written here once, in the loop language, for every target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply, Graph, Variable, rebuild
from symgraph.ir.types import Size, TensorType
from symgraph.loops.program import ENDLESS, Branch, Call, Copy, Loop, Program, Row, Step
from symgraph.lower.build import Builder
from symgraph.lower.widening import widen_routines
from symgraph.runtime.later import Later, LaterFunctions
from symgraph.scalar import as_expr, as_size

complex_products = Later("symgraph.lower.complex_products")
lapack = Later("symgraph.lower.lapack")
recurrences = Later("symgraph.lower.recurrences")


def realise(builder: Builder, apply: Apply, needs: set[int]) -> None:
    """Add the steps of a routine or of an op with inner graphs."""
    if hasattr(apply.op, "inner"):
        INNER[apply.op.name](builder, apply, needs)
        return
    routine = apply.op.extern(*(i.type for i in apply.inputs))  # type: ignore[attr-defined]
    ROUTINES[routine.name](builder, apply, dict(routine.params), needs)


def _matmul(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    steps: list[Step] = [Call("matmul", tuple(names), tuple(params.items()), apply.origins)]
    if dtypes.is_complex(apply.output.dtype) and complex_products.suits(b, names):
        steps = complex_products.steps(b, apply, names, params)
    b.add_steps(names[:2], names[2:], steps, needs)


def _reshape(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    source = b.buffer(apply.inputs[0])
    name = b.buffer(apply.output)
    if b.buffers[name].role != "output":  # else the source is made in its memory
        b.add_buffer(name, apply.output.type, "temp", 0, alias=source)
    b.add_steps([source], [name], [], needs)


def _python(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The op's NumPy reference, called back: a graph of the one node goes along with the call."""
    reads, writes = [b.buffer(v) for v in apply.inputs], [b.buffer(v) for v in apply.outputs]
    graph = lapack.reference(b, apply)
    call = Call("python", (*reads, *writes), (("graph", graph),), apply.origins)
    b.add_steps(reads, writes, [call], needs)


def _barrier(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """Another name for the memory of the first input, to be read once the second one exists."""
    sources = [b.buffer(v) for v in apply.inputs]
    steps: list[Step] = []
    name = b.buffer(apply.output)
    if b.buffers[name].role == "output":  # it has memory of its own
        steps.append(Copy(name, sources[0]))
    else:
        b.add_buffer(name, apply.output.type, "temp", 0, alias=sources[0])
    b.add_steps(sources, [name], steps, needs)


# the other routines are functions of their name in these modules, imported when one is called
_ELSEWHERE = {
    "sequences": "cumulative recurrence searchsorted sort",
    "divisors": "gcd",
    "lapack": "cholesky triangular_solve lu_factor permutation qr svd eigh cholesky_pull"
    " cholesky_push lower_product lu_map",
    "convolution": "convolution convolution_input convolution_weights",
    "fourier": "fourier",
    "scatter": "scatter",
    "sparse": "element_rows sparse_matmul sampled_dot sampled_product",
}
ROUTINES: dict[str, Callable[..., None]] = {
    "python": _python, "matmul": _matmul, "reshape": _reshape, "barrier": _barrier,
    **{name: getattr(LaterFunctions(f"symgraph.lower.{module}"), name)
       for module, names in _ELSEWHERE.items() for name in names.split()},
}  # fmt: skip


# ops with inner graphs ----------------------------------------------------------------------------


def _program(b: Builder, graph: Graph, name: str) -> Program:
    inner = Builder(widen_routines(graph), name, (), b.ctx)
    return inner.build((), realise)


def _scan(b: Builder, apply: Apply, needs: set[int]) -> None:
    """A Loop. A carry whose value is also a stacked output lives in the rows of that output;
    another one alternates between two rows. Sequence rows are read where they lie. With little
    state it is one kernel instead."""
    if b.ctx.scheduled and recurrences.native(b, apply, needs):
        return
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


def _while(b: Builder, apply: Apply, needs: set[int]) -> None:
    """The condition once for the initial carries; then a Loop whose body computes the new carries
    and the condition for them, which the loop reads before each turn."""
    op: Any = apply.op
    count = op.carries
    flag = b.scratch(TensorType("bool"))
    whole = [Row(b.buffer(v)) for v in apply.inputs]
    first = Loop(1, _program(b, op.test, "test"), (*whole, Row(flag)), ())
    state = [*op.body.outputs, *op.body.inputs[count:]]
    again = rebuild(op.test.outputs, dict(zip(op.test.inputs, state, strict=True)))
    body = _program(b, Graph(op.body.inputs, [*op.body.outputs, *again]), "body")
    incoming, outgoing, finals = [], [], []
    for v, out in zip(apply.inputs[:count], apply.outputs, strict=True):
        ring = b.scratch(TensorType(v.dtype, (2, *v.shape)))
        incoming.append(Row(ring, 0, 1, 2, b.buffer(v), True))
        outgoing.append(Row(ring, 1, 1, 2, "", True))
        finals.append((b.buffer(out), incoming[-1]))
    rows = (*incoming, *whole[count:], *outgoing, Row(flag))
    loop = Loop(ENDLESS, body, rows, tuple(finals), flag)
    reads = [b.buffer(v) for v in apply.inputs]
    b.add_steps(reads, [b.buffer(o) for o in apply.outputs], [first, loop], needs)


def _function(b: Builder, apply: Apply, needs: set[int]) -> None:
    """A function that was not inlined: its program runs once."""
    names = [b.buffer(v) for v in (*apply.inputs, *apply.outputs)]
    op: Any = apply.op
    step = Loop(1, _program(b, op.body, "function"), tuple(map(Row, names)), ())
    b.add_steps(names[: len(apply.inputs)], names[len(apply.inputs) :], [step], needs)


INNER: dict[str, Callable[..., None]] = {
    "scan": _scan, "cond": _cond, "while": _while, "function_graph": _function,
}  # fmt: skip
