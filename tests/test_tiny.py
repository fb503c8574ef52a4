"""symgraph in a nutshell: define, differentiate, compile, run, look inside. Read this one first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symgraph as sg


def test_an_expression_becomes_a_function() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.sum(sg.exp(-x * x)))
    given = np.linspace(-1, 1, 101)
    assert f(given) == pytest.approx(np.exp(-given * given).sum())


def test_one_function_for_all_sizes() -> None:
    x = sg.matrix("x", shape=("n", "n"))
    f = sg.compile([x], sg.trace(x @ x.T))
    for n in (0, 1, 7, 100):
        a = np.random.default_rng(n).normal(size=(n, n))
        assert f(a) == pytest.approx((a * a).sum())
    with pytest.raises(sg.errors.InputValueError):
        f(np.zeros((2, 3)))


def test_derivatives_are_expressions() -> None:
    x = sg.scalar("x")
    slope = sg.grad(sg.sin(x) ** 2, x)
    bend = sg.grad(slope, x)
    f = sg.compile([x], {"slope": slope, "bend": bend})
    got = f(0.3)
    assert got["slope"] == pytest.approx(np.sin(0.6))
    assert got["bend"] == pytest.approx(2 * np.cos(0.6))


def test_a_model_learns() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2)).astype("float32")
    labels = (points[:, 0] > points[:, 1]).astype("int64")
    x = sg.tensor("x", dtype="float32", shape=("batch", 2))
    y = sg.tensor("y", dtype="int64", shape=("batch",))
    w = sg.shared(np.zeros((2, 2), "float32"), name="w")
    loss = sg.mean(sg.nn.softmax_cross_entropy(x @ w, y))
    train = sg.compile([x, y], loss, updates={w: w - 0.5 * sg.grad(loss, w)})
    predict = sg.compile([x], sg.argmax(x @ w, axis=1))
    losses = [float(train(points, labels)) for _ in range(60)]
    assert losses[0] == pytest.approx(np.log(2), rel=1e-5) and losses[-1] < 0.2
    assert np.mean(predict(points) == labels) > 0.97


def test_formulas_are_made_stable() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.log(1 + sg.exp(x)))
    np.testing.assert_allclose(f(np.array([-800.0, 0.0, 800.0])), [0, np.log(2), 800], rtol=1e-12)


def test_loops_run_natively() -> None:
    rates = sg.vector("rates", shape=("years",))
    balance = sg.scan(lambda rate, before: before * (1 + rate), [rates], [sg.constant(100.0)])
    f = sg.compile([rates], balance)
    np.testing.assert_allclose(f(np.full(3, 0.1)), [110, 121, 133.1])


def test_random_numbers_follow_from_their_key() -> None:
    key = sg.random.key(7)
    f = sg.compile([], sg.random.normal(key, (1000,)))
    assert np.array_equal(f(), f()) and abs(f().mean()) < 0.1


def test_errors_point_at_the_line() -> None:
    x = sg.matrix("x", shape=("n", 784))
    w = sg.matrix("w", shape=(784, 10))
    with pytest.raises(sg.errors.ShapeError) as caught:
        x + w
    assert "add: sizes differ on axis 1: 784 and 10" in str(caught.value)
    assert "    x + w\n    ^^^^^" in str(caught.value)


def test_looking_inside(capsys: pytest.CaptureFixture[str]) -> None:
    x = sg.vector("x", shape=("n",))
    sg.dprint(sg.exp(x) + x)
    assert capsys.readouterr().out == (
        "add : float64[n]\n  exp : float64[n]\n    x : float64[n]\n  x : float64[n]\n"
    )


def test_graphs_go_through_files(tmp_path: Path) -> None:
    x = sg.vector("x", shape=("n",))
    sg.save(tmp_path / "model.sg", sg.Graph([x], [sg.tanh(x)]))
    graph = sg.load(tmp_path / "model.sg")
    f = sg.compile(list(graph.inputs), list(graph.outputs))
    np.testing.assert_allclose(f([0.5])[0], np.tanh([0.5]))
