"""Small linear algebra as kernels of our own: a block of threads for each matrix of a batch.

    potrf    Cholesky factors, column by column, right-looking
    getrf    LU with partial pivoting, the first largest element of a column as pivot
    trsm     triangular systems, a row of the solution after another

A column's steps wait for each other; the rows and columns beside it are shared out (team.py sees
which loops have independent turns). Larger matrices are better off with a library of NVIDIA's
(factors.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph.loops.compute import index_axes
from symgraph.loops.program import Buffer, Call, Failure, Require, Run, Step
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Param, Stmt, Store
from symgraph.lower.kernels import nest
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

DTYPES = ("float32", "float64")
MOST = 1024  # rows of a matrix that a block is enough for


class Matrix:
    """A parameter with two last axes."""

    def __init__(self, name: str, buffer: Buffer, batch: tuple[Expr, ...]) -> None:
        self.name, self.dtype = name, buffer.dtype
        self.batch = batch[len(batch) - (len(buffer.shape) - 2) :] if len(buffer.shape) > 2 else ()
        self.one = [s == 1 for s in buffer.shape[:-2]]
        self.rows, self.columns = (as_expr(s) for s in buffer.shape[-2:])

    def _at(self, i: Expr, j: Expr) -> tuple[Expr, ...]:
        lead = (const(0) if one else b for one, b in zip(self.one, self.batch, strict=True))
        return (*lead, i, j)

    def __call__(self, i: Expr, j: Expr) -> Expr:
        return load(self.name, self._at(i, j), self.dtype)

    def put(self, i: Expr, j: Expr, value: Expr) -> Store:
        return Store(self.name, self._at(i, j), value)


def steps_of(
    step: Call, operands: list[Buffer], params: dict[str, Any], room: Callable[..., str]
) -> list[Step] | None:
    """What a LAPACK call becomes: kernels, yet to be scheduled, and checks; None for those that
    stay calls. ``room(dtype, shape)`` makes a temporary."""
    writer = _ROUTINES.get(params["name"])
    if writer is None or operands[0].dtype not in DTYPES:
        return None
    if any(isinstance(n, int) and n > MOST for n in operands[0].shape[-2:]):
        return None
    return writer(step, operands, params, room)


def over(
    step: Call, names: tuple[str, ...], buffers: list[Buffer], modes: str, body: tuple[Stmt, ...]
) -> Run:
    """A kernel over buffers: p0, p1 ..., each read (i), written (o) or both (b)."""
    words = {"i": "in", "o": "out", "b": "inout"}
    params = [
        Param(f"p{k}", b.dtype, b.shape, words[m])
        for k, (b, m) in enumerate(zip(buffers, modes, strict=True))
    ]
    kernel = Kernel(str(dict(step.params)["name"]), tuple(params), sizes_of(body, params), body)
    return Run(kernel, names, step.origins)


def turns(index: Expr, extent: Expr, *body: Stmt) -> For:
    """A loop."""
    return For(index, as_size(extent), "serial", body)


# Cholesky -----------------------------------------------------------------------------------------


def _potrf(
    step: Call, operands: list[Buffer], params: dict[str, Any], room: Callable[..., str]
) -> list[Step]:
    """The factor in the place of the lower triangle; a column after one that fails is NaN, and so
    is then the last element of the diagonal."""
    held = operands[-1]
    batch = index_axes(len(held.shape))[:-2]
    m = Matrix("p0", held, batch)
    k, i, j, row = (var(w) for w in ("_k", "_i", "_j", "_row"))
    pivot, root = var("_pivot", m.dtype), var("_root", m.dtype)
    column, other = k + 1 + i, k + 1 + j
    nan = const(float("nan"), m.dtype)
    body = turns(
        k, m.rows,
        Let(pivot, m(k, k)),
        Let(root, F.select(F.lt(const(0.0, m.dtype), pivot), F.sqrt(pivot), nan)),
        m.put(k, k, root),
        turns(i, m.rows - k - 1, m.put(column, k, F.div(m(column, k), root))),
        turns(row, m.rows - k - 1, turns(
            j, m.rows - k - 1,
            If(F.le(j, row), (m.put(k + 1 + row, other, F.fma(
                F.neg(m(k + 1 + row, k)), m(other, k), m(k + 1 + row, other))),)),
        )),
    )  # fmt: skip
    whole = nest(batch, held.shape[:-2], (body,))
    steps: list[Step] = [over(step, (step.buffers[-1],), [held], "b", whole)]
    return [*steps, *_judged(step, held, params, room)]


def _judged(
    step: Call, held: Buffer, params: dict[str, Any], room: Callable[..., str]
) -> list[Step]:
    """Where a matrix was not positive definite: an error, or a matrix of NaN."""
    if params["on_failure"] == "raise":
        failure = Failure(
            "SG302", "cholesky: matrix is not positive definite",
            'add a multiple of the identity, or use on_failure="nan"', step.origins,
        )  # fmt: skip
        return _checked(step, step.buffers[-1], held, is_number, failure, room)
    batch = index_axes(len(held.shape))[:-2]
    m = Matrix("p0", held, batch)
    i, j, r, good = var("_i"), var("_j"), var("_r"), var("_good", "bool")
    check = Fold((good,), "and", r, as_size(m.rows), "serial", (), (is_number(m(r, r)),))
    nan = const(float("nan"), m.dtype)
    fill = turns(i, m.rows, turns(j, m.columns, m.put(i, j, nan)))
    body = nest(batch, held.shape[:-2], (check, If(F.not_(good), (fill,))))
    return [over(step, (step.buffers[-1],), [held], "b", body)]


def is_number(x: Expr) -> Expr:
    """Whether a float is not NaN."""
    return F.eq(x, x)


def is_not_zero(x: Expr) -> Expr:
    """Whether a number is not 0."""
    return F.ne(x, const(0.0, x.dtype))


def _checked(
    step: Call, name: str, held: Buffer, holds: Callable[[Expr], Expr], failure: Failure,
    room: Callable[..., str],
) -> list[Step]:  # fmt: skip
    """An error unless something holds for the diagonals of all matrices."""
    batch = index_axes(len(held.shape))[:-2]
    m = Matrix("p0", held, batch)
    flag, r = room("bool", ()), var("_r")
    good = [var(f"_good{k}", "bool") for k in range(len(batch) + 1)]
    value, index, extent = holds(m(r, r)), r, as_size(m.rows)
    s = Fold((good[-1],), "and", index, extent, "serial", (), (value,))
    for k in reversed(range(len(batch))):
        s = Fold((good[k],), "and", batch[k], held.shape[k], "serial", (s,), (good[k + 1],))
    buffers = [held, Buffer(flag, "bool", (), "temp")]
    body = (s, Store("p1", (), good[0]))
    return [over(step, (name, flag), buffers, "io", body), Require(flag, failure)]


# triangular systems -------------------------------------------------------------------------------


def _trsm(
    step: Call, operands: list[Buffer], params: dict[str, Any], room: Callable[..., str]
) -> list[Step]:
    """The right sides lie in the last buffer, where the solutions go."""
    a_held, held = operands[0], operands[-1]
    batch = index_axes(len(held.shape))[:-2]
    a, x = Matrix("p0", a_held, batch), Matrix("p1", held, batch)
    k, i, j, c = (var(w) for w in ("_k", "_i", "_j", "_c"))
    turned = bool(params["trans"])
    forward = bool(params["low"]) != turned
    row = k if forward else x.rows - 1 - k
    rest = k + 1 + i if forward else x.rows - 2 - k - i

    def factor(p: Expr, q: Expr) -> Expr:
        return a(q, p) if turned else a(p, q)

    body: list[Stmt] = []
    if not params["unit"]:
        body.append(turns(c, x.columns, x.put(row, c, F.div(x(row, c), factor(row, row)))))
    less = F.fma(F.neg(factor(rest, row)), x(row, j), x(rest, j))
    body.append(turns(i, x.rows - k - 1, turns(j, x.columns, x.put(rest, j, less))))
    whole = nest(batch, held.shape[:-2], (turns(k, x.rows, *body),))
    run = over(step, (step.buffers[0], step.buffers[-1]), [a_held, held], "ib", whole)
    if "graph" not in params:  # nothing to report
        return [run]
    failure = Failure(
        "SG302", "triangular_solve: the matrix is singular (a 0 on its diagonal)",
        "", step.origins,
    )  # fmt: skip
    return [*_checked(step, step.buffers[0], a_held, is_not_zero, failure, room), run]


# LU -----------------------------------------------------------------------------------------------


def _getrf(
    step: Call, operands: list[Buffer], params: dict[str, Any], room: Callable[..., str]
) -> list[Step]:
    """The matrix lies with its columns one after another."""
    held, pivots = operands
    batch = index_axes(len(held.shape))[:-2]
    t = Matrix("p0", held, batch)
    m, n = t.columns, t.rows
    least = as_expr(pivots.shape[-1])
    k, r, i, j, c = (var(w) for w in ("_k", "_r", "_i", "_j", "_c"))
    best, at, p = var("_best", t.dtype), var("_at"), var("_p")
    size = F.abs_(t(k, k + r))
    value = F.select(F.isnan(size), const(float("inf"), t.dtype), size)
    mine, other = var("_mine", t.dtype), var("_other", t.dtype)
    row, column = k + 1 + i, k + 1 + j
    pivot = var("_pivot", t.dtype)
    scaled = F.select(F.eq(pivot, const(0.0, t.dtype)), t(k, row), F.div(t(k, row), pivot))
    body = turns(
        k, least,
        Fold((best, at), "argmax", r, as_size(m - k), "serial", (), (value, r)),
        Let(p, k + at),
        Store("p1", (*batch, k), F.cast(p, pivots.dtype)),
        turns(c, n, Let(mine, t(c, k)), Let(other, t(c, p)), t.put(c, k, other), t.put(c, p, mine)),
        Let(pivot, t(k, k)),
        turns(i, m - k - 1, t.put(k, row, scaled)),
        turns(j, n - k - 1, turns(var("_s"), m - k - 1, t.put(column, k + 1 + var("_s"), F.fma(
            F.neg(t(column, k)), t(k, k + 1 + var("_s")), t(column, k + 1 + var("_s")))))),
    )  # fmt: skip
    whole = nest(batch, held.shape[:-2], (body,))
    return [over(step, tuple(step.buffers), [held, pivots], "bo", whole)]


_ROUTINES: dict[str, Callable[..., list[Step]]] = {
    "potrf": _potrf, "trsm": _trsm, "getrf": _getrf,
}  # fmt: skip
