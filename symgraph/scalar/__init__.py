"""Scalar expressions: the one language of sizes, indices and kernel bodies."""

from symgraph.scalar import text as _text  # noqa: F401  (gives Expr its printer)
from symgraph.scalar.expr import (
    Expr,
    as_expr,
    call,
    const,
    fresh_size,
    load,
    load_if,
    node,
    var,
)
from symgraph.scalar.polynomial import (
    as_size,
    coefficient,
    depends,
    key,
    polynomial,
    product,
    sum_of,
)
from symgraph.scalar.table import ELEMENTARY, SCALAR_OPS
from symgraph.scalar.walk import (
    evaluate,
    evaluate_size,
    guard,
    loads,
    postorder,
    rebuild,
    substitute,
    transform,
    variables,
)

__all__ = [
    "ELEMENTARY", "SCALAR_OPS", "Expr", "as_expr", "as_size", "call", "coefficient", "const",
    "depends", "evaluate", "evaluate_size", "fresh_size", "guard", "key", "load", "load_if",
    "loads", "node", "polynomial", "postorder", "product", "rebuild", "substitute", "sum_of",
    "transform", "var", "variables",
]  # fmt: skip
