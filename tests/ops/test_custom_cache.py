"""The code of a user's own op is not part of the cache key, so such functions are not kept."""

from __future__ import annotations

import symgraph as sg
from symgraph import compiler
from symgraph.ir.graph import Graph
from symgraph.ir.op import OPS, Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise


class Tripled(Op):
    """Three times x."""

    name = "tripled_by_a_user"
    nondifferentiable = "a test needs no derivative"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: object) -> object:
        return 3 * x  # type: ignore[operator]

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i) * 3)


del OPS["tripled_by_a_user"]  # the registry's own tests ask for a sample of every op


def test_a_function_with_a_users_op_has_no_key() -> None:
    x = sg.vector("x")
    mine = compiler.stage_definition(Tripled()(x))
    ours = compiler.stage_definition(sg.exp(x))
    assert compiler.cache_key(mine) is None
    assert compiler.cache_key(ours) is not None
    assert isinstance(mine.graph, Graph)


def test_a_users_op_runs_compiled() -> None:
    x = sg.vector("x")
    assert sg.compile([x], Tripled()(x) + 1)([1.0, 2.0]).tolist() == [4.0, 7.0]
