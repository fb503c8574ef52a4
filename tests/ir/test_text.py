"""The text of graphs: what it looks like, and that it reads back as the same graph."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgraph as sg
from symgraph.errors import GraphFileError
from symgraph.ir.graph import Graph, Input, constant
from symgraph.ir.hashing import structural_hash
from symgraph.ir.op import Op
from symgraph.ir.parse import parse_graph
from symgraph.ir.text import GraphPrinter, constant_text, graph_text, tree_text
from symgraph.ir.types import TensorType, fresh_size
from symgraph.scalar import Expr, call, const, node, var


class Holder(Op):
    """An op of these tests that holds any parameter."""

    name = "test_holder"
    value: Any
    nondifferentiable = "a test"

    def infer(self) -> TensorType:
        return TensorType("bool", ())

    def reference(self) -> Any:
        return np.True_

    def lower(self, out: TensorType) -> None:
        raise AssertionError("never lowered")


def test_the_text_of_a_small_graph() -> None:
    x = sg.tensor("x", dtype="float32", shape=("batch", 784))
    y = sg.tensor("y", dtype="int64", shape=("batch",))
    w = sg.shared(np.zeros((784, 10), "float32"), name="w")
    graph = Graph([x, y], [sg.sum(x @ w, axis=1), y])
    assert (
        graph_text(graph)
        == """\
graph(x: float32[batch, 784], y: int64[batch]) {
  w = shared float32[784, 10]
  %0 = matmul{ta=False, tb=False}(x, w) : float32[batch, 10]
  %1 = sum{axes=(1,)}(%0) : float32[batch]
  return %1, y
}"""
    )
    assert "float32[batch, 10]" not in graph_text(graph, types=False)
    assert "test_text.py" in graph_text(graph, origins=True)


def test_names_stand_where_they_are_unique_and_plain() -> None:
    a, b, c = sg.scalar("a"), sg.scalar("a"), sg.scalar("return")
    assert graph_text(Graph([a, b, c], [a])).splitlines()[0] == (
        'graph(a: float64, %0 $"a": float64, %1 $"return": float64) {'
    )


def test_unnamed_sizes_are_numbered_by_first_use() -> None:
    graph = Graph([sg.vector("x"), sg.matrix("y")], [constant(1)])
    assert graph_text(graph).startswith("graph(x: float64[?0], y: float64[?1, ?2])")


def test_the_rich_graph_comes_back(graph: Graph) -> None:
    printer = GraphPrinter(graph)
    text = "\n".join(printer.lines)
    back = parse_graph(text, printer.data)
    assert graph_text(back) == text
    assert structural_hash(back) == structural_hash(graph)
    assert [v.name for v in back.inputs] == [v.name for v in graph.inputs]
    assert back.outputs[0].name == "loss"
    with_origins = parse_graph(graph_text(graph, origins=True), printer.data)
    assert structural_hash(with_origins) == structural_hash(graph)
    untyped = parse_graph(graph_text(graph, types=False), printer.data)
    assert structural_hash(untyped) == structural_hash(graph)


def test_shared_variables_can_be_given(graph: Graph) -> None:
    printer = GraphPrinter(graph)
    w = printer.shared["w"]
    back = parse_graph("\n".join(printer.lines), printer.data, {"w": w})
    assert GraphPrinter(back).shared["w"] is w


PARAMETERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
    | st.sampled_from([TensorType("int8", ()), TensorType("float32", (var("n"), 3)), float("inf")]),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)  # fmt: skip


@given(PARAMETERS)
def test_parameters_come_back(value: Any) -> None:
    graph = Graph((), Holder(value)() if isinstance(Holder(value)(), tuple) else [Holder(value)()])
    back = parse_graph(graph_text(graph)).outputs[0].owner
    assert back is not None and back.op == Holder(value)


N, M = var("n"), var("m")
SIZES = st.recursive(
    st.sampled_from([N, M, N + 1, var("None"), var("a b"), var('"'), var("minimum")]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] - 3 * p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
        st.tuples(inner, st.integers(2, 9)).map(lambda p: p[0] // p[1]),
        st.tuples(inner, st.integers(2, 9)).map(lambda p: p[0] % p[1]),
        st.tuples(inner, inner).map(lambda p: call("maximum", p[0] + 0, p[1] + const(0))),
        st.tuples(inner, inner).map(
            lambda p: node("select", (call("lt", p[0], p[1]), p[0], p[1]), "int64")
        ),
    ),
    max_leaves=6,
)


@given(SIZES)
def test_size_expressions_come_back_as_the_same_object(size: Any) -> None:
    if not isinstance(size, Expr) or size.is_const:
        return
    back = parse_graph(graph_text(Graph((), [Holder((size,))()]))).outputs[0].owner
    assert back is not None and back.op.value[0] is size  # type: ignore[attr-defined]


@given(
    st.sampled_from(["float32", "float64", "int8", "int64", "uint64", "bool"]),
    st.binary(min_size=32, max_size=32),
)
def test_constants_come_back_bit_for_bit(dtype: str, raw: bytes) -> None:
    data = np.frombuffer(raw, "uint8" if dtype == "bool" else dtype)
    data = (data > 127 if dtype == "bool" else data)[:16]  # as many as are written out
    for array in (data, data[:0], data[0], data[:4].reshape(2, 2)):
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        c = constant(array)
        assert c.data.tobytes() == array.tobytes()
        assert parse_graph(graph_text(Graph((), [c]))).outputs[0] is c


def test_constants_read_well() -> None:
    assert constant_text(np.array([0.1, 1e-30, -0.0, np.nan], "float32")) == (
        "const<float32[4]>([0.1, 1e-30, -0.0, nan])"
    )
    assert constant_text(np.zeros((2, 0), "int8")) == "const<int8[2, 0]>([])"
    assert constant_text(np.array(True)) == "const<bool>(True)"


@given(st.text())
def test_hostile_names_are_inert(name: str) -> None:
    x = Input(TensorType("float64", ()), name or None)
    back = parse_graph(graph_text(Graph([x], [x])))
    assert back.inputs[0].name == (name or None)


GOOD = "graph(x: float64[n, 3]) {\n  %0 = negative(x) : float64[n, 3]\n  return %0\n}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: expected 'graph', found 'the end'"),
        (GOOD + "x", "line 4, column 2: text after the end"),
        (GOOD.replace("negative", "evil"), "line 2, column 8: unknown op evil"),
        (GOOD.replace("(x) :", "(y) :"), "line 2, column 17: y is not defined"),
        (GOOD.replace(") : float64", ") : float32"), "the type is float64[n, 3]"),
        (GOOD.replace("return %0", "return %1"), "%1 is not defined"),
        (GOOD.replace("x: float64", "x: object"), "line 1, column 10: unknown dtype object"),
        (GOOD.replace("n, 3])", "n, -3])"), "-3 is not a size"),
        (GOOD.replace("n, 3])", "n, 1.5])"), "1.5 is not a size"),
        (GOOD.replace("n, 3])", '"n" + 1])'), "line 1"),
        (GOOD.replace("x:", "return:"), "'return' cannot be a name"),
        (GOOD.replace("%0 =", "x ="), "x is defined twice"),
        (GOOD.replace("%0 =", "%0, %1 ="), "negative has 1 outputs, 2 are named"),
        (GOOD.replace("negative(", "negative{a=1}("), "negative takes no parameters"),
        (GOOD.replace("negative(", "sum{axes=(0,), axes=(1,)}("), "axes is given twice"),
        (GOOD.replace("negative(", "sum{wrong=(0,)}("), "ArgumentError"),
        (GOOD.replace("negative(", "transpose{axes=(7, 8)}("), "line 2"),
        (GOOD.replace("(x) :", "(x, x) :"), "ArgumentError"),
        (GOOD.replace("(x) :", "(const<int8>(300)) :"), "OverflowError"),
        (GOOD.replace("(x) :", "(const<float64[3]>([1.0])) :"), "3 elements are needed, found 1"),
        (GOOD.replace("(x) :", '(const<float64>(bits "zz")) :'), "ValueError"),
        (GOOD.replace("(x) :", "(const<float64[n]>([])) :"), "the shape of a constant is known"),
        (GOOD.replace("%0 = ", "%1 = constant int8[99] digest=\"00\"\n%0 = "), "not given"),
        (GOOD.replace("n, 3])", "(" * 5000 + "n" + ")" * 5000 + "])"), "nested too deeply"),
        (GOOD.replace("n, 3])", "-" * 5000 + "1])"), "nested too deeply"),
        (GOOD.replace("n, 3])", "9" * 5000 + "])"), "ValueError"),
        (GOOD.replace("negative(", "reshape{shape=opaque(\"f\")}("), "'opaque' is not a value"),
        (GOOD.replace("x:", "`x`:"), "unexpected '`'"),
        (GOOD.replace("x:", '%0 $"unfinished:'), "unexpected"),
        ("graph() {\n" * 5000, "'graph' cannot be a name"),
        ("graph() { %0 = cond{then=" * 100, "nested too deeply"),
        (GOOD.replace("negative(x)", "free(x)"), "unknown op free"),
    ],
)  # fmt: skip
def test_malformed_text_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(GraphFileError) as caught:
        parse_graph(text)
    assert message in caught.value.what
    assert "line " in caught.value.what


def test_text_of_a_graph_that_is_not_closed_is_refused() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    text = graph_text(Graph([x], [x + y]))
    assert "free y" in text
    with pytest.raises(GraphFileError):
        parse_graph(text)


@given(st.text(max_size=40), st.integers(0, len(GOOD)))
def test_any_damage_is_a_graph_file_error_or_a_graph(noise: str, at: int) -> None:
    for text in (GOOD[:at] + noise + GOOD[at:], GOOD[:at] + noise + GOOD[at + len(noise) :], noise):
        try:
            assert isinstance(parse_graph(text), Graph)
        except GraphFileError:
            pass


def test_the_text_of_a_deep_chain(chain: Graph) -> None:
    limit = sys.getrecursionlimit()
    start = time.perf_counter()
    text = graph_text(chain)
    assert time.perf_counter() - start < 20  # 0.2 s; quadratic behaviour would take minutes
    assert text.count("\n") == 50_002
    assert sys.getrecursionlimit() == limit
    back = parse_graph(text)
    assert structural_hash(back) == structural_hash(chain)


def test_the_tree_marks_what_is_shared() -> None:
    x = sg.vector("x", shape=("n",))
    e = sg.exp(x)
    e.name = "e"
    assert (
        tree_text(e * e + constant(1.0))
        == """\
add : float64[n]
  multiply : float64[n]
    exp (e) [1] : float64[n]
      x : float64[n]
    = [1] exp (e)
  const<float64>(1.0) : float64"""
    )


def test_the_tree_of_a_deep_chain(chain: Graph) -> None:
    lines = tree_text(chain.outputs).splitlines()
    assert len(lines) == 50_001
    assert "(50000) x" in lines[-1]


def test_a_fresh_size_in_a_type_keeps_its_identity() -> None:
    n = fresh_size()
    x, y = Input(TensorType("int8", (n,)), "x"), Input(TensorType("int8", (n,)), "y")
    back = parse_graph(graph_text(Graph([x, y], [x])))
    assert back.inputs[0].shape[0] is back.inputs[1].shape[0]


def test_an_expression_prints_as_one_line() -> None:
    x = sg.matrix("x", shape=("n", 3))
    assert str(x) == "x: float64[n, 3]"
    y = sg.sum(sg.exp(-x) / 2 + 1, axis=0)
    assert str(y) == "sum(exp(-x) / 2.0 + 1.0, axes=(0,)): float64[3]"
    assert repr(y) == "<sum: float64[3]>"
    assert str(sg.linalg.qr(x.T @ x)[1]).startswith(
        "output1(qr(matmul(transpose(x, axes=(1, 0)), x))"
    )
    assert str(sg.constant([1, 2])) == "const<int64[2]>([1, 2]): int64[2]"


def test_the_line_is_short_and_its_names_are_inert() -> None:
    x = sg.vector('a"\x1b\n', shape=(2,))
    y: sg.Variable = x
    for _ in range(3000):
        y = sg.tanh(y * y)
    wide = sg.concatenate([x] * 500 + [y])
    for v in (y, wide, x * 2):
        line = str(v)
        assert len(line) < 250 and line.isprintable(), line
    assert "..." in str(y) and "..." in str(wide)
