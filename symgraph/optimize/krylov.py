"""Iterations for linear systems of which only products are known: while loops without derivatives.

Each takes a linear function of vectors, the right side, a start, a tolerance relative to the norm
of the right side and the greatest number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.ir.graph import Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import absolute, sqrt
from symgraph.ops.comparison import isfinite, logical_and, where
from symgraph.ops.creation import iota
from symgraph.ops.decompositions import qr
from symgraph.ops.looping import fori_loop, while_loop
from symgraph.ops.matrix import diag, diagonal, matmul
from symgraph.ops.slicing import zeros
from symgraph.ops.triangular import solve_triangular
from symgraph.records import NamedTuple

Product = Callable[[Variable], Variable]
KRYLOV = 20  # vectors that gmres keeps before it begins anew


class Solved(NamedTuple):
    """The last vector, the number of products, and the norm of what is left of the right side."""

    x: Variable
    steps: Variable
    residual: Variable


def dot(a: Variable, b: Variable) -> Variable:
    """The inner product of two vectors."""
    return reductions.sum(a * b)


def norm(a: Variable) -> Variable:
    """The Euclidean norm."""
    return sqrt(dot(a, a))


def ratio(a: Variable, b: Variable) -> Variable:
    """a / b, 0 where b is 0."""
    return where(b != 0, a / where(b != 0, b, 1), 0)


def cg(a: Product, b: Variable, x0: Variable, tol: Any, steps: Any) -> Solved:
    """Conjugate gradients for symmetric positive definite a (Hestenes and Stiefel, 1952)."""
    goal = tol * tol * dot(b, b)
    r = b - a(x0)

    def going(s: Any) -> Variable:
        return logical_and(logical_and(s[3] > goal, s[4] < steps), isfinite(s[3]))

    def step(s: Any) -> Any:
        x, r, p, rr, k = s
        q = a(p)
        alpha = ratio(rr, dot(p, q))
        x, r = x + alpha * p, r - alpha * q
        new = where(alpha != 0, dot(r, r), np.inf)
        return x, r, r + ratio(new, rr) * p, new, k + 1

    x, r, _, _, k = while_loop(going, step, (x0, r, r, dot(r, r), 0))
    return Solved(x, k, norm(r))


def bicgstab(a: Product, b: Variable, x0: Variable, tol: Any, steps: Any) -> Solved:
    """Stabilised biconjugate gradients for any a (van der Vorst, 1992)."""
    goal = tol * tol * dot(b, b)
    shadow = b - a(x0)
    one = dot(b, b) * 0 + 1

    def going(s: Any) -> Variable:
        rr = dot(s[1], s[1])
        return logical_and(logical_and(rr > goal, s[7] < steps), isfinite(rr))

    def step(s: Any) -> Any:
        x, r, p, v, rho, alpha, omega, k = s
        new = dot(shadow, r)
        beta = ratio(new, rho) * ratio(alpha, omega)
        p = r + beta * (p - omega * v)
        v = a(p)
        alpha = ratio(new, dot(shadow, v))
        half = r - alpha * v
        t = a(half)
        omega = ratio(dot(t, half), dot(t, t))
        x = x + alpha * p + omega * half
        return x, half - omega * t, p, v, new, alpha, omega, k + 2

    start = (x0, shadow, zeros(b.type), zeros(b.type), one, one, one, 0)
    x, r, *_, k = while_loop(going, step, start)
    return Solved(x, k, norm(r))


def gmres(a: Product, b: Variable, x0: Variable, tol: Any, steps: Any) -> Solved:
    """Generalised minimal residuals for any a, begun anew after 20 vectors (Saad and Schultz,
    1986); vectors are made orthogonal by Gram and Schmidt, twice."""
    n = b.shape[0]
    m = min(KRYLOV, n) if isinstance(n, int) else KRYLOV
    goal = tol * norm(b)

    def going(s: Any) -> Variable:
        size = norm(s[1])
        return logical_and(logical_and(size > goal, s[2] < steps), isfinite(size))

    def cycle(s: Any) -> Any:
        x, r, k = s
        x = x + _least_residual(a, r, m)
        return x, b - a(x), k + m

    x, r, k = while_loop(going, cycle, (x0, b - a(x0), 0))
    return Solved(x, k, norm(r))


def _least_residual(a: Product, r: Variable, m: int) -> Variable:
    """The vector d of the Krylov space of r with the least norm of r - a d."""
    beta = norm(r)
    basis = zeros(r.type.with_shape((m + 1, r.shape[0])))
    least = 8 * float(np.finfo(r.dtype).eps)  # what is smaller is made of rounding errors
    table = zeros(r.type.with_shape((m, m + 1)))  # row k: a(basis[k]) in the basis

    def extend(k: Variable, s: Any) -> Any:
        basis, table = s
        w = a(basis[k])
        first = matmul(basis, w)
        w = w - matmul(first, basis)
        second = matmul(basis, w)
        w = w - matmul(second, basis)
        size = norm(w)
        size = where(size > least * norm(first), size, 0)
        row = first + second + where(iota(m + 1) == k + 1, size, 0)
        return basis.at[k + 1].set(w * ratio(size * 0 + 1, size)), table.at[k].set(row)

    first = basis.at[0].set(r * ratio(beta * 0 + 1, beta))
    basis, table = fori_loop(0, m, extend, (first, table))
    right = where(iota(m + 1) == 0, beta, 0)
    return matmul(least_squares_step(table.T, right), basis[:m])


def least_squares_step(a: Variable, b: Variable) -> Variable:
    """x with the least norm of a x - b for a of more rows than columns, by QR; where a column
    depends on those before it, its x is 0, so that nothing fails."""
    q, r = qr(a)
    size = absolute(diagonal(r))
    least = reductions.max(size) * float(np.finfo(a.dtype).eps) * 4
    safe = where(size > least, 0, np.inf).astype(a.dtype)
    return solve_triangular(r + diag(safe), matmul(b, q))
