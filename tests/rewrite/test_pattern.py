"""Patterns print as their source, match in both orders, and tell -0.0 from 0."""

from __future__ import annotations

import pytest

from symgraph.rewrite.match import instantiate, match
from symgraph.rewrite.pattern import attr, const, is_pattern, match_op, names, node, wild

x, y, z = wild("x"), wild("y"), wild("z")


def exp(p):
    return node("exp", (p,))


@pytest.mark.parametrize(
    "pattern, source",
    [
        (1 / (1 + exp(-x)), "1 / (1 + exp(-x))"),
        (x - (y - z), "x - (y - z)"),
        (x - y - z, "x - y - z"),
        (-(x + y) * z, "-(x + y) * z"),
        ((x**2) ** -1, "(x ** 2) ** -1"),
        (x + (y + z), "x + (y + z)"),
        (x > 1, "1 < x"),
        (~(x & y) | z, "~(x & y) | z"),
        (match_op("sum", exp(x), axes=attr("a")), "sum(exp(x), axes=a)"),
        (abs(x) // 2 % 3, "absolute(x) // 2 % 3"),
        (x @ y, "matmul(x, y)"),
    ],
)
def test_prints_as_its_source(pattern, source):
    assert repr(pattern) == source


def test_a_pattern_is_no_truth_value():
    with pytest.raises(TypeError, match="truth"):
        bool(x == y)
    assert is_pattern(x == y) and not is_pattern(3)


def test_only_numbers_and_patterns():
    with pytest.raises(TypeError, match="not a pattern"):
        x + "one"


def found(pattern, value, toy):
    return match(pattern, value, toy, lambda bindings: bindings)


def test_commutative_both_orders(toy, leaf):
    a, b = leaf("a"), leaf("b")
    for value in (toy("add", toy("exp", a), b), toy("add", b, toy("exp", a))):
        assert found(exp(x) + y, value, toy) == {"x": a, "y": b}
    assert found(exp(x) - y, toy("subtract", b, toy("exp", a)), toy) is None


def test_nested_commutative_matching_backtracks(toy, leaf):
    a, b, c = leaf("a"), leaf("b"), leaf("c")
    value = toy("add", toy("multiply", a, b), toy("multiply", c, a))
    assert found(x * y + x * z, value, toy) == {"x": a, "y": b, "z": c}
    value = toy("add", toy("multiply", b, a), toy("multiply", c, b))
    assert found(x * y + x * z, value, toy) == {"x": b, "y": a, "z": c}
    assert found(x * y + x * z, toy("add", toy("multiply", a, b), c), toy) is None


def test_accept_sees_every_way(toy, leaf):
    a, b = leaf("a"), leaf("b")
    seen = []
    match(x + y, toy("add", a, b), toy, lambda m: seen.append(m))
    assert seen == [{"x": a, "y": b}, {"x": b, "y": a}]


def test_same_name_same_value(toy, leaf):
    a, b = leaf("a"), leaf("b")
    assert found(x - x, toy("subtract", a, a), toy) == {"x": a}
    assert found(x - x, toy("subtract", a, b), toy) is None


def test_numbers(toy, leaf):
    a = leaf("a")
    assert found(x * 1, toy("multiply", 1.0, a), toy) == {"x": a}
    assert found(x * 1, toy("multiply", a, 2), toy) is None
    assert found(x + 0, toy("add", a, -0.0), toy) is None
    assert found(x + -0.0, toy("add", a, -0.0), toy) == {"x": a}
    assert found(x + -0.0, toy("add", a, 0), toy) is None


def test_constants_and_kinds(toy, leaf):
    a = leaf("a")
    assert found(x + const("c"), toy("add", a, a), toy) is None
    assert found(x + const("c"), toy("add", 2, a), toy)["x"] is a
    assert found(const("c", "i") + x, toy("add", 2.0, a), toy) is None
    assert found(const("c", "i") + x, toy("add", 2, a), toy) is not None


def test_parameters(toy, leaf):
    value = toy("exp", leaf("a"))
    assert found(match_op("exp", x, length=3), value, toy) is not None
    assert found(match_op("exp", x, length=4), value, toy) is None
    assert found(match_op("exp", x, length=attr("n")), value, toy)["n"] == 3
    both = match_op("exp", match_op("sinh", x, length=attr("n")), length=attr("n"))
    assert found(both, toy("exp", toy("sinh", leaf("a"))), toy) is None
    assert names(both) == ["x", "n"]


def test_instantiate_builds_the_value(toy, leaf):
    a = leaf("a")
    made = instantiate(1 / exp(-x), {"x": a}, toy, a)
    assert made is toy("divide", 1, toy("exp", toy("negative", a)))
    assert instantiate((x + 0).inputs[1], {}, toy, a) is toy.literal(0, a)
