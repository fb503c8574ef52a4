"""What derivatives cost: operations after optimization, and time, relative to the function."""

from __future__ import annotations

import datetime
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.derivatives import classics
from benchmarks.derivatives.counting import program_cost
from benchmarks.derivatives.formulas import numbers
from benchmarks.derivatives.words import Symgraph
from symgraph import stages

BEGIN, END = "<!-- costs -->\n", "<!-- end of costs -->\n"
GRADIENT, PRODUCT = 4.0, 3.0  # what a gradient may cost in functions, a product in gradients
SECONDS = 0.05  # of calls behind each time


class Model(NamedTuple):
    """A formula that is differentiated by its first ``wrt`` arrays (0: all)."""

    name: str
    formula: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    wrt: int = 0


class Cost(NamedTuple):
    """Operations and seconds of the function, with the gradient, and with the product too."""

    name: str
    operations: tuple[float, float, float]
    seconds: tuple[float, float, float]


def _perceptron(m: Any, a: Any, b: Any, c: Any, x: Any) -> Any:
    hidden = m.tanh(m.nn.relu(x @ a) @ b)
    return -m.mean(m.nn.log_softmax(hidden @ c)[:, 0])


def _convolutions(m: Any, a: Any, b: Any, c: Any, x: Any) -> Any:
    hidden = m.nn.relu(m.conv(m.max_pool(m.nn.relu(m.conv(x, a)), 2), b))
    return -m.mean(m.nn.log_softmax(m.mean(hidden, (2, 3)) @ c)[:, 0])


def _lstm(m: Any, w: Any, u: Any, rows: Any) -> Any:
    n = u.shape[0]

    def step(state: Any, x: Any) -> Any:
        h, c = state
        gates = x @ w + h @ u
        i, f, o = (m.special.expit(gates[k * n : k * n + n]) for k in range(3))
        c = f * c + i * m.tanh(gates[3 * n :])
        return o * m.tanh(c), c

    h, _ = m.loop2(step, (m.zeros(n), m.zeros(n)), rows)
    return m.sum(h**2)


def _gaussian_process(m: Any, log_scale: Any, log_noise: Any, x: Any, y: Any) -> Any:
    n = x.shape[0]
    distance = m.sum((x[:, None, :] - x[None, :, :]) ** 2, -1)
    kernel = m.exp(-0.5 * distance / m.exp(2 * log_scale)) + m.exp(log_noise) * np.eye(n)
    low = m.linalg.cholesky(kernel)
    z = m.linalg.solve_triangular(low, y, lower=True)
    return 0.5 * m.sum(z * z) + m.sum(m.log(m.diagonal(low)))


def _kalman(m: Any, f: Any, q: Any, rows: Any) -> Any:
    n = f.shape[0]
    noise = q @ q.T + 0.1 * np.eye(n)
    h = np.eye(n)[:2]

    def step(state: Any, y: Any) -> Any:
        mean, spread = state
        mean, spread = f @ mean, f @ spread @ f.T + noise
        between = h @ spread @ h.T + 0.5 * np.eye(2)
        gain = m.linalg.solve(between, h @ spread).T
        return mean + gain @ (y - h @ mean), spread - gain @ h @ spread

    mean, spread = m.loop2(step, (m.zeros(n), m.eye(n)), rows)
    return m.sum(mean**2) + m.sum(m.log(m.diagonal(spread)))


def _softmax_regression(m: Any, w: Any, x: Any) -> Any:
    labels = np.eye(w.shape[1])[np.arange(x.shape[0]) % w.shape[1]]
    return -m.mean(m.sum(labels * m.nn.log_softmax(x @ w), 1)) + 0.1 * m.sum(w * w)


def _norms(m: Any, g: Any, w: Any, x: Any) -> Any:
    for k in range(4):
        centred = x - m.mean(x, -1, keepdims=True)
        x = m.tanh(centred / m.sqrt(m.var(x, -1, keepdims=True) + 1e-5) * g[k]) @ w
    return m.sum(x**2)


def _mixture(m: Any, mu: Any, log_sigma: Any, logits: Any, x: Any) -> Any:
    z = (x[:, None, :] - mu) / m.exp(log_sigma)
    parts = -0.5 * m.sum(z * z, -1) - m.sum(log_sigma, -1) + m.nn.log_softmax(logits)
    return -m.sum(m.special.logsumexp(parts, -1))


def _factors(m: Any, a: Any, w: Any) -> Any:
    return m.sum(m.linalg.lu_factor(a)[0] * w)


def _inverse(m: Any, a: Any, v: Any) -> Any:
    return m.sum((m.linalg.inv(a) @ v) ** 2)


def models() -> Iterator[Model]:
    """The classics at their small sizes, then models of useful sizes."""
    for case in classics.classics():
        yield Model(case.name, case.formula, case.arrays)
    n = numbers
    yield Model("MLP, 64-128-64-10, batch 64", _perceptron,
                (n(64, 128), n(128, 64), n(64, 10), n(64, 64)), 3)  # fmt: skip
    yield Model("convolution net, 16x16 images", _convolutions,
                (n(8, 3, 3, 3), n(16, 8, 3, 3), n(16, 10), n(8, 3, 16, 16)), 3)  # fmt: skip
    yield Model("LSTM, 100 steps of 32", _lstm,
                (n(8, 128) / 4, n(32, 128) / 8, n(100, 8)), 2)  # fmt: skip
    yield Model("attention, 64 by 32", classics._attention, (n(64, 32), n(64, 32), n(64, 32)))
    yield Model("Gaussian process, 96 points", _gaussian_process,
                (np.array(-0.3), np.array(-1.0), n(96, 3), n(96, seed=5)), 2)  # fmt: skip
    yield Model("Kalman filter, 100 steps of 4", _kalman,
                (np.eye(4) * 0.9 + n(4, 4) / 20, n(4, 4) / 4, n(100, 2)), 2)  # fmt: skip
    yield Model("softmax regression, 256 by 32", _softmax_regression, (n(32, 10), n(256, 32)), 1)
    yield Model("four layer norms, 64 by 64", _norms,
                (n(4, 64), n(64, 64) / 8, n(64, 64)), 2)  # fmt: skip
    yield Model("planets, 64 bodies", classics._planets, (n(64, 3),))
    yield Model("pendulum, 100 steps", _pendulum, (n(2),))
    yield Model("mixture of 8 normals", _mixture,
                (n(8, 4), n(8, 4), n(8), n(256, 4)), 3)  # fmt: skip
    yield Model("LU factors, 64 by 64", _factors, (n(64, 64), n(64, 64, seed=5)), 1)
    yield Model("inverse times vector, 64 by 64", _inverse, (n(64, 64) + 4 * np.eye(64), n(64)))
    yield Model("Rosenbrock, 1000 numbers", classics._rosenbrock, (n(1000),))


def _pendulum(m: Any, state: Any) -> Any:
    def step(s: Any, _: Any) -> Any:
        return s + 0.1 * m.stack([s[1], -m.sin(s[0])])

    return m.sum(m.loop(step, state, np.zeros(100)) ** 2)


def cost(model: Model, timed: bool = True) -> Cost:
    """Count and time the three functions of a model."""
    words = Symgraph()
    sg = words.sg
    inputs = [sg.tensor(f"x{k}", shape=a.shape) for k, a in enumerate(model.arrays)]
    wrt = inputs[: model.wrt or len(inputs)]
    value = model.formula(words, *inputs)
    gradient = sg.grad(value, wrt, disconnected="zero")
    along = [sg.constant(numbers(*v.shape, seed=k + 1)) for k, v in enumerate(wrt)]
    product = sg.hvp(value, wrt, along)
    operations, seconds = [], []
    for outputs in ([value], [value, *gradient], [value, *gradient, *product]):
        f = sg.compile(inputs, outputs, on_unused_input="ignore")
        d = f.definition
        operations.append(program_cost(stages.lower(d, stages.optimized_graph(d))))
        seconds.append(_time(f, model.arrays) if timed else 0.0)
    return Cost(model.name, tuple(operations), tuple(seconds))  # type: ignore[arg-type]


def _time(f: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> float:
    f(*arrays)
    found: list[float] = []
    ending = time.perf_counter() + SECONDS
    while time.perf_counter() < ending or len(found) < 5:
        started = time.perf_counter()
        f(*arrays)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def table(found: list[Cost]) -> str:
    """A line for each model; ratios beyond the goals are set in bold."""
    lines = ["| model | operations | gradient / function | product / gradient | times | |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for c in found:
        (f, g, h), (tf, tg, th) = c.operations, c.seconds
        lines.append(f"| {c.name} | {f:,.0f} | {_ratio(g, f, GRADIENT)} | {_ratio(h, g, PRODUCT)} "
                     f"| {tg / tf:.1f} | {th / tg:.1f} |")  # fmt: skip
    first = [c.operations[1] / c.operations[0] for c in found]
    second = [c.operations[2] / c.operations[1] for c in found]
    lines.append(f"| geometric mean | | {_mean(first):.1f} | {_mean(second):.1f} "
                 f"| {_mean([c.seconds[1] / c.seconds[0] for c in found]):.1f} "
                 f"| {_mean([c.seconds[2] / c.seconds[1] for c in found]):.1f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def _ratio(a: float, b: float, goal: float) -> str:
    return f"{a / b:.1f}" if a <= goal * b * 1.05 else f"**{a / b:.1f}**"


def _mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def main(only: str, page: Path | None) -> None:
    """Print the table; with a page also write it there."""
    found = []
    for model in models():
        if only in model.name:
            found.append(cost(model))
            c = found[-1]
            print(f"{c.name:32s} {c.operations[0]:12,.0f} "
                  f"{c.operations[1] / c.operations[0]:6.2f} "
                  f"{c.operations[2] / c.operations[1]:6.2f}   time {c.seconds[0] * 1e6:9.1f} us "
                  f"{c.seconds[1] / c.seconds[0]:6.2f} {c.seconds[2] / c.seconds[1]:6.2f}",
                  flush=True)  # fmt: skip
    if page is not None:
        head, _, rest = page.read_text("utf-8").partition(BEGIN)
        _, _, tail = rest.partition(END)
        text = f"{datetime.date.today()}, float64.\n\n{table(found)}"
        page.write_text(head + BEGIN + text + END + tail, "utf-8")
