"""mode="debug" names the guilty rule or kernel, mode="nan" the op where a NaN began.

The mistakes are planted: a rule set with a wrong rule in front, an op whose native code is wrong.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.checking.noise import aligned, moves, piece, within
from symgraph.errors import DebugError, IndexOutOfRange, NonFiniteError, SymgraphError
from symgraph.ir.graph import toposort
from symgraph.ops.arithmetic import sqrt, square
from symgraph.ops.exponential import exp, exp2, log, log1p
from symgraph.ops.trigonometric import cos
from symgraph.passes.canonicalize import CANONICALIZE
from symgraph.rewrite.pattern import attr, wild
from symgraph.rewrite.rules import EXACT, STABLE, Rule, rule

a, f, g = attr("a"), wild("f", "f"), wild("g", "f")
X = np.array([0.5, 1.0, 2.0])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled from a planted mistake must not be found by others."""
    monkeypatch.setenv("SYMGRAPH_CACHE_DIR", str(tmp_path))


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts a rule in front of all others."""

    def front(wrong: Rule) -> Rule:
        monkeypatch.setattr(CANONICALIZE, "rules", (wrong, *CANONICALIZE.rules))
        CANONICALIZE._tables.clear()
        return wrong

    yield front
    CANONICALIZE._tables.clear()


def line() -> int:
    """The line of the caller."""
    return sys._getframe(1).f_lineno


def caught(function: Any, *args: Any, kind: type[SymgraphError] = DebugError) -> SymgraphError:
    with pytest.raises(kind) as found:
        function(*args)
    error = found.value
    text = error.report().splitlines()
    assert len(text) <= 12 and max(map(len, text)) <= 100, error.report()
    return error


def made_at(error: SymgraphError) -> int:
    assert error.origin is not None
    return error.origin.location().line


# wrong rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, formula",
    [
        (rule(f + 0, f, klass=EXACT), lambda x: x * 0 * -1 + 0),  # -0.0
        (rule(exp(f), 1 + f, klass=STABLE), lambda x: sg.exp(x) * 2),
        (rule(log(1 + f), log(f), klass=STABLE), lambda x: sg.log(1 + x)),
        (rule(log1p(f), log(1 + f), klass=STABLE), lambda x: sg.log1p(x * 1e-12)),  # less accurate
        # where the left side has no digit left, or is out of range
        (
            rule(sqrt(f + 3) - sqrt(f), 1.4 / sqrt(f), klass=STABLE),
            lambda x: sg.sqrt(x * 1e16 + 3) - sg.sqrt(x * 1e16),
        ),
        (rule(cos(f) - 1, square(f) * -0.51, klass=STABLE), lambda x: sg.cos(x * 1e-6) - 1),
        (rule(log(exp(f)), f * 1.0001, klass=STABLE), lambda x: sg.log(sg.exp(x * 1e3 + 1e3))),
        (rule(square(f), f, klass=STABLE), lambda x: sg.sqrt(sg.square(-x))),
        (rule(f / 3, f * 0.333333333, klass=STABLE), lambda x: x / 3),
        (rule(f < g, f <= g, klass=EXACT), lambda x: (x < x * 1) & (x > 0)),
        (rule(exp(f), exp2(f * 1.4426950408889634), klass=EXACT), lambda x: sg.exp(x * 2.3)),
    ],
    ids=lambda p: repr(p) if isinstance(p, Rule) else "",
)
def test_a_wrong_rule_is_named(plant: Any, wrong: Rule, formula: Any) -> None:
    plant(wrong)
    x = sg.vector("x")
    y, here = formula(x), formula.__code__.co_firstlineno
    error = caught(sg.compile([x], y, mode="debug"), X)
    assert wrong.location() in error.what and wrong.equation()[:60] in error.what
    assert made_at(error) == here
    assert re.search(r" is \S+ at \[\d\], before \S+: the rule", error.what)
    assert error.operands


def test_values_and_inputs_at_the_worst_element(plant: Any) -> None:
    plant(rule(log(1 + f), log(2 + f), klass=STABLE))
    x = sg.vector("x")
    error = caught(sg.compile([x], sg.log(1 + x), mode="debug"), np.array([1e9, 1.0, 1e8]))
    assert "log is 1.0986122886681098 at [1], before 0.6931471805599453" in error.what
    assert [(n, t.partition("=")[2]) for n, t, _ in error.operands if n == "x"] == [
        ("x", " 1.0 at [1]")
    ]


def test_wrong_only_for_some_data(plant: Any) -> None:
    """The check is of values: a rule that is right for the arrays of a call passes."""
    plant(rule(sg.abs(f), f, klass=EXACT))
    x = sg.vector("x")
    function = sg.compile([x], sg.abs(x) + 1, mode="debug")
    assert function(X).tolist() == [1.5, 2.0, 3.0]
    assert "at [1], before 2.0" in caught(function, np.array([1.0, -2.0])).what


@pytest.mark.parametrize("which", ["scan", "while", "cond"])
def test_a_wrong_rule_inside_a_graph(plant: Any, which: str) -> None:
    wrong = plant(rule(exp(f), 1 + f, klass=STABLE))
    x = sg.vector("x")

    def step(v: Any) -> Any:
        return sg.exp(v * 0.5)

    here = step.__code__.co_firstlineno + 1
    y = {
        "scan": lambda: sg.scan(lambda r, s: s + step(r), [x], [sg.constant(0.0)]),
        "while": lambda: sg.while_loop(lambda s: s < 10.0, lambda s: s + step(s), x[0]),
        "cond": lambda: sg.cond(x[0] > 0, lambda: step(x), lambda: x),
    }[which]()
    error = caught(sg.compile([x], y, mode="debug"), X)
    assert wrong.location() in error.what and made_at(error) == here


def test_a_wrong_rule_where_a_size_depends_on_data(plant: Any) -> None:
    wrong = plant(rule(exp(f), 1 + f, klass=STABLE))
    x = sg.vector("x")
    function = sg.compile([x], sg.sum(sg.exp(x[x > 0.7])), mode="debug")
    assert wrong.location() in caught(function, X).what


def test_state_is_as_before(plant: Any) -> None:
    plant(rule(exp(f), 1 + f, klass=STABLE))
    x, w = sg.vector("x"), sg.shared(X, name="w")
    caught(sg.compile([x], sg.exp(x), updates={w: w + x}, mode="debug"), X)
    assert w.get_value().tolist() == X.tolist()


# wrong native code --------------------------------------------------------------------------------


def test_a_wrong_kernel_is_named_with_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sg.tanh(sg.vector("x")).owner.op
    monkeypatch.setattr(right, "lower", lambda out, x: lower_of_sin(out, x), raising=True)
    x = sg.vector("x")
    y = sg.exp(sg.cumsum(x))
    z, here = sg.tanh(y * 2) + 1, line()
    error = caught(sg.compile([x], [sg.sum(z), sg.sum(y)], mode="debug"), X)
    assert re.search(r"in compiled code, \S+ by the references: kernel\d computes tanh", error.what)
    assert f"tanh (tests/function/test_debug_modes.py:{here})" in error.what
    assert "exp" not in error.what.split("computes")[1] and made_at(error) == here


def lower_of_sin(out: Any, x: Any) -> Any:
    return sg.sin(sg.vector("x")).owner.op.lower(out, x)


def test_a_wrong_kernel_inside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sg.tanh(sg.vector("x")).owner.op, "lower", lower_of_sin)
    x, w = sg.vector("x"), sg.shared(X, name="w")

    def step(r: Any, s: Any) -> Any:
        return sg.tanh(s + r)

    y = sg.scan(step, [x], [sg.constant(0.0)])
    function = sg.compile([x], y, updates={w: w * 2}, mode="debug")
    error = caught(function, np.array([0.0, 0.0, 2.0]))
    assert made_at(error) == step.__code__.co_firstlineno + 1
    assert error.what.endswith("(step 2 of what it stands in)") and "tanh" in error.what
    assert w.get_value().tolist() == X.tolist()


# what is right passes -----------------------------------------------------------------------------


def test_random_streams_updates_and_nests() -> None:
    x, w = sg.matrix("x"), sg.shared(np.ones((3, 2), "float32"), name="w")
    stream = sg.random.RandomStream(7)
    noise = stream.normal((4, 2))
    loss = sg.mean(sg.nn.softmax(x @ w + sg.cast(noise, "float32")) ** 2)
    outputs = {"loss": loss, "rest": [x, sg.argmax(x, 1)]}
    made = [
        sg.compile([x], outputs, updates={w: w - 0.1 * sg.grad(loss, w)}, mode=m)
        for m in ("debug", "nan", "run")
    ]
    data = np.random.default_rng(0).normal(size=(4, 3))
    values = [float(function(data)["loss"]) for function in made for _ in range(2)]
    assert len(set(values)) == len(values)  # each call has numbers and weights of its own


@pytest.mark.parametrize(
    ("name", "output", "axis"), [("svd", 0, -2), ("svd", 2, -1), ("eigh", 1, -2)]
)
def test_vectors_of_either_sign_are_right(name: str, output: int, axis: int) -> None:
    x = sg.matrix("x", shape=(4, 4))
    v = getattr(sg.linalg, name)(x)[output]
    a = np.random.default_rng(0).normal(size=(4, 4))
    expected = v.owner.op.reference(a)[output]
    turned = expected * np.expand_dims(np.array([1, -1, -1, 1]), axis)
    assert np.allclose(aligned(v, expected, turned), expected)
    assert not np.allclose(aligned(v, expected, turned[::-1, ::-1]), expected)


def test_singular_values_that_are_0_are_what_rounding_makes_of_them() -> None:
    x = sg.matrix("x", dtype="float32", shape=(5, 5))
    a = np.random.default_rng(0).integers(-1, 2, (5, 5)).astype("float32")
    a[0] = 0
    found = sg.compile([x], sg.linalg.svdvals(x), mode="debug")(a)
    np.testing.assert_allclose(found, np.linalg.svd(a, False, False), rtol=1e-5, atol=1e-6)


def test_the_sign_of_a_zero_in_a_complex_quotient() -> None:
    z = sg.vector("z", dtype="complex64")
    a = np.array([1 + 0j, 2j, -3], "complex64")
    assert np.allclose(sg.compile([z], -z / -z, mode="debug")(a), 1)


def test_what_rounding_moves_is_no_mistake() -> None:
    x = sg.vector("x")
    y = [sg.sum(sg.exp(x * 1e3) - sg.exp(x * 1e3) * 1.0), sg.log(1 + x), sg.floor(x / 0.1), 1 / x]
    y += [sg.log(sg.sum(sg.exp(x * 1000))), (x + 1e16) - 1e16, sg.argmax(sg.sin(x))]
    data = np.array([0.3, 1e-20, -0.0, 0.7000000000000001, 0.3])
    function = sg.compile([x], y, mode="debug")
    function(data)
    function(np.random.default_rng(1).normal(size=1000))


def test_noise_that_leaves_a_domain_is_no_mistake() -> None:
    """From the fuzzer: noise inside a power moved its exponent off the whole number."""
    x, w = sg.matrix("x", shape=("n", 1)), sg.vector("w", shape=(3,))
    y = sg.linalg.pinv((x ** np.array([2.0, 1.0, 0.0])) / 5.0) @ x * w
    data, weights = np.array([[-1.43], [-1.21], [1.89], [-2.45], [0.6]]), np.array([0.7, 1.2, 2.4])
    found = sg.compile([x, w], y, mode="debug")(data, weights)
    assert np.allclose(found[1], 5 * weights)


def test_noise_that_makes_an_op_raise_determines_nothing() -> None:
    x = sg.matrix("x")
    y = sg.linalg.cholesky(x)
    almost = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-15]])
    part = piece(y, toposort([y]), lambda v: v.owner is None)
    found = moves(part, {}, {x: almost}, {})
    assert any(np.isnan(n).all() for n in found)
    right = np.linalg.cholesky(almost)
    assert within(right, right + 1e-3, found).all()


# failures inside graphs ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["run", "debug", "nan", "interpret"])
@pytest.mark.parametrize("which", ["scan", "while", "cond"])
def test_a_failure_inside_a_graph_is_at_the_line_inside(which: str, mode: str) -> None:
    x, i = sg.vector("x"), sg.scalar("i", dtype="int64")

    def step(v: Any) -> Any:
        return v + x[i]

    y = {
        "scan": lambda: sg.scan(lambda r, s: step(s) + r, [x], [sg.constant(0.0)]),
        "while": lambda: sg.while_loop(lambda s: s < 3.0, step, x[0]),
        "cond": lambda: sg.cond(x[0] > 0, lambda: step(x), lambda: x + sg.cast(i, "float64")),
    }[which]()
    function = sg.compile([x, i], y, mode=mode)
    function(np.ones(3), 2)
    error = caught(function, np.ones(3), 3, kind=IndexOutOfRange)
    assert made_at(error) == step.__code__.co_firstlineno + 1


# where a NaN began --------------------------------------------------------------------------------


def nan_at(outputs: Any, inputs: Any, *values: Any, **options: Any) -> SymgraphError:
    function = sg.compile(inputs, outputs, mode="nan", **options)
    return caught(function, *values, kind=NonFiniteError)


def test_the_first_op_with_operands() -> None:
    x, y = sg.vector("x"), sg.vector("y")
    z, here = sg.sqrt(x - y), line()
    error = nan_at([sg.sum(x), sg.sum(z * 2)], [x, y], X, np.array([0.0, 3.0, 0.0]))
    assert made_at(error) == here
    assert error.what == ("function: sqrt makes nan at [1] of finite operands; output 1 is nan")
    ((name, text, _),) = error.operands
    assert (name, text.partition("=")[2]) == ("subtract", " -2.0 at [1]")


def test_an_overflow_that_becomes_nan() -> None:
    x = sg.vector("x")
    y, here = sg.exp(x), line()
    error = nan_at(y - y * 2, [x], np.array([1.0, 1e3]))
    assert made_at(error) == here
    assert "exp makes inf at [1] of finite operands; subtract" in error.what


def test_an_infinite_constant_is_not_to_blame() -> None:
    x = sg.vector("x")
    masked = sg.where(x > 5, x, -np.inf)
    y, here = masked - sg.max(masked), line()
    error = nan_at(y, [x], X)
    assert made_at(error) == here and "subtract makes nan" in error.what


def test_an_argument_with_nan() -> None:
    x, y = sg.vector("x"), sg.vector("y")
    error = nan_at(sg.log(y) + sg.sin(x), [x, y], np.array([1.0, np.nan, 2.0]), X)
    assert "the input x holds nan at [1]" in error.what
    w = sg.shared(np.array([1.0, np.inf, 2.0]), name="w")
    assert "the shared variable w holds inf at [1]" in nan_at(w * x, [x], X).what


def test_nan_that_no_output_holds_is_no_error() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.where(x > 0, sg.log(x), 0.0), mode="nan")
    assert f(np.array([1.0, -1.0])).tolist() == [0.0, 0.0]
    assert f([np.nan]).tolist() == [0.0]


def test_an_update_with_nan_changes_nothing() -> None:
    x = sg.vector("x")
    v, w = sg.shared(X, name="v"), sg.shared(X, name="w")
    f = sg.compile([x], sg.sum(x), updates={v: v + 1, w: w / x}, mode="nan")
    assert f(np.ones(3)) == 3.0 and v.get_value().tolist() == [1.5, 2.0, 3.0]
    error = caught(f, np.array([1.0, 0.0, 1.0]), kind=NonFiniteError)
    assert "divide makes inf at [1]" in error.what and "the update of w is inf" in error.what
    assert v.get_value().tolist() == [1.5, 2.0, 3.0] and w.get_value().tolist() == X.tolist()


def test_the_step_of_a_loop() -> None:
    x = sg.vector("x")

    def step(r: Any, s: Any) -> Any:
        return s * 0 + sg.log(r)

    here = step.__code__.co_firstlineno + 1
    y = sg.scan(step, [x], [sg.constant(1.0)])
    error = nan_at(y, [x], np.array([1.0, 2.0, -1.0, 3.0]))
    assert made_at(error) == here and "in step 2 of the loop" in error.what
    error = nan_at(y, [x], np.array([1.0, np.nan, -1.0, 3.0]))
    assert "the input x holds nan at [1]" in error.what


def test_while_cond_and_sizes_from_data() -> None:
    x = sg.vector("x")
    y = sg.while_loop(lambda s: s > -2.0, lambda s: sg.log(s), x[0])
    assert "in step 1 of the loop" in nan_at(y, [x], np.array([1.0])).what
    z = sg.cond(x[0] > 0, lambda: sg.sqrt(x - 1), lambda: x)
    error = nan_at(z, [x], X)
    assert "sqrt makes nan at [0]" in error.what and "step" not in error.what
    error = nan_at(sg.mean(x[x > 9]), [x], X)
    assert "divide makes nan" in error.what


def test_repeated_calls_and_dtypes() -> None:
    x = sg.matrix("x", dtype="float16")
    f = sg.compile([x], [x * 2, sg.argmax(x, 0)], mode="nan")
    big = np.full((2, 2), 6e4, "float16")
    assert f(big / 4)[0][0, 0] == 30000
    assert "multiply makes inf at [0, 0] of finite" in caught(f, big, kind=NonFiniteError).what
    z = sg.vector("z", dtype="complex128")
    assert "divide" in nan_at(1 / z, [z], np.array([1j, 0])).what


def test_rules_over_the_reals_may_multiply_infinity_by_nothing() -> None:
    x, y = sg.vector("x", dtype="uint64"), sg.tensor("y", shape=(1,))
    copies = (x <= x) - y  # as many as x has elements: none
    f = sg.compile([x, y], copies - sg.sum(copies), mode="debug")
    assert f([], [np.inf]).shape == (0,)


def test_sizes_that_data_make_are_known_where_rounding_is_judged() -> None:
    """The derivative of a loop goes as many turns back as the data told; its sum over values that
    cancel is nothing but rounding, which is judged by what rounding may do to the whole."""
    n, x = sg.scalar("n", dtype="int64"), sg.tensor("x", shape=(3000,))
    start = (sg.constant(0), x)
    _, y = sg.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, sg.tanh(s[1] * 1.5)), start)
    total = sg.sum(sg.grad(sg.sum(sg.sin(3 * y)), x) * x)
    rng = np.random.default_rng(0)
    half = rng.normal(size=1500)
    both = rng.permutation(np.concatenate([half, -half]))
    assert abs(sg.compile([n, x], total, mode="debug")(7, both)) < 1e-12
