"""Picking from sets: categories, choices with and without replacement, permutations, multinomials.

Nothing here carries a derivative to probabilities; permuted and chosen elements pass theirs on.
"""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Shape, Size, normalize_axis, same_size
from symgraph.loops.compute import elements
from symgraph.ops.arithmetic import minimum
from symgraph.ops.cast import cast
from symgraph.ops.comparison import less_equal, where
from symgraph.ops.creation import iota
from symgraph.ops.cumulative import cumsum
from symgraph.ops.exponential import exp
from symgraph.ops.indexing import take, take_along_axis
from symgraph.ops.joining import part_of
from symgraph.ops.operands import as_variable
from symgraph.ops.random_bits import bits, fold_in, source
from symgraph.ops.random_continuous import standard_exponential
from symgraph.ops.random_counts import binomials
from symgraph.ops.random_discrete import WHOLE, randint, whole
from symgraph.ops.random_draws import NOT_NEGATIVE, counted, drawn_shape, parameter
from symgraph.ops.reductions import max as max_of
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.scanning import scan
from symgraph.ops.shape import broadcast_to, expand_dims, moveaxis, reshape
from symgraph.ops.sorting import argsort, searchsorted
from symgraph.ops.special import stop_gradient
from symgraph.scalar import Expr

__all__ = ["categorical", "choice", "multinomial", "permutation", "shuffle"]


# categories ---------------------------------------------------------------------------------------


def categorical(
    key: Any, logits: Any = None, shape: Any = None, axis: int = -1, dtype: Any = "int64", *,
    p: Any = None, size: Any = None,
) -> Variable:  # fmt: skip
    """The number of a category (int64) for weights along ``axis``: exp(logits), or ``p``, which
    need not add to 1. By inversion of the cumulated weights in float64; a category of weight 0 is
    never drawn. ``shape`` is without the axis of categories. -1 where the weights are no numbers,
    negative or all 0. Raises ArgumentError, RankError.

    >>> import symgraph as sg
    >>> sg.random.categorical(sg.random.key(0), p=[0.0, 1.0, 0.0], shape=3).eval().tolist()
    [1, 1, 1]
    """
    if (logits is None) == (p is None):
        raise ArgumentError("random.categorical: exactly one of logits and p is needed")
    weights = _weights("categorical", logits, p)
    weights = moveaxis(weights, normalize_axis(axis, weights.ndim, "categorical: axis"), -1)
    batch, n = weights.shape[:-1], weights.shape[-1]
    full = drawn_shape("categorical", shape, size, (), (broadcast_to(0.0, batch),))
    reached = cumsum(weights, -1)
    whole_weight = part_of(reached, weights.ndim - 1, _before(n), 1)
    u = source(key, full).unit("float64")
    if weights.ndim == 1:
        target = reshape(u * whole_weight, full) if full == () else u * whole_weight
        found = searchsorted(reached, target, side="right")
    else:
        whole_weight = whole_weight[..., 0]
        target = expand_dims(u * whole_weight, -1)
        found = sum_of(cast(less_equal(reached, target), "int64"), -1)
    valid = (whole_weight > 0) & (whole_weight < float("inf"))
    valid = valid[0] if weights.ndim == 1 else valid
    return cast(where(valid, minimum(found, n - 1), -1), dtype)


def _before(n: Size) -> Size:
    return n - 1


def _weights(name: str, logits: Any, p: Any) -> Variable:
    """Weights in float64."""
    if p is not None:
        weights = as_variable(parameter(name, "p", p, NOT_NEGATIVE, "float64"))
    else:
        found = as_variable(parameter(name, "logits", logits, None, "float64"))
        if found.ndim == 0:
            raise RankError(f"random.{name}: the logits have no axis of categories")
        weights = exp(found - max_of(found, -1, keepdims=True))
    if weights.ndim == 0:
        raise RankError(f"random.{name}: the probabilities have no axis of categories")
    return stop_gradient(weights)


def choice(
    key: Any, a: Any, shape: Any = None, replace: bool = True, p: Any = None, axis: int = 0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """Elements of ``a`` along ``axis``, or of 0, ..., a - 1 for an integer or a size, as NumPy's
    ``Generator.choice``: equally likely or with the probabilities ``p`` (one for each, not
    necessarily adding to 1).

    Without replacement: the first of a random order. With p that is the order of exponential
    numbers over p (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006), so
    elements of probability 0 come last. Raises ArgumentError when there are not enough elements.

    >>> import symgraph as sg
    >>> sorted(sg.random.choice(sg.random.key(0), 3, 3, replace=False).eval().tolist())
    [0, 1, 2]
    """
    given = None if isinstance(a, int | Expr) else as_variable(a)
    if given is not None and given.ndim == 0:
        raise RankError("random.choice: a has no axis", hint="for a number of elements give a size")
    axis = 0 if given is None else normalize_axis(axis, given.ndim, "choice: axis")
    n: Size = a if given is None else given.shape[axis]
    if isinstance(n, int) and n < 1:
        raise ArgumentError("random.choice: there is nothing to choose from")
    full = drawn_shape("choice", shape, size)
    weights = None if p is None else _weights("choice", None, p)
    if weights is not None and weights.ndim != 1:
        raise RankError(f"random.choice: p is a vector, not {weights.type.text()}")
    if weights is not None:
        same_size(weights.shape[0], n, "random.choice: probabilities and elements differ in number")
    if not replace:
        places = _without_replacement(key, n, full, weights)
    elif weights is not None:
        places = categorical(key, p=weights, shape=full)
    else:
        places = randint(key, full, 0, n)
    return places if given is None else take(given, places, axis)


def _without_replacement(key: Any, n: Size, full: Shape, weights: Variable | None) -> Variable:
    count = elements(full)
    if isinstance(n, int) and isinstance(count, int) and count > n:
        raise ArgumentError(
            f"random.choice: {count} elements of {n} cannot be taken without replacement"
        )
    if weights is None:
        order = argsort(bits(key, (n,), "uint64"))
    else:
        order = argsort(standard_exponential(source(key, (n,)), "float64") / weights)
    return reshape(part_of(order, 0, 0, count), full)


# orders -------------------------------------------------------------------------------------------


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Variable:
    """x in random order along ``axis``, or 0, ..., x - 1 for an integer or a size: the order of
    64 random bits for each. ``independent`` gives each line along the axis its own order (NumPy's
    ``permuted``).

    >>> import symgraph as sg
    >>> sorted(sg.random.permutation(sg.random.key(0), 4).eval().tolist())
    [0, 1, 2, 3]
    """
    if isinstance(x, int | Expr):
        return argsort(bits(key, (x,), "uint64"))
    return shuffle(key, x, axis, independent)


def shuffle(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Variable:
    """A copy of the tensor x in random order along ``axis``, see :func:`permutation`.

    >>> import symgraph as sg
    >>> sorted(sg.random.shuffle(sg.random.key(0), [1.0, 2.0, 3.0]).eval().tolist())
    [1.0, 2.0, 3.0]
    """
    x = as_variable(x)
    if x.ndim == 0:
        raise RankError("random.shuffle: a scalar has no order")
    axis = normalize_axis(axis, x.ndim, "shuffle: axis")
    if independent:
        return take_along_axis(x, argsort(bits(key, x.shape, "uint64"), axis), axis)
    return take(x, argsort(bits(key, (x.shape[axis],), "uint64")), axis)


# counts of categories -----------------------------------------------------------------------------


def multinomial(
    key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """How often each category is drawn in ``n`` trials with weights ``p`` along the last axis
    (which need not add to 1): one binomial number for each category, of what the categories before
    have left. ``shape`` is without the last axis. No derivative passes; -1 (NaN in a float dtype)
    for impossible parameters. Raises RankError for a p without axes.

    >>> import symgraph as sg
    >>> sg.random.multinomial(sg.random.key(0), 10, [0.2, 0.3, 0.5]).eval().sum().item()
    10
    """
    weights = _weights("multinomial", None, p)
    batch, count = weights.shape[:-1], weights.shape[-1]
    params = {"n": n, "p": broadcast_to(0.0, batch)}
    d = counted("multinomial", key, shape, size, dtype, params, {"n": WHOLE})
    left = cumsum(weights[..., ::-1], -1)[..., ::-1]
    share = where(left > 0, weights / where(left > 0, left, 1.0), left * 0)
    share = moveaxis(broadcast_to(share, (*d.shape, count)), -1, 0)
    remaining = stop_gradient(d.full(d.values[0]))

    def step(row: Variable, place: Variable, rest: Variable) -> tuple[Variable, Variable]:
        found = binomials(d, source(fold_in(key, place), d.shape), rest, minimum(row, 1.0))
        return found, rest - found

    counts, _ = scan(step, [share, iota(count)], [None, remaining])
    return whole(d, moveaxis(counts, 0, -1))
