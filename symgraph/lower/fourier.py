"""The steps of Fourier transforms: a call for each axis."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Apply, Graph, Input
from symgraph.ir.graph import apply as make
from symgraph.ir.resizing import resized
from symgraph.ir.types import TensorType
from symgraph.loops.program import Call, Step
from symgraph.lower.build import Builder
from symgraph.lower.routines import ROUTINES
from symgraph.scalar import as_expr, as_size


def fourier(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The first axis is transformed from x to y, the others in y. Devices have a library, and
    a program without schedules calls the reference."""
    axes, inverse, scale = params["axes"], params["inverse"], params["scale"]
    x, y = b.buffer(apply.inputs[0]), b.buffer(apply.output)
    if b.ctx.device or not b.ctx.scheduled or not _fits(b, apply, axes[0]):
        ROUTINES["python"](b, apply, params, needs)
        return
    steps: list[Step] = []
    for k, axis in enumerate(axes):
        names = (y if k else x, y)
        words = {"axis": axis % apply.output.ndim, "inverse": inverse, "scale": scale}
        held = b.buffers[names[0]]
        given = Input(TensorType(held.dtype, held.shape), "x")
        op: Any = apply.op if len(axes) == 1 else apply.op.replace(axes=(axis,))
        graph = Graph([given], make(resized(op, b.ctx.equal), [given], apply.origins).outputs)
        steps.append(Call("fourier", names, (*words.items(), ("graph", graph)), apply.origins))
    b.add_steps([x], [y], steps, needs)


def _fits(b: Builder, apply: Apply, axis: int) -> bool:
    """Whether the numbers are those of the length, where they are half of what results; that it has
    some is checked apart."""
    if apply.op.name != "irfft":
        return True
    given, made = (
        as_expr(b.buffers[b.buffer(v)].shape[axis]) for v in (apply.inputs[0], apply.output)
    )
    if made.op == "maximum":  # with 0
        made = next((a for a in made.args if not a.is_const), made)
    return as_size(given - b.ctx.simplify(as_size(made // 2 + 1))) == 0
