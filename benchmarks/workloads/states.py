"""Loops whose state is tiny: a Lorenz orbit, an autoregression, a Kalman filter's likelihood."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from peers import (
    Contender,
    jax_formula,
    jax_module,
    numba_formula,
    numpy_formula,
    pytensor_formula,
    symgraph_formula,
    torch_formula,
)

from workloads import Workload

# Lorenz's equations by Euler's method, the state three scalars ------------------------------------

STEPS = 10_000
DT = 0.001


def lorenz_arrays() -> tuple[np.ndarray, ...]:
    return (np.array([1.0, 1.0, 1.0]),)


def euler(x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
    return (x + DT * (10.0 * (y - x)), y + DT * (x * (28.0 - z) - y),
            z + DT * (x * y - (8.0 / 3.0) * z))  # fmt: skip


def lorenz_loop(s: Any) -> Any:
    x, y, z = s[0], s[1], s[2]
    out = np.empty(STEPS)
    for t in range(STEPS):
        x, y, z = (x + DT * (10.0 * (y - x)), y + DT * (x * (28.0 - z) - y),
                   z + DT * (x * y - (8.0 / 3.0) * z))  # fmt: skip
        out[t] = z
    return out


def lorenz_symgraph(s: Any) -> Any:
    sg = importlib.import_module("symgraph")
    return sg.scan(euler, None, [s[0], s[1], s[2]], n_steps=STEPS)[2]


def lorenz_jax(s: Any) -> Any:
    def step(carry: Any, _: Any) -> Any:
        carry = euler(*carry)
        return carry, carry[2]

    return jax_module().lax.scan(step, (s[0], s[1], s[2]), None, length=STEPS)[1]


def lorenz_pytensor(s: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    return pytensor.scan(euler, [], [s[0], s[1], s[2]], n_steps=STEPS, return_updates=False)[2]


LORENZ: dict[str, Contender] = {
    "numpy": numpy_formula(lorenz_loop), "symgraph": symgraph_formula(lorenz_symgraph),
    "numba": numba_formula(lorenz_loop), "jax": jax_formula(lorenz_jax),
    "pytensor": pytensor_formula(lorenz_pytensor),
}  # fmt: skip


# an autoregression's likelihood by its coefficients, with gradient --------------------------------


def series() -> tuple[np.ndarray, ...]:
    return np.array([0.5, 0.2]), np.random.default_rng(0).normal(size=2000)


def volatility(step_of: Any, log: Any, coefficients: Any, x: Any) -> Any:
    """GARCH(1, 1): the variance of each observation depends on the last one."""
    a, b = coefficients[0], coefficients[1]
    variances = step_of(lambda row, v: 0.1 + a * row * row + b * v, x)
    return (log(variances) + x * x / variances).sum()


def volatility_symgraph(c: Any, x: Any) -> Any:
    sg = importlib.import_module("symgraph")
    loss = volatility(lambda f, x: sg.scan(f, [x], [sg.constant(1.0)]), sg.log, c, x)
    return loss, sg.grad(loss, c)


def volatility_jax(c: Any, x: Any) -> Any:
    jax = jax_module()

    def scan(f: Any, x: Any) -> Any:
        return jax.lax.scan(lambda v, row: (f(row, v),) * 2, 1.0, x)[1]

    return jax.value_and_grad(lambda c: volatility(scan, jax.numpy.log, c, x))(c)


def volatility_loop(c: Any, x: Any) -> Any:
    """Forward and then backward, by hand."""
    n = x.size
    v = np.empty(n + 1)
    v[0], loss = 1.0, 0.0
    for t in range(n):
        v[t + 1] = 0.1 + c[0] * x[t] * x[t] + c[1] * v[t]
        loss += math.log(v[t + 1]) + x[t] * x[t] / v[t + 1]
    slope, g = np.zeros(2), 0.0
    for t in range(n - 1, -1, -1):
        w = v[t + 1]
        g = g * c[1] + 1 / w - x[t] * x[t] / (w * w)
        slope[0] += g * x[t] * x[t]
        slope[1] += g * v[t]
    return loss, slope


def volatility_pytensor(c: Any, x: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    v = pytensor.scan(
        lambda row, v, a, b: 0.1 + a * row * row + b * v, [x], [pt.ones(())], [c[0], c[1]],
        return_updates=False,
    )  # fmt: skip
    loss = (pt.log(v) + x * x / v).sum()
    return loss, pytensor.grad(loss, c)


GARCH: dict[str, Contender] = {
    "numpy": numpy_formula(volatility_loop), "symgraph": symgraph_formula(volatility_symgraph),
    "numba": numba_formula(volatility_loop), "jax": jax_formula(volatility_jax),
    "pytensor": pytensor_formula(volatility_pytensor),
}  # fmt: skip


# a Kalman filter with four states and two observations --------------------------------------------

TIMES = 500


def kalman_arrays() -> tuple[np.ndarray, ...]:
    """Observations, transition, observation matrix, both noises: a point that moves in a plane."""
    transition = np.eye(4) + 0.1 * np.eye(4, k=2)
    return (np.random.default_rng(0).normal(size=(TIMES, 2)).cumsum(0) * 0.1, transition,
            np.eye(2, 4), 0.01 * np.eye(4), 0.1 * np.eye(2))  # fmt: skip


def kalman_step(xp: Any, row: Any, m: Any, p: Any, f: Any, h: Any, q: Any, r: Any) -> Any:
    """The new mean and covariance and the log-likelihood of a row; the 2x2 inverse in full."""
    m, p = f @ m, f @ p @ f.T + q
    s = h @ p @ h.T + r
    det = s[0, 0] * s[1, 1] - s[0, 1] * s[1, 0]
    inverse = xp.stack([xp.stack([s[1, 1], -s[0, 1]]), xp.stack([-s[1, 0], s[0, 0]])]) / det
    off = row - h @ m
    gain = p @ h.T @ inverse
    value = -0.5 * (off @ inverse @ off + xp.log(det)) - math.log(2 * math.pi)
    return m + gain @ off, p - gain @ h @ p, value


def kalman_numpy(y: Any, *matrices: Any) -> Any:
    m, p, total = np.zeros(4), np.eye(4), 0.0
    for row in y:
        m, p, value = kalman_step(np, row, m, p, *matrices)
        total += value
    return total


def kalman_symgraph(y: Any, *matrices: Any) -> Any:
    sg = importlib.import_module("symgraph")
    sizes = [(4, 4), (2, 4), (4, 4), (2, 2)]
    fixed = [sg.specify_shape(a, s) for a, s in zip(matrices, sizes, strict=True)]
    y = sg.specify_shape(y, (y.shape[0], 2))
    start = [sg.zeros((4,)), sg.eye(4), None]
    return sg.scan(lambda row, m, p: kalman_step(sg, row, m, p, *fixed), [y], start)[2].sum()


def kalman_jax(y: Any, *matrices: Any) -> Any:
    jax = jax_module()
    jnp = jax.numpy

    def step(carry: Any, row: Any) -> Any:
        m, p, value = kalman_step(jnp, row, *carry, *matrices)
        return (m, p), value

    return jax.lax.scan(step, (jnp.zeros(4), jnp.eye(4)), y)[1].sum()


def kalman_torch(y: Any, *matrices: Any) -> Any:
    torch = importlib.import_module("torch")
    m, p = torch.zeros(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for row in y:
        m, p, value = kalman_step(torch, row, m, p, *matrices)
        total = total + value
    return total


def kalman_loop(y: Any, f: Any, h: Any, q: Any, r: Any) -> Any:
    m, p, total = np.zeros(4), np.eye(4), 0.0
    inverse = np.empty((2, 2))
    for t in range(y.shape[0]):
        m, p = f @ m, f @ p @ f.T + q
        s = h @ p @ h.T + r
        det = s[0, 0] * s[1, 1] - s[0, 1] * s[1, 0]
        inverse[0, 0], inverse[0, 1] = s[1, 1] / det, -s[0, 1] / det
        inverse[1, 0], inverse[1, 1] = -s[1, 0] / det, s[0, 0] / det
        off = y[t] - h @ m
        gain = p @ h.T @ inverse
        total += -0.5 * (off @ (inverse @ off) + math.log(det)) - math.log(2 * math.pi)
        m, p = m + gain @ off, p - gain @ h @ p
    return total


def kalman_pytensor(y: Any, *matrices: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    out = pytensor.scan(
        lambda row, m, p, *fixed: kalman_step(pt, row, m, p, *fixed),
        [y], [pt.zeros(4), pt.eye(4), None], list(matrices), return_updates=False,
    )  # fmt: skip
    return out[2].sum()


KALMAN: dict[str, Contender] = {
    "numpy": numpy_formula(kalman_numpy), "symgraph": symgraph_formula(kalman_symgraph),
    "numba": numba_formula(kalman_loop), "jax": jax_formula(kalman_jax),
    "torch": torch_formula(kalman_torch), "pytensor": pytensor_formula(kalman_pytensor),
}  # fmt: skip

WORKLOADS = [
    Workload("states.lorenz", f"{STEPS} steps of three doubles", lorenz_arrays, LORENZ,
             flops=13.0 * STEPS),
    Workload("states.garch", "2000 steps, likelihood and gradient by two numbers", series, GARCH),
    Workload("states.kalman", f"{TIMES} steps, 4 states, 2 observations, doubles", kalman_arrays,
             KALMAN),
]  # fmt: skip
