"""`keras.ops.numpy`: what picks, sorts, searches and counts elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import symgraph as sg
from keras_symgraph.src.ops.promotion import kind, promoted, result_type
from keras_symgraph.src.ops.sizes import shape_of
from keras_symgraph.src.ops.sizes import size as size_of
from keras_symgraph.src.tensor import Tensor, known, node_of, wrap
from symgraph import Variable


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    return wrap(sg.take(node_of(x), _index(indices), axis))


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    node, index = node_of(x), _index(indices)
    if axis is None:
        return wrap(sg.take_along_axis(sg.ravel(node), sg.ravel(index), 0))
    return wrap(sg.take_along_axis(node, index, axis))


def _index(indices: Any) -> Variable:
    node = node_of(indices)
    return node if "int" in node.dtype else node.astype("int32")


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """With a condition alone: the places of its true elements."""
    test = node_of(condition).astype("bool")
    if x1 is None or x2 is None:
        return nonzero(test)
    return wrap(sg.where(test, *promoted(x1, x2)))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Tensor:
    *choices, rest = promoted(*choicelist, default)
    tests = [node_of(c).astype("bool") for c in condlist]
    return wrap(sg.select(tests, choices, rest))


def nonzero(x: Any) -> tuple[Tensor, ...]:
    node = node_of(x)
    node = sg.reshape(node, (1,)) if node.ndim == 0 else node
    count = known(sg.count_nonzero(node))  # a size that is known needs no program in parts
    found = sg.nonzero(node, None if count is None else int(count))
    return tuple(wrap(k.astype("int32")) for k in found)


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Negative indices count from the end."""
    flat, sizes = node_of(indices), shape_of(shape)
    total: Any = 1
    for n in sizes:
        total = total * n
    wide = flat.astype("int64")
    wide = sg.where(sg.less(wide, 0), wide + sg.as_variable(total), wide)
    return tuple(wrap(k.astype(flat.dtype)) for k in sg.unravel_index(wide, sizes))


# order --------------------------------------------------------------------------------------------


def sort(x: Any, axis: int = -1) -> Tensor:
    return wrap(sg.sort(node_of(x), axis))


def argsort(x: Any, axis: int | None = -1) -> Tensor:
    node = node_of(x)
    return wrap(sg.argsort(node, axis if node.ndim else None).astype("int32"))


def argpartition(x: Any, kth: int, axis: int | None = -1) -> Tensor:
    return wrap(sg.argpartition(node_of(x), kth, axis).astype("int32"))


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    """Raises ValueError for a sequence of more than one axis."""
    sequence, wanted = promoted(sorted_sequence, values)
    if sequence.ndim != 1:
        raise ValueError(
            "`searchsorted` only supports 1-D sorted sequences. "
            "You can use `keras.ops.vectorized_map` "
            "to extend it to N-D sequences. Received: "
            f"sorted_sequence.shape={sequence.shape}"
        )
    return wrap(sg.searchsorted(sequence, wanted, side).astype("int32"))


def digitize(x: Any, bins: Any) -> Tensor:
    values, edges = promoted(x, bins)
    return wrap(sg.digitize(values, edges).astype("int32"))


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Tensor:
    elements, among = promoted(x1, x2)
    return wrap(sg.isin(elements, among, invert))


# counting -----------------------------------------------------------------------------------------


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """Rows of a matrix are counted each for itself, all to the length of the greatest element.
    Raises ValueError for ``sparse``."""
    if sparse:
        raise ValueError("Unsupported value `sparse=True` with symgraph backend")
    dtype = "int32" if weights is None else result_type(kind(x), kind(weights))
    index = node_of(x).astype("int64")
    weight = None if weights is None else node_of(weights).astype("float64")
    greatest = sg.max(sg.concatenate([sg.ravel(index), sg.constant([-1], "int64")]))
    length = size_of(sg.maximum(greatest + 1, size_of(minlength)))
    if index.ndim < 2:
        return wrap(sg.bincount(index, weight, length=length).astype(dtype))
    rows = index.shape[0]
    shifted = index + sg.reshape(sg.arange(rows), (rows, 1)) * sg.as_variable(length)
    counts = sg.bincount(
        sg.ravel(shifted), None if weight is None else sg.ravel(weight), length=rows * length
    )
    return wrap(sg.reshape(counts, (rows, length)).astype(dtype))


def unique(
    x: Any, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, size: int | None = None,
    fill_value: Any = None,
) -> Any:  # fmt: skip
    """Always in order. With ``size`` missing values are ``fill_value`` or 0, as in NumPy's
    backend: the index of what is missing is 1, its count 0."""
    node = node_of(x)
    options: dict[str, Any] = {} if size is None else {"size": size, "fill_value": fill_value or 0}
    values, index, inverse, counts = sg.unique(
        node, True, True, True, axis, equal_nan=False, **options
    )
    if size is not None:
        index = sg.where(sg.greater(counts, 0), index, 1)
    found = [(True, values), (return_index, index), (return_inverse, inverse)]
    found.append((return_counts, counts))
    out = [wrap(v if v is values else v.astype("int32")) for wanted, v in found if wanted]
    return out[0] if len(out) == 1 else tuple(out)
