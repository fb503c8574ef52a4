"""Scans of little state as one native loop: values by the compiled code, by the interpreter of the
scheduled and of the plain program, and by the references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.loops.program import Loop, Run
from symgraph.loops.statements import Fold, walk
from tests.backend.test_program import run

RNG = np.random.default_rng(0)
A, V, W, M = np.array(0.7), RNG.normal(size=6), RNG.normal(size=(6, 5)), RNG.normal(size=(3, 3)) / 2


def linear(a: Any, x: Any) -> Any:
    return sg.scan(lambda r, h: a * h + r, [x], [sg.constant(0.5)])


def several(a: Any, x: Any) -> Any:
    def step(r: Any, p: Any, q: Any) -> Any:
        return p * a + q, sg.tanh(q - r), p > q

    return sg.scan(step, [x], [sg.constant(0.0), sg.constant(1.0), None], go_backwards=True)


def taps(a: Any, x: Any) -> Any:
    info = [{"initial": x[:2], "taps": [-2, -1]}]
    return sg.scan(lambda p, q: p * a - q, None, info, n_steps=7)


def counting(a: Any, x: Any) -> Any:
    return sg.fori_loop(2, 9, lambda i, s: (s[0] + i, s[1] * a), (sg.constant(3), a))


def bools(a: Any, x: Any) -> Any:
    return sg.scan(lambda r, seen: seen | (r > 0.5), [x], [sg.constant(False)])


def small_matrices(m: Any, x: Any) -> Any:
    def step(r: Any, p: Any, v: Any) -> Any:
        p = m @ p @ m.T + sg.eye(3) * r[0]
        v = (p @ v[:, None])[:, 0] + r[:3].max() - sg.concatenate([v[1:], v[:1]])
        return p / p.sum(), sg.tanh(v.reshape(1, 3).reshape(3))

    return sg.scan(step, [x], [sg.eye(3), x[0, :3]])


def filtered(m: Any, x: Any) -> Any:
    p, v = small_matrices(m, x)
    return sg.grad((p * p).sum() + v[-1].sum(), [m, x])


def lanes(a: Any, x: Any) -> Any:
    return sg.scan(lambda r, h: sg.tanh(a * h + r), [x], [sg.zeros(5)])


def lanes_gradient(a: Any, x: Any) -> Any:
    return sg.grad((lanes(a, x) ** 2).sum(), [a, x])


def escape(a: Any, x: Any) -> Any:
    def step(i: Any, s: Any) -> Any:
        z, n = s
        inside = z * z < 4
        return sg.where(inside, z * z + x * a, z), n + sg.cast(inside, "int32")

    return sg.fori_loop(0, 12, step, (sg.zeros_like(x), sg.cast(x * 0, "int32")))


NATIVE: list[tuple[Callable[..., Any], Sequence[np.ndarray]]] = [
    (linear, (A, V)), (several, (A, V)), (taps, (A, V)), (counting, (A, V)), (bools, (A, V)),
    (small_matrices, (M, W)), (filtered, (M, W)), (lanes, (A, W)), (lanes_gradient, (A, W)),
    (escape, (A, W)), (escape, (A, RNG.normal(size=(9, 70)))),
]  # fmt: skip
LOOPS: list[tuple[Callable[..., Any], Sequence[np.ndarray]]] = [
    (
        lambda a, x: sg.scan(
            lambda r, h: h * sg.cast(sg.argmax(h), "float64") + a * r, [x], [sg.zeros(5)]
        ),
        (A, W),
    ),
    (lambda a, x: sg.scan(lambda r, h: sg.cumsum(h) * a + r, [x], [sg.zeros(5)]), (A, W)),
]


@pytest.mark.parametrize("sizes", ["known", "names", "no steps"])
@pytest.mark.parametrize("case", range(len(NATIVE)))
def test_one_native_loop(case: int, sizes: str) -> None:
    formula, arrays = NATIVE[case]
    if sizes == "no steps" and formula not in (taps, small_matrices, filtered):
        arrays = [arrays[0], arrays[1][:0]]
    shapes = [a.shape if sizes == "known" else ("t", *a.shape[1:])[: a.ndim] for a in arrays]
    if formula in (small_matrices, filtered):
        shapes[0] = (3, 3)
    inputs = [sg.tensor(f"x{k}", shape=s) for k, s in enumerate(shapes)]
    check(inputs, formula(*inputs), arrays, native=True)


@pytest.mark.parametrize("case", range(len(LOOPS)))
def test_what_does_not_fit_stays_a_loop(case: int) -> None:
    formula, arrays = LOOPS[case]
    inputs = [sg.tensor(f"x{k}", shape=a.shape) for k, a in enumerate(arrays)]
    check(inputs, formula(*inputs), arrays, native=False)


def check(inputs: list[Any], outputs: Any, arrays: Sequence[np.ndarray], native: bool) -> None:
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    f = sg.compile(inputs, outputs, on_unused_input="ignore")
    g = sg.compile(inputs, outputs, mode="interpret", on_unused_input="ignore")
    wanted = g(*arrays)
    d = g.definition
    ways = [f(*arrays), run(d, arrays, True), run(d, arrays, False)]
    for found in ways:
        for a, b in zip(found, wanted, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    steps = stages.lower(d, stages.optimized_graph(d)).steps
    folds = [
        s for step in steps if isinstance(step, Run) for s in walk(step.kernel.body)
        if isinstance(s, Fold) and s.combiner == "next"
    ]  # fmt: skip
    loops = [step for step in steps if isinstance(step, Loop)]
    assert bool(folds) == native and bool(loops) != native


def test_float32_and_integers() -> None:
    x = sg.tensor("x", dtype="float32", shape=("t",))
    k = sg.tensor("k", dtype="int32", shape=("t",))

    def step(r: Any, j: Any, s: Any, n: Any) -> Any:
        return s * sg.cast(0.5, "float32") + r, n * sg.cast(3, "int32") + j % sg.cast(4, "int32")

    start = [sg.constant(np.float32(0)), sg.constant(np.int32(1))]
    out = sg.scan(step, [x, k], start)
    arrays = [RNG.normal(size=30).astype("float32"), RNG.integers(-99, 99, 30).astype("int32")]
    f, g = (sg.compile([x, k], out, mode=m) for m in ("run", "interpret"))
    for a, b in zip(f(*arrays), g(*arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_shared_variable_as_state() -> None:
    s = sg.shared(np.zeros(3), "s")
    x = sg.tensor("x", shape=("t", 3))
    last = sg.reduce(lambda r, h: h * 0.5 + r, x, s)
    f = sg.compile([x], last.sum(), updates={s: last})
    g = sg.compile([x], last.sum(), updates={s: last}, mode="interpret")
    rows = RNG.normal(size=(4, 3))
    wanted, expected = [], np.zeros(3)
    for _ in range(3):
        for r in rows:
            expected = expected * 0.5 + r
        wanted.append(expected.sum())
    np.testing.assert_allclose([f(rows) for _ in range(3)], wanted)
    s.set_value(np.zeros(3))
    np.testing.assert_allclose([g(rows) for _ in range(3)], wanted)
