"""Running folds and rows in lanes: each must be seen in the scheduled program, and agree with the
interpreter of the loops and with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.function import bind_sizes
from symgraph.loops.interpret import run_program
from symgraph.loops.program import Run
from symgraph.loops.running import compensated_sum, running, running_fold
from symgraph.loops.statements import For, Kernel, Let, Param, Store
from symgraph.loops.text import program_text
from symgraph.lower import row_ends
from symgraph.lower.borders import borders
from symgraph.lower.short_rows import short_rows
from symgraph.ops.cumulative import CumSum
from symgraph.scalar import const, load, load_if, var
from symgraph.scalar import functions as F
from tests.backend.test_schedules import agree, numbers

SIZES = [1, 2, 7, 8, 31, 32, 33, 64, 100, 129, 1000]
WAYS: list[Any] = [
    (sg.cumsum, np.cumsum), (sg.cummax, np.maximum.accumulate),
    (sg.cummin, np.minimum.accumulate),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "uint8", "int8"])
def test_along_the_last_axis(dtype: str) -> None:
    for n in SIZES:
        a = numbers((n,), dtype)
        wanted = [f(a) for _, f in WAYS]
        close = {"float64": 1e-12, "float32": 1e-4}.get(dtype, 0.0)
        agree(lambda x: [f(x) for f, _ in WAYS], [a], wanted, seen="next(", rtol=close,
              loops=n < 200)  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 40), (2, 3, 33), (40, 1), (0, 5), (5, 0)])
def test_rows_and_backwards(shape: tuple[int, ...]) -> None:
    a = numbers(shape, "float64")
    back = np.flip(np.cumsum(np.flip(a, -1), -1), -1)
    last = len(shape) - 1
    agree(lambda x: [sg.cumsum(x, -1), CumSum(last, True)(x)], [a], [np.cumsum(a, -1), back],
          rtol=1e-11)  # fmt: skip


def test_infinities_and_nan() -> None:
    x = sg.vector("x")
    f = sg.compile([x], [sg.cumsum(x), sg.cummax(x)])
    for special in (np.inf, -np.inf, np.nan):
        for place in (0, 5, 31, 40, 99):
            a = numbers((100,), "float64")
            a[place] = special
            np.testing.assert_allclose(f(a)[0], np.cumsum(a), 1e-11)
            np.testing.assert_array_equal(f(a)[1], np.maximum.accumulate(a))


def test_the_error_does_not_grow() -> None:
    a = np.full(1_000_003, 0.1)
    x = sg.vector("x")
    found = sg.compile([x], sg.cumsum(x))(a)
    exact = np.longdouble(0.1) * np.arange(1, len(a) + 1)
    assert np.abs((found - exact) / exact).max() < 1e-15  # three roundings of a vector, one of four


def test_what_a_running_fold_is() -> None:
    i, x = var("_i0"), load("p0", (var("_i0"),), "float64")
    fold = compensated_sum(i, 10, x, "p1", (i,))
    found = running(fold)
    assert found is not None and found.compensated and found.term is x
    first = fold.body[0]
    assert isinstance(first, Let)
    others = (Let(first.name, first.value * first.value), *fold.body[1:])
    assert running(fold._replace(body=others)) is None
    store = Store("p1", (i,), var("_new", "float64") + fold.names[0])
    start = const(0.0, "float64")
    assert running(running_fold("add", i, 10, x, start, store)) is None  # what was before is stored
    product = Store("p1", (i,), var("_new", "float64"))
    assert running(running_fold("mul", i, 10, x, start, product)) is None  # rounds in another order


# short rows ---------------------------------------------------------------------------------------


def shortened(shape: tuple[int, ...], dtype: str, known: bool) -> str:
    a = numbers(shape, dtype)
    ways: list[Any] = [(sg.sum, np.sum), (sg.any, np.any), (sg.all, np.all)]
    if shape[-1]:
        ways += [(sg.max, np.max), (sg.argmax, np.argmax), (sg.argmin, np.argmin)]
    wanted = [f(a, axis=-1) for _, f in ways]
    return agree(lambda x: [f(x, axis=-1) for f, _ in ways], [a], wanted, known=known,
                 rtol=1e-4 if dtype == "float32" else 1e-12, loops=a.size < 3000)  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_short_rows(dtype: str, known: bool) -> None:
    for shape in [(1, 3), (5, 1), (300, 3), (100, 16), (77, 17), (64, 4), (3, 0), (520, 10),
                  (5, 2, 6), (40, 30, 3)]:  # fmt: skip
        text = shortened(shape, dtype, known)
        assert known or "_irow in 0 .. minimum" in text


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8"])
def test_running_folds_of_short_rows(dtype: str, known: bool) -> None:
    close = {"float64": 1e-12, "float32": 1e-4}.get(dtype, 0.0)
    for shape in [(1, 3), (5, 1), (300, 3), (100, 16), (77, 17), (520, 10), (3, 0), (40, 30, 2)]:
        a = numbers(shape, dtype)
        wanted = [f(a, -1) for _, f in WAYS]
        agree(lambda x: [f(x, -1) for f, _ in WAYS], [a], wanted, known=known, rtol=close,
              loops=a.size < 3000)  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 17])
def test_running_folds_take_lanes(columns: int, dtype: str) -> None:
    """Whatever processor the test runs on: the schedule is interpreted."""
    x = sg.matrix("x", dtype=dtype)
    d = sg.compile([x], sg.cummax(x, 1)).definition
    program = stages.lower(d, stages.optimized_graph(d), scheduled=False)
    (step,) = program.steps
    assert isinstance(step, Run)
    made = short_rows(step.kernel)
    assert made is not step.kernel and short_rows(step.kernel, None) is step.kernel
    a = numbers((260, columns), dtype)
    program = program._replace(steps=(step._replace(kernel=made),))
    (found,) = run_program(program, [a], bind_sizes(d, [a]))
    np.testing.assert_array_equal(found, np.maximum.accumulate(a, 1))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_rows_take_lanes(dtype: str, known: bool) -> None:
    def formula(x: Any) -> list[Any]:
        positive = sg.sum(x > 0, axis=1)
        return [sg.logsumexp(x, 1), sg.log(sg.max(x, 1) + 3), sg.exp(-positive) + sg.argmax(x, 1)]

    for shape in [(1, 20), (15, 17), (16, 40), (17, 33), (300, 18)]:
        a = (numbers(shape, dtype) / 20).astype(dtype)
        a[0, 3], a[-1] = np.inf, -np.inf
        with np.errstate(all="ignore"):
            top = np.where(np.isfinite(a.max(1)), a.max(1), 0)
            wanted = [np.log(np.exp(a - top[:, None]).sum(1)) + top, np.log(a.max(1) + 3),
                      np.exp(-(a > 0).sum(1).astype(float)) + a.argmax(1)]  # fmt: skip
        text = agree(formula, [a], wanted, known=known, loops=a.size < 1000,
                     rtol=1e-5 if dtype == "float32" else 1e-12)  # fmt: skip
        assert ("_istrip" in text) == (not known or shape[0] >= row_ends.ROWS)


@pytest.mark.parametrize("columns", [16, 33, row_ends.NEAR, row_ends.NEAR + 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_short_rows_that_are_read_again_wait_for_functions_of_others(
    dtype: str, columns: int
) -> None:
    def scaled(x: Any) -> Any:
        top = sg.max(x, axis=1, keepdims=True)
        return x * sg.log(sg.sum(sg.exp(x - top), 1, keepdims=True)) + top

    x = sg.matrix("x", dtype=dtype, shape=(None, columns))
    functions = [sg.compile([x], sg.nn.log_softmax(x, 1)), sg.compile([x], scaled(x))]
    for f in functions:
        program = stages.lower(f.definition, stages.optimized_graph(f.definition))
        assert ("_istrip" in program_text(program)) == (columns <= row_ends.NEAR)
    for rows in (1, 16, 17, 47):
        a = (numbers((rows, columns), dtype) / 20).astype(dtype)
        top = a.max(1, keepdims=True)
        total = np.log(np.exp(a - top).sum(1, keepdims=True))
        for f, wanted in zip(functions, [a - top - total, a * total + top], strict=True):
            np.testing.assert_allclose(f(a), wanted, rtol=1e-4 if dtype == "float32" else 1e-11,
                                       atol=1e-5 if dtype == "float32" else 1e-14)  # fmt: skip


def test_positions_in_short_rows_with_nan() -> None:
    a = np.array([[1, np.nan, 3, np.nan], [5, 5, 1, 2], [np.inf, -np.inf, 0, np.inf]] * 40)
    agree(lambda x: [sg.argmax(x, axis=1), sg.argmin(x, axis=1), sg.max(x, axis=1)], [a],
          [a.argmax(1), a.argmin(1), a.max(1)])  # fmt: skip


def test_bodies() -> None:
    r, m = numbers((50, 3), "float64") / 50, np.abs(numbers((50,), "float64")) + 1

    def forces(x: Any, m: Any) -> Any:
        off = x[None, :, :] - x[:, None, :]
        square = (off * off).sum(2) + 0.01
        return (off * (m[None, :] * square**-1.5)[:, :, None]).sum(1)

    agree(forces, [r, m], [forces(r, m)], rtol=1e-10)


def test_a_sum_of_outer_products_is_a_product() -> None:
    a, b = numbers((20, 9), "float64"), numbers((20, 7), "float64")
    agree(lambda x, y: (x[:, :, None] * y[:, None, :]).sum(0), [a, b], [a.T @ b],
          seen="call matmul", rtol=1e-10, loops=False)  # fmt: skip


# borders ------------------------------------------------------------------------------------------


def stencil(u: Any) -> Any:
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return u[1:-1, 1:-1] + 0.1 * (around - 4 * u[1:-1, 1:-1])


def side_by_side(m: Any, x: Any) -> Any:
    """Parts that do not meet, with room between some, as the gradients of a network's gates."""
    n = x.shape[1]
    places = (0, n, 2 * n + 3, 4 * n)
    parts = [m.pad(x * (k + 2), ((0, 0), (at, 5 * n - at))) for k, at in enumerate(places)]
    return sum(parts[1:], parts[0])


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 70), (3, 64), (40, 200)])
def test_borders(shape: tuple[int, int], known: bool) -> None:
    a = numbers(shape, "float64")
    ways: list[Any] = [
        lambda m, x, w=w: m.pad(x, w) * 2 + 1 for w in (1, ((2, 0), (0, 3)), ((1, 1), (100, 2)))
    ]
    ways += [lambda m, x, k=k: m.concatenate([x, x * 2, x + 5][:k], 1) + 1 for k in (2, 3)]
    ways += [lambda m, x: m.roll(x, 3, 1) + x, lambda m, x: m.tril(x) * 2]
    ways += [lambda m, x: m.pad(x, ((0, 0), (1, 0)))[:, :-1] + x]
    ways += [side_by_side, lambda m, x: m.concatenate([x, x * 2, x + 5, x - 1, x / 3], 1) + 1]
    if min(shape) > 2:
        ways.append(lambda m, x: m.pad(stencil(x), 1))
    agree(lambda x: [f(sg, x) for f in ways], [a], [f(np, a) for f in ways], known=known,
          rtol=1e-12, loops=a.size < 1000)  # fmt: skip


def test_the_middle_asks_nothing() -> None:
    a = numbers((6, 100), "float64")
    agree(lambda u: sg.pad(stencil(u), 1), [a], [np.pad(stencil(a), 1)], rtol=1e-12,
          seen="if _i0 - 1")  # fmt: skip
    b = numbers((3, 70), "float64")
    text = agree(lambda x, y: sg.concatenate([x, y], 1) + 1, [a[:3], b],
                 [np.concatenate([a[:3], b], 1) + 1])  # fmt: skip
    assert "select" not in text and " if " not in text


def test_parts_side_by_side_ask_nothing() -> None:
    a = numbers((3, 128), "float64")
    text = agree(lambda x: side_by_side(sg, x), [a], [side_by_side(np, a)], known=True)
    assert "select" not in text and " if " not in text


@pytest.mark.parametrize("shape", [(2, 2), (3, 40), (2, 100), (65, 2)])
def test_places_in_a_row(shape: tuple[int, int]) -> None:
    """Two and three of unknown sizes: differences at both ends, and parts one behind the other."""
    a = numbers(shape, "float64")
    some: list[Any] = [lambda m, x, k=k: m.gradient(x, axis=k) for k in (0, 1)]
    some += [lambda m, x: m.concatenate([x, x[:, :1], x * 3], 1) + 1]
    some += [lambda m, x: m.concatenate([x, x[1:], x * 3, x[:2]], 0) + 1]
    text = agree(lambda x: [f(sg, x) for f in some], [a], [f(np, a) for f in some], rtol=1e-12)
    assert "select" not in text.split("if ~")[0]


def test_places_in_no_order() -> None:
    """The second may come before the first, behind the row, or nowhere."""
    x, y, z = sg.vector("x"), sg.vector("y"), sg.vector("z")
    k = sg.arange(x.shape[0])
    cut = sg.where(k < y.shape[0], x + 1, sg.where(k < z.shape[0], x * 2, -x))
    f = sg.compile([x, y, z], cut)
    a = numbers((70,), "float64")
    for m, n in ((20, 40), (40, 20), (0, 0), (0, 90), (90, 0), (90, 100), (70, 69), (33, 33)):
        i = np.arange(70)
        wanted = np.where(i < m, a + 1, np.where(i < n, a * 2, -a))
        np.testing.assert_array_equal(f(a, np.zeros(m), np.zeros(n)), wanted)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("shape", [(1, 40), (3, 64), (5, 100), (2, 3, 33)])
def test_a_question_about_rows_is_asked_once_for_each(shape: tuple[int, ...], known: bool) -> None:
    a = numbers(shape, "float64")
    wanted = [np.concatenate([a, a * 2]) + 1, np.maximum.accumulate(a, 0)]
    text = agree(lambda x: [sg.concatenate([x, x * 2], 0) + 1, sg.cummax(x, 0)], [a], wanted,
                 known=known, seen="if ")  # fmt: skip
    assert " if 0 < " not in text.replace("    if 0 < ", "")  # no load asks it


def test_a_question_about_a_name_of_the_loop_stays_there() -> None:
    i, n, t = var("_i0"), var("n"), var("_t0")
    value = load_if("p0", F.lt(t, n), (t,), "float64")
    shape = (n,)
    params = (Param("p0", "float64", shape, "in"), Param("p1", "float64", shape, "out"))
    body = (Let(t, load("p2", (i,), "int64")), Store("p1", (i,), value))
    where = Param("p2", "int64", shape, "in")
    kernel = Kernel("k", (*params, where), ("n",), (For(i, n, "vector", body),))
    assert borders(kernel) is kernel
