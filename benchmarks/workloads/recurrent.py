"""Loops over time: an LSTM (100 steps, batch 32, 128 units) and a chain of 1000 tiny steps."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from measure import Timed
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

STEPS, BATCH, UNITS = 100, 32, 128

# LSTM: gates in torch's order (input, forget, cell, output) --------------------------------------


def lstm_arrays() -> tuple[np.ndarray, ...]:
    """x, input weights, recurrent weights, bias."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, BATCH, UNITS))
    w, u = (rng.uniform(-1, 1, size=(UNITS, 4 * UNITS)) / math.sqrt(UNITS) for _ in range(2))
    return tuple(a.astype("float32") for a in (x, w, u, rng.normal(size=4 * UNITS)))


def cell(sigmoid: Any, tanh: Any, gates: Any, c: Any) -> tuple[Any, Any]:
    n = UNITS
    c = sigmoid(gates[:, n : 2 * n]) * c + sigmoid(gates[:, :n]) * tanh(gates[:, 2 * n : 3 * n])
    return sigmoid(gates[:, 3 * n :]) * tanh(c), c


def lstm_numpy(x: Any, w: Any, u: Any, b: Any) -> Any:
    h = c = np.zeros((BATCH, UNITS), "float32")
    inputs = x @ w + b
    for t in range(len(x)):
        h, c = cell(lambda v: 1 / (1 + np.exp(-v)), np.tanh, inputs[t] + h @ u, c)
    return np.mean(h * h)


def lstm_symgraph(x: Any, w: Any, u: Any, b: Any) -> Any:
    sg = importlib.import_module("symgraph")
    start = sg.zeros((x.shape[1], UNITS), "float32")

    def step(row: Any, h: Any, c: Any) -> Any:
        return cell(sg.nn.sigmoid, sg.tanh, row @ w + b + h @ u, c)

    h, _ = sg.scan(step, [x], [start, start])
    return sg.mean(h[-1] * h[-1])


def lstm_symgraph_gradient(*args: Any) -> Any:
    return importlib.import_module("symgraph").grad(lstm_symgraph(*args), list(args[1:]))


def lstm_jax(x: Any, w: Any, u: Any, b: Any) -> Any:
    jax = jax_module()
    start = jax.numpy.zeros((BATCH, UNITS), "float32")

    def step(carry: Any, row: Any) -> Any:
        return cell(jax.nn.sigmoid, jax.numpy.tanh, row @ w + b + carry[0] @ u, carry[1]), None

    (h, _), _ = jax.lax.scan(step, (start, start), x)
    return (h * h).mean()


def lstm_jax_gradient(*args: Any) -> Any:
    return jax_module().grad(lstm_jax, argnums=(1, 2, 3))(*args)


def lstm_torch(gradient: bool) -> Contender:
    """torch.nn.LSTM, whose steps run in C++."""

    def build(x: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray) -> Timed:
        torch = importlib.import_module("torch")
        net = torch.nn.LSTM(UNITS, UNITS)
        for p, value in zip(net.parameters(), (w.T, u.T, b, np.zeros_like(b)), strict=True):
            p.data = torch.from_numpy(np.ascontiguousarray(value))

        def run(x: Any) -> Any:
            if not gradient:
                with torch.no_grad():
                    h = net(x)[1][0][0]
                    return (h * h).mean()
            h = net(x)[1][0][0]
            gw, gu, gb, _ = torch.autograd.grad((h * h).mean(), list(net.parameters()))
            return gw.T, gu.T, gb

        return Timed(run, (torch.from_numpy(x),))

    return build


def lstm_pytensor(x: Any, w: Any, u: Any, b: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    start = pt.zeros((x.shape[1], UNITS), dtype="float32")

    def step(row: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> Any:
        return cell(pt.sigmoid, pt.tanh, row @ w + b + h @ u, c)

    h, _ = pytensor.scan(step, [x], [start, start], [w, u, b], return_updates=False)
    return (h[-1] * h[-1]).mean(dtype="float32")


def lstm_pytensor_gradient(*args: Any) -> Any:
    return importlib.import_module("pytensor").grad(lstm_pytensor(*args), list(args[1:]))


FORWARD: dict[str, Contender] = {
    "symgraph": symgraph_formula(lstm_symgraph, (UNITS, 4 * UNITS)),
    "numpy": numpy_formula(lstm_numpy),
    "jax": jax_formula(lstm_jax),
    "torch": lstm_torch(False),
    "pytensor": pytensor_formula(lstm_pytensor),
}
GRADIENT: dict[str, Contender] = {
    "symgraph": symgraph_formula(lstm_symgraph_gradient, (UNITS, 4 * UNITS)),
    "jax": jax_formula(lstm_jax_gradient),
    "torch": lstm_torch(True),
    "pytensor": pytensor_formula(lstm_pytensor_gradient),
}


# 1000 steps of a scalar, with the derivative by a ------------------------------------------------


def tiny_arrays() -> tuple[np.ndarray, ...]:
    return np.array(0.9), np.random.default_rng(0).normal(size=1000)


def tiny_symgraph(a: Any, x: Any) -> Any:
    sg = importlib.import_module("symgraph")
    s = sg.scan(lambda row, s: sg.tanh(a * s + row), [x], [sg.constant(0.0)])
    return s[-1], sg.grad(s[-1], a)


def tiny_jax(a: Any, x: Any) -> Any:
    jax = jax_module()

    def last(a: Any) -> Any:
        def step(s: Any, row: Any) -> Any:
            return jax.numpy.tanh(a * s + row), None

        return jax.lax.scan(step, 0.0, x)[0]

    return jax.value_and_grad(last)(a)


def tiny_numba(a: Any, x: Any) -> Any:
    """Forward, states kept, then backward: what reverse mode does."""
    factor = a.item()
    states = np.zeros(x.size + 1)
    for t in range(x.size):
        states[t + 1] = math.tanh(factor * states[t] + x[t])
    g, slope = 1.0, 0.0
    for t in range(x.size - 1, -1, -1):
        g *= 1 - states[t + 1] ** 2
        slope += g * states[t]
        g *= factor
    return states[-1], slope


def tiny_numpy(a: Any, x: Any) -> Any:
    return tiny_numba(a, x)


def tiny_torch(a: Any, x: Any) -> Any:
    torch = importlib.import_module("torch")
    a = a.detach().requires_grad_(True)
    s = torch.zeros((), dtype=torch.float64)
    for row in x:
        s = torch.tanh(a * s + row)
    return s.detach(), torch.autograd.grad(s, a)[0]


def tiny_pytensor(a: Any, x: Any) -> Any:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    zero = pt.constant(np.float64(0))
    s = pytensor.scan(
        lambda row, s, a: pt.tanh(a * s + row), [x], [zero], [a], return_updates=False
    )
    return s[-1], pytensor.grad(s[-1], a)


TINY: dict[str, Contender] = {
    "symgraph": symgraph_formula(tiny_symgraph),
    "numpy": numpy_formula(tiny_numpy),
    "numba": numba_formula(tiny_numba),
    "jax": jax_formula(tiny_jax),
    "torch": torch_formula(tiny_torch),
    "pytensor": pytensor_formula(tiny_pytensor),
}

PRODUCTS = 2.0 * STEPS * BATCH * UNITS * 8 * UNITS
SHAPE = f"T={STEPS} B={BATCH} H={UNITS}, floats"
WORKLOADS = [
    Workload("recurrent.lstm", SHAPE, lstm_arrays, FORWARD, flops=PRODUCTS),
    Workload("recurrent.lstm_gradient", SHAPE, lstm_arrays, GRADIENT, flops=3 * PRODUCTS),
    Workload("recurrent.tiny_gradient", "1000 steps of a double", tiny_arrays, TINY),
]
