"""Simulations: heat on a plate, bodies that attract each other, the Mandelbrot set."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from peers import (
    Contender,
    array_formulas,
    jax_formula,
    jax_module,
    numba_formula,
    numpy_formula,
    pytensor_formula,
    symgraph_formula,
    torch_formula,
)

from workloads import Workload

# the heat equation, explicit, with a cold rim -----------------------------------------------------

SIDE, STEPS, RATE = 512, 100, 0.1


def plate() -> tuple[np.ndarray, ...]:
    u = np.random.default_rng(0).random((SIDE, SIDE), "float32")
    u[0] = u[-1] = u[:, 0] = u[:, -1] = 0
    return (u,)


def inside(u: Any) -> Any:
    """The next values of all places but the rim."""
    middle = u[1:-1, 1:-1]
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return middle + RATE * (around - 4 * middle)


def heat_numpy(u: Any) -> Any:
    u = u.copy()
    for _ in range(STEPS):
        u[1:-1, 1:-1] = inside(u)
    return u


def heat_loop(u: Any) -> Any:
    u, v = u.copy(), u.copy()
    rate, four = np.float32(RATE), np.float32(4)
    for _ in range(STEPS):
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                v[i, j] = u[i, j] + rate * (around - four * u[i, j])
        u, v = v, u
    return u


def heat_symgraph(u: Any) -> Any:
    sg = importlib.import_module("symgraph")
    return sg.fori_loop(0, STEPS, lambda _, u: sg.pad(inside(u), 1), u)


def heat_jax(u: Any) -> Any:
    jax = jax_module()
    return jax.lax.fori_loop(0, STEPS, lambda _, u: u.at[1:-1, 1:-1].set(inside(u)), u)


def heat_torch(u: Any) -> Any:
    u = u.clone()
    for _ in range(STEPS):
        u[1:-1, 1:-1] = inside(u)
    return u


def heat_pytensor(u: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    rate = np.float32(RATE)

    def step(u: Any) -> Any:
        middle = u[1:-1, 1:-1]
        around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
        return pt.set_subtensor(middle, middle + rate * (around - np.float32(4) * middle))

    return pytensor.scan(step, [], [u], n_steps=STEPS, return_updates=False)[-1]


HEAT: dict[str, Contender] = {
    "numpy": numpy_formula(heat_numpy), "symgraph": symgraph_formula(heat_symgraph),
    "numba": numba_formula(heat_loop), "jax": jax_formula(heat_jax),
    "torch": torch_formula(heat_torch), "pytensor": pytensor_formula(heat_pytensor),
}  # fmt: skip


# forces between bodies ----------------------------------------------------------------------------

BODIES = 1000


def bodies() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(BODIES, 3)), rng.uniform(0.5, 1.5, BODIES)


def forces(x: Any, m: Any) -> Any:
    """Accelerations, softened where two bodies are close."""
    off = x[None, :, :] - x[:, None, :]
    square = (off * off).sum(2) + 0.01
    return (off * (m[None, :] * square**-1.5)[:, :, None]).sum(1)


def forces_loop(x: Any, m: Any) -> Any:
    out = np.zeros_like(x)
    for i in range(x.shape[0]):
        a = b = c = 0.0
        for j in range(x.shape[0]):
            u, v, w = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
            square = u * u + v * v + w * w + 0.01
            f = m[j] / (square * math.sqrt(square))
            a, b, c = a + f * u, b + f * v, c + f * w
        out[i, 0], out[i, 1], out[i, 2] = a, b, c
    return out


FORCES = array_formulas(*[forces] * 5) | {"numba": numba_formula(forces_loop, fastmath=True)}


# the Mandelbrot set -------------------------------------------------------------------------------

PIXELS, TURNS = 400, 50


def plane() -> tuple[np.ndarray, ...]:
    re = np.linspace(-2, 0.6, PIXELS)[None, :] + np.zeros((PIXELS, 1))
    return re, np.linspace(-1.3, 1.3, PIXELS)[:, None] + np.zeros((1, PIXELS))


def turn(where: Any, re: Any, im: Any, x: Any, y: Any, n: Any) -> Any:
    """One step of all points that are still near; ``n`` counts the steps of each."""
    near = x * x + y * y < 4
    return (where(near, x * x - y * y + re, x), where(near, 2 * x * y + im, y), n + near)


def mandelbrot_numpy(re: Any, im: Any) -> Any:
    x, y, n = np.zeros_like(re), np.zeros_like(re), np.zeros(re.shape, "int64")
    for _ in range(TURNS):
        x, y, n = turn(np.where, re, im, x, y, n)
    return n


def mandelbrot_loop(re: Any, im: Any) -> Any:
    out = np.zeros(re.shape, np.int64)
    for i in range(re.shape[0]):
        for j in range(re.shape[1]):
            x = y = 0.0
            n = 0
            while n < TURNS and x * x + y * y < 4:
                x, y = x * x - y * y + re[i, j], 2 * x * y + im[i, j]
                n += 1
            out[i, j] = n
    return out


def mandelbrot_symgraph(re: Any, im: Any) -> Any:
    sg = importlib.import_module("symgraph")
    zero = sg.zeros_like(re)
    start = (zero, zero, sg.zeros(re.shape, "int64"))
    return sg.fori_loop(0, TURNS, lambda _, s: turn(sg.where, re, im, *s), start)[2]


def mandelbrot_jax(re: Any, im: Any) -> Any:
    jax = jax_module()
    jnp = jax.numpy
    start = (jnp.zeros_like(re), jnp.zeros_like(re), jnp.zeros(re.shape, "int64"))
    return jax.lax.fori_loop(0, TURNS, lambda _, s: turn(jnp.where, re, im, *s), start)[2]


def mandelbrot_torch(re: Any, im: Any) -> Any:
    torch = importlib.import_module("torch")
    x, y, n = torch.zeros_like(re), torch.zeros_like(re), torch.zeros(re.shape, dtype=torch.int64)
    for _ in range(TURNS):
        x, y, n = turn(torch.where, re, im, x, y, n)
    return n


def mandelbrot_pytensor(re: Any, im: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    start = [pt.zeros_like(re), pt.zeros_like(re), pt.zeros_like(re, dtype="int64")]
    out = pytensor.scan(
        lambda x, y, n, re, im: turn(pt.where, re, im, x, y, n), [], start, [re, im],
        n_steps=TURNS, return_updates=False,
    )  # fmt: skip
    return out[2][-1]


MANDELBROT: dict[str, Contender] = {
    "numpy": numpy_formula(mandelbrot_numpy), "symgraph": symgraph_formula(mandelbrot_symgraph),
    "numba": numba_formula(mandelbrot_loop), "jax": jax_formula(mandelbrot_jax),
    "torch": torch_formula(mandelbrot_torch),
    "torch.compile": torch_formula(mandelbrot_torch, compiled=True),
    "pytensor": pytensor_formula(mandelbrot_pytensor),
}  # fmt: skip

WORKLOADS = [
    Workload("simulation.heat", f"{STEPS} steps, {SIDE}x{SIDE} floats", plate, HEAT,
             flops=6.0 * STEPS * SIDE**2),
    Workload("simulation.bodies", f"accelerations of {BODIES} bodies, doubles", bodies, FORCES,
             flops=18.0 * BODIES**2),
    Workload("simulation.mandelbrot", f"{PIXELS}x{PIXELS} points, {TURNS} turns, doubles", plane,
             MANDELBROT),
]  # fmt: skip
