"""The steps of factorisations: kernels that lay matrices out for LAPACK, and the calls.

A call that fails runs the op's NumPy reference through a callback, which raises the error with all
that it can tell; where the results are only parts of what the user gets, a plain failure is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply, Graph, Input
from symgraph.ir.graph import apply as make
from symgraph.ir.resizing import resized
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import index_axes
from symgraph.loops.program import Call, Copy, Failure, Step
from symgraph.loops.statements import Let, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel, nest
from symgraph.scalar import Expr, as_expr, as_size, call, const, load, var
from symgraph.scalar import functions as F

IN_LANES = 32  # rows up to which many matrices are factorised together, each in a lane
BLOCK = 64  # columns that LAPACK's blocked algorithms want workspace for


# pieces -------------------------------------------------------------------------------------------


def _fill(
    b: Builder, target: str, sources: Sequence[str], origins: tuple[Any, ...],
    element: Callable[..., Expr], least: int = 0,
) -> Step:  # fmt: skip
    """A kernel target[batch, i, j] = element(i, j, *read), where read[k](i, j) loads from source
    number k of the same batch. ``least``: of a batch of smaller matrices nothing is done."""
    shape = b.buffers[target].shape
    if least:
        large = call("minimum", as_expr(shape[-1]) // least, const(1))
        shape = (as_size(as_expr(shape[0]) * large), *shape[1:])
    axes = index_axes(len(shape))

    def reader(k: int) -> Callable[[Expr, Expr], Expr]:
        dtype = b.buffers[sources[k]].dtype
        return lambda i, j: load(f"p{k}", (*axes[:-2], i, j), dtype)

    value = element(axes[-2], axes[-1], *map(reader, range(len(sources))))
    body = nest(axes, shape, (Store(f"p{len(sources)}", axes, value),), "vector")
    return kernel(b, [*sources, target], "i" * len(sources) + "o", body, origins)


def turn(
    b: Builder, target: str, source: str, origins: tuple[Any, ...], least: int = 0
) -> Step:  # fmt: skip
    """target = the transposed source."""
    return _fill(b, target, [source], origins, lambda i, j, x: x(j, i), least)


def _like(b: Builder, name: str, core: Sequence[Size], drop: int = 2) -> str:
    """A temporary with the dtype and the batch of a buffer and these last axes."""
    held = b.buffers[name]
    return b.scratch(TensorType(held.dtype, (*held.shape[: len(held.shape) - drop], *core)))


def _work(b: Builder, dtype: str, size: Expr | int) -> str:
    return b.scratch(TensorType(dtype, (as_size(as_expr(size) + 1),)))


def _least(a: Size, b: Size) -> Expr:
    if isinstance(a, int) and isinstance(b, int):
        return const(min(a, b))
    return as_expr(a) if a is b else call("minimum", as_expr(a), as_expr(b))


def reference(b: Builder, apply: Apply) -> Graph:
    """The node alone, for a callback; its inputs have the sizes that the program knows."""
    held = [b.buffers[b.buffer(v)] for v in apply.inputs]
    inputs = [Input(TensorType(h.dtype, h.shape), f"x{k}") for k, h in enumerate(held)]
    op = resized(apply.op, b.ctx.equal)
    return Graph(inputs, make(op, inputs, apply.origins).outputs)


def _not_converged(apply: Apply) -> Failure:
    what = f"{apply.op.name}: the iteration did not converge"
    return Failure("SG302", what, "the matrix may hold NaN or infinities", apply.origins)


def _call(name: str, buffers: Sequence[str], origins: tuple[Any, ...], **params: Any) -> Call:
    return Call("lapack", tuple(buffers), (("name", name), *params.items()), origins)


def _conjugate(x: Expr) -> Expr:
    return F.conj(x) if dtypes.is_complex(x.dtype) else x


# routines -----------------------------------------------------------------------------------------


def cholesky(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The lower triangle of what is factorised goes where the factor will be; small matrices, if
    there are many, are read by what factorises them."""
    a, out = b.buffer(apply.inputs[0]), b.buffer(apply.output)
    n, lanes = b.buffers[a].shape[-1], _in_lanes(b, a)

    def low(i: Expr, j: Expr, x: Callable[[Expr, Expr], Expr]) -> Expr:
        both = F.add(x(i, j), _conjugate(x(j, i)))
        value = F.mul(both, 0.5) if params["symmetrize"] else x(i, j)
        return F.select(F.le(j, i), value, 0.0)

    more: dict[str, Any] = {"on_failure": params["on_failure"]}
    if params["on_failure"] == "raise":
        more["graph"] = reference(b, apply)
    if lanes:
        more |= {"symmetrize": params["symmetrize"], "lanes": True}
    steps: list[Step] = [_call("potrf", [a, out], apply.origins, **more)]
    if not (lanes and isinstance(n, int)):
        steps.insert(0, _fill(b, out, [a], apply.origins, low, IN_LANES + 1 if lanes else 0))
    b.add_steps([a], [out], steps, needs)


def cholesky_pull(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The routine gives the cotangent of the lower triangle, in which an element stands for two."""
    (low, g), out = [b.buffer(v) for v in apply.inputs], b.buffer(apply.output)
    held = _like(b, out, b.buffers[out].shape[-2:])

    def both(i: Expr, j: Expr, x: Callable[[Expr, Expr], Expr]) -> Expr:
        above = F.lt(i, j)
        value = x(F.select(above, j, i), F.select(above, i, j))
        return F.select(F.eq(i, j), value, F.mul(value, 0.5))

    steps = [
        _fill(b, held, [g], apply.origins, lambda i, j, x: x(i, j)),
        _call("cholesky_pull", [low, held], apply.origins),
        _fill(b, out, [held], apply.origins, both),
    ]
    b.add_steps([low, g], [out], steps, needs)


def cholesky_push(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    (low, a), out = [b.buffer(v) for v in apply.inputs], b.buffer(apply.output)

    def half(i: Expr, j: Expr, x: Callable[[Expr, Expr], Expr]) -> Expr:
        return F.select(F.le(j, i), F.mul(F.add(x(i, j), x(j, i)), 0.5), 0.0)

    steps = [
        _fill(b, out, [a], apply.origins, half),
        _call("cholesky_push", [low, out], apply.origins),
    ]
    b.add_steps([low, a], [out], steps, needs)


def lu_map(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """What is mapped goes where the result will be."""
    (lu, x), out = [b.buffer(v) for v in apply.inputs], b.buffer(apply.output)
    steps = [
        _fill(b, out, [x], apply.origins, lambda i, j, x: x(i, j)),
        _call(params["name"], [lu, out], apply.origins),
    ]
    b.add_steps([lu, x], [out], steps, needs)


def lower_product(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    (a, t), out = [b.buffer(v) for v in apply.inputs], b.buffer(apply.output)
    left, held = (_like(b, out, b.buffers[out].shape[-2:]) for _ in range(2))

    def low(i: Expr, j: Expr, x: Callable[[Expr, Expr], Expr]) -> Expr:
        return F.select(F.le(j, i), x(i, j), 0.0)

    steps = [
        _fill(b, left, [t], apply.origins, low),
        _call("lower_product", [a, left, held], apply.origins, **params),
        _fill(b, out, [held], apply.origins, low),
    ]
    b.add_steps([a, t], [out], steps, needs)


def triangular_solve(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    a, right = (b.buffer(v) for v in apply.inputs)
    out = b.buffer(apply.output)
    if params.pop("checked"):
        params = {**params, "graph": reference(b, apply)}
    shapes = b.buffers[a].shape, b.buffers[right].shape
    wide = isinstance(shapes[1][-1], int) and shapes[1][-1] > IN_LANES
    if _in_lanes(b, a) and shapes[0][:-2] == shapes[1][:-2] and not wide:
        params = {**params, "lanes": True}
    steps: list[Step] = [
        Copy(out, right), _call("trsm", [a, right, out], apply.origins, **params)
    ]  # fmt: skip
    b.add_steps([a, right], [out], steps, needs)


def lu_factor(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    a, (lu, pivots) = b.buffer(apply.inputs[0]), [b.buffer(v) for v in apply.outputs]
    lanes = _in_lanes(b, a)
    if lanes and isinstance(b.buffers[a].shape[-1], int):
        whole = _call("getrf", [a, lu, pivots], apply.origins, lanes=True, results=2)
        b.add_steps([a], [lu, pivots], [whole], needs)
        return
    turned = _like(b, a, b.buffers[a].shape[:-3:-1])
    operands = [a, turned, lu, pivots] if lanes else [turned, pivots]
    more = {"lanes": True, "results": 2} if lanes else {}
    least = IN_LANES + 1 if lanes else 0
    steps = [
        turn(b, turned, a, apply.origins, least),
        _call("getrf", operands, apply.origins, **more),
        turn(b, lu, turned, apply.origins, least),
    ]
    b.add_steps([a], [lu, pivots], steps, needs)


def _in_lanes(b: Builder, a: str) -> bool:
    """Whether a buffer holds many square matrices that may be small enough to go in lanes."""
    (*batch, m, n), plain = b.buffers[a].shape, b.ctx.device or not b.ctx.scheduled
    small = not (isinstance(n, int) and n > IN_LANES)
    return bool(batch) and m == n and small and dtypes.is_float(b.buffers[a].dtype) and not plain


def permutation(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out = 0, 1, 2 ...; then one swap after another."""
    pivots, out = b.buffer(apply.inputs[0]), b.buffer(apply.output)
    shape, swaps = b.buffers[out].shape, b.buffers[pivots].shape[-1]
    axes = index_axes(len(shape))
    batch, k = axes[:-1], axes[-1]
    start = nest(axes, shape, (Store("p1", axes, k),))
    here = as_expr(swaps) - 1 - k if params["inverse"] else k
    j, first = var("_other"), var("_first")
    swap: tuple[Stmt, ...] = (
        Let(j, load("p0", (*batch, here), "int64")),
        Let(first, load("p1", (*batch, here), "int64")),
        Store("p1", (*batch, here), load("p1", (*batch, j), "int64")),
        Store("p1", (*batch, j), first),
    )
    body = (*start, *nest(axes, (*shape[:-1], swaps), swap))
    b.add_steps([pivots], [out], [kernel(b, [pivots, out], "io", body, apply.origins)], needs)


def qr(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    a, outs = b.buffer(apply.inputs[0]), [b.buffer(v) for v in apply.outputs]
    m, n = b.buffers[a].shape[-2:]
    reflectors = _least(m, n)
    turned = _like(b, a, (n, m))
    tau = _like(b, a, (as_size(reflectors),))
    work = _work(b, b.buffers[a].dtype, BLOCK * (as_expr(m) + n))

    def upper(i: Expr, j: Expr, t: Callable[[Expr, Expr], Expr]) -> Expr:
        inside = F.le(i, j)  # the transposed matrix has a row j for each column of r
        return F.select(inside, t(j, F.select(inside, i, const(0))), 0.0)

    steps = [
        turn(b, turned, a, apply.origins),
        _call("geqrf", [turned, work, tau], apply.origins),
        _fill(b, outs[-1], [turned], apply.origins, upper),
    ]
    if params["with_q"]:
        columns = b.buffers[outs[0]].shape[-1]
        q = _like(b, a, (columns, m))
        if params["complete"]:

            def held(i: Expr, j: Expr, t: Callable[[Expr, Expr], Expr]) -> Expr:
                inside = F.lt(i, reflectors)
                return F.select(inside, t(F.select(inside, i, const(0)), j), 0.0)
        else:

            def held(i: Expr, j: Expr, t: Callable[[Expr, Expr], Expr]) -> Expr:
                return t(i, j)

        steps += [
            _fill(b, q, [turned], apply.origins, held),
            _call("orgqr", [tau, work, q], apply.origins),
            turn(b, outs[0], q, apply.origins),
        ]
    b.add_steps([a], outs, steps, needs)


def svd(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    a, outs = b.buffer(apply.inputs[0]), [b.buffer(v) for v in apply.outputs]
    dtype, (m, n) = b.buffers[a].dtype, b.buffers[a].shape[-2:]
    k, total = _least(m, n), as_expr(m) + n
    turned = _like(b, a, (n, m))
    # LAPACK's lower bounds, plus room for blocks of columns
    work = _work(b, dtype, 4 * k * k + 7 * k + (BLOCK + 1) * total)
    integers = _work(b, "int64", 8 * k)
    steps = [turn(b, turned, a, apply.origins)]
    more: dict[str, Any] = {"job": params["job"], "failure": _not_converged(apply)}
    if params["job"] == "N":
        buffers = [turned, work, integers, work, work, outs[0]]
        steps.append(_call("gesdd", buffers, apply.origins, **more))
    else:
        u, s, v = outs
        factors = [_like(b, a, b.buffers[x].shape[:-3:-1]) for x in (u, v)]
        # of an empty matrix nothing is computed, and full factors are identities
        steps += [_fill(b, x, [], apply.origins, _identity(dtype)) for x in factors]
        steps.append(_call("gesdd", [turned, work, integers, *factors, s], apply.origins, **more))
        steps += [turn(b, x, t, apply.origins) for x, t in zip((u, v), factors, strict=True)]
    b.add_steps([a], outs, steps, needs)


def _identity(dtype: str) -> Callable[[Expr, Expr], Expr]:
    return lambda i, j: F.select(F.eq(i, j), const(1.0, dtype), 0.0)


def eigh(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    a, outs = b.buffer(apply.inputs[0]), [b.buffer(v) for v in apply.outputs]
    held = b.buffers[a]
    n = as_expr(held.shape[-1])
    turned = _like(b, a, held.shape[:-3:-1])
    size = 2 * n * n + (6 + BLOCK) * n if params["vectors"] else (2 + BLOCK) * n
    work, integers = _work(b, held.dtype, size), _work(b, "int64", 3 + 5 * n)

    def symmetric(i: Expr, j: Expr, x: Callable[[Expr, Expr], Expr]) -> Expr:
        return F.mul(F.add(x(i, j), x(j, i)), 0.5) if params["symmetrize"] else x(j, i)

    more = {"vectors": params["vectors"], "failure": _not_converged(apply)}
    steps = [
        _fill(b, turned, [a], apply.origins, symmetric),
        _call("syevd", [turned, work, integers, outs[0]], apply.origins, **more),
    ]
    if params["vectors"]:
        steps.append(turn(b, outs[1], turned, apply.origins))
    b.add_steps([a], outs, steps, needs)
