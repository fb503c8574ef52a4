"""Loop nests written by hand, for routines that are no Compute: the pieces they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.ir.types import Size, TensorType
from symgraph.loops.program import Step
from symgraph.loops.statements import For, Kernel, Param, Stmt
from symgraph.lower.build import Builder
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr


def kernel(
    b: Builder, buffers: list[str], modes: str, body: tuple[Stmt, ...], origins: tuple[Any, ...]
) -> Step:
    """A step over these buffers, the parameters p0, p1 ... of the body (modes: i in, o out)."""
    params = []
    for k, (name, mode) in enumerate(zip(buffers, modes, strict=True)):
        buffer = b.buffers[name]
        params.append(Param(f"p{k}", buffer.dtype, buffer.shape, "in" if mode == "i" else "out"))
    made = Kernel("", tuple(params), sizes_of(body, params), body)
    return b.run(made, buffers, origins, frozenset() if b.ctx.scatters else None)


def view(b: Builder, name: str, shape: tuple[Size, ...]) -> str:
    """A buffer as one of another shape."""
    return b.add_buffer(f"t{len(b.buffers)}", TensorType(b.buffers[name].dtype, shape), alias=name)


def nest(
    axes: Sequence[Expr], extents: Sequence[Size], body: tuple[Stmt, ...], kind: str = "serial"
) -> tuple[Stmt, ...]:
    """The body inside a loop over each axis, the innermost of the ``kind``."""
    for k in reversed(range(len(axes))):
        body = (For(axes[k], extents[k], kind if k == len(axes) - 1 else "serial", body),)
    return body
