"""Log-densities with their gradients, as samplers need them at every step."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from peers import (
    Contender,
    jax_formula,
    jax_module,
    numpy_formula,
    pytensor_formula,
    symgraph_formula,
    torch_formula,
)

from workloads import Workload

# a logistic regression ----------------------------------------------------------------------------

ROWS, COLUMNS, GROUPS = 1000, 20, 50


def regression() -> tuple[np.ndarray, ...]:
    """Coefficients, data, outcomes (0 or 1)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS))
    y = (rng.random(ROWS) < 0.5).astype("float64")
    return rng.normal(size=COLUMNS) * 0.3, x, y


def logistic(softplus: Any, w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return (y * z - softplus(z)).sum() - 0.5 * (w * w).sum()


def logistic_numpy(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    value = np.sum(y * z - np.logaddexp(z, 0)) - 0.5 * np.sum(w * w)
    return value, x.T @ (y - 1 / (1 + np.exp(-z))) - w


# a hierarchical logistic regression ---------------------------------------------------------------


def hierarchy() -> tuple[np.ndarray, ...]:
    """Coefficients, offsets of the groups, logarithm of their spread, data, groups, outcomes."""
    w, x, y = regression()
    rng = np.random.default_rng(1)
    return (w, rng.normal(size=GROUPS), np.array(-0.5), x, rng.integers(0, GROUPS, ROWS), y)


def hierarchical(exp: Any, softplus: Any, w: Any, u: Any, s: Any, x: Any, g: Any, y: Any) -> Any:
    z = x @ w + (exp(s) * u)[g]
    return (y * z - softplus(z)).sum() - 0.5 * ((w * w).sum() + (u * u).sum() + s * s)


def hierarchical_numpy(w: Any, u: Any, s: Any, x: Any, g: Any, y: Any) -> Any:
    spread = np.exp(s)
    z = x @ w + spread * u[g]
    value = np.sum(y * z - np.logaddexp(z, 0)) - 0.5 * (w @ w + u @ u + s * s)
    off = y - 1 / (1 + np.exp(-z))
    each = np.bincount(g, off, GROUPS)
    return value, x.T @ off - w, spread * each - u, spread * np.sum(each * u) - s


# a Gaussian process -------------------------------------------------------------------------------

POINTS = 200


def process() -> tuple[np.ndarray, ...]:
    """Logarithms of length, size and noise; places; observations."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0, 10, POINTS))
    return np.array([0.0, 0.1, -1.0]), t, np.sin(t) + 0.3 * rng.normal(size=POINTS)


def covariance(xp: Any, p: Any, t: Any) -> Any:
    off = (t[:, None] - t[None, :]) / xp.exp(p[0])
    return xp.exp(2 * p[1]) * xp.exp(-0.5 * off * off)


def gaussian_numpy(p: Any, t: Any, y: Any) -> Any:
    linalg = importlib.import_module("scipy.linalg")
    off = (t[:, None] - t[None, :]) / np.exp(p[0])
    k = np.exp(2 * p[1]) * np.exp(-0.5 * off * off)
    noise = np.exp(2 * p[2])
    low = linalg.cholesky(k + noise * np.eye(POINTS), lower=True)
    a = linalg.cho_solve((low, True), y)
    value = -0.5 * y @ a - np.sum(np.log(np.diagonal(low))) - POINTS / 2 * math.log(2 * math.pi)
    inner = 0.5 * (np.outer(a, a) - linalg.cho_solve((low, True), np.eye(POINTS)))
    parts = [np.sum(inner * k * off * off), 2 * np.sum(inner * k), 2 * noise * np.trace(inner)]
    return value, np.array(parts)


def gaussian_symgraph(p: Any, t: Any, y: Any) -> Any:
    sg = importlib.import_module("symgraph")
    k = covariance(sg, p, t) + sg.exp(2 * p[2]) * sg.eye(t.shape[0])
    low = sg.linalg.cholesky(k)
    z = sg.linalg.solve_triangular(low, y, lower=True)
    value = -0.5 * (z * z).sum() - sg.log(sg.diagonal(low)).sum()
    value = value - POINTS / 2 * math.log(2 * math.pi)
    return value, sg.grad(value, p)


def gaussian_jax(p: Any, t: Any, y: Any) -> Any:
    jax = jax_module()
    jnp = jax.numpy

    def density(p: Any) -> Any:
        low = jnp.linalg.cholesky(covariance(jnp, p, t) + jnp.exp(2 * p[2]) * jnp.eye(POINTS))
        z = jax.scipy.linalg.solve_triangular(low, y, lower=True)
        return -0.5 * z @ z - jnp.log(jnp.diagonal(low)).sum() - POINTS / 2 * math.log(2 * math.pi)

    return jax.value_and_grad(density)(p)


def gaussian_torch(p: Any, t: Any, y: Any) -> Any:
    torch = importlib.import_module("torch")
    p = p.detach().requires_grad_(True)
    eye = torch.eye(POINTS, dtype=torch.float64)
    low = torch.linalg.cholesky(covariance(torch, p, t) + torch.exp(2 * p[2]) * eye)
    z = torch.linalg.solve_triangular(low, y[:, None], upper=False)
    value = -0.5 * (z * z).sum() - torch.log(torch.diagonal(low)).sum()
    value = value - POINTS / 2 * math.log(2 * math.pi)
    return value.detach(), torch.autograd.grad(value, p)[0]


def gaussian_pytensor(p: Any, t: Any, y: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    low = pt.linalg.cholesky(covariance(pt, p, t) + pt.exp(2 * p[2]) * pt.eye(POINTS))
    z = pt.linalg.solve_triangular(low, y, lower=True)
    value = -0.5 * (z * z).sum() - pt.log(pt.diag(low)).sum() - POINTS / 2 * math.log(2 * math.pi)
    return value, pytensor.grad(value, p)


# a density of each library with its gradient by the first arguments -------------------------------


def with_gradients(count: int, density: Any, *functions: str) -> dict[str, Contender]:
    """``density(*functions of the library, *args)`` and its gradients by ``count`` arguments."""

    def of(*modules: Any) -> list[Any]:
        return [next(getattr(m, f) for m in modules if hasattr(m, f)) for f in functions]

    def in_symgraph(*args: Any) -> Any:
        sg = importlib.import_module("symgraph")
        value = density(*of(sg), *args)
        return value, *sg.grad(value, list(args[:count]))

    def in_jax(*args: Any) -> Any:
        jax = jax_module()
        call = jax.value_and_grad(
            lambda *a: density(*of(jax.nn, jax.numpy), *a), tuple(range(count))
        )
        value, gradients = call(*args)
        return value, *gradients

    def in_torch(*args: Any) -> Any:
        torch = importlib.import_module("torch")
        free = [a.detach().requires_grad_(True) for a in args[:count]]
        value = density(*of(torch, torch.nn.functional), *free, *args[count:])
        return value.detach(), *torch.autograd.grad(value, free)

    def in_pytensor(*args: Any) -> Any:
        pytensor = importlib.import_module("pytensor")
        pt = importlib.import_module("pytensor.tensor")
        value = density(*of(pt), *args)
        return value, *pytensor.grad(value, list(args[:count]))

    return {
        "symgraph": symgraph_formula(in_symgraph), "jax": jax_formula(in_jax),
        "torch": torch_formula(in_torch), "pytensor": pytensor_formula(in_pytensor),
    }  # fmt: skip


LOGISTIC = {"numpy": numpy_formula(logistic_numpy), **with_gradients(1, logistic, "softplus")}
HIERARCHICAL = {"numpy": numpy_formula(hierarchical_numpy),
                **with_gradients(3, hierarchical, "exp", "softplus")}  # fmt: skip
GAUSSIAN: dict[str, Contender] = {
    "numpy": numpy_formula(gaussian_numpy), "symgraph": symgraph_formula(gaussian_symgraph),
    "jax": jax_formula(gaussian_jax), "torch": torch_formula(gaussian_torch),
    "pytensor": pytensor_formula(gaussian_pytensor),
}  # fmt: skip

WORKLOADS = [
    Workload("densities.logistic", f"{ROWS} rows, {COLUMNS} columns, with gradient", regression,
             LOGISTIC, flops=4.0 * ROWS * COLUMNS),
    Workload("densities.hierarchical", f"{ROWS} rows, {COLUMNS} columns, {GROUPS} groups, with "
             "gradients", hierarchy, HIERARCHICAL, flops=4.0 * ROWS * COLUMNS),
    Workload("densities.gaussian_process", f"{POINTS} points, gradient by three numbers", process,
             GAUSSIAN, flops=POINTS**3),
]  # fmt: skip
