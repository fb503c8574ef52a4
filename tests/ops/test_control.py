"""scan and cond: values, derivatives of first and second order, taps, closures, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from symgraph.autodiff.check import verify_grad
from symgraph.autodiff.reverse import grad
from symgraph.errors import ArgumentError, DTypeError, RankError, ShapeError
from symgraph.ir.graph import Graph, Input, Variable, constant, toposort
from symgraph.ir.shared import shared
from symgraph.ops.control import Cond, Scan, cond
from symgraph.ops.creation import arange, ones, zeros
from symgraph.ops.exponential import exp, log
from symgraph.ops.scanning import scan
from symgraph.ops.trigonometric import sin, tanh
from symgraph.passes.pipeline import optimize
from tests.autodiff.values import value, values, variable

RNG = np.random.default_rng(0)
XS, WX, WH = RNG.normal(size=(5, 3, 2)), RNG.normal(size=(2, 4)), RNG.normal(size=(4, 4)) / 2
BIAS, H0 = RNG.normal(size=4), RNG.normal(size=(3, 4))


def second_order(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose values are the derivatives of another one, to check theirs."""

    def slopes(*xs: Input) -> list[Variable]:
        return grad((fn(*xs) ** 2).sum(), list(xs))  # type: ignore[no-any-return]

    return slopes


def check(fn: Callable[..., Any], *arrays: Any) -> None:
    verify_grad(fn, arrays)
    verify_grad(second_order(fn), arrays)


def only(outputs: Any, kind: type) -> list[Any]:
    return [n for n in toposort([outputs]) if isinstance(n.op, kind)]


# recurrences --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_recurrent_network(backwards: bool) -> None:
    def net(x: Any, wx: Any, wh: Any, b: Any, h: Any) -> Any:
        return scan(lambda x, h: tanh(x @ wx + h @ wh + b), x, h, go_backwards=backwards)

    xs = [variable("x", "t", "n", 2), variable("wx", 2, 4), variable("wh", 4, 4)]
    xs += [variable("b", 4), variable("h", "n", 4)]
    arrays = [XS, WX, WH, BIAS, H0]
    h, rows = H0, []
    for x in XS[::-1] if backwards else XS:
        h = np.tanh(x @ WX + h @ WH + BIAS)
        rows.append(h)
    given = dict(zip(xs, arrays, strict=True))
    np.testing.assert_allclose(value(net(*xs), given), np.stack(rows), rtol=1e-13)
    check(net, *arrays)
    check(lambda *xs: net(*xs)[-1], *arrays)


def test_taps_as_in_theano() -> None:
    def steps(x: Any, h: Any) -> Any:
        def step(before: Any, now: Any, h2: Any, h1: Any) -> list[Any]:
            new = sin(h1) * now + h2 * before
            return [new, new * 2]

        info = [{"initial": h, "taps": [-2, -1]}, None]
        return scan(step, {"input": x, "taps": [-1, 0]}, info)[1]

    x, h = RNG.normal(size=6), RNG.normal(size=2)
    history = list(h)
    for t in range(1, 6):
        history.append(np.sin(history[-1]) * x[t] + history[-2] * x[t - 1])
    inputs = [variable("x", "t"), variable("h", 2)]
    found = value(steps(*inputs), dict(zip(inputs, [x, h], strict=True)))
    np.testing.assert_allclose(found, 2 * np.array(history[2:]), rtol=1e-13)
    check(steps, x, h)


def test_future_and_distant_taps() -> None:
    x = variable("x", 7)
    ahead = scan(lambda a, b: b - a, {"input": x, "taps": [0, 2]})
    behind = scan(lambda a: a, {"input": x, "taps": [-3]})
    far = scan(lambda h: h + 1, None, {"initial": x[:3], "taps": [-3]}, n_steps=5)
    given = {x: np.arange(7.0) ** 2}
    assert value(ahead, given).tolist() == [4, 8, 12, 16, 20]
    assert value(behind, given).tolist() == [0, 1, 4, 9]
    assert value(far, given).tolist() == [1, 2, 5, 2, 3]


def test_steps_without_sequences_and_integer_states() -> None:
    def powers(a: Any) -> Any:
        return scan(lambda k, p: [k + 1, p * a * k], None, [constant(1), ones(3)], n_steps=4)[1]

    a = variable("a", 3)
    assert value(powers(a), {a: np.full(3, 2.0)})[:, 0].tolist() == [2, 8, 48, 384]
    check(powers, RNG.normal(size=3))


def test_map_without_states() -> None:
    x = variable("x", "n", 2)
    both = scan(lambda row: [row.sum(), row * 2], x)
    found = values(both, {x: XS[0]})
    np.testing.assert_allclose(found[0], XS[0].sum(1))
    np.testing.assert_allclose(found[1], XS[0] * 2)


def test_nested_loops() -> None:
    def nested(m: Any) -> Any:
        def row_step(row: Any, total: Any) -> Any:
            return scan(lambda e, s: s * e + total, row, constant(1.0))[-1] + total

        return scan(row_step, m, constant(0.5))

    m = RNG.normal(size=(3, 4))
    total, wanted = 0.5, []
    for row in m:
        s = 1.0
        for e in row:
            s = s * e + total
        total = s + total
        wanted.append(total)
    x = variable("m", "r", "c")
    np.testing.assert_allclose(value(nested(x), {x: m}), wanted)
    check(nested, m)


def test_no_steps() -> None:
    x, h = variable("x", "t", 3), variable("h", 3)
    out = scan(lambda x, h: h * x, x, h)
    given = {x: np.zeros((0, 3)), h: np.ones(3)}
    assert value(out, given).shape == (0, 3)
    assert value(grad(out.sum(), x), given).shape == (0, 3)


def test_shorter_sequence_bounds_the_steps() -> None:
    x, y = variable("x", 5), variable("y", 3)
    out = scan(lambda a, b: a * b, [x, y])
    assert value(out, {x: np.arange(5.0), y: np.ones(3)}).tolist() == [0, 1, 2]
    out = scan(lambda a: a, x, n_steps=2, go_backwards=True)
    assert value(out, {x: np.arange(5.0)}).tolist() == [4, 3]


# what a loop captures -----------------------------------------------------------------------------


def test_outer_expressions_are_computed_once_outside() -> None:
    w = shared(np.ones((2, 2)), name="w")
    x, v = variable("x", "t", 2), variable("v", 2)
    out = scan(lambda row, s: s + row @ exp(w) * sin(v), x, zeros(2))
    (node,) = only(out, Scan)
    names = {n.op.name for n in node.op.body.toposort()}
    assert "exp" not in names and "sin" not in names and "matmul" in names
    given = {x: XS[0], v: np.ones(2)}
    wanted = np.cumsum(XS[0] @ np.full((2, 2), np.e) * np.sin(1.0), 0)
    np.testing.assert_allclose(value(out, given), wanted)


def test_constants_stay_inside() -> None:
    out = scan(lambda k, s: s + arange(3)[k], arange(3), constant(0))
    (node,) = only(out, Scan)
    assert len(node.inputs) == 2
    assert value(out).tolist() == [0, 1, 3]


def test_backward_loop_reads_only_what_it_needs() -> None:
    x, h = variable("x", "t", 2), variable("h", 2)
    cost = scan(lambda x, h: h + x, x, h).sum()
    (node,) = only(grad(cost, h), Scan)  # the forward loop is not needed
    assert node.op.reverse and node.op.sequences == 1  # the cotangents: a sum saves nothing


def test_derivatives_of_one_loop_share_the_loop_that_saves() -> None:
    x, h, w = variable("x", "t", 2), variable("h", 2), variable("w", 2)
    cost = scan(lambda x, h: tanh(h * w + x), x, h).sum()
    whole = optimize(Graph([x, h, w], [cost, *(grad(cost, v) for v in (h, w))]))
    assert sum(isinstance(n.op, Scan) and not n.op.reverse for n in whole.toposort()) == 1


# cond ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [True, False])
def test_cond(chosen: bool) -> None:
    x, w, p = variable("x", "n"), variable("w", 3), variable("p", dtype="bool")
    y = cond(p, lambda: exp(x) * w.sum(), lambda: x * x)
    at, weights = RNG.normal(size=4), np.arange(3.0)
    given = {x: at, w: weights, p: chosen}
    np.testing.assert_allclose(value(y, given), np.exp(at) * 3 if chosen else at**2)
    gx, gw = values(grad(y.sum(), [x, w]), given)
    np.testing.assert_allclose(gx, np.exp(at) * 3 if chosen else 2 * at)
    np.testing.assert_allclose(gw, np.full(3, np.exp(at).sum() if chosen else 0))
    second = value(grad(grad(y.sum(), x).sum(), x), given)
    np.testing.assert_allclose(second, np.exp(at) * 3 if chosen else np.full(4, 2.0))


def test_cond_computes_only_the_branch() -> None:
    x = variable("x")
    common = exp(x)
    y = cond(x > 0, log(x) + common, x - common)
    (node,) = only(y, Cond)
    inside = [{n.op.name for n in branch.toposort()} for branch in node.op.inner()]
    assert inside == [{"log", "add"}, {"subtract"}]


def test_cond_in_a_loop() -> None:
    def walk(x: Any) -> Any:
        return scan(lambda e, s: cond(e > 0, lambda: s * e, lambda: s - e), x, constant(1.0))

    x = np.array([0.5, -1.0, 2.0, 3.0, -0.25])
    check(walk, x)


def test_cond_takes_operands_numbers_and_lists() -> None:
    x = variable("x", dtype="float32")
    y, z = cond(x > 0, lambda v: [v * 2, 1], lambda v: [0.0, 2], x)
    assert (y.dtype, z.dtype) == ("float32", "int64")
    assert [float(v) for v in values([y, z], {x: 3})] == [6, 1]
    assert [float(v) for v in values([y, z], {x: -3})] == [0, 2]


# mistakes -----------------------------------------------------------------------------------------


def test_a_state_keeps_its_type() -> None:
    x = variable("x", 4, 3)
    start = zeros(3, "float32")
    start.name = "speed"
    with pytest.raises(DTypeError, match=r"speed begins as float32\[3\], .* makes it float64"):
        scan(lambda x, s: s + x, x, start)
    with pytest.raises(ShapeError, match="output 0"):
        scan(lambda x, s: s + x, x, constant(0.0))


def test_arguments_of_scan() -> None:
    x = variable("x", 4)
    for mistake in (
        lambda: scan(lambda: 1), lambda: scan(lambda a, s: (s,), x, [constant(0.0), None]),
        lambda: scan(lambda a: a, {"inputs": x}), lambda: scan(lambda s: s, None, {"start": x}),
        lambda: scan(lambda s: s, None, {"initial": x, "taps": [0]}, n_steps=2),
    ):  # fmt: skip
        with pytest.raises(ArgumentError):
            mistake()
    for wrong in (
        lambda: scan(lambda a: a, x, n_steps=5), lambda: scan(lambda a: a, constant(1.0)),
        lambda: scan(lambda s: s, None, {"initial": x}, n_steps=-1),
        lambda: scan(lambda s: s, None, {"initial": x[:1], "taps": [-2]}, n_steps=2),
    ):  # fmt: skip
        with pytest.raises(ShapeError):
            wrong()


def test_branches_of_cond_agree() -> None:
    x = variable("x", 3)
    with pytest.raises(RankError, match=r"sg\.where"):
        cond(x > 0, x, x)
    with pytest.raises(RankError):
        cond(x[0] > 0, x, x[0])
    with pytest.raises(ShapeError):
        cond(x[0] > 0, x, x[:2])
    with pytest.raises(ShapeError):
        cond(x[0] > 0, lambda: [x, x], lambda: [x])
