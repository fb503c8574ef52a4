"""Linear algebra by cuSOLVER and cuBLAS: the calls, and kernels for what these leave open.

A routine of LAPACK becomes a choice. Where the library is there and the matrices of a call are
worth it (runtime/cuda/cusolver.py), its calls are made, with a number for each matrix that says
whether it went well, and a check; else what follows is done: kernels of our own (linear.py) or
the host's LAPACK.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.loops.compute import elements, index_axes
from symgraph.loops.program import Buffer, Call, Failure, Require, Run, Step
from symgraph.loops.statements import Fold, If, Kernel, Param, Stmt, Store
from symgraph.lower.convolution_frame import linear as place
from symgraph.lower.cuda.linear import is_not_zero, is_number
from symgraph.lower.kernels import nest
from symgraph.lower.nests import sizes_of
from symgraph.runtime.cuda import libraries
from symgraph.scalar import Expr, as_size, const, load, var
from symgraph.scalar import functions as F

Room = Callable[..., str]


class Task:
    """A call of LAPACK that becomes one of a library: its operands, and new memory."""

    def __init__(self, step: Call, operands: Sequence[Buffer], own: bool, room: Room) -> None:
        self.step, self.operands, self.own, self.room = step, operands, own, room
        self.params = dict(step.params)
        self.batch = operands[-1].shape[:-2]

    def call(self, routine: str, places: Sequence[int | str], results: int, **more: Any) -> Call:
        """The call of a library, of operands by number and buffers by name."""
        names = tuple(self.step.buffers[p] if isinstance(p, int) else p for p in places)
        params = {"own": self.own, "results": results, **more}
        return Call(routine, names, tuple(params.items()), self.step.origins)

    def info(self, batch: Sequence[Any]) -> tuple[str, Buffer]:
        """Memory for a number for each matrix."""
        shape = (as_size(elements(tuple(batch))),)
        name = self.room("int32", shape)
        return name, Buffer(name, "int32", shape, "temp")

    def run(
        self, names: Sequence[str], buffers: Sequence[Buffer], modes: str, body: tuple[Stmt, ...]
    ) -> Run:
        words = {"i": "in", "o": "out", "b": "inout"}
        params = []
        for k, (b, m) in enumerate(zip(buffers, modes, strict=True)):
            pair = (2,) if dtypes.is_complex(b.dtype) else ()  # as kernels see complex numbers
            dtype = dtypes.real_of(b.dtype) if pair else b.dtype
            params.append(Param(f"p{k}", dtype, (*b.shape, *pair), words[m]))
        kernel = Kernel("factors", tuple(params), sizes_of(body, params), body)
        return Run(kernel, tuple(names), self.step.origins)

    def all_of(
        self, names: Sequence[str], buffers: Sequence[Buffer], shape: Sequence[Any],
        holds: Callable[..., Expr], failure: Failure,
    ) -> list[Step]:  # fmt: skip
        """An error unless ``holds(*indices)`` everywhere."""
        flag = self.room("bool", ())
        buffers = [*buffers, Buffer(flag, "bool", (), "temp")]
        axes = index_axes(len(shape))
        good = [var(f"_good{k}", "bool") for k in range(len(shape) + 1)]
        value: Expr = holds(*axes)
        inner: tuple[Stmt, ...] = ()
        for k in reversed(range(len(shape))):
            inner = (Fold((good[k],), "and", axes[k], shape[k], "serial", inner, (value,)),)
            value = good[k]
        body = (*inner, Store(f"p{len(buffers) - 1}", (), value))
        modes = "i" * (len(buffers) - 1) + "o"
        return [self.run((*names, flag), buffers, modes, body), Require(flag, failure)]


def steps_of(step: Call, operands: Sequence[Buffer], own: bool, room: Room) -> list[Step] | None:
    """What a call of LAPACK becomes with a library; None where none is installed that has it.
    ``own``: without a library, it is kernels."""
    found = _ROUTINES.get(dict(step.params)["name"])
    if found is None or not libraries.present("cublas"):
        return None
    if found is not _trsm and not libraries.present("cusolver"):
        return None
    return found(Task(step, operands, own, room))


def _well(info: str, at: Expr) -> Expr:
    return F.eq(load(info, (at,), "int32"), const(0, "int32"))


def _potrf(t: Task) -> list[Step]:
    """A matrix that is not positive definite: an error, or NaN everywhere."""
    held = t.operands[-1]
    name, info = t.info(t.batch)
    out = t.step.buffers[-1]
    steps: list[Step] = [t.call("cusolver", (len(t.operands) - 1, name), 2, name="potrf")]
    if t.params["on_failure"] == "raise":
        failure = Failure(
            "SG302", "cholesky: matrix is not positive definite",
            'add a multiple of the identity, or use on_failure="nan"', t.step.origins,
        )  # fmt: skip
        return [*steps, *t.all_of([name], [info], info.shape, lambda r: _well("p0", r), failure)]
    axes = index_axes(len(held.shape))
    number = place(axes[:-2], t.batch)
    bad = F.not_(_well("p1", number))
    pair = dtypes.is_complex(held.dtype)
    real = dtypes.real_of(held.dtype) if pair else held.dtype
    nan, zero = const(float("nan"), real), const(0.0, real)
    stores: tuple[Stmt, ...] = (Store("p0", axes, nan),)
    if pair:
        stores = (Store("p0", (*axes, const(0)), nan), Store("p0", (*axes, const(1)), zero))
    body = nest(axes, held.shape, (If(bad, stores),))
    return [*steps, t.run((out, name), [held, info], "bi", body)]


def _trsm(t: Task) -> list[Step]:
    """A 0 on a diagonal is an error."""
    a, last = t.operands[0], len(t.operands) - 1
    more = {k: bool(t.params[k]) for k in ("low", "trans", "unit")}
    call = t.call("cublas", (0, last), 1, **more)
    if more["unit"]:
        return [call]
    failure = Failure(
        "SG302", "triangular_solve: the matrix is singular (a 0 on its diagonal)", "",
        t.step.origins,
    )  # fmt: skip

    def holds(*index: Expr) -> Expr:
        at = (*index, index[-1])
        if not dtypes.is_complex(a.dtype):
            return is_not_zero(load("p0", at, a.dtype))
        real = dtypes.real_of(a.dtype)
        parts = [is_not_zero(load("p0", (*at, const(k)), real)) for k in (0, 1)]
        return F.or_(parts[0], parts[1])

    return [*t.all_of([t.step.buffers[0]], [a], a.shape[:-1], holds, failure), call]


def _getrf(t: Task) -> list[Step]:
    """Pivots are counted from 0, in 64 bits."""
    held, pivots = t.operands
    name, _ = t.info(held.shape[:-2])
    narrow = t.room("int32", pivots.shape)
    axes = index_axes(len(pivots.shape))
    value = F.cast(load("p0", axes, "int32"), "int64") - 1
    body = nest(axes, pivots.shape, (Store("p1", axes, value),))
    buffers = [Buffer(narrow, "int32", pivots.shape, "temp"), pivots]
    return [
        t.call("cusolver", (0, name, narrow), 3, name="getrf"),
        t.run((narrow, t.step.buffers[1]), buffers, "io", body),
    ]


def _geqrf(t: Task) -> list[Step]:
    """Operands are the matrices by columns, memory for work, and tau."""
    name, _ = t.info(t.operands[0].shape[:-2])
    return [t.call("cusolver", (0, 2, name), 3, name="geqrf")]


def _orgqr(t: Task) -> list[Step]:
    """Operands are tau, memory for work, and reflectors, which become the columns of q."""
    name, _ = t.info(t.batch)
    return [t.call("cusolver", (0, 2, name), 2, name="orgqr")]


def _syevd(t: Task) -> list[Step]:
    """Operands are the matrices by columns, memory for work twice, and the values."""
    name, info = t.info(t.operands[0].shape[:-2])
    call = t.call("cusolver", (0, 3, name), 3, name="syevd", vectors=bool(t.params["vectors"]))
    w = t.operands[3]._replace(name=t.step.buffers[3])
    return [call, *failures_of_values(t, w, info, t.params["failure"])]


def failures_of_values(t: Task, w: Buffer, info: Buffer, failure: Failure) -> list[Step]:
    """Eigenvalues of a matrix with NaN are NaN, whatever the library says of it."""

    def holds(*index: Expr) -> Expr:
        value = load("p1", index, w.dtype)
        return F.or_(_well("p0", place(index[:-1], w.shape[:-1])), F.not_(is_number(value)))

    return t.all_of([info.name, w.name], [info, w], w.shape, holds, failure)


def _gesdd(t: Task) -> list[Step]:
    """Operands are the matrices by columns, memory for work twice, the factors, and the values."""
    name, info = t.info(t.operands[0].shape[:-2])
    job = str(t.params["job"])
    places = (0, 5, name) if job == "N" else (0, 3, 4, 5, name)
    call = t.call("cusolver", places, len(places), name="gesvd", job=job)
    s = t.operands[5]._replace(name=t.step.buffers[5])
    return [call, *failures_of_svd(t, s, info, t.params["failure"])]


def failures_of_svd(t: Task, s: Buffer, info: Buffer, failure: Failure) -> list[Step]:
    """A matrix with NaN is an error, as of LAPACK."""

    def holds(*index: Expr) -> Expr:
        value = load("p1", index, s.dtype)
        return F.and_(_well("p0", place(index[:-1], s.shape[:-1])), is_number(value))

    return t.all_of([info.name, s.name], [info, s], s.shape, holds, failure)


_ROUTINES: dict[str, Callable[[Task], list[Step]]] = {
    "potrf": _potrf, "trsm": _trsm, "getrf": _getrf, "geqrf": _geqrf, "orgqr": _orgqr,
    "syevd": _syevd, "gesdd": _gesdd,
}  # fmt: skip
