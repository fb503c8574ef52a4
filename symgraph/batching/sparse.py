"""How products with sparse matrices act along a batch: its examples are further dense columns."""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.batching.engine import Batch, Value, by_rows, rule
from symgraph.batching.rules import one
from symgraph.ir.graph import Apply
from symgraph.ops.shape import Reshape, Transpose
from symgraph.scalar import as_expr, as_size


@rule("sparse_matmul")
def _sparse_matmul(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    *matrix, b = given
    if any(x.batched for x in matrix):
        return by_rows(batch, node, given)
    size, inner, columns = b.v.shape
    wide = Reshape((inner, as_size(as_expr(size) * columns)))(Transpose((1, 0, 2))(b.v))
    ((out, _),) = one(node.op, node, *(x.v for x in matrix), wide)
    shaped = Reshape((out.shape[0], size, columns))(out)
    return [Value(Transpose((1, 0, 2))(shaped), True)]
