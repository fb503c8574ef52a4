"""while_loop, fori_loop, switch, map, reduce, associative_scan and the options of scan."""

from __future__ import annotations

import re
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
    InputValueError,
    RankError,
    ShapeError,
)
from symgraph.ir.graph import constant, toposort
from symgraph.ir.shared import shared
from symgraph.loops.interpret import run_program
from symgraph.loops.memory import plan
from symgraph.loops.text import program_text
from symgraph.loops.verify import verify_program
from symgraph.ops.control import Scan
from symgraph.ops.creation import zeros
from symgraph.ops.exponential import exp
from symgraph.ops.looping import (
    associative_scan,
    foldl,
    foldr,
    fori_loop,
    reduce,
    switch,
    while_loop,
)
from symgraph.ops.looping import map as map_rows
from symgraph.ops.operands import as_variable
from symgraph.ops.scanning import scan, until
from symgraph.ops.special import stop_gradient
from symgraph.ops.trigonometric import tanh
from tests.autodiff.values import value, variable
from tests.ops.both_ways import both

RNG = np.random.default_rng(0)


# while_loop ---------------------------------------------------------------------------------------


def powers(x: Any, n: Any) -> Any:
    """x is doubled and raised by its first value while the sum is below 1000, at most n times."""
    return while_loop(
        lambda s: (s["k"] < n) & (s["x"].sum() < 1000),
        lambda s: {"k": s["k"] + 1, "x": s["x"] * 2 + x},
        {"k": 0, "x": x},
    )


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100])
def test_while_loop(n: int) -> None:
    x, count = variable("x", "n"), variable("count", dtype="int64")
    out = powers(x, count)
    k, y = 0, np.arange(3.0)
    while k < n and y.sum() < 1000:
        k, y = k + 1, y * 2 + np.arange(3.0)
    found = both([out["k"], out["x"]], {x: np.arange(3.0), count: n})
    assert found[0] == k
    np.testing.assert_array_equal(found[1], y)


def test_programs_with_a_flag_by_their_interpreter() -> None:
    x, count = variable("x", "n"), variable("count", dtype="int64")
    d = stage_definition([powers(x, count)["x"]])
    program = stages.lower(d, stages.optimized_graph(d), scheduled=False)
    verify_program(program)
    assert re.search(r"loop t while \w+ {", program_text(program))
    arrays = {x: np.ones(4), count: np.array(6)}
    found = run_program(program, [arrays[v] for v in d.graph.inputs], {"n": 4})
    np.testing.assert_array_equal(found[0], np.full(4, 127.0))


def test_while_loop_in_a_scan_and_around_one() -> None:
    x = variable("x", "n")

    def halvings(e: Any) -> Any:
        return while_loop(lambda s: s[0] > 1, lambda s: (s[0] / 2, s[1] + 1), (e, 0))[1]

    inside = scan(halvings, x)
    doubled = while_loop(lambda s: s.sum() < 50, lambda s: scan(lambda e: e * 2, s), x)
    found = both([inside, doubled], {x: [1.0, 2.0, 5.0, 0.5]})
    assert found[0].tolist() == [0, 1, 3, 0]
    assert found[1].tolist() == [8, 16, 40, 4]


def test_while_loop_with_a_maximum() -> None:
    x = variable("x", "n")
    for most, expected in ((0, [1, 2]), (2, [4, 8]), (50, [8, 16])):
        y = while_loop(lambda s: s.sum() < 20, lambda s: s * 2, x, maximum=most)
        assert both([y], {x: [1.0, 2.0]})[0].tolist() == expected
    with pytest.raises(ArgumentError, match=r"maximum is a number of turns, got 1\.5"):
        while_loop(lambda s: s.sum() < 20, lambda s: s * 2, x, maximum=1.5)  # type: ignore[arg-type]


def test_a_shared_variable_in_a_loop() -> None:
    w = shared(np.array(3.0), name="w")
    f = compile([], while_loop(lambda s: s < 100, lambda s: s * w, constant(1.0)),
                updates={w: w + 1})  # fmt: skip
    assert [f().item(), f().item()] == [243.0, 256.0]


def test_mistakes_of_while_loop() -> None:
    x = variable("x", 3)
    with pytest.raises(RankError):
        while_loop(lambda s: s > 0, lambda s: s, x)
    with pytest.raises(DTypeError, match="begins as int64"):
        while_loop(lambda s: s < 3, lambda s: s * 0.5, 1)
    with pytest.raises(ShapeError):
        while_loop(lambda s: s.sum() < 3, lambda s: s[:2], x)
    with pytest.raises(ArgumentError):
        while_loop(lambda s: s[0] < 3, lambda s: s[0], (1, 2))


# fori_loop, switch --------------------------------------------------------------------------------


def test_fori_loop_by_sizes_and_by_tensors() -> None:
    x, n = variable("x", "n"), variable("m", dtype="int64")

    def body(k: Any, s: Any) -> Any:
        return s + k * x

    outs = [fori_loop(2, x.shape[0], body, x), fori_loop(2, n, body, x), fori_loop(5, 1, body, x)]
    found = both([*outs, grad(outs[0].sum(), x)], {x: np.ones(5), n: 5})
    assert [f[0] for f in found] == [10, 10, 1, 10]
    verify_grad(lambda x: fori_loop(0, 4, lambda k, s: tanh(s * x) + k, x), [RNG.normal(size=3)])
    verify_grad(
        lambda x: fori_loop(0, 7, lambda k, s: tanh(s * x), x, checkpoint=True),
        [RNG.normal(size=3)],
    )


@pytest.mark.parametrize(("index", "wanted"), [(-4, 2), (0, 2), (1, 4), (2, -2), (3, 0), (9, 0)])
def test_switch(index: int, wanted: int) -> None:
    x, i = variable("x", "n"), variable("i", dtype="int32")
    out = switch(i, [lambda v: v, lambda v: v * 2, lambda v: -v, lambda v: v * 0], x)
    assert both([out], {x: [2.0], i: index})[0].tolist() == [wanted]


def test_switch_of_theano_chooses_elements() -> None:
    x = variable("x", 3)
    assert value(switch(x > 0, x, 0.0), {x: [-1.0, 0.0, 2.0]}).tolist() == [0, 0, 2]
    with pytest.raises(DTypeError):
        switch(x[0], [lambda: x, lambda: x])
    with pytest.raises(ArgumentError):
        switch(constant(0), [])


# scan's simpler forms -----------------------------------------------------------------------------


def test_map_and_folds() -> None:
    x = variable("x", "n")
    ten = as_variable(0.0)

    def digits(e: Any, s: Any) -> Any:
        return s * 10 + e

    outs = [map_rows(lambda a, b: a * b, [x, x]), reduce(digits, x, ten), foldl(digits, x, ten),
            foldr(digits, x, ten)]  # fmt: skip
    found = both(outs, {x: [1.0, 2.0, 3.0]})
    assert [f.tolist() for f in found] == [[1, 4, 9], 123, 123, 321]


def test_reduce_keeps_no_states() -> None:
    x, h = variable("x", "n", "m"), variable("h", "m")
    out = reduce(lambda row, s: s * row, x, h)
    d = stage_definition([out])
    sizes = [str(b.shape) for b in stages.lower(d, d.graph).buffers.values() if b.role == "temp"]
    assert sizes == ["(2, Expr(m))"]
    at = [RNG.normal(size=(5, 3)), np.ones(3)]
    for segment in (False, 2):
        verify_grad(lambda x, h: reduce(lambda r, s: tanh(s * r), x, h, checkpoint=segment), at)


# associative_scan ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(n: int, reverse: bool) -> None:
    x = RNG.uniform(0.5, 1.5, (2, n))
    known, named = variable("known", 2, n), variable("named", 2, "n")
    outs = [associative_scan(lambda a, b: a * b, v, reverse, axis=1) for v in (known, named)]
    wanted = np.flip(np.cumprod(np.flip(x, 1), 1), 1) if reverse else np.cumprod(x, 1)
    for found in both(outs, {known: x, named: x}):
        np.testing.assert_allclose(found, wanted)


def test_associative_scan_of_a_linear_recurrence() -> None:
    def combine(a: Any, b: Any) -> Any:
        return a[0] * b[0], a[1] * b[0] + b[1]

    def states(f: Any, x: Any) -> Any:
        return associative_scan(combine, (f, x))[1]

    f, x = RNG.uniform(0.1, 0.9, 9), RNG.normal(size=9)
    wanted = np.cumsum(np.zeros(9))
    h = 0.0
    for k in range(9):
        h = wanted[k] = f[k] * h + x[k]
    fs, xs = variable("f", 9), variable("x", 9)
    np.testing.assert_allclose(both([states(fs, xs)], {fs: f, xs: x})[0], wanted)
    verify_grad(states, [f, x])


def test_associative_scan_uses_few_combinations() -> None:
    out = associative_scan(lambda a, b: a + b, variable("x", 1024))
    assert len([n for n in toposort([out]) if n.op.name == "add"]) == 19


# scan: truncate_gradient, checkpoint, until, sizes ------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_truncated_gradient(steps: int, backwards: bool) -> None:
    """The derivative of the last state stops after that many steps: earlier ones are constant."""
    x, h = variable("x", "n"), variable("h")
    at = RNG.normal(size=6)
    options: dict[str, Any] = {"go_backwards": backwards, "truncate_gradient": steps}
    out = scan(lambda x, h: tanh(h * x), x, h, **options)
    order = list(range(6))[::-1] if backwards else list(range(6))
    state: Any = h if steps == 6 else stop_gradient(h)
    for place, k in enumerate(order):
        state = stop_gradient(state) if place == 6 - steps and steps < 6 else state
        state = tanh(state * (x[k] if place >= 6 - steps else stop_gradient(x[k])))
    pairs = [grad(out[-1], [x, h]), grad(state + 0 * h + 0 * x.sum(), [x, h])]
    found = both([*pairs[0], *pairs[1]], {x: at, h: 0.5})
    np.testing.assert_allclose(found[0], found[2], atol=1e-12)
    np.testing.assert_allclose(found[1], found[3], atol=1e-12)


@pytest.mark.parametrize("n", [1, 4, 7, 12])
@pytest.mark.parametrize("segment", [1, 3, True])
def test_checkpointed_scan(n: int, segment: Any) -> None:
    def net(x: Any, h: Any, w: Any, **options: Any) -> Any:
        return scan(lambda x, h: [tanh(h * w + x), h * 2], x, [h, None], **options)

    x, h, w = variable("x", n, 3), variable("h", 3), variable("w", 3)
    plain, kept = net(x, h, w), net(x, h, w, checkpoint=segment)
    outs = []
    for a, b in (plain, kept):
        cost = (a**2).sum() + b.sum()
        outs += [a, b, *grad(cost, [x, h, w])]
    given = {x: RNG.normal(size=(n, 3)), h: np.ones(3), w: RNG.normal(size=3)}
    found = both(outs, given)
    for p, q in zip(found[:5], found[5:], strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-9)


def test_checkpoints_save_memory() -> None:
    w = variable("w", 50)

    def cost(**options: Any) -> Any:
        return fori_loop(0, 10000, lambda k, h: tanh(h + w), w, **options).sum()

    def rows(out: Any) -> float:
        d = stage_definition([grad(out, w)])
        return int(plan(stages.lower(d, stages.optimized_graph(d))).total()) / 400

    assert rows(cost()) > 10000
    assert rows(cost(checkpoint=True)) < 450


def test_checkpoint_of_symbolic_length() -> None:
    x = variable("x", "n")
    plain = scan(lambda x, h: tanh(h * x), x, constant(0.5))
    kept = scan(lambda x, h: tanh(h * x), x, constant(0.5), checkpoint=3)
    for n in (0, 1, 3, 8):
        found = both([plain, kept, grad(plain.sum(), x), grad(kept.sum(), x)], {x: np.ones(n)})
        np.testing.assert_allclose(found[0], found[1])
        np.testing.assert_allclose(found[2], found[3])
    with pytest.raises(ArgumentError, match="run time"):
        scan(lambda x, h: h, x, constant(0.5), checkpoint=True)
    with pytest.raises(ArgumentError, match="exclude"):
        scan(lambda x, h: h, x, constant(0.5), checkpoint=2, truncate_gradient=2)


def test_until() -> None:
    def first(x: Any) -> Any:
        def step(x: Any, total: Any) -> Any:
            return [total + x, exp(x)], until(total + x > 2)

        return scan(step, x, [constant(0.0), None])

    x = variable("x", "n")
    (sums, powers_), count = first(x)
    found = both([sums, powers_, count, grad(sums.sum(), x)], {x: np.ones(5)})
    assert found[0].tolist() == [1, 2, 3, 0, 0]
    np.testing.assert_allclose(found[1], [np.e, np.e, np.e, 0, 0])
    assert found[2] == 3 and found[3].tolist() == [3, 2, 1, 0, 0]
    assert both([count], {x: np.zeros(5)})[0] == 5
    assert both([count], {x: np.zeros(0)})[0] == 0
    verify_grad(lambda x: first(x)[0], [np.array([0.5, 1.0, 0.75, 1.0, 3.0])])
    with pytest.raises(RankError):
        until(x > 0)


def test_a_loop_that_ends_by_its_condition_alone() -> None:
    def collatz(k: Any) -> Any:
        following = switch(k % 2, [lambda: k // 2, lambda: 3 * k + 1])
        return following, until(following == 1)

    start = variable("start", dtype="int64")
    values_, count = scan(collatz, None, start, n_steps=30)
    found = both([values_, count], {start: 6})
    assert found[1] == 8 and found[0][:8].tolist() == [3, 10, 5, 16, 8, 4, 2, 1]


def test_sizes_that_meet_inside_are_checked() -> None:
    """The checks of inner nodes once went unheard: the loop then read past the end of v."""
    x, v = variable("x", "t", "n"), variable("v", "m")
    f = compile([x, v], scan(lambda row: row + v, x))
    with pytest.raises(InputValueError, match="sizes differ"):
        f(np.ones((3, 4)), np.ones(2))
    g = compile([x, v], while_loop(lambda s: s.sum() < 9, lambda s: s + x[0], v))
    with pytest.raises(InputValueError, match="sizes differ"):
        g(np.ones((3, 4)), np.ones(2))


def test_loops_are_scans() -> None:
    out = fori_loop(0, 3, lambda k, s: s + k, zeros(2))
    (node,) = [n for n in toposort([out]) if isinstance(n.op, Scan)]
    assert len(node.outputs) == 1
