"""Fourier transforms by cuFFT: the calls, and kernels that scale results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.loops.compute import index_axes
from symgraph.loops.program import Buffer, Call, Run, Step
from symgraph.loops.statements import Kernel, Param, Store
from symgraph.lower.kernels import nest
from symgraph.lower.nests import sizes_of
from symgraph.runtime.cuda import libraries
from symgraph.scalar import Expr, as_expr, const, load, product
from symgraph.scalar import functions as F

KINDS = {"fft": "C", "rfft": "R", "irfft": "I"}  # as runtime/cuda/cufft.py knows them
DTYPES = ("float32", "float64", "complex64", "complex128")


def steps_of(step: Call, operands: Sequence[Buffer], room: Callable[..., str]) -> list[Step] | None:
    """What a callback of an op becomes with the library; None for other ops, or without it."""
    graph = dict(step.params)["graph"]
    owner = graph.outputs[0].owner
    if owner is None or len(operands) != 2 or owner.op.name not in KINDS:
        return None
    if type(owner.op).__module__ != "symgraph.ops.fourier":
        return None
    if not libraries.present("cufft") or any(o.dtype not in DTYPES for o in operands):
        return None
    return _Transform(step, operands, room, owner.op).steps()


class _Transform:
    def __init__(
        self, step: Call, operands: Sequence[Buffer], room: Callable[..., str], op: Any
    ) -> None:
        self.step, self.room, self.op = step, room, op
        self.x, self.y = operands
        rank = len(self.x.shape)
        self.kind = KINDS[op.name]
        axes = op.axes if self.kind == "C" else (op.axis,)
        self.axes = tuple(a % rank for a in axes)

    def steps(self) -> list[Step]:
        names, before = self.step.buffers, []
        if self.kind == "I":  # the library may overwrite what it reads
            held = self.room(self.x.dtype, self.x.shape)
            before = [self._halves(held)]
            names = (held, names[1])
        params: dict[str, Any] = {
            "kind": self.kind, "axes": self.axes, "inverse": bool(getattr(self.op, "inverse", 0)),
        }  # fmt: skip
        call = Call("cufft", names, tuple(params.items()), self.step.origins)
        return [*before, call, *self._scaled()]

    def _halves(self, held: str) -> Run:
        """A copy, without the imaginary parts that do not count: of the first element and, where
        there is one in the middle, of the last."""
        real = dtypes.real_of(self.x.dtype)
        axes = index_axes(len(self.x.shape))
        at, n = axes[self.axes[0]], as_expr(self.y.shape[self.axes[0]])
        lone = F.or_(F.eq(at, const(0)), F.eq(at * 2, n))
        parts = [load("p0", (*axes, const(k)), real) for k in (0, 1)]
        parts[1] = F.select(lone, const(0.0, real), parts[1])
        stores = tuple(Store("p1", (*axes, const(k)), parts[k]) for k in (0, 1))
        body = nest(axes, self.x.shape, stores)
        params = [Param("p0", real, (*self.x.shape, 2), "in"),
                  Param("p1", real, (*self.x.shape, 2), "out")]  # fmt: skip
        kernel = Kernel("halves", tuple(params), sizes_of(body, params), body)
        return Run(kernel, (self.step.buffers[0], held), self.step.origins)

    def _scaled(self) -> list[Step]:
        """The result times 1/n, or its root, where the direction and ``norm`` want that."""
        back = self.kind == "I" or (self.kind == "C" and self.op.inverse)
        if self.op.norm == ("forward" if back else "backward"):
            return []
        whole = self.x if self.kind == "R" else self.y
        count = F.cast(as_expr(product(tuple(whole.shape[a] for a in self.axes))), "float64")
        if self.op.norm == "ortho":
            count = F.sqrt(count)
        pair = (2,) if dtypes.is_complex(self.y.dtype) else ()
        real = dtypes.real_of(self.y.dtype) if pair else self.y.dtype
        shape = (*self.y.shape, *pair)
        axes = index_axes(len(shape))
        factor: Expr = F.cast(F.div(const(1.0, "float64"), count), real)
        body = nest(axes, shape, (Store("p0", axes, F.mul(load("p0", axes, real), factor)),))
        params = [Param("p0", real, shape, "inout")]
        kernel = Kernel("scaled", tuple(params), sizes_of(body, params), body)
        return [Run(kernel, self.step.buffers[1:], self.step.origins)]
