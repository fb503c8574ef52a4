"""Rows for functions as values and for looking at values; see samples.py."""

from __future__ import annotations

from typing import Any

from symgraph.ops import custom, debugging, functions, matrix
from tests.ops.samples import Sample, array

V, M = array(3), array(3, 4, seed=1)


def _cotangents(g: Any, y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    return matrix.outer(g, b), a.T @ g


PRODUCT = custom.python_op(
    lambda a, b: a @ b, infer="float64[n, k], float64[k] -> float64[n]", vjp=_cotangents, name="mv"
)


def _tangent(t: Any, y: Any, a: Any, b: Any) -> Any:
    parts = [None if t[0] is None else t[0] @ b, None if t[1] is None else a @ t[1]]
    return sum(p for p in parts if p is not None)


PUSHED = custom.python_op(
    lambda a, b: a @ b, infer="float64[n, k], float64[k] -> float64[n]", jvp=_tangent, name="mv"
)

SAMPLES: list[Sample] = [
    Sample("python_op_forward", PUSHED, lambda a, b: a @ b, (M, array(4))),
    Sample("barrier", lambda x: functions.Barrier()(x, x * 2), lambda x: x, (M,)),
    Sample("python_op", PRODUCT, lambda a, b: a @ b, (M, array(4))),
    Sample("print", lambda x: debugging.print_value(x, "x"), lambda x: x, (V,)),
    Sample("print", lambda x: debugging.print_value(x, "x", True) + 1, lambda x: x + 1, (M,)),
    Sample("assert", lambda x: debugging.assert_(x, x < 10, "small") * 2, lambda x: x * 2, (V,)),
]
