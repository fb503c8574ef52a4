"""Singular values and eigenvalues of complex matrices by cuSOLVER.

The CPU has callbacks for these; those of real matrices are calls of LAPACK (factors.py). Matrices
are laid out by columns for the library, and its factors back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.loops.compute import elements, index_axes
from symgraph.loops.program import Buffer, Call, Failure, Run, Step
from symgraph.loops.statements import Kernel, Param, Store
from symgraph.lower.cuda.factors import Task, failures_of_svd, failures_of_values
from symgraph.lower.kernels import nest
from symgraph.lower.nests import sizes_of
from symgraph.runtime.cuda import libraries
from symgraph.scalar import Expr, as_size, const, load
from symgraph.scalar import functions as F

Room = Callable[..., str]
Element = Callable[[Expr, Expr], Expr]
OPS = ("svd", "svdvals", "eigh", "eigvalsh")


def steps_of(step: Call, operands: Sequence[Buffer], room: Room) -> list[Step] | None:
    """What a callback of an op becomes with the library; None for other ops, or without it."""
    owner = dict(step.params)["graph"].outputs[0].owner
    if owner is None or owner.op.name not in OPS or not dtypes.is_complex(operands[0].dtype):
        return None
    known = type(owner.op).__module__ == "symgraph.ops.spectral"
    if not known or not all(libraries.present(n) for n in ("cusolver", "cublas")):
        return None
    failure = Failure(
        "SG302", f"{owner.op.name}: the iteration did not converge",
        "the matrix may hold NaN or infinities", step.origins,
    )  # fmt: skip
    spectrum = _Spectrum(step, operands, room, failure)
    if owner.op.name.startswith("eig"):
        return spectrum.of_hermitian(bool(owner.op.symmetrize))
    return spectrum.singular("A" if getattr(owner.op, "full", False) else "S")


class _Spectrum:
    def __init__(
        self, step: Call, operands: Sequence[Buffer], room: Room, failure: Failure
    ) -> None:
        self.step, self.operands, self.room, self.failure = step, operands, room, failure
        self.a = operands[0]
        self.real = dtypes.real_of(self.a.dtype)
        self.batch = self.a.shape[:-2]
        self.turned = self._new(self.a.dtype, self.a.shape[:-3:-1])

    def _new(self, dtype: str, core: Sequence[Any]) -> Buffer:
        shape = (*self.batch, *core)
        return Buffer(self.room(dtype, shape), dtype, shape, "temp")

    def _fill(
        self, target: Buffer, source: Buffer,
        element: Callable[[Expr, Expr, Element, Element], tuple[Expr, Expr]],
    ) -> Run:  # fmt: skip
        """A kernel: the real and the imaginary part of target[i, j], of those of the source."""
        axes = index_axes(len(target.shape))

        def part(k: int) -> Element:
            return lambda i, j: load("p0", (*axes[:-2], i, j, const(k)), self.real)

        values = element(axes[-2], axes[-1], part(0), part(1))
        stores = tuple(Store("p1", (*axes, const(k)), values[k]) for k in (0, 1))
        body = nest(axes, target.shape, stores)
        params = [Param("p0", self.real, (*source.shape, 2), "in"),
                  Param("p1", self.real, (*target.shape, 2), "out")]  # fmt: skip
        kernel = Kernel("spectra", tuple(params), sizes_of(body, params), body)
        return Run(kernel, (source.name, target.name), self.step.origins)

    def _turn(self, target: Buffer, source: Buffer) -> Run:
        return self._fill(target, source, lambda i, j, x, y: (x(j, i), y(j, i)))

    def _task(self, buffers: Sequence[Buffer]) -> Task:
        step = self.step._replace(buffers=tuple(b.name for b in buffers), params=())
        return Task(step, buffers, False, self.room)

    def _info(self) -> Buffer:
        shape = (as_size(elements(self.batch)),)
        return Buffer(self.room("int32", shape), "int32", shape, "temp")

    def of_hermitian(self, symmetrize: bool) -> list[Step]:
        """Values and, of eigh, vectors; of one triangle or of the Hermitian part."""

        def held(i: Expr, j: Expr, x: Element, y: Element) -> tuple[Expr, Expr]:
            if not symmetrize:
                return x(j, i), y(j, i)
            half = const(0.5, self.real)
            return F.mul(F.add(x(j, i), x(i, j)), half), F.mul(F.sub(y(j, i), y(i, j)), half)

        w, vectors = self.operands[1], self.operands[2:]
        info = self._info()
        task = self._task([self.turned, w, info])
        steps: list[Step] = [
            self._fill(self.turned, self.a, held),
            task.call("cusolver", (0, 1, 2), 3, name="syevd", vectors=bool(vectors)),
        ]
        steps += failures_of_values(task, w, info, self.failure)
        return [*steps, *(self._turn(v, self.turned) for v in vectors)]

    def singular(self, job: str) -> list[Step]:
        """Values and, of svd, factors."""
        info, alone = self._info(), len(self.operands) == 2
        steps: list[Step] = [self._turn(self.turned, self.a)]
        if alone:
            s, pairs = self.operands[1], []
            task = self._task([self.turned, s, info])
            job = "N"
        else:
            u, s, v = self.operands[1:]
            pairs = [(x, self._new(x.dtype, x.shape[:-3:-1])) for x in (u, v)]
            task = self._task([self.turned, *(t for _, t in pairs), s, info])
        count = len(task.operands)
        steps.append(task.call("cusolver", range(count), count, name="gesvd", job=job))
        steps += failures_of_svd(task, s, info, self.failure)
        return [*steps, *(self._turn(x, t) for x, t in pairs)]
