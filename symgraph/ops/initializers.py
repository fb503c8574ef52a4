"""sg.nn.initializers: the values that weights begin with, drawn by keys of sg.random.

Each takes a key, a shape and a dtype and gives a tensor of random numbers; shared variables take
its value: ``w = sg.shared(sg.nn.initializers.he_normal(key, (64, 10)).eval())``.

Fans, the numbers of inputs and outputs of a unit, are those of the axes ``in_axis`` and
``out_axis`` (the last two: weights that are multiplied from the right), times the sizes of all
other axes: kernels [out, in, height, width] want ``in_axis=1, out_axis=0``.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, RankError
from symgraph.ir.graph import Variable
from symgraph.ops import random
from symgraph.ops.arithmetic import absolute, clip
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater_equal, less_equal, where
from symgraph.ops.decompositions import qr
from symgraph.ops.matrix import diagonal
from symgraph.ops.shape import moveaxis, reshape, swapaxes

__all__ = [
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "kaiming_normal",
    "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "orthogonal", "truncated_normal",
    "uniform", "variance_scaling", "xavier_normal", "xavier_uniform",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__


def uniform(
    key: Any, shape: Any, scale: float = 0.05, dtype: Any = "float64", low: float | None = None
) -> Variable:
    """Uniform between ``low`` (-scale unless given) and ``scale``.

    >>> import symgraph as sg
    >>> w = sg.nn.initializers.uniform(sg.random.key(0), (2, 3), 0.1).eval()
    >>> w.shape, bool(abs(w).max() < 0.1)
    ((2, 3), True)
    """
    return random.uniform(
        key, shape, dtype=_kind(dtype), low=-scale if low is None else low, high=scale
    )


def normal(key: Any, shape: Any, std: float = 0.05, dtype: Any = "float64") -> Variable:
    """Normal with mean 0 and standard deviation ``std``.

    >>> import symgraph as sg
    >>> sg.nn.initializers.normal(sg.random.key(0), (2, 3)).shape
    (2, 3)
    """
    return random.normal(key, shape, dtype=_kind(dtype)) * std


def truncated_normal(key: Any, shape: Any, std: float = 0.05, dtype: Any = "float64") -> Variable:
    """Normal within two standard deviations of the normal it is cut from, scaled so that its own
    standard deviation is ``std``: the first of eight draws that is within (all are beyond once in
    10**10 times, then the last one is moved to the bound).

    >>> import symgraph as sg
    >>> w = sg.nn.initializers.truncated_normal(sg.random.key(0), 1000, 1.0).eval()
    >>> bool(abs(w).max() <= 2 / 0.87962566)
    True
    """
    kind = _kind(dtype)
    found = clip(random.normal(key, shape, dtype=kind), -2.0, 2.0)
    for k in range(1, 8):
        z = random.normal(random.fold_in(key, k), shape, dtype=kind)
        found = where(less_equal(absolute(z), 2.0), z, found)
    return found * (std / CUT)


CUT = 0.87962566103423978  # the standard deviation of a normal cut at two of its own


def variance_scaling(
    key: Any, shape: Any, scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal",
    dtype: Any = "float64", in_axis: int = -2, out_axis: int = -1,
) -> Variable:  # fmt: skip
    """Random numbers of variance scale / fan: "fan_in", "fan_out" or their mean "fan_avg";
    "normal", "truncated_normal" or "uniform". Raises ArgumentError, RankError.

    >>> import symgraph as sg
    >>> sg.nn.initializers.variance_scaling(sg.random.key(0), (2, 3), mode="fan_avg").shape
    (2, 3)
    """
    inputs, outputs = _fans(shape, in_axis, out_axis)
    fans = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}
    if mode not in fans:
        raise ArgumentError(f"unknown mode {mode!r}", hint="fan_in, fan_out or fan_avg")
    std = math.sqrt(scale / builtins.max(fans[mode], 1))
    if distribution == "uniform":
        return uniform(key, shape, math.sqrt(3) * std, dtype)
    if distribution == "normal":
        return normal(key, shape, std, dtype)
    if distribution == "truncated_normal":
        return truncated_normal(key, shape, std, dtype)
    raise ArgumentError(
        f"unknown distribution {distribution!r}", hint="normal, truncated_normal or uniform"
    )


def _fans(shape: Any, in_axis: int, out_axis: int) -> tuple[int, int]:
    """The numbers of inputs and outputs of a unit."""
    sizes = list(shape) if isinstance(shape, Sequence) else [shape]
    if len(sizes) < 2:
        raise RankError(f"weights with fans have at least two axes, not {len(sizes)}")
    if not all(isinstance(n, int) for n in sizes):
        raise ArgumentError("the sizes of weights with fans are ints")
    field = math.prod(sizes) // builtins.max(sizes[in_axis] * sizes[out_axis], 1)
    return sizes[in_axis] * field, sizes[out_axis] * field


def _kind(dtype: Any) -> str:
    kind = dtypes.as_dtype(dtype)
    if not dtypes.is_float(kind):
        raise DTypeError(f"weights are floats, not {kind}")
    return kind


# by name ------------------------------------------------------------------------------------------


def _named(name: str, doc: str, scale: float, mode: str, distribution: str) -> Any:
    def initializer(
        key: Any, shape: Any, gain: float = 1.0, dtype: Any = "float64", in_axis: int = -2,
        out_axis: int = -1,
    ) -> Variable:  # fmt: skip
        return variance_scaling(
            key, shape, scale * gain * gain, mode, distribution, dtype, in_axis, out_axis
        )

    initializer.__name__ = initializer.__qualname__ = name
    initializer.__doc__ = (
        f"{doc} ``gain`` multiplies the numbers.\n\n>>> import symgraph as sg\n"
        f">>> sg.nn.initializers.{name}(sg.random.key(0), (2, 3)).shape\n(2, 3)\n"
    )
    return initializer


_GLOROT = "of variance 2 / (fan in + fan out) (Glorot and Bengio, 2010)."
_HE = "of variance 2 / fan in, for relu (He et al., 2015)."
_LECUN = "of variance 1 / fan in, for selu (LeCun et al., 1998)."
glorot_uniform = _named("glorot_uniform", f"Uniform, {_GLOROT}", 1.0, "fan_avg", "uniform")
glorot_normal = _named("glorot_normal", f"Normal, {_GLOROT}", 1.0, "fan_avg", "normal")
he_uniform = _named("he_uniform", f"Uniform, {_HE}", 2.0, "fan_in", "uniform")
he_normal = _named("he_normal", f"Normal, {_HE}", 2.0, "fan_in", "normal")
lecun_uniform = _named("lecun_uniform", f"Uniform, {_LECUN}", 1.0, "fan_in", "uniform")
lecun_normal = _named("lecun_normal", f"Normal, {_LECUN}", 1.0, "fan_in", "normal")
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


def orthogonal(
    key: Any, shape: Any, gain: float = 1.0, dtype: Any = "float64", out_axis: int = -1
) -> Variable:
    """``gain`` times a random matrix with orthonormal columns, or rows if there are fewer of them,
    uniform among all such (Saxe et al., 2013; by the QR decomposition, Mezzadri, 2007). All axes
    but ``out_axis`` count as one. Raises RankError, ArgumentError.

    >>> import symgraph as sg
    >>> w = sg.nn.initializers.orthogonal(sg.random.key(0), (4, 2))
    >>> bool(sg.allclose(w.T @ w, sg.eye(2)).eval())
    True
    """
    sizes = list(shape)
    if len(sizes) < 2:
        raise RankError(f"orthogonal weights have at least two axes, not {len(sizes)}")
    rows, columns = math.prod(sizes) // builtins.max(sizes[out_axis], 1), sizes[out_axis]
    kind = _kind(dtype)
    tall = (builtins.max(rows, columns), builtins.min(rows, columns))
    q, r = qr(random.normal(key, tall, dtype=kind))
    q = q * where(greater_equal(diagonal(r), 0), 1.0, -1.0)
    q = cast(gain * (q if rows >= columns else swapaxes(q, 0, 1)), kind)
    others = [n for k, n in enumerate(sizes) if k != out_axis % len(sizes)]
    return moveaxis(reshape(q, (*others, columns)), -1, out_axis)
