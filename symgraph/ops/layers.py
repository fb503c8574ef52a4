"""Simple layers: dropout, from a key or a stream of sg.random, and embeddings: rows of a table."""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError, DTypeError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size, normalize_axis
from symgraph.ops.activations import as_floats
from symgraph.ops.comparison import equal, where
from symgraph.ops.indexing import take
from symgraph.ops.labels import as_labels
from symgraph.ops.operands import as_variable
from symgraph.ops.random import Stream, bernoulli
from symgraph.ops.shape import ExpandDims, normalize_axes
from symgraph.ops.special import stop_gradient

__all__ = ["dropout", "embedding", "spatial_dropout"]


def dropout(key: Any, x: Any, rate: float, shared_axes: Any = ()) -> Variable:
    """x with each element set to 0 with probability ``rate``, the others divided by 1 - rate
    (Srivastava et al., 2014; "inverted", so that nothing is to be done when predicting).

    ``key`` is one of sg.random, or a sg.random.Stream, which gives other zeros at every call.
    Along ``shared_axes`` all elements are kept or dropped together. Raises ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.dropout(sg.random.key(0), [1.0, 1.0], 0.0).eval().tolist()
    [1.0, 1.0]
    """
    if isinstance(rate, Variable):
        raise ArgumentError(
            f"dropout: the rate is a Python number, not the tensor {rate.label()}",
            operands=[(rate.label(), rate.type.text(), rate.origin)],
            hint="the key comes first: sg.nn.dropout(key, x, rate)",
        )
    if not 0 <= rate < 1:
        raise ArgumentError(f"dropout: the rate {rate} is not in [0, 1)")
    x = as_floats(x)
    key = key.key() if isinstance(key, Stream) else key
    shared = normalize_axes(shared_axes, x.ndim, "dropout: shared axis")
    shape: list[Size] = [1 if k in shared else n for k, n in enumerate(x.shape)]
    return where(bernoulli(key, 1 - rate, tuple(shape)), x / (1 - rate), 0)


def spatial_dropout(key: Any, x: Any, rate: float, channel_axis: int = 1) -> Variable:
    """Dropout of whole channels of each sample: x has a batch axis first, channels along
    ``channel_axis``, and all other axes share their fate (Tompson et al., 2015).

    >>> import symgraph as sg
    >>> x = sg.nn.spatial_dropout(sg.random.key(0), sg.ones((8, 4, 5, 5)), 0.5)
    >>> sorted(set(x.eval().sum((2, 3)).ravel().tolist()))
    [0.0, 50.0]
    """
    x = as_floats(x)
    channel = normalize_axis(channel_axis, x.ndim, "spatial_dropout: axis")
    return dropout(key, x, rate, [k for k in range(1, x.ndim) if k != channel])


def embedding(indices: Any, table: Any, padding_index: int | None = None) -> Variable:
    """The rows of ``table`` at the integer ``indices``: shape indices.shape + table.shape[1:].

    The derivative by the table adds up what its rows get; the row ``padding_index`` gets none.
    Raises DTypeError, RankError; an index out of range is an IndexOutOfRange (SG301) when the
    function runs.

    >>> import symgraph as sg
    >>> sg.nn.embedding([1, 0], [[1.0, 2.0], [3.0, 4.0]]).eval().tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    indices, table = as_labels(indices, "embedding"), as_variable(table)
    if table.ndim == 0:
        raise RankError("embedding: the table is a scalar")
    rows = take(table, indices, 0)
    if padding_index is None:
        return rows
    if not isinstance(padding_index, int):
        raise DTypeError("embedding: padding_index is an int")
    if padding_index < 0:
        indices = where(indices < 0, indices, indices - as_variable(table.shape[0]))
    padding = equal(indices, padding_index)
    padding = ExpandDims(tuple(range(indices.ndim, rows.ndim)))(padding)
    return where(padding, stop_gradient(rows), rows)
