"""Attention: weighted means of values, the weights from queries and keys; positions encoded.

Queries are [..., targets, size], keys [..., sources, size], values [..., sources, value size]; the
axes in front (batch, heads) are those of a batch. Source: Vaswani et al., "Attention is all you
need", 2017.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size
from symgraph.ops.arithmetic import rsqrt
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater, greater_equal, where
from symgraph.ops.creation import iota
from symgraph.ops.exponential import exp
from symgraph.ops.functions import checkpoint
from symgraph.ops.joining import concatenate, part_of, stack
from symgraph.ops.layers import dropout as drop
from symgraph.ops.looping import map as map_rows
from symgraph.ops.losses import together
from symgraph.ops.matrix import matmul
from symgraph.ops.operands import as_variable
from symgraph.ops.padding import pad
from symgraph.ops.random import Stream
from symgraph.ops.reductions import max, sum
from symgraph.ops.shape import (
    expand_dims,
    is_one,
    moveaxis,
    reshape,
    swapaxes,
)
from symgraph.ops.special import stop_gradient
from symgraph.ops.trigonometric import cos, sin
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import ceil_div

__all__ = [
    "dot_product_attention", "multi_head_attention", "rotary_embedding",
    "scaled_dot_product_attention", "sinusoidal_positions",
]  # fmt: skip


def dot_product_attention(
    query: Any, key: Any, value: Any, mask: Any = None, bias: Any = None, *, causal: bool = False,
    scale: Any = None, dropout: float = 0.0, dropout_key: Any = None, grouped: bool = False,
    chunk: int | None = None,
) -> Variable:  # fmt: skip
    """softmax(scale * query @ key.T + bias) @ value: [..., targets, value size].

    ``mask`` (bools, True where a target may see a source) and ``bias`` broadcast to [..., targets,
    sources]; ``causal`` lets target i see the sources up to i. A target that sees nothing gives 0.
    ``scale`` is 1 / sqrt(size) unless given. ``dropout`` drops weights by ``dropout_key``.

    ``grouped``: the axis before the last two is that of the heads, and each head of key and value
    serves as many neighbouring heads of the query as there are more of these (Ainslie et al.,
    2023). ``chunk`` works on that many targets at a time and computes the weights again for the
    derivative, so that no array of all targets times all sources is kept (Rabe and Staats, 2021).
    Raises RankError, ShapeError, ArgumentError.

    >>> import symgraph as sg
    >>> q, k = [[1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]
    >>> sg.nn.dot_product_attention(q, k, [[2.0], [4.0]]).eval().tolist()
    [[3.0]]
    """
    q, k, v = together(query, key, value)
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RankError("dot_product_attention: query, key and value have at least two axes")
    scale = _scale(q.shape[-1], q.dtype) if scale is None else scale
    if mask is not None:
        mask = _with_two_axes(cast(mask, "bool"))
    if bias is not None:
        bias = _with_two_axes(cast(bias, q.dtype))
    heads = None
    if grouped:
        q, k, v, heads = _in_groups(q, k, v)
        mask, bias = (None if t is None else _group_axes(t, heads) for t in (mask, bias))
    if dropout and dropout_key is None:
        raise ArgumentError("dot_product_attention: dropout needs a key", hint="dropout_key=")
    if chunk is None:
        places = expand_dims(iota(q.shape[-2]), 1) if causal else None
        out = _attended(q, k, v, mask, bias, places, scale, dropout, dropout_key)
    else:
        if chunk < 1 or dropout:
            raise ArgumentError("dot_product_attention: chunk is positive, and without dropout")
        out = _in_chunks(q, k, v, mask, bias, causal, scale, chunk)
    return out if heads is None else _heads_joined(out, heads)


scaled_dot_product_attention = dot_product_attention


def _scale(size: Size, dtype: str) -> Any:
    if isinstance(size, int):
        return 1 / math.sqrt(builtins.max(size, 1))
    return rsqrt(cast(as_variable(size), dtype))


def _with_two_axes(t: Variable) -> Variable:
    return expand_dims(t, tuple(range(2 - t.ndim))) if t.ndim < 2 else t


def _attended(
    q: Variable, k: Variable, v: Variable, mask: Any, bias: Any, places: Any, scale: Any,
    dropout: float, key: Any,
) -> Variable:  # fmt: skip
    """The attention itself; ``places`` are the positions of the targets, [targets, 1], when they
    see the sources up to their own only."""
    scores = matmul(q, swapaxes(k, -1, -2)) * scale
    scores = scores if bias is None else scores + bias
    seen = mask
    if places is not None:
        before = greater_equal(places, expand_dims(iota(k.shape[-2]), 0))
        seen = before if seen is None else seen & before
    if seen is None:
        e = exp(scores - stop_gradient(max(scores, -1, keepdims=True)))
        total = sum(e, -1, keepdims=True)
    else:
        scores = where(seen, scores, -math.inf)
        top = stop_gradient(max(scores, -1, keepdims=True))
        e = exp(scores - where(greater(top, -math.inf), top, 0))
        total = sum(e, -1, keepdims=True)
        total = where(greater(total, 0), total, 1)  # a target that sees nothing
    weights = e / total
    if dropout:
        weights = drop(key.key() if isinstance(key, Stream) else key, weights, dropout)
    return matmul(weights, v)


def _in_chunks(
    q: Variable, k: Variable, v: Variable, mask: Any, bias: Any, causal: bool, scale: Any,
    chunk: int,
) -> Variable:  # fmt: skip
    """The same by a loop over parts of the targets."""
    targets = q.shape[-2]
    count = ceil_div(targets, chunk)
    missing = as_size(as_expr(count) * chunk - targets)

    def parts(t: Variable) -> Variable:
        """[..., targets, n] as [count, ..., chunk, n]."""
        ndim = t.ndim
        t = pad(t, [(0, 0)] * (ndim - 2) + [(0, missing), (0, 0)])
        t = reshape(t, (*t.shape[:-2], count, chunk, t.shape[-1]))
        return moveaxis(t, ndim - 2, 0)

    rows = [parts(q), iota(count) * chunk]
    optional = [t for t in (mask, bias) if t is not None]
    along = [not is_one(t.shape[-2]) for t in optional]  # else the same for all targets
    rows += [parts(t) for t, varies in zip(optional, along, strict=True) if varies]

    def attend(part: Variable, first: Variable, *rest: Variable) -> Variable:
        given = list(rest)
        here = [given.pop(0) if varies else t for t, varies in zip(optional, along, strict=True)]
        here_mask = here.pop(0) if mask is not None else None
        here_bias = here.pop(0) if bias is not None else None
        places = expand_dims(iota(chunk), 1) + first if causal else None
        return _attended(part, k, v, here_mask, here_bias, places, scale, 0.0, None)

    out = map_rows(checkpoint(attend), rows)  # [count, ..., chunk, value size]
    out = moveaxis(out, 0, out.ndim - 3)
    out = reshape(out, (*out.shape[:-3], as_size(as_expr(count) * chunk), out.shape[-1]))
    return part_of(out, out.ndim - 2, 0, targets)


# heads --------------------------------------------------------------------------------------------


def _in_groups(q: Variable, k: Variable, v: Variable) -> tuple[Variable, Variable, Variable, int]:
    """Query heads as [..., heads of the key, group, targets, size], key and value with an axis of
    size 1 there."""
    if min(q.ndim, k.ndim, v.ndim) < 3:
        raise RankError("dot_product_attention: grouped needs an axis of heads")
    many, few = q.shape[-3], k.shape[-3]
    if not isinstance(many, int) or not isinstance(few, int) or few == 0 or many % few:
        raise ShapeError(f"dot_product_attention: {many} heads of the query for {few} of the key")
    q = reshape(q, (*q.shape[:-3], few, many // few, *q.shape[-2:]))
    return q, expand_dims(k, -3), expand_dims(v, -3), few


def _group_axes(t: Variable, heads: int) -> Variable:
    """A mask or bias beside queries in groups."""
    if t.ndim < 3:
        return t
    many = t.shape[-3]
    if is_one(many):
        return expand_dims(t, -3)
    return reshape(t, (*t.shape[:-3], heads, many // heads, *t.shape[-2:]))  # type: ignore[operator]


def _heads_joined(out: Variable, heads: int) -> Variable:
    group = out.shape[-3]
    assert isinstance(group, int)
    return reshape(out, (*out.shape[:-4], heads * group, *out.shape[-2:]))


def multi_head_attention(
    query: Any, key: Any, value: Any, weights: Any, heads: int, mask: Any = None, bias: Any = None,
    *, key_heads: int | None = None, rotary: bool = False, causal: bool = False,
    dropout: float = 0.0, dropout_key: Any = None, chunk: int | None = None,
) -> Variable:  # fmt: skip
    """Attention in several heads: [batch, targets, features] from query [batch, targets, features],
    key and value [batch, sources, features].

    ``weights`` are (wq, wk, wv, wo) or (wq, wk, wv, wo, bq, bk, bv, bo): wq [features, heads *
    size], wk and wv for ``key_heads`` heads (``heads`` unless given), wo [heads * value size,
    features]. ``rotary`` turns queries and keys by their positions. The rest is as for
    :func:`dot_product_attention`, with scores [batch, heads, targets, sources]. Raises
    ArgumentError, RankError, ShapeError.

    >>> import symgraph as sg
    >>> x, w = sg.ones((2, 3, 4)), sg.eye(4)
    >>> sg.nn.multi_head_attention(x, x, x, (w, w, w, w), heads=2).shape
    (2, 3, 4)
    """
    if len(weights) not in (4, 8):
        raise ArgumentError(f"multi_head_attention: 4 or 8 weights, not {len(weights)}")
    query, key, value, *parts = together(query, key, value, *weights)
    biases: list[Any] = parts[4:] or [None] * 4
    key_heads = heads if key_heads is None else key_heads
    counts = (heads, key_heads, key_heads)
    split = []
    for x, w, b, n in zip((query, key, value), parts, biases, counts, strict=False):
        split.append(_split_heads(x, w, b, n))
    q, k, v = split
    if rotary:
        q, k = rotary_embedding(q), rotary_embedding(k)
    out = dot_product_attention(
        q, k, v, mask, bias, causal=causal, dropout=dropout, dropout_key=dropout_key,
        grouped=key_heads != heads, chunk=chunk,
    )  # fmt: skip
    out = swapaxes(out, 1, 2)
    joined = reshape(out, (*out.shape[:2], as_size(as_expr(out.shape[2]) * out.shape[3])))
    joined = matmul(joined, parts[3])
    return joined if biases[3] is None else joined + biases[3]


def _split_heads(x: Variable, w: Variable, b: Any, heads: int) -> Variable:
    """x @ w + b as [batch, heads, positions, size]."""
    if x.ndim != 3 or w.ndim != 2:
        raise RankError(
            f"multi_head_attention: inputs have three axes and weights two, not {x.type.text()} "
            f"and {w.type.text()}"
        )
    columns = w.shape[1]
    if isinstance(columns, int) and columns % heads:
        raise ShapeError(f"multi_head_attention: {columns} columns of weights for {heads} heads")
    y = matmul(x, w)
    y = y if b is None else y + b
    size = as_size(as_expr(columns) // heads)
    return swapaxes(reshape(y, (*x.shape[:2], heads, size)), 1, 2)


# positions ----------------------------------------------------------------------------------------


def sinusoidal_positions(
    length: Any, size: int, base: float = 10000.0, dtype: Any = "float64"
) -> Variable:
    """Sines (even columns) and cosines (odd ones) of each position at falling frequencies,
    base**(-2 * k / size): [length, size]. Raises ArgumentError for an odd size.

    >>> import symgraph as sg
    >>> sg.nn.sinusoidal_positions(1, 4).eval().tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    if size % 2:
        raise ArgumentError(f"sinusoidal_positions: the size {size} is odd")
    kind = dtypes.as_dtype(dtype)
    angle = cast(expand_dims(iota(length), 1), kind) * _frequencies(size, base, kind)
    pairs = stack([sin(angle), cos(angle)], 2)
    return reshape(pairs, (angle.shape[0], size))


def _frequencies(size: int, base: float, kind: str) -> Variable:
    return cast(as_variable(float(base) ** (-np.arange(0, size, 2) / size)), kind)


def rotary_embedding(
    x: Any, positions: Any = None, base: float = 10000.0, interleaved: bool = False
) -> Variable:
    """x [..., positions, size] with pairs of its columns turned by angles that grow with the
    position, so that products of two rows depend on their distance (Su et al., 2021).

    A pair is a column and the one half the size further, or its neighbour if ``interleaved``.
    ``positions`` are numbers that broadcast to [..., positions], 0, 1, ... unless given. Raises
    RankError, ShapeError.

    >>> import symgraph as sg
    >>> sg.nn.rotary_embedding([[1.0, 0.0]]).eval().tolist()
    [[1.0, 0.0]]
    """
    (x,) = together(x)
    if x.ndim < 2:
        raise RankError(f"rotary_embedding: x has at least two axes, not {x.type.text()}")
    size = x.shape[-1]
    if not isinstance(size, int) or size % 2:
        raise ShapeError(f"rotary_embedding: the size {size} is not known to be even")
    place = iota(x.shape[-2]) if positions is None else as_variable(positions)
    angle = expand_dims(cast(place, x.dtype), -1) * _frequencies(size, base, x.dtype)
    c, s = cos(angle), sin(angle)
    if interleaved:
        apart = reshape(x, (*x.shape[:-1], size // 2, 2))
        a, b = apart[..., 0], apart[..., 1]
        return reshape(stack([a * c - b * s, b * c + a * s], x.ndim), x.shape)
    a, b = part_of(x, x.ndim - 1, 0, size // 2), part_of(x, x.ndim - 1, size // 2, size // 2)
    return concatenate([a * c - b * s, b * c + a * s], x.ndim - 1)
