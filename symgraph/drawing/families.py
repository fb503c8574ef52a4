"""Which family of operations an op belongs to: its colour in a picture.

Nothing is listed by name. An op says what it is by how it is realised: as a scalar expression that
folds an axis, that only reads another place, or that computes; as a routine; as inner graphs.
"""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Apply
from symgraph.loops.compute import Compute, Operand
from symgraph.loops.routine import Routine
from symgraph.scalar import Expr, postorder

_ROUTINES = {"matmul": "contraction", "reshape": "view", "scatter_add": "gather",
             "scatter_set": "gather"}  # fmt: skip


def family(node: Apply) -> str:
    """One of scene.FAMILIES.

    >>> import symgraph as sg
    >>> x = sg.matrix("x")
    >>> family(sg.exp(x).owner), family(sg.sum(x).owner), family(x.T.owner), family((x @ x).owner)
    ('elementwise', 'reduction', 'view', 'contraction')
    """
    op: Any = node.op
    if op.name.startswith("philox"):
        return "random"
    if op.elementwise:
        return "elementwise"
    if hasattr(op, "inner"):
        return "control"
    if hasattr(op, "extern"):
        return routine_family(op.extern(*(v.type for v in node.inputs)))
    given = [Operand(f"x{k}", v.dtype, v.shape) for k, v in enumerate(node.inputs)]
    return compute_family(op.lower(node.outputs[0].type, *given))


def routine_family(routine: Routine) -> str:
    """The family of a routine, by its name."""
    return _ROUTINES.get(routine.name, "routine")


def compute_family(compute: Compute) -> str:
    """The family of a scalar expression over indices."""
    if compute.reduction is not None:
        return "reduction"
    body = compute.body[-1]
    loads = [e for e in postorder([body]) if e.op in ("load", "load_if")]
    if any(_loads_within(e) for e in loads):
        return "gather"
    return "view" if body.op in ("load", "load_if") else "elementwise"


def _loads_within(load: Expr) -> bool:
    return any(e.op in ("load", "load_if") for e in postorder(list(load.args)))
