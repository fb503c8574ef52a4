"""The reference interpreter and the verifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import (
    ArgumentError,
    IndexOutOfRange,
    InputValueError,
    ShapeError,
    UnboundVariableError,
    VerifyError,
)
from symgraph.ir.graph import Graph, Input, Variable, apply
from symgraph.ir.hashing import shared_variables
from symgraph.ir.interpret import bind_op, interpret
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, fresh_size
from symgraph.ir.verify import verify
from symgraph.scalar import call, var

N = var("n")


class Flexible(Op):
    """An op of these tests whose rules say whatever they are told."""

    name = "test_flexible"
    types_: Any
    result: Any
    nondifferentiable = "a test"

    def infer(self, *x: TensorType) -> TensorType:
        return self.types_  # type: ignore[no-any-return]

    def reference(self, *x: Any) -> Any:
        if isinstance(self.result, type):
            raise self.result("told so")
        return np.zeros(self.result)

    def lower(self, out: TensorType, *x: Any) -> None:
        raise AssertionError("never lowered")


class Positive(Op):
    """An op of these tests whose result has a size that depends on the data."""

    name = "test_positive"
    nondifferentiable = "a test"

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(x.dtype, (fresh_size(),))

    def reference(self, x: Any) -> Any:
        return x[x > 0]

    def lower(self, out: TensorType, *x: Any) -> None:
        raise AssertionError("never lowered")


def test_the_rich_graph(graph: Graph, arrays: Any) -> None:
    verify(graph)
    x, _, hostile, _ = arrays
    w = np.arange(12.0).reshape(3, 4)
    got = interpret(graph, arrays)
    np.testing.assert_allclose(got[0], x @ w * 2.5 + 1)
    np.testing.assert_allclose(got[1], np.cumsum(x.sum(1) + w.sum()))
    np.testing.assert_allclose(got[2], x * 2 if x.sum() > 0 else x - 1)
    np.testing.assert_allclose(got[4], np.linspace(0, 1, 20)[:3] + hostile)
    assert got[5].shape == (6,) and np.isnan(got[6]).all()
    assert got[7].dtype == "int32" and got[8] is not x and bool(got[9])
    changed = interpret(graph, arrays, {shared_variables(graph)[0]: w * 0})
    np.testing.assert_allclose(changed[0], np.ones((4, 4)))


def test_results_are_no_views_of_state() -> None:
    w = sg.shared(np.ones(3))
    (out,) = interpret(Graph([], [w]), [])
    out += 1
    assert w.get_value().tolist() == [1, 1, 1]


def test_sizes_are_bound_by_name_expression_and_request() -> None:
    x = Input(TensorType("float64", (2 * N + 1, 3)), "x")
    total = sg.sum(sg.broadcast_to(sg.constant(1.0), (N,)))
    assert interpret(Graph([x], [total]), [np.zeros((9, 3))])[0] == 4
    assert interpret(Graph([], [total]), [], sizes={"n": 6})[0] == 6
    with pytest.raises(ShapeError, match="axis 0 has size 8, expected 7 = "):
        interpret(Graph([x], [total]), [np.zeros((8, 3))])
    odd = Input(TensorType("float64", (call("maximum", N, N * N),)), "x")
    with pytest.raises(ShapeError, match="the size n is not told by any input"):
        interpret(Graph([odd], [odd]), [np.zeros(3)])


def test_wrong_inputs_are_refused() -> None:
    x = sg.tensor("x", shape=("n", 3))
    y = sg.tensor("y", shape=("n",))
    graph = Graph([x, y], [x])
    one = np.zeros((4, 3))
    with pytest.raises(ArgumentError):
        interpret(graph, [one])
    with pytest.raises(InputValueError, match="x is float64"):
        interpret(graph, [one.astype("float32"), np.zeros(4)])
    with pytest.raises(InputValueError):
        interpret(graph, [np.zeros(4), np.zeros(4)])
    with pytest.raises(ShapeError, match="y: axis 0 has size 5, expected 4 = n"):
        interpret(graph, [one, np.zeros(5)])


def test_a_size_check_fails_at_the_users_line() -> None:
    a, b = sg.vector("a", shape=("m",)), sg.vector("b", shape=("n",))
    c = a * b  # this line
    assert interpret(Graph([a, b], [c]), [np.ones(3), np.ones(3)])[0].tolist() == [1, 1, 1]
    with pytest.raises(ShapeError) as caught:
        interpret(Graph([a, b], [c]), [np.ones(3), np.ones(4)])
    assert "3 and 4 (m and n)" in caught.value.what
    assert "c = a * b  # this line" in str(caught.value)


def test_an_index_out_of_range_is_told_at_the_users_line() -> None:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    y = x[i]  # this line
    with pytest.raises(IndexOutOfRange) as caught:
        interpret(Graph([x, i], [y]), [np.ones(3), np.array([3])])
    assert "# this line" in str(caught.value)


def test_a_reference_that_contradicts_its_type_rule() -> None:
    n = TensorType("float64", (N,))
    x = sg.vector("x", shape=("n",))
    for result in ((3,), (4, 1), ()):
        y = apply(Flexible(n, result), [x]).output
        with pytest.raises(VerifyError, match="the reference gave"):
            interpret(Graph([x], [y]), [np.zeros(4)])
    y = apply(Flexible(TensorType("int8", (N,)), (4,)), [x]).output
    with pytest.raises(VerifyError, match="type rule says int8"):
        interpret(Graph([x], [y]), [np.zeros(4)])


def test_other_errors_of_a_reference_say_where() -> None:
    x = sg.vector("x")
    y = apply(Flexible(TensorType("float64", ()), ZeroDivisionError), [x]).output
    with pytest.raises(ZeroDivisionError) as caught:
        interpret(Graph([x], [y]), [np.zeros(4)])
    assert "test_flexible" in caught.value.__notes__[0]


def test_sizes_that_depend_on_data_are_told_by_the_result() -> None:
    x = sg.vector("x")
    p = Positive()(x)
    doubled = sg.concatenate([p, p])
    got = interpret(Graph([x], [doubled]), [np.array([1.0, -1.0, 2.0])])
    assert got[0].tolist() == [1, 2, 1, 2]
    verify(Graph([x], [p]))


def test_bind_op_reaches_nested_parameters() -> None:
    op = Flexible(TensorType("int8", (N, 3)), ((N, 1), (slice, N * 2)))
    bound = bind_op(op, {"n": 5})
    assert bound == Flexible(TensorType("int8", (5, 3)), ((5, 1), (slice, 10)))
    assert isinstance(bound.types_, TensorType)  # type: ignore[attr-defined]
    plain = Flexible(TensorType("int8", ()), ())
    assert bind_op(plain, {}) is plain


def test_a_deep_chain_runs(chain: Graph) -> None:
    assert interpret(chain, [np.ones(2)])[0].tolist() == [1, 1]
    verify(chain)


def test_a_free_variable_is_named() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    with pytest.raises(UnboundVariableError, match="the input y: float64 is not among the inputs"):
        verify(Graph([x], [x + y]))
    with pytest.raises(UnboundVariableError):
        verify(Graph([], [y]))
    with pytest.raises(UnboundVariableError, match="y: float64 has no value"):
        interpret(Graph([x], [x + y]), [1.0])


def test_an_inner_graph_is_closed() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    from symgraph.ops.control import Cond

    flag = sg.scalar("p", dtype="bool")
    inner = Input(x.type)
    leaky = Cond(Graph([inner], [inner + y]), Graph([inner], [inner]))
    with pytest.raises(UnboundVariableError, match="inner graph of cond: the input y"):
        verify(Graph([flag, x], [apply(leaky, [flag, x]).output]))


def test_malformed_graphs_are_refused() -> None:
    x = sg.vector("x", shape=("n",))
    with pytest.raises(VerifyError, match="x is an input twice"):
        verify(Graph([x, x], [x]))
    with pytest.raises(VerifyError, match="cannot be an input"):
        verify(Graph([sg.constant(1)], []))
    with pytest.raises(VerifyError, match="is not a variable"):
        verify(Graph([x], [3]))  # type: ignore[list-item]
    y = sg.cosh(x + 11)
    node = y.owner
    assert node is not None
    node.outputs = (Variable(TensorType("float32", (N,)), node, 0),)
    try:
        with pytest.raises(VerifyError, match=r"after fusing: cosh is marked float32\[n\]"):
            verify(Graph([x], node.outputs), "after fusing")
    finally:
        node.outputs = (y,)
    verify(Graph([x], [y]))
    inside = node.inputs
    node.inputs = (sg.scalar("z", dtype="bool"),)
    try:
        with pytest.raises(VerifyError, match="does not accept its inputs"):
            verify(Graph([x, *node.inputs], [y]))
        node.inputs = (y,)
        with pytest.raises(VerifyError, match="is used before it is computed"):
            verify(Graph([x], [y]))
    finally:
        node.inputs = inside
