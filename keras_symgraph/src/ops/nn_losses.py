"""`keras.ops.nn`: labels, cross entropies and attention."""

from __future__ import annotations

import math
from typing import Any

from keras.src.backend.config import epsilon

import symgraph as sg
from keras_symgraph.src.ops.promotion import floating, kind, promoted, result_type
from keras_symgraph.src.ops.sizes import size
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable, nn


def one_hot(
    x: Any, num_classes: Any, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Tensor:
    """A negative label gives zeros. Raises ValueError for ``sparse``."""
    if sparse:
        raise ValueError("Unsupported value `sparse=True` with symgraph backend")
    return wrap(_one_hot(node_of(x), num_classes, axis, str(dtype or "float32")))


def _one_hot(labels: Variable, num_classes: Any, axis: int, dtype: str) -> Variable:
    if "int" not in labels.dtype:
        labels = labels.astype("int32")
    if not num_classes:
        num_classes = sg.max(labels) + 1
    return nn.one_hot(labels, size(num_classes), dtype, axis)


def multi_hot(
    x: Any, num_classes: Any, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Tensor:
    """Raises ValueError for ``sparse``."""
    if sparse:
        raise ValueError("Unsupported value `sparse=True` with symgraph backend")
    labels = node_of(x).astype("int32")
    ones = _one_hot(labels, num_classes, axis, str(dtype or "float32"))
    return wrap(sg.max(ones, 1 if labels.ndim > 1 else 0))


# losses -------------------------------------------------------------------------------------------


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Raises ValueError for shapes that differ or have no axis."""
    labels, scores = promoted(target, output, also=(float,))
    _same_shape(labels, scores)
    if labels.ndim < 1:
        raise ValueError(
            "Arguments `target` and `output` must be at least rank 1. Received: "
            f"target.shape={labels.shape}, output.shape={scores.shape}"
        )
    return wrap(-sg.sum(labels * _log_probability(scores, from_logits, axis), axis))


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Raises ValueError for shapes that do not belong together."""
    labels, scores = node_of(target).astype("int32"), floating(output)
    if labels.ndim == scores.ndim and labels.ndim and labels.shape[-1] == 1:
        labels = sg.squeeze(labels, -1)
    if scores.ndim < 1:
        raise ValueError(
            f"Argument `output` must be at least rank 1. Received: output.shape={scores.shape}"
        )
    if not _may_agree(labels.shape, scores.shape[:-1]):
        raise ValueError(
            "Arguments `target` and `output` must have the same shape up until the last "
            f"dimension: target.shape={labels.shape}, output.shape={scores.shape}"
        )
    log_probability = _log_probability(scores, from_logits, axis)
    ones = nn.one_hot(labels, scores.shape[axis], scores.dtype, axis)
    return wrap(-sg.sum(ones * log_probability, axis))


def _log_probability(scores: Variable, from_logits: bool, axis: int) -> Variable:
    if from_logits:
        return nn.log_softmax(scores, axis)
    scores = scores / sg.sum(scores, axis, keepdims=True)
    return sg.log(sg.clip(scores, epsilon(), 1.0 - epsilon()))


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """Raises ValueError for shapes that differ."""
    labels, scores = promoted(target, output, also=(float,))
    _same_shape(labels, scores)
    if from_logits:
        yes, no = nn.log_sigmoid(scores), nn.log_sigmoid(-scores)
    else:
        scores = sg.clip(scores, epsilon(), 1.0 - epsilon())
        yes, no = sg.log(scores), sg.log(1.0 - scores)
    return wrap(-(labels * yes + (1.0 - labels) * no))


def _same_shape(labels: Variable, scores: Variable) -> None:
    if not _may_agree(labels.shape, scores.shape):
        raise ValueError(
            "Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={labels.shape}, output.shape={scores.shape}"
        )


def _may_agree(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two shapes are equal as far as they are known."""
    pairs = zip(a, b, strict=False)
    differ = any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in pairs)
    return len(a) == len(b) and not differ


# attention ----------------------------------------------------------------------------------------


def dot_product_attention(
    query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None,
    scale: float | None = None, is_causal: bool = False, flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:  # fmt: skip
    """[batch, time, heads, size] each; several heads of the query may share one of key and value.
    The softmax is computed in float32. With ``flash_attention`` no array of all targets times all
    sources is kept, also not for the derivative. Raises ValueError for other ranks."""
    dtype = result_type(kind(query), kind(key), kind(value))
    q, k, v = (node_of(x, dtype) for x in (query, key, value))
    if q.ndim != 4 or k.ndim != 4 or v.ndim != 4:
        raise ValueError(
            "`dot_product_attention` only supports 4D inputs. Received: "
            f"query.shape={q.shape}, key.shape={k.shape}, value.shape={v.shape}."
        )
    scale = 1.0 / math.sqrt(int(k.shape[-1])) if scale is None else scale
    q, k, v = (sg.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
    k, v = (_shared(x, q.shape[1]) for x in (k, v))
    wide = result_type(dtype, "float32")
    if flash_attention and attn_logits_soft_cap is None:
        seen = None if mask is None else node_of(mask).astype("bool")
        added = None if bias is None else node_of(bias, wide)
        q, k, v = (x.astype(wide) for x in (q, k, v))
        found = nn.dot_product_attention(
            q, k, v, seen, added, causal=is_causal, scale=scale, chunk=_TARGETS_AT_ONCE
        )
        return wrap(sg.transpose(found.astype(dtype), (0, 2, 1, 3)))
    logits = sg.matmul(q.astype(wide), sg.matrix_transpose(k.astype(wide))) * scale
    if attn_logits_soft_cap is not None:
        logits = logits / (1.0 + sg.abs(logits) / attn_logits_soft_cap)
    if bias is not None:
        logits = logits + node_of(bias, dtype).astype(wide)
    seen = _visible(logits, mask, is_causal)
    if seen is not None:
        lowest = -0.7 * (1.7976931348623157e308 if wide == "float64" else 3.4028234663852886e38)
        logits = sg.where(seen, logits, lowest).astype(wide)
    weights = nn.softmax(logits, -1).astype(dtype)
    return wrap(sg.transpose(sg.matmul(weights, v), (0, 2, 1, 3)))


_TARGETS_AT_ONCE = 128


def _shared(x: Variable, heads: Any) -> Variable:
    """Each head as often as heads of the query share it."""
    return x if x.shape[1] == heads else sg.repeat(x, heads // x.shape[1], 1)


def _visible(logits: Variable, mask: Any, is_causal: bool) -> Variable | None:
    seen = None if mask is None else node_of(mask).astype("bool")
    if not is_causal:
        return seen
    rows, columns = logits.shape[2:]
    causal = sg.tri(rows, columns, dtype="bool")
    return causal if seen is None else sg.logical_and(seen, causal)
