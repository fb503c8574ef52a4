"""Ops on float16 and bfloat16: computed in float32 and rounded once, at the end of the op.

A fusible op gets operands that look like float32 (`lowered`); a routine gets float32 itself, made
by casts around it (`widen_routines`), unless it only moves or compares elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.ir.graph import Apply, Graph, Variable, apply, toposort
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.runtime.later import Later
from symgraph.scalar import Expr

if TYPE_CHECKING:
    from symgraph.loops import narrow
else:
    narrow = Later("symgraph.loops.narrow")  # where there are narrow floats

# routines that work on narrow floats as they are; "python" runs references, which widen themselves
_MOVING = frozenset(("python", "reshape", "barrier", "sort", "searchsorted"))
_CHOOSING = frozenset(("set", "maximum", "minimum"))  # modes of scatter, combiners of cumulative


class _Wide(Operand):
    """An operand of a narrow dtype that an op sees as float32."""

    __slots__ = ("stored",)

    def __init__(self, stored: Operand) -> None:
        super().__init__(stored.buffer, "float32", stored.shape)
        self.stored = stored

    def __call__(self, *indices: Expr) -> Expr:
        return narrow.widened(self.stored(*indices))


def lowered(op: Op, out: TensorType, operands: Sequence[Operand]) -> Compute:
    """What an op computes. The formulas of an op that ``widens`` never see a narrow float, so that
    a long formula loses no more than a short one."""
    if not op.widens:
        return op.lower(out, *operands)  # type: ignore[attr-defined,no-any-return]
    given = [_Wide(x) if dtypes.is_narrow(x.dtype) else x for x in operands]
    if not dtypes.is_narrow(out.dtype):
        return op.lower(out, *given)  # type: ignore[attr-defined,no-any-return]
    made: Compute = op.lower(out.with_dtype("float32"), *given)  # type: ignore[attr-defined]
    value = made.body[-1]
    if value.dtype == "float32":
        made = made._replace(body=(*made.body[:-1], narrow.narrowed(value, out.dtype)))
    return made


def widen_routines(graph: Graph) -> Graph:
    """The graph with casts around the routines that compute; the same object where there are none.
    Graphs inside ops are left for when they are lowered themselves."""
    order = toposort(graph.outputs)
    if not any(map(_computes, order)):
        return graph
    new: dict[Variable, Variable] = {}
    for node in order:
        inputs = [new.get(v, v) for v in node.inputs]
        narrow = _computes(node)
        if not narrow and all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            continue
        if narrow:
            inputs = [to_dtype(v, "float32") if dtypes.is_narrow(v.dtype) else v for v in inputs]
        outputs = apply(node.op, inputs, node.origins).outputs
        for old, out in zip(node.outputs, outputs, strict=True):
            new[old] = to_dtype(out, old.dtype) if narrow else out
    return Graph(graph.inputs, [new.get(v, v) for v in graph.outputs])


def _computes(node: Apply) -> bool:
    """Whether a node is a routine that must not be given narrow floats."""
    extern = getattr(node.op, "extern", None)
    if extern is None or not node.op.widens:
        return False
    if not any(dtypes.is_narrow(v.dtype) for v in (*node.inputs, *node.outputs)):
        return False
    routine: Routine = extern(*(_wide_type(v.type) for v in node.inputs))
    params = dict(routine.params)
    return not (routine.name in _MOVING or params.get("mode", params.get("combiner")) in _CHOOSING)


def _wide_type(t: TensorType) -> TensorType:
    return t.with_dtype("float32") if dtypes.is_narrow(t.dtype) else t
