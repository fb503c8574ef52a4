"""How ops of one tensor expression act along a leading batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.batching.engine import Batch, Rule, Value, by_rows, rule
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Apply, Variable, apply
from symgraph.ops import reductions
from symgraph.ops.creation import iota
from symgraph.ops.debugging import Assert
from symgraph.ops.gathering import Gather, Scatter
from symgraph.ops.matrix import MatMul
from symgraph.ops.reductions import Reduce
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape, Transpose, swapaxes
from symgraph.scalar import as_expr, as_size

# Ops that act on the last axes (or on all elements alike) and let leading axes be.
LEADING = frozenset(
    "diagonal diagonal_embed in_range print cholesky lu_factor permutation permute_rows qr qr_r svd"
    " svdvals eigh eigvalsh eig eigvals schur qz det cofactors log_abs_det pinv expm solution"
    " triangular_solve assume checked_diagonal det_sign".split()
)
# Ops with a parameter ``axis`` or ``axes`` that counts from the first axis.
SHIFTED = frozenset(
    "expand_dims squeeze flip concatenate repeat sort argsort roll window_view window_sum cumsum"
    " cumprod cummax cummin cumlogsumexp linear_recurrence fft rfft irfft dct".split()
)


def general(op: Any) -> Rule | None:
    """The rule of ops that say by themselves how they act, None for those that do not."""
    if op.elementwise:
        return elementwise
    if isinstance(op, Reduce) or op.name in SHIFTED:
        return shifted
    if getattr(op, "leading", False) or op.name in LEADING:
        return leading
    return None


def one(op: Any, node: Apply, *inputs: Variable) -> list[Value]:
    """The batched results of an op."""
    return [Value(v, True) for v in apply(op, inputs, node.origins).outputs]


def elementwise(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """Batched operands get axes of size 1 behind the batch, so that shapes still broadcast."""
    rank = node.output.ndim
    return one(node.op, node, *(raised(x, rank) for x in given))


def raised(x: Value, rank: int) -> Variable:
    """A value whose elements have ``rank`` axes as broadcasting sees them."""
    missing = rank + 1 - x.v.ndim if x.batched else 0
    if missing <= 0:
        return x.v
    return ExpandDims(tuple(range(1, 1 + missing)))(x.v)  # type: ignore[no-any-return]


def leading(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """Ops that leave leading axes alone."""
    return _whole(batch, node.op, node, given)


def _whole(batch: Batch, op: Any, node: Apply, given: list[Value]) -> Sequence[Value]:
    """The op over full batches where its type rule gives batches of the results; else a loop."""
    inputs = [batch.full(x) for x in given]
    try:
        types = op.types(*(v.type for v in inputs))
    except SymgraphError:
        return by_rows(batch, node, given)
    if types != tuple(batch.type(o.type) for o in node.outputs):
        return by_rows(batch, node, given)
    return one(op, node, *inputs)


# axes in parameters -------------------------------------------------------------------------------


def _up(axes: Any) -> Any:
    return tuple(a + 1 for a in axes) if isinstance(axes, tuple) else axes + 1


def shifted(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """Axes named by the op count one further."""
    fields = [n for n in ("axis", "axes") if n in node.op.fields]
    op = node.op.replace(**{n: _up(getattr(node.op, n)) for n in fields})
    return _whole(batch, op, node, given)


@rule("transpose")
def _transpose(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    return one(Transpose((0, *_up(op.axes))), node, given[0].v)


@rule("reshape")
def _reshape(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    return one(Reshape((batch.size, *op.shape)), node, given[0].v)


@rule("broadcast_to")
def _broadcast_to(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    return one(BroadcastTo((batch.size, *op.shape)), node, raised(given[0], len(op.shape)))


@rule("tile", "slice", "slice_update", "embed")
def _views(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """The whole of the batch axis."""
    whole = {"reps": 1, "start": 0, "step": 1, "size": batch.size, "shape": batch.size}
    fields = [n for n in whole if n in node.op.fields]
    op = node.op.replace(**{n: (whole[n], *getattr(node.op, n)) for n in fields})
    return one(op, node, *(batch.full(x) for x in given))


# products -----------------------------------------------------------------------------------------


@rule("matmul")
def _matmul(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """One large product where only one operand is batched, else a product for each."""
    op: Any = node.op
    a, b = given
    plain = a.v.ndim - a.batched == 2
    if plain and not b.batched:
        rows = swapaxes(a.v, -1, -2) if op.ta else a.v
        return [Value(_stacked_rows(rows, b.v, op.tb), True)]
    if plain and not a.batched:
        columns = b.v if op.tb else swapaxes(b.v, -1, -2)  # (a b)^T = b^T a^T
        return [Value(swapaxes(_stacked_rows(columns, a.v, not op.ta), -1, -2), True)]
    return one(op, node, batch.full(a), batch.full(b))


def _stacked_rows(rows: Variable, matrix: Variable, transposed: bool) -> Variable:
    """A batch of matrices times one matrix, all rows at once."""
    size, count, inner = rows.shape
    flat = Reshape((as_size(as_expr(size) * count), inner))(rows)
    out = MatMul(False, transposed)(flat, matrix)
    return Reshape((size, count, out.shape[1]))(out)  # type: ignore[no-any-return]


# indices ------------------------------------------------------------------------------------------


def _places(batch: Batch, index: Sequence[Value]) -> list[Variable]:
    """The number of the batch, then the index arrays, all with the batch axis in front."""
    rank = max(x.v.ndim - x.batched for x in index)
    arrays = [raised(x, rank) for x in index]
    return [iota(batch.size, rank + 1, 0), *arrays]


@rule("gather")
def _gather(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    x, *index = given
    if not x.batched:
        rank = max(i.v.ndim - i.batched for i in index)
        return one(op, node, x.v, *(raised(i, rank) for i in index))
    if any(i.batched for i in index):
        return one(Gather((0, *_up(op.axes))), node, x.v, *_places(batch, index))
    out = apply(Gather(_up(op.axes)), [x.v, *(i.v for i in index)], node.origins).output
    rank = max(i.v.ndim for i in index)  # the batch is the first of the axes that stay
    order = (rank, *range(rank), *range(rank + 1, out.ndim))
    return [Value(Transpose(order)(out) if rank else out, True)]


@rule("scatter")
def _scatter(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    x, v, *index = given
    places = _places(batch, index)
    shape = (batch.size, *node.inputs[2].shape)
    arrays = [p if p.shape == shape else BroadcastTo(shape)(p) for p in places]
    return one(Scatter(op.mode, (0, *_up(op.axes))), node, batch.full(x), batch.full(v), *arrays)


@rule("take_along_axis")
def _take_along_axis(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    pair = [x.v if x.batched else ExpandDims((0,))(x.v) for x in given]
    return one(op.replace(axis=op.axis + 1), node, *pair)


# checks -------------------------------------------------------------------------------------------


@rule("assert")
def _assert(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """All of the batch must pass."""
    op: Any = node.op
    x, cond = given
    flag = reductions.all(cond.v) if cond.batched else cond.v
    return [Value(Assert(op.message)(x.v, flag), x.batched)]


@rule("barrier")
def _barrier(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    out = apply(node.op, [x.v for x in given], node.origins).output
    return [Value(out, given[0].batched)]
