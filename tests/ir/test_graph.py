"""The core: hash-consing, toposort, checks, deep chains."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, ShapeError, SymgraphError
from symgraph.ir.graph import Graph, constant, rebuild, toposort
from symgraph.ir.op import OPS, Op
from symgraph.ir.types import TensorType


class Tagged(Op):
    """An op of these tests: gives its input back, tells parameters apart."""

    name = "test_tagged"
    value: object
    nondifferentiable = "a test"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: np.ndarray) -> np.ndarray:
        return x

    def lower(self, out: TensorType, x: object) -> None:
        raise AssertionError("never lowered")


def test_equal_nodes_are_one_object() -> None:
    x, y = sg.vector("x"), sg.vector("y")
    assert sg.add(x, x) is sg.add(x, x)
    assert sg.add(x, x) is not sg.multiply(x, x)
    assert constant([1.0]) is constant([1.0])
    assert constant(0.0) is not constant(-0.0)
    assert constant(1) is not constant(1.0)
    assert x is not y


def test_parameters_of_other_kind_are_other_ops() -> None:
    x = sg.scalar("x")
    kinds = [1, 1.0, True, (1,), (1.0,), (True,), ((1,),), 0.0, -0.0, 0, False, "1", None]
    assert len({id(Tagged(v)(x)) for v in kinds}) == len(kinds)
    assert Tagged((1, 2.0))(x) is Tagged((1, 2.0))(x)


def test_an_incomplete_op_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="op Half is incomplete: reference is missing"):

        class Half(Op):
            """Half an op."""

            def infer(self, x: TensorType) -> TensorType:
                return x

    assert "half" not in OPS


def test_operands_are_attached_to_errors() -> None:
    x, w = sg.matrix("x", shape=("n", 784)), sg.matrix("w", shape=(784, 10))
    with pytest.raises(ShapeError) as caught:
        x + w
    assert [o[:2] for o in caught.value.operands] == [
        ("x", "float64[n, 784]"), ("w", "float64[784, 10]"),
    ]  # fmt: skip


def test_toposort_is_deterministic_and_producers_first(graph: Graph) -> None:
    order = graph.toposort()
    assert [n.op.name for n in order] == [n.op.name for n in graph.toposort()]
    seen = set()
    for node in order:
        assert all(v.owner is None or v.owner in seen for v in node.inputs)
        seen.add(node)


def test_rebuild_shares_what_does_not_change() -> None:
    x, y, z = (sg.vector(n, shape=("n",)) for n in "xyz")
    kept, changed = sg.exp(x), sg.exp(y)
    (new,) = rebuild([kept + changed], {y: z})
    assert new is kept + sg.exp(z)
    assert rebuild([kept], {y: z})[0] is kept


def test_a_size_that_may_differ_is_checked_at_run_time() -> None:
    a, b = sg.vector("a", shape=("m",)), sg.vector("b", shape=("n",))
    node = (a + b).owner
    assert node is not None
    ((left, right, what),) = node.checks
    assert {str(left), str(right)} == {"m", "n"} and "axis 0" in what
    with pytest.raises(SymgraphError):
        sg.vector("c", shape=(3,)) + sg.vector("d", shape=(4,))


def test_checks_of_threads_do_not_mix() -> None:
    wrong: list[str] = []

    def work(k: int) -> None:
        for i in range(200):
            a, b = sg.vector("a", shape=(f"m{k}_{i}",)), sg.vector("b", shape=(f"n{k}_{i}",))
            node = (a + b).owner
            assert node is not None
            if [sorted(map(str, c[:2])) for c in node.checks] != [[f"m{k}_{i}", f"n{k}_{i}"]]:
                wrong.append(str(node.checks))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_deep_chain_is_freed_without_recursion() -> None:
    x = sg.vector("x")
    y = x
    for _ in range(50_000):
        y = sg.exp(y)
    node = weakref.ref(y.owner)
    assert len(toposort([y])) == 50_000
    del y
    gc.collect()
    assert node() is None
