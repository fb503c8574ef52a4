"""Products of many complex matrices as products of real ones.

A row of complex numbers is a row of twice as many real ones. So A B, of m by k and k by n, is the
product of A as it lies, m by 2k, and of a matrix of 2k by 2n in which a number x + iy of B is

     x  y
    -y  x

and comes out as it lies. In complex numbers that matrix has a row i z behind each row z of B. There
are no more multiplications than in any other way; only B is written once more. Threads share many
products, where BLAS is called for one after another. For one product BLAS does as well.
"""

from __future__ import annotations

from typing import Any

from symgraph import config
from symgraph.ir.graph import Apply
from symgraph.ir.types import TensorType
from symgraph.loops.compute import index_axes
from symgraph.loops.program import Call, Step
from symgraph.loops.statements import Let, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel, nest
from symgraph.lower.lapack import turn
from symgraph.scalar import as_expr, as_size, load, var
from symgraph.scalar import functions as F


def suits(b: Builder, names: list[str]) -> bool:
    """Whether products are made so: many of complex matrices."""
    shape, plain = b.buffers[names[2]].shape, b.ctx.device or not b.ctx.scheduled
    return len(shape) > 2 and not plain and config.get("matmul") == "own"


def steps(b: Builder, apply: Apply, names: list[str], params: dict[str, Any]) -> list[Step]:
    """What makes the operands, and the call."""
    a, right, c = names
    made: list[Step] = []
    if params["ta"]:
        *batch, k, m = b.buffers[a].shape
        turned = b.scratch(TensorType(b.buffers[a].dtype, (*batch, m, k)))
        made.append(turn(b, turned, a, apply.origins))
        a = turned
    pairs = _pairs(b, apply, right, params["tb"], made)
    words = {**params, "ta": False, "tb": False, "pairs": True}
    return [*made, Call("matmul", (a, pairs, c), tuple(words.items()), apply.origins)]


def _pairs(b: Builder, apply: Apply, source: str, turned: bool, made: list[Step]) -> str:
    """The right operand, each row z of which is followed by i z."""
    held = b.buffers[source]
    *batch, k, n = held.shape if not turned else (*held.shape[:-2], *held.shape[:-3:-1])
    target = b.scratch(TensorType(held.dtype, (*batch, as_size(as_expr(k) * 2), n)))
    axes = index_axes(len(held.shape))
    *first, i, j = axes
    z = var("_z", held.dtype)
    stores = [
        Store("p1", (*first, i * 2 + row, j), value)
        for row, value in enumerate((z, F.complex_(F.neg(F.imag(z)), F.real(z))))
    ]
    place = (*first, j, i) if turned else axes
    known = Let(z, load("p0", place, held.dtype))
    body = nest(axes, (*batch, k, n), (known, *stores), "vector")
    made.append(kernel(b, [source, target], "io", body, apply.origins))
    return target
