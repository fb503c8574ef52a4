"""vmap of every op of the registry, of loops and functions, and derivatives through it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from symgraph.autodiff.check import verify_grad
from symgraph.autodiff.products import jacobian
from symgraph.autodiff.reverse import grad
from symgraph.batching import engine
from symgraph.batching.vectorize import vectorize, vectorize_graph, vmap
from symgraph.compiler import compile
from symgraph.errors import ArgumentError, InputValueError, RankError, ShapeError, SymgraphError
from symgraph.ir import made_sizes
from symgraph.ir.graph import Graph, constant, toposort
from symgraph.ir.interpret import interpret
from symgraph.ops import matrix, reductions
from symgraph.ops.control import Scan, cond
from symgraph.ops.custom import python_op
from symgraph.ops.debugging import AssertionFailed, assert_, print_value
from symgraph.ops.exponential import exp
from symgraph.ops.functions import checkpoint, custom_vjp
from symgraph.ops.looping import while_loop
from symgraph.ops.scanning import scan, until
from symgraph.ops.trigonometric import sin, tanh
from tests.autodiff.values import value, variable
from tests.ops import evaluation
from tests.ops.both_ways import both
from tests.ops.samples import Sample
from tests.ops.test_registry import ALL, outputs_of

RNG = np.random.default_rng(0)
X, W, H = RNG.normal(size=(4, 3)), RNG.normal(size=3), RNG.normal(size=4)


# every op -----------------------------------------------------------------------------------------


def many(a: Any) -> Any:
    """Three examples like this one."""
    array = np.asarray(a)
    if array.dtype.kind != "f":
        return np.stack([array] * 3)
    other = np.flip(array) if array.ndim else array
    return np.stack([array, array * array.dtype.type(0.5), other])


def batched_as_one_by_one(s: Sample, axes: tuple[int | None, ...]) -> None:
    single = [np.asarray(a) for a in s.arrays]
    arrays = [many(a) if p == 0 else a for a, p in zip(single, axes, strict=True)]
    one = evaluation.inputs_for(single, False)
    graph = Graph(one, outputs_of(s.build(*one)))
    rows = []
    for k in range(3):
        given = [a[k] if p == 0 else a for a, p in zip(arrays, axes, strict=True)]
        try:
            rows.append(interpret(graph, given))
        except (SymgraphError, np.linalg.LinAlgError):
            return  # such an example is none of the op's
    inputs = evaluation.inputs_for(arrays, False)
    found = interpret(Graph(inputs, outputs_of(vmap(s.build, axes)(*inputs))), arrays)
    for k, f in enumerate(found):
        wanted = np.stack([r[k] for r in rows])
        assert f.dtype == wanted.dtype and f.shape == wanted.shape, (s.op, axes)
        rtol = 1e-5 if f.dtype in ("float32", "complex64") else 1e-8
        np.testing.assert_allclose(f, wanted, rtol=rtol, atol=1e-8, err_msg=f"{s.op} {axes}")


def size_depends_on_data(s: Sample) -> bool:
    outputs = outputs_of(s.build(*evaluation.inputs_for(list(s.arrays))))
    return made_sizes.in_graph(Graph((), outputs))


@pytest.mark.parametrize("part", range(6))
def test_samples(part: int) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for s in ALL[part::6]:
            count = len(s.arrays)
            if not count or size_depends_on_data(s):  # each example would have its own
                continue
            batched_as_one_by_one(s, (0,) * count)
            for k in range(count if count > 1 else 0):
                batched_as_one_by_one(s, tuple(0 if j == k else None for j in range(count)))


def test_core_ops_need_no_loop() -> None:
    x, w = variable("x", "b", 3, 3), variable("w", 3)

    def fn(m: Any) -> Any:
        z = m @ w + m[1] * reductions.max(m, axis=0)
        return matrix.diag(z)[[2, 0]].T.reshape(-1)

    assert not [n for n in toposort([vmap(fn)(x)]) if isinstance(n.op, Scan)]


def test_a_product_with_a_shared_matrix_is_one_product() -> None:
    m, x = variable("m", 5, 3), variable("x", "b", 3)
    out = vmap(lambda v: m @ v)(x)
    (node,) = [n for n in toposort([out]) if n.op.name == "matmul"]
    assert node.output.ndim == 2
    np.testing.assert_allclose(both([out], {m: X[:, [0, 1, 2]][:1].repeat(5, 0), x: X})[0].shape,
                               (4, 5))  # fmt: skip


# loops and functions ------------------------------------------------------------------------------

own = custom_vjp(lambda x, w: sin(x) * w, lambda g, y, x, w: (g * 3 * x, g * x))
recomputed = checkpoint(lambda x, w: tanh(x * w) @ exp(w))
ordered = python_op(np.sort, infer=lambda t: t, vjp=lambda g, y, x: g)


def ended(x: Any, w: Any, h: Any) -> Any:
    def step(a: Any, s: Any) -> Any:
        return s + a, until(s + a > h)

    return scan(step, x, constant(0.0))[0]


CASES: list[Callable[[Any, Any, Any], Any]] = [
    lambda x, w, h: scan(lambda a, c, s: tanh(s * a + c), [x, w], h),
    lambda x, w, h: scan(lambda a, s: tanh(s * a), w, constant(1.0)) + x,
    lambda x, w, h: scan(lambda a, s: tanh(s * a + h), w, constant(1.0)),
    ended,
    lambda x, w, h: cond(h > 0, lambda: x * h, lambda: x.sum() * w),
    lambda x, w, h: cond(w.sum() > 0, lambda: x * h, lambda: w * h * 2),
    lambda x, w, h: own(x, w) * h,
    lambda x, w, h: own(w, x) * h,
    lambda x, w, h: recomputed(x, w) * h,
    lambda x, w, h: grad(recomputed(x, w) * h, w),
    lambda x, w, h: ordered(x) * w * h,
    lambda x, w, h: assert_(x, x.sum() < 1e3) * w + assert_(w, h < 1e3),
    lambda x, w, h: vmap(lambda a, b: a * b + h)(x, w),
    lambda x, w, h: vmap(lambda a: w * a * h)(x),
    lambda x, w, h: jacobian(tanh(x * w), x) * h,
]


@pytest.mark.parametrize("case", CASES)
def test_loops_and_functions(case: Callable[[Any, Any, Any], Any]) -> None:
    x, w, h = variable("x", "b", "n"), variable("w", "n"), variable("h", "b")
    x1, w1, h1 = variable("x1", "n"), variable("w1", "n"), variable("h1")
    many_, one = vmap(case, (0, None, 0))(x, w, h), case(x1, w1, h1)
    outs = [many_, *grad((many_**2).sum(), [x, w, h], disconnected="zero")]
    ones = [one, *grad((one**2).sum(), [x1, w1, h1], disconnected="zero")]
    found = both(outs, {x: X, w: W, h: H})
    rows = [interpret(Graph([x1, w1, h1], ones), [X[k], W, np.array(H[k])]) for k in range(4)]
    for k in (0, 1, 3):
        np.testing.assert_allclose(found[k], np.stack([r[k] for r in rows]), atol=1e-9)
    np.testing.assert_allclose(found[2], sum(r[2] for r in rows), atol=1e-9)


@pytest.mark.parametrize("shared_test", [False, True])
def test_while_loop(shared_test: bool) -> None:
    def loop(x: Any, h: Any) -> Any:
        bound = constant(3.0) if shared_test else h
        return while_loop(lambda s: s[0] < bound, lambda s: (s[0] + 1.0, s[1] * 2), (0.0, x))[1]

    x, h = variable("x", "b", 3), variable("h", "b")
    turns = np.full(4, 3) if shared_test else np.maximum(np.ceil(H * 4), 0)
    found = both([vmap(loop)(x, h)], {x: X, h: H * 4})[0]
    np.testing.assert_allclose(found, X * 2.0 ** turns[:, None])


def test_an_op_without_a_rule_becomes_a_loop() -> None:
    x = variable("x", "b", 3)
    out = vmap(lambda v: ordered(v))(x)
    assert [n for n in toposort([out]) if isinstance(n.op, Scan)]
    assert "python_op" not in engine.RULES
    np.testing.assert_allclose(both([out], {x: X})[0], np.sort(X))


def test_derivatives_by_differences() -> None:
    def fn(x: Any, w: Any) -> Any:
        return vmap(lambda r: scan(lambda a, s: tanh(s * a) + w.sum(), r, w[0]))(x)

    verify_grad(fn, [X, W])
    verify_grad(lambda x: vmap(lambda r: grad(tanh(r @ r), r))(x), [X])


# axes, nests, mistakes ----------------------------------------------------------------------------


def test_axes_and_nests() -> None:
    x, y = variable("x", 2, "b"), variable("y", "b", 3)
    out = vmap(lambda d: {"s": d["a"].sum() + d["b"][0].sum(), "t": d["a"]},
               in_axes=({"a": 1, "b": [0]},), out_axes={"s": 0, "t": -1})  # fmt: skip
    found = out({"a": x, "b": [y]})
    a, b = RNG.normal(size=(2, 5)), RNG.normal(size=(5, 3))
    s, t = both([found["s"], found["t"]], {x: a, y: b})
    np.testing.assert_allclose(s, a.sum(0) + b.sum(1))
    np.testing.assert_array_equal(t, a)
    unbatched = vmap(lambda x: [x, constant(1.0)], out_axes=(0, None))(y)
    assert unbatched[1].ndim == 0
    assert vmap(lambda x: constant(1.0))(y).type.text() == "float64[b]"


def test_mistakes() -> None:
    x, y = variable("x", "b", 3), variable("y", "c", 3)
    with pytest.raises(ArgumentError, match="no argument is batched"):
        vmap(lambda a: a, None)(x)
    with pytest.raises(ArgumentError, match="2 entries for 1"):
        vmap(lambda a: a, (0, 0))(x)
    with pytest.raises(RankError):
        vmap(lambda a: a)(constant(1.0))
    with pytest.raises(ArgumentError, match="differs in the batch"):
        vmap(lambda a: a, out_axes=None)(x)
    with pytest.raises(ShapeError, match="batch sizes differ"):
        vmap(lambda a, b: a + b)(variable("p", 2), variable("q", 3))
    f = compile([x, y], vmap(lambda a, b: a + b)(x, y))
    f(X, X)
    with pytest.raises(InputValueError):
        f(X, X[:2])
    g = compile([x], vmap(lambda a: assert_(a, a.sum() > 0))(x))
    with pytest.raises(AssertionFailed):
        g(-np.ones((2, 3)))


def test_print_shows_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    x = variable("x", 2)
    value(vmap(lambda a: print_value(a, "a"))(x), {x: [1.0, 2.0]})
    assert capsys.readouterr().out == "a = [1. 2.]\n"


# vectorize ----------------------------------------------------------------------------------------


def test_vectorize() -> None:
    solve = vectorize(lambda a, b: a @ b + reductions.sum(b), "(n,m),(m)->(n)")
    a, b = variable("a", 2, 1, 5, 3), variable("b", 4, 3)
    at, vector = RNG.normal(size=(2, 1, 5, 3)), RNG.normal(size=(4, 3))
    wanted = np.einsum("abij,bj->abi", np.broadcast_to(at, (2, 4, 5, 3)), vector)
    wanted = wanted + vector.sum(-1)[None, :, None]
    np.testing.assert_allclose(both([solve(a, b)], {a: at, b: vector})[0], wanted)
    plain = vectorize(lambda p, q: p * q + 1)
    x = variable("x", "n", 1)
    y = variable("y", 3)
    assert both([plain(x, y)], {x: np.ones((2, 1)), y: W})[0].shape == (2, 3)
    with pytest.raises(RankError):
        solve(variable("v", 3), b)
    with pytest.raises(ArgumentError):
        vectorize(lambda p: p, "n->n")(x)
    with pytest.raises(ArgumentError):
        solve(a)


def test_vectorize_graph() -> None:
    x, w = variable("x", "n"), variable("w", "n")
    y = [(x * w).sum(), x.reshape(-1, 1)]
    xs = variable("xs", 2, "b", "m")
    ws = variable("ws", "b", "m")
    found = vectorize_graph(y, {x: xs, w: ws})
    assert [v.type.text() for v in found] == ["float64[2, b]", "float64[2, b, m, 1]"]
    at = RNG.normal(size=(2, 4, 3))
    np.testing.assert_allclose(both(found, {xs: at, ws: X})[0], (at * X).sum(-1))
    with pytest.raises(RankError):
        vectorize_graph(y[0], {x: constant(1.0)})
