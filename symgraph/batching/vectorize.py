"""vmap, vectorize, vectorize_graph: functions of one example applied to many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgraph.batching import convolution as _convolution  # noqa: F401  (registers its rules)
from symgraph.batching import loops as _loops  # noqa: F401  (registers its rules)
from symgraph.batching import sparse as _sparse  # noqa: F401  (registers its rules)
from symgraph.batching.engine import Batch, Value
from symgraph.batching.rules import general
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Graph, Input, Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, normalize_axis
from symgraph.ops.nests import flatten
from symgraph.ops.operands import as_variable, traced
from symgraph.ops.retyping import with_sizes_of
from symgraph.ops.shape import BroadcastTo, is_one, moveaxis, squeeze

__all__ = ["vectorize", "vectorize_graph", "vmap"]


@in_language("vmap")
def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """The function of batches: ``fn``, a function of tensors, applied to every example at once.

    ``in_axes`` is the batch axis of the arguments, None for one that all examples share; a tuple
    has an entry for each argument. ``out_axes`` is where the batch stands in the results. Arguments
    and results may be nests. Ops are applied to whole batches; one without a batching rule becomes
    a loop. A choice by ``cond`` whose predicate differs in the batch computes both branches.

    Raises ShapeError where batch sizes differ, ArgumentError when nothing is batched.

    >>> import symgraph as sg
    >>> rows = sg.vmap(lambda a, b: (a * b).sum())
    >>> rows(sg.constant([[1, 2], [3, 4]]), sg.constant([[1, 1], [0, 1]])).eval().tolist()
    [3, 4]
    """

    def batched(*args: Any) -> Any:
        axes = _axes_of(in_axes, args)
        leaves, pack = flatten(args)
        values = [as_variable(v) for v in leaves]
        size, fronts = _in_front(values, axes)
        inputs = [Input(v.type.with_shape(v.shape[1:]) if a is not None else v.type, v.name)
                  for v, a in zip(fronts, axes, strict=True)]  # fmt: skip
        ends, pack_out = flatten(traced(fn, pack(inputs), "vmap: the function"))
        batch = Batch(size, general)
        given = {i: Value(v, a is not None) for i, v, a in zip(inputs, fronts, axes, strict=True)}
        found = batch.run([as_variable(v) for v in ends], given)
        places = _entries(out_axes, pack_out, len(found))
        return pack_out([_out(batch, x, p) for x, p in zip(found, places, strict=True)])

    return batched


def _axes_of(in_axes: Any, args: Sequence[Any]) -> list[int | None]:
    """The batch axis of every leaf of the arguments."""
    several = isinstance(in_axes, tuple | list)
    if several and len(in_axes) != len(args):
        raise ArgumentError(f"vmap: in_axes has {len(in_axes)} entries for {len(args)} arguments")
    found: list[int | None] = []
    for a, arg in zip(in_axes if several else [in_axes] * len(args), args, strict=True):
        count = len(flatten(arg)[0])
        entries = flatten(a)[0] if isinstance(a, tuple | list | dict) else [a] * count
        if len(entries) != count:
            raise ArgumentError(f"vmap: in_axes has {len(entries)} entries for {count} tensors")
        found += entries
    if all(a is None for a in found):
        raise ArgumentError("vmap: no argument is batched", hint="in_axes names an axis of one")
    return found


def _in_front(
    values: Sequence[Variable], axes: Sequence[int | None]
) -> tuple[Size, list[Variable]]:
    """The size of the batch, and the values with their batch axis in front."""
    size: Size | None = None
    fronts = []
    for v, a in zip(values, axes, strict=True):
        if a is None:
            fronts.append(v)
            continue
        if v.ndim == 0:
            raise RankError(f"vmap: {v.label()} is a scalar; it has no axis to batch over")
        v = moveaxis(v, normalize_axis(a, v.ndim, "vmap: axis"), 0)
        own = v.shape[0]
        if size is None:
            size = own
        elif isinstance(own, int) and isinstance(size, int) and own != size:
            raise ShapeError(f"vmap: batch sizes differ: {size} and {own}")
        elif own != size:  # equal when the function runs, which this checks
            v = BroadcastTo((size, *v.shape[1:]))(v)
        fronts.append(v)
    assert size is not None
    return size, fronts


def _entries(out_axes: Any, pack: Any, count: int) -> list[int | None]:
    if not isinstance(out_axes, tuple | list | dict):
        return [out_axes] * count
    entries, _ = flatten(out_axes)
    if len(entries) != count:
        raise ArgumentError(f"vmap: out_axes has {len(entries)} entries for {count} results")
    return entries


def _out(batch: Batch, x: Value, place: int | None) -> Variable:
    if place is None:
        if x.batched:
            raise ArgumentError("vmap: out_axes is None for a result that differs in the batch")
        return x.v
    whole = batch.full(x)
    return moveaxis(whole, 0, normalize_axis(place, whole.ndim, "vmap: out_axes"))


# loop axes that broadcast -------------------------------------------------------------------------


def vectorize(fn: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """NumPy's vectorize and generalized ufuncs: ``fn`` works on core axes, all axes before them
    broadcast. ``signature`` is such as ``"(n,m),(m)->(n)"``; without it the core is a scalar.

    >>> import symgraph as sg
    >>> dot = sg.vectorize(lambda a, b: (a * b).sum(), "(n),(n)->()")
    >>> dot(sg.constant([[1, 2], [3, 4]]), sg.constant([1, 10])).eval().tolist()
    [21, 43]
    """
    cores = None if signature is None else _core_ranks(signature)

    def vectorized(*args: Any) -> Any:
        values = [as_variable(a) for a in args]
        ranks = [0] * len(values) if cores is None else cores
        if len(ranks) != len(values):
            raise ArgumentError(f"vectorize: {signature} has {len(ranks)} inputs, got {len(args)}")
        for v, rank in zip(values, ranks, strict=True):
            if v.ndim < rank:
                raise RankError(f"vectorize: {v.label()} needs {rank} axes, it has {v.ndim}")
        return _over_loops(fn, values, ranks)

    return vectorized


def _core_ranks(signature: str) -> list[int]:
    left, arrow, _ = signature.replace(" ", "").partition("->")
    if not arrow or not left.startswith("(") or not left.endswith(")"):
        raise ArgumentError(f"vectorize: malformed signature {signature!r}", hint='"(n),(n)->()"')
    return [len([w for w in part.split(",") if w]) for part in left[1:-1].split("),(")]


def _over_loops(fn: Callable[..., Any], values: Sequence[Variable], cores: Sequence[int]) -> Any:
    """fn over the axes in front of the cores, the outermost first; size 1 stands for any size."""
    counts = [v.ndim - c for v, c in zip(values, cores, strict=True)]
    outer = max(counts, default=0)
    if not outer:
        return fn(*values)
    taking = [k for k, n in enumerate(counts) if n == outer]
    wide = [k for k in taking if not is_one(values[k].shape[0])] or taking
    given = [squeeze(v, 0) if k in taking and k not in wide else v for k, v in enumerate(values)]
    axes = tuple(0 if k in wide else None for k in range(len(values)))
    return vmap(lambda *xs: _over_loops(fn, xs, cores), axes)(*given)


def vectorize_graph(outputs: Any, replace: Mapping[Variable, Any]) -> Any:
    """PyTensor's vectorize_graph: the outputs with variables replaced by others that may have more
    leading axes, which broadcast against each other.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> xs = sg.matrix("xs")
    >>> sg.vectorize_graph(x.sum(), {x: xs}).eval({xs: [[1.0, 2.0], [3.0, 4.0]]}).tolist()
    [3.0, 7.0]
    """
    leaves, pack = flatten(outputs)
    old = list(replace)
    new = [as_variable(v) for v in replace.values()]
    graph = Graph(old, [as_variable(v) for v in leaves])
    for a, b in zip(old, new, strict=True):
        if b.ndim < a.ndim:
            raise RankError(f"vectorize_graph: {a.label()} has {a.ndim} axes, its value {b.ndim}")
    cores = [v.ndim for v in old]
    return pack(_over_loops(lambda *xs: with_sizes_of(graph, xs), new, cores))
