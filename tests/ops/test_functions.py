"""Functions as values: graphs as ops, own derivatives, recomputation, Python ops, checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from symgraph import stages
from symgraph.autodiff.check import verify_grad
from symgraph.autodiff.reverse import grad
from symgraph.compiler import compile, stage_definition
from symgraph.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    InputValueError,
    RankError,
    ShapeError,
)
from symgraph.ir.graph import Variable, toposort
from symgraph.ir.op import Op
from symgraph.ir.shared import shared
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.memory import plan
from symgraph.loops.program import Loop
from symgraph.ops import checkpoint_policies as policies
from symgraph.ops.comparison import where
from symgraph.ops.cumulative import cumsum
from symgraph.ops.custom import as_op, python_op
from symgraph.ops.debugging import AssertionFailed, assert_, check_nan, print_value
from symgraph.ops.exponential import exp, log
from symgraph.ops.functions import (
    FunctionGraph,
    checkpoint,
    checkpoint_name,
    custom_jvp,
    custom_vjp,
    function_graph,
)
from symgraph.ops.scanning import scan
from symgraph.ops.special import sigmoid
from symgraph.ops.trigonometric import cos, sin, tanh
from symgraph.scalar import functions as F
from tests.autodiff.values import value, variable
from tests.ops.both_ways import both

RNG = np.random.default_rng(0)


# function_graph -----------------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [True, False])
def test_function_graph(inline: bool) -> None:
    w = shared(np.arange(3.0), name="w")

    @function_graph(inline=inline)
    def pair(a: Any, b: Any) -> Any:
        return exp(a) * b.sum(), {"sum": a + w.sum()}

    x = variable("x", "n")
    y, rest = pair(x, x * 2)
    outs = [y, rest["sum"], *grad(y.sum() + rest["sum"].sum(), [x, w])]
    at = RNG.normal(size=4)
    found = both(outs, {x: at})
    np.testing.assert_allclose(found[0], np.exp(at) * 2 * at.sum())
    np.testing.assert_allclose(found[1], at + 3)
    np.testing.assert_allclose(found[3], [4, 4, 4])
    d = stage_definition(outs)
    optimized = stages.optimized_graph(d)
    kept = [n for n in optimized.toposort() if isinstance(n.op, FunctionGraph)]
    assert bool(kept) is not inline
    loops = [s for s in stages.lower(d, optimized).steps if isinstance(s, Loop)]
    assert bool(loops) is not inline


@pytest.mark.parametrize("inline", [True, False])
def test_a_graph_as_an_op_takes_any_sizes(inline: bool) -> None:
    a, b = variable("a", "p"), variable("b", "p", "q")
    halves = function_graph([a, b], [(b.reshape(-1) * 2).reshape(b.shape), a[1:]], inline=inline)
    x, m = variable("x", "r"), variable("m", "r", 4)
    out, rest = halves(x, m)
    assert out.type.text() == "float64[r, 4]"
    found = both([out, rest, grad(out.sum(), m)], {x: np.ones(2), m: np.ones((2, 4))})
    assert found[1].tolist() == [1] and found[2].tolist() == [[2] * 4] * 2
    with pytest.raises(InputValueError):
        compile([x, m], [out, rest])(np.ones(3), np.ones((2, 4)))
    with pytest.raises(DTypeError):
        halves(m, m)


def test_functions_in_functions_and_in_loops() -> None:
    inner = function_graph(lambda a: sin(a) * a)
    outer = function_graph(lambda a, b: inner(a) + inner(b))
    verify_grad(lambda x: scan(lambda r, s: outer(r, s), x, x[0]), [RNG.normal(size=4)])
    x = variable("x")
    assert not [
        n for n in stages.optimized_graph(stage_definition([outer(x, x * 2)])).toposort()
        if isinstance(n.op, FunctionGraph)
    ]  # fmt: skip


def test_equal_calls_are_computed_once() -> None:
    f = function_graph(lambda a: exp(a))
    x = variable("x")
    graph = stages.optimized_graph(stage_definition([f(x) + f(x)]))
    assert len([n for n in graph.toposort() if n.op.name == "exp"]) == 1


# own derivatives ----------------------------------------------------------------------------------


def test_an_own_derivative() -> None:
    f = function_graph(lambda a, b: a * b, vjp=lambda g, y, a, b: (g * y, None))
    x, z = variable("x", 2), variable("z", 2)
    out = f(x, z).sum()
    found = both([grad(out, x), grad(out, z, disconnected="zero")], {x: [1, 2], z: [3, 4]})
    assert found[0].tolist() == [3, 8] and found[1].tolist() == [0, 0]
    second = grad(grad(out, x).sum(), x)  # y stands for f(x, z) in the rule
    assert value(second, {x: [1, 2], z: [3, 4]}).tolist() == [3, 8]


def test_defvjp() -> None:
    @custom_vjp
    def log1pexp(x: Any) -> Any:
        return log(1 + exp(x))

    log1pexp.defvjp(lambda x: (log1pexp.fn(x), x), lambda x, g: (g * sigmoid(x),))
    x = variable("x", 2)
    out = both([grad(log1pexp(x).sum(), x)], {x: [0, 1000]})
    assert out[0].tolist() == [0.5, 1]
    verify_grad(log1pexp, [RNG.normal(size=3)])


def test_defjvp() -> None:
    @custom_jvp
    def product(x: Any, y: Any) -> Any:
        return sin(x) * y

    product.defjvp(lambda p, t: (product.fn(*p), cos(p[0]) * p[1] * t[0] + sin(p[0]) * t[1]))
    verify_grad(product, [RNG.normal(size=3), RNG.normal(size=3)])
    product.defjvp(lambda p, t: (product.fn(*p), t[0] * t[1]))
    with pytest.raises(GradientError, match="not linear"):
        product(variable("x"), variable("y"))


def test_mistakes_of_own_derivatives() -> None:
    x, w = variable("x", 2), variable("w")
    closing = custom_vjp(lambda a: a * w, lambda g, y, a: g)
    with pytest.raises(GradientError, match="uses w without being given it"):
        grad(closing(x).sum(), w)
    two = custom_vjp(lambda a, b: a * b, lambda g, y, a, b: g)
    with pytest.raises(ArgumentError):
        two(x, x)
    with pytest.raises(ArgumentError):
        function_graph([x * 2], x)


# checkpoint ---------------------------------------------------------------------------------------


def test_checkpoint() -> None:
    layer = checkpoint(lambda x, w: tanh(exp(sin(x * w)) @ exp(cos(x)) * x))
    verify_grad(lambda x, w: layer(layer(x, w), w), [RNG.normal(size=3), np.array(0.5)])

    def slopes(x: Any) -> Any:
        return grad((layer(x, x) ** 2).sum(), x)

    verify_grad(slopes, [RNG.normal(size=3)], rtol=1e-5)
    x = variable("x", 3)
    pair = [grad(f(f(x, x), x).sum(), x) for f in (layer, layer.fn)]
    found = both(pair, {x: RNG.normal(size=3)})
    np.testing.assert_allclose(found[0], found[1])


def test_checkpoint_saves_memory() -> None:
    x = variable("x", 100000)

    def layer(h: Any) -> Any:
        for _ in range(6):
            h = tanh(cumsum(h) * 1e-3)
        return h

    def arrays(f: Any) -> float:
        h: Any = x
        for _ in range(6):
            h = f(h)
        d = stage_definition([grad(h.sum(), x)])
        return int(plan(stages.lower(d, stages.optimized_graph(d))).total()) / 8e5

    assert arrays(layer) > 30
    assert arrays(checkpoint(layer)) < 13


def _named_layer(h: Any, w: Any) -> Any:
    for _ in range(3):
        h = checkpoint_name(tanh(cumsum(h @ w, 0)), "act")
    return sin(h)


# how many of (matmul, tanh, cumsum, sin) the optimized gradient computes
POLICIES: dict[str, tuple[Any, int, int]] = {
    "nothing": (policies.nothing_saveable, 6, 6),
    "dots": (policies.dots_saveable, 0, 6),
    "plain dots": (policies.dots_with_no_batch_dims_saveable, 0, 6),
    "names": (policies.save_only_these_names("act"), 0, 0),
    "no names": (policies.save_only_these_names("other"), 6, 6),
    "others": (policies.save_any_names_but_these("act"), 6, 6),
    "all others": (policies.save_any_names_but_these("other"), 0, 0),
    "all but": (policies.save_anything_except_these_names("act"), 0, 6),
    "both": (policies.save_from_both_policies(policies.dots_saveable,
                                              policies.save_only_these_names("act")), 0, 0),
    "everything": (policies.everything_saveable, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", POLICIES)
def test_policies(name: str) -> None:
    policy, products, tanhs = POLICIES[name]
    x, w = variable("x", 5, 5), variable("w", 5, 5)

    def slopes(f: Any) -> Any:
        return grad((f(f(x, w), w) ** 2).sum(), [x, w])

    def counts(outputs: Any) -> list[int]:
        order = stages.optimized_graph(stage_definition(outputs)).toposort()
        return [sum(n.op.name == op for n in order) for op in ("matmul", "tanh")]

    plain, found = slopes(_named_layer), slopes(checkpoint(_named_layer, policy))
    more = [a - b for a, b in zip(counts(found), counts(plain), strict=True)]
    assert more == [products, tanhs], more
    arrays = {x: RNG.normal(size=(5, 5)), w: RNG.normal(size=(5, 5)) / 5}
    for a, b in zip(both(found, arrays), both(plain, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    verify_grad(checkpoint(_named_layer, policy), list(arrays.values()), order=2, rtol=1e-5)


def test_a_checkpointed_step_of_a_loop() -> None:
    x, w = variable("x", 50, 4), variable("w", 4, 4)

    def stacked(policy: Any) -> int:
        step = checkpoint(policy=policy)(lambda s, h, w: tanh(sin((h + s) @ w)))
        cost = (scan(step, [x], [np.zeros(4)], [w]) ** 2).sum()
        order = stages.optimized_graph(stage_definition([grad(cost, w)])).toposort()
        return max(len(n.outputs) for n in order if n.op.name == "scan")

    assert stacked(policies.dots_saveable) == stacked(policies.nothing_saveable) + 1


def test_policies_that_are_none() -> None:
    with pytest.raises(ArgumentError, match="is no policy"):
        checkpoint(tanh, "dots")
    with pytest.raises(ArgumentError, match="take names, not int"):
        policies.save_only_these_names(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="a name is text"):
        checkpoint_name(variable("x"), "")


def test_checkpoint_whose_derivative_is_its_input() -> None:
    x, z = variable("x", 2), variable("z", 2)
    found = both(grad(checkpoint(lambda a, b: a * b)(x, z).sum(), [x, z]), {x: [1, 2], z: [3, 4]})
    assert found[0].tolist() == [3, 4] and found[1].tolist() == [1, 2]


# Python ops ---------------------------------------------------------------------------------------


@python_op(infer="float64[n, k], float64[k] -> float64[n], int64[k]",
           vjp=lambda g, y, a, b: (g[0].reshape(-1, 1) * b, a.T @ g[0]))  # fmt: skip
def product_and_order(a: Any, b: Any) -> Any:
    """A matrix by a vector, and the order of the vector."""
    return a @ b, np.argsort(b)


def test_python_op() -> None:
    m, v = variable("m", "r", "c"), variable("v", "c")
    y, order = product_and_order(m, v)
    assert y.type.text() == "float64[r]"
    given = {m: np.arange(6.0).reshape(2, 3), v: [3, 1, 2]}
    found = both([y, order, *grad((y**2).sum(), [m, v])], given)
    assert found[0].tolist() == [5, 23] and found[1].tolist() == [1, 2, 0]
    verify_grad(lambda m, v: product_and_order(m, v)[0], [RNG.normal(size=(2, 3)), np.ones(3)])
    assert "by a vector" in (product_and_order.__doc__ or "")


def test_python_op_in_a_loop() -> None:
    sort = as_op(["float64[n]"], ["float64[n]"])(np.sort)
    x = variable("x", "t", "n")
    found = both([scan(sort, x)], {x: [[3, 1], [1, 2]]})
    assert found[0].tolist() == [[1, 3], [1, 2]]


def test_mistakes_of_python_ops() -> None:
    x = variable("x", "n")
    single = python_op(lambda a: a.astype("float32"), infer=lambda t: t, name="single")
    short = python_op(lambda a: a[:1], infer=lambda t: t)
    twice = python_op(lambda a: (a, a), infer=lambda t: t)
    broken = python_op(lambda a: 1 / 0, infer=lambda t: t)
    for op, error in ((single, DTypeError), (short, ShapeError), (twice, ArgumentError),
                      (broken, ZeroDivisionError)):  # fmt: skip
        for mode in ("run", "interpret"):
            with pytest.raises(error):
                compile([x], op(x), mode=mode)(np.ones(3))
    with pytest.raises(GradientError, match="no derivative"):
        grad(single(x).sum() + x.sum(), x)
    with pytest.raises(DTypeError):
        product_and_order(variable("m", 2, 3), variable("v", 3, dtype="float32"))
    with pytest.raises(RankError):
        product_and_order(x, x)
    with pytest.raises(ArgumentError):
        product_and_order(x)
    with pytest.raises(ShapeError):
        product_and_order(variable("m", 2, 3), variable("v", 4))


# an op of one's own in native code ----------------------------------------------------------------


class Cube(Op):
    """x * x * x (docs/custom-ops.md)."""

    name = "test_cube"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Any) -> Any:
        return x * x * x

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Any]:
        return (g * (3 * x * x),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: F.mul(F.mul(x(*i), x(*i)), x(*i)))


def test_native_op() -> None:
    verify_grad(lambda x: Cube()(x), [RNG.normal(size=(2, 3))])
    x = variable("x", "n")
    out = where(Cube()(x) > 1, Cube()(x + 1), x)
    assert both([out], {x: [0.0, 2.0]})[0].tolist() == [0, 27]
    steps = stages.lower(stage_definition([out]), stages.optimized_graph(stage_definition([out])))
    assert len(steps.steps) == 1  # it fuses


# looking and checking -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_print_value(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    x = variable("x", "n")
    out = print_value(x * 2, "twice") + print_value(x, summary=True)
    f = compile([x], [out, grad(out.sum(), x)], mode=mode)
    found = f(np.array([1.0, 3.0]))
    assert found[0].tolist() == [3, 9] and found[1].tolist() == [3, 3]
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines) == ["twice = [2. 6.]", "x = float64[2] min 1.0 max 3.0 mean 2.0"]


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_assert_and_check_nan(mode: str) -> None:
    x = variable("x", "n")
    w = shared(np.array(0.0))
    f = compile([x], assert_(x, x > 0, "x is positive") * 2, updates={w: w + 1}, mode=mode)
    assert f(np.ones(2)).tolist() == [2, 2]
    with pytest.raises(AssertionFailed, match="x is positive") as caught:
        f(np.array([1.0, -1.0]))
    assert "test_functions.py" in str(caught.value) and 'assert_(x, x > 0, "x' in str(caught.value)
    assert w.get_value() == 1
    g = compile([x], scan(lambda r: check_nan(log(r), "the logarithm"), x), mode=mode)
    g(np.ones(2))
    with pytest.raises(AssertionError, match="the logarithm holds NaN"):
        g(np.array([1.0, -1.0]))
    h = compile([x], check_nan(log(x), inf=True), mode=mode)
    with pytest.raises(AssertionError, match="infinite"):
        h(np.array([0.0]))
    assert check_nan(variable("k", dtype="int64")).owner is None
    verify_grad(lambda x: check_nan(assert_(x, x < 9) ** 2), [np.ones(2)])


def test_conditions_are_truth_values() -> None:
    x = variable("x", 2)
    assert len([n for n in toposort([assert_(x, x)]) if n.op.name == "all"]) == 1
