"""What leaves the body of a scan: products before the loop, sums of products after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.ir.graph import Graph, Variable
from symgraph.ir.interpret import interpret
from symgraph.loops import program as programs
from symgraph.ops.control import Scan
from symgraph.passes.pipeline import optimize

RNG = np.random.default_rng(0)
PASSES = ("scan_ends", "scan_before", "scan_after")


def named(dtype: str = "float64", **shapes: tuple[Any, ...]) -> list[Variable]:
    return [sg.tensor(name, dtype=dtype, shape=shape) for name, shape in shapes.items()]


def optimized(outputs: Any, inputs: list[Variable]) -> Graph:
    """The optimized graph, once its values are those of the graph as it was written."""
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    graph = Graph(inputs, outputs)
    after = optimize(graph, "debug")
    for steps in (5, 2, 1):
        sizes = {"t": steps, "n": 3, "m": 4, "b": 2}
        arrays = [
            RNG.normal(size=[sizes.get(str(s), s) for s in v.type.shape]).astype(v.dtype)
            for v in inputs
        ]
        pairs = zip(interpret(graph, arrays), interpret(after, arrays), strict=True)
        for wanted, found in pairs:
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    return after


def scans(graph: Graph) -> list[Any]:
    return [n for n in graph.toposort() if isinstance(n.op, Scan)]


def names(graph: Graph) -> list[str]:
    return [n.op.name for n in graph.toposort()]


def test_a_product_with_a_sequence_leaves_the_loop() -> None:
    x, w, u, h = named(x=("t", "b", 3), w=(3, 4), u=(4, 4), h=("b", 4))
    out = sg.scan(lambda r, h: sg.tanh(r @ w + h @ u), [x], [h])
    after = optimized(out, [x, w, u, h])
    (loop,) = scans(after)
    assert names(loop.op.body).count("matmul") == 1 and names(after).count("matmul") == 1


def test_a_vector_times_a_matrix_too() -> None:
    x, w, h = named(x=("t", 3), w=(3, "m"), h=("m",))
    (loop,) = scans(optimized(sg.scan(lambda r, h: sg.tanh(r @ w + h), [x], [h]), [x, w, h]))
    assert "matmul" not in names(loop.op.body)


def test_weight_gradients_are_one_product() -> None:
    x, w, u, b, h = named(x=("t", "b", 3), w=(3, 4), u=(4, 4), b=(4,), h=("b", 4))

    def cost(reverse: bool) -> Any:
        hs = sg.scan(lambda r, h: sg.tanh(r @ w + h @ u + b), [x], [h], go_backwards=reverse)
        return (hs * hs).sum()

    for reverse in (False, True):
        after = optimized(sg.grad(cost(reverse), [w, u, b, x, h]), [x, w, u, b, h])
        back = next(n for n in scans(after) if n.op.reverse)
        assert back.op.carries == 1  # the cotangent of h
        assert names(back.op.body).count("matmul") == 1  # d @ u.T
        (product,) = (n for n in back.op.body.toposort() if n.op.name == "matmul")
        assert not product.op.tb  # u is turned once, before the loop
        assert "sum" not in names(back.op.body)


def test_outer_products_without_a_batch() -> None:
    x, w, u, h = named(x=("t", "n"), w=("n", "m"), u=("m", "m"), h=("m",))
    hs = sg.scan(lambda r, h: sg.tanh(r @ w + h @ u), [x], [h])
    after = optimized(sg.grad((hs * hs).sum(), [w, u]), [x, w, u, h])
    back = next(n for n in scans(after) if n.op.reverse)
    assert back.op.carries == 1


def test_tanh_is_kept_instead_of_its_product() -> None:
    x, u, h = named(x=("t", "b", "m"), u=("m", "m"), h=("b", "m"))
    hs = sg.scan(lambda r, h: sg.tanh(r + h @ u), [x], [h])
    after = optimized(sg.grad(hs.sum(), [u, h]), [x, u, h])
    back = next(n for n in scans(after) if n.op.reverse)
    assert "tanh" not in names(back.op.body)
    forward = next(n for n in scans(after) if not n.op.reverse)
    assert names(forward.op.body).count("matmul") == 1
    product = next(n for n in forward.op.body.toposort() if n.op.name == "matmul")
    assert all(v is not product.output for v in forward.op.body.outputs)


def test_invariants_are_computed_once() -> None:
    x, a, h = named(x=("t", "m"), a=("m", "m"), h=("m",))

    def step(r: Any, h: Any, a: Any) -> Any:
        return h @ sg.exp(a) + r * sg.sin(a[0])

    after = optimized(sg.scan(step, [x], [h], [a]), [x, a, h])
    (loop,) = scans(after)
    assert not {"exp", "sin"} & set(names(loop.op.body))


def test_outputs_that_no_step_needs_come_after_the_loop() -> None:
    x, u, v, h = named(x=("t", "b", 4), u=(4, 4), v=(4, 2), h=("b", 4))

    def step(r: Any, h: Any) -> Any:
        new = sg.tanh(r + h @ u)
        return new, sg.exp(new @ v) - 1

    after = optimized(sg.scan(step, [x], [h, None])[1], [x, u, v, h])
    (loop,) = scans(after)
    assert names(loop.op.body).count("matmul") == 1 and "exp" not in names(loop.op.body)


def test_functions_of_single_numbers_leave_the_loop() -> None:
    x, a, h = named(x=("t",), a=(), h=())

    def step(r: Any, h: Any) -> Any:
        new = a * h + sg.exp(r)
        return new, sg.sin(new)

    after = optimized(sg.scan(step, [x], [h, None])[1], [x, a, h])
    (loop,) = scans(after)
    assert names(loop.op.body) == ["multiply", "add"]


def test_a_map_becomes_one_product() -> None:
    x, w = named(x=("t", "b", 3), w=(3, 4))
    assert not scans(optimized(sg.map(lambda r: r @ w, x), [x, w]))


def test_the_last_row_needs_no_rows() -> None:
    x, a, h = named(x=("t", "m"), a=("m",), h=("m",))
    hs = sg.scan(lambda r, h: sg.tanh(a * h + r), [x], [h])
    (loop,) = scans(optimized(hs[-1], [x, a, h]))
    assert len(loop.outputs) == 1
    after = optimized(sg.grad(hs[-1].sum(), [a, h]), [x, a, h])
    assert "embed" not in names(after)
    back = next(n for n in scans(after) if n.op.reverse)
    assert back.op.sequences == 2  # h and tanh


def test_running_sums_that_are_wanted_stay() -> None:
    x, w, s = named(x=("t", "b", 3), w=("t", "b", 4), s=(3, 4))
    sums = sg.scan(lambda r, q, s: s + r.T @ q, [x, w], [s])
    after = optimized(sums, [x, w, s])
    assert scans(after)[0].op.carries == 1
    after = optimized(sums[-1], [x, w, s])
    assert not scans(after)


def test_subtracted_and_other_terms() -> None:
    x, w, s = named(x=("t", "b", 3), w=("t", "b", 3), s=(3, 3))

    def step(r: Any, q: Any, s: Any) -> Any:
        return s - r.T @ q + sg.exp(r[0]) - (q.T @ r).T

    after = optimized(sg.scan(step, [x, w], [s])[-1], [x, w, s])
    (loop,) = scans(after)
    assert "matmul" not in names(loop.op.body) and loop.op.carries == 1


def test_checkpoints_keep_no_more_than_before() -> None:
    x, u, h = named(x=("t", "b", 4), u=(4, 4), h=("b", 4))

    def cost(**options: Any) -> Any:
        last = sg.reduce(lambda r, h: sg.tanh(r + h @ u), x, h, **options)
        return (last * last).sum()

    after = optimized(sg.grad(cost(checkpoint=2), u), [x, u, h])
    outer = [n for n in scans(after) if any(isinstance(m.op, Scan) for m in n.op.body.toposort())]
    for node in outer:
        for v in node.op.body.outputs[node.op.carries :]:
            assert v.ndim <= 2  # states, and nothing that an inner loop has stacked


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("length", "checkpoint"), [(40, 8), (43, 8), (36, True)])
def test_the_last_row_needs_no_rows_with_checkpoints(
    length: int, checkpoint: Any, backwards: bool
) -> None:
    """It lies behind the reshape that joins the segments, and the steps that were left over."""
    w, x, h = named(w=(3, 3), x=(length, 3), h=(3,))

    def step(row: Any, h: Any) -> Any:
        return sg.tanh(w @ h + row)

    hs = sg.scan(step, [x], [h], go_backwards=backwards, checkpoint=checkpoint)
    inputs = [w, x, h]
    outputs = [hs[-1], *sg.grad((hs[-1] ** 2).sum(), inputs)]
    after = optimized(outputs, inputs)
    assert "concatenate" not in names(after)
    stacks = [v.shape for n in scans(after) if not n.op.reverse for v in n.outputs if v.ndim > 2]
    assert not stacks  # no segment of segments is stacked on the way forward
    arrays = [RNG.normal(size=[int(n) for n in v.shape]) for v in inputs]
    plain = sg.compile(inputs, outputs, exclude=PASSES)(*arrays)
    for wanted, found in zip(plain, sg.compile(inputs, outputs)(*arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_checkpoints_of_the_last_row_are_all_that_is_kept() -> None:
    """Twice the root of the steps in states, not all of them."""
    n = 2500
    w, h = named(w=(20, 20), h=(20,))
    hs = sg.scan(lambda h: sg.tanh(w @ h), None, [h], n_steps=n, checkpoint=True)
    d = sg.compile([w, h], sg.grad(hs[-1].sum(), w)).definition
    program = stages.lower(d, stages.optimized_graph(d))

    def elements(program: Any) -> int:
        own = sum(int(np.prod([int(k) for k in b.shape])) for b in program.buffers.values())
        return own + sum(elements(s.body) for s in program.steps if isinstance(s, programs.Loop))

    assert elements(program) < 20 * n / 2


def test_effects_and_checks_stay_in_the_loop(capfd: Any) -> None:
    x, w, h = named(x=("t", 3), w=(3,), h=(3,))
    index = sg.tensor("k", dtype="int64", shape=())
    out = sg.scan(lambda r, h: h + r * w[index], [x], [h], n_steps=x.shape[0])
    f = sg.compile([x, w, h, index], out)
    assert f(np.ones((0, 3)), np.ones(3), np.ones(3), 1).shape == (0, 3)


def lstm(x: Any, w: Any, u: Any, b: Any) -> Any:
    def step(r: Any, h: Any, c: Any) -> Any:
        z = r @ w + h @ u + b
        i, f, g, o = (z[:, 4 * k : 4 * k + 4] for k in range(4))
        c = sg.sigmoid(f) * c + sg.sigmoid(i) * sg.tanh(g)
        return sg.sigmoid(o) * sg.tanh(c), c

    start = sg.zeros((x.shape[1], 4))
    return sg.scan(step, [x], [start, start])[0]


@pytest.mark.parametrize("pick", [lambda h: h[-1], lambda h: h])
@pytest.mark.parametrize("mode", ["run", "debug"])
def test_gradient_of_an_lstm(pick: Callable[[Any], Any], mode: str) -> None:
    inputs = named(x=("t", "b", 3), w=(3, 16), u=(4, 16), b=(16,))
    arrays = [RNG.normal(size=s) for s in ((6, 2, 3), (3, 16), (4, 16), (16,))]
    slopes = sg.grad((pick(lstm(*inputs)) ** 2).sum(), inputs)
    plain = sg.compile(inputs, slopes, exclude=PASSES)(*arrays)
    for wanted, found in zip(plain, sg.compile(inputs, slopes, mode=mode)(*arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_second_derivatives() -> None:
    x, u, h = named(x=("t", "b", 3), u=(3, 3), h=("b", 3))
    hs = sg.scan(lambda r, h: sg.tanh(r + h @ u), [x], [h])
    first = sg.grad((hs[-1] ** 2).sum(), u)
    second = sg.grad((first * first).sum(), [u, h])
    optimized(second, [x, u, h])
