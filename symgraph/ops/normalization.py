"""Normalisations of images and features: means and variances over batches, groups and channels.

Variances are those of distances from the mean (two passes): no digits cancel, however far the mean
is from 0. Scales and biases are tensors with one element for each channel, or None.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size, normalize_axis
from symgraph.loops.compute import elements
from symgraph.ops import moments
from symgraph.ops.arithmetic import rsqrt, square
from symgraph.ops.cast import cast
from symgraph.ops.convolution import channels_last, named
from symgraph.ops.operands import as_variable
from symgraph.ops.pooling_ops import Pool
from symgraph.ops.shape import as_int, reshape
from symgraph.ops.special import stop_gradient
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import larger

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm",
    "weight_standardization",
]  # fmt: skip


def _floats(x: Any) -> Variable:
    x = as_variable(x)
    return x if dtypes.is_float(x.dtype) else cast(x, "float64")


def _along(v: Any, x: Variable, axis: int, name: str, what: str) -> Variable:
    """A vector with an element for each channel, to broadcast against x."""
    v = as_variable(v)
    if v.ndim != 1:
        raise RankError(
            f"{name}: the {what} has one axis, the channels, not {v.ndim}", operands=[named(v)]
        )
    n, c = v.shape[0], x.shape[axis]
    if isinstance(n, int) and isinstance(c, int) and n != c:
        raise ShapeError(
            f"{name}: the {what} has {n} elements for {c} channels", operands=[named(x), named(v)]
        )
    shape: list[Size] = [1] * x.ndim
    shape[axis] = n
    return cast(reshape(v, tuple(shape)), x.dtype)


def _moved(y: Variable, scale: Any, bias: Any, axis: int, name: str) -> Variable:
    """y * scale + bias, by channel."""
    if scale is not None:
        y = y * _along(scale, y, axis, name, "scale")
    return y if bias is None else y + _along(bias, y, axis, name, "bias")


def _channels(x: Variable, layout: str, name: str) -> int:
    if x.ndim < 2:
        raise RankError(f"{name}: x has a batch and channels, not {x.ndim} axes",
                        operands=[named(x)])  # fmt: skip
    return x.ndim - 1 if channels_last(layout, name) else 1


def _standard(x: Variable, axes: tuple[int, ...], epsilon: float) -> Variable:
    """x less its mean, over its deviation. What rounding left of the mean is that of the distances,
    which is taken off too (Chan, Golub and LeVeque, 1983); being 0, it has no derivative."""
    distance = x - moments.mean(x, axes, keepdims=True)
    left = stop_gradient(moments.mean(distance, axes, keepdims=True))
    over = rsqrt(moments.mean(square(distance), axes, keepdims=True) + epsilon)
    return (distance - left) * over


def batch_norm(
    x: Any, scale: Any = None, bias: Any = None, running_mean: Any = None, running_var: Any = None,
    training: bool = True, momentum: float = 0.1, epsilon: float = 1e-5, layout: str = "NCHW",
) -> Any:  # fmt: skip
    """x less the mean of its channel, over the square root of its variance plus ``epsilon``, times
    ``scale`` plus ``bias`` (Ioffe and Szegedy, 2015).

    ``x`` is (batch, channels, ...), or (batch, ..., channels) with ``layout`` "NHWC". When
    ``training``, mean and variance are those of the batch; with running statistics given the result
    is (y, new_mean, new_var), where new = (1 - momentum) * running + momentum * batch, the batch's
    variance divided by n - 1 for it: the updates of shared variables, through which no derivative
    flows. Else y by the running statistics, which then must be given.

    Raises ArgumentError, RankError and ShapeError for vectors that do not fit the channels.

    >>> import symgraph as sg
    >>> sg.nn.batch_norm([[1.0], [3.0]], epsilon=0.0).eval().tolist()
    [[-1.0], [1.0]]
    >>> y, mean, var = sg.nn.batch_norm([[1.0], [3.0]], None, None, [0.0], [1.0])
    >>> mean.eval().tolist(), var.eval().round(6).tolist()
    ([0.2], [1.1])
    """
    x = _floats(x)
    axis = _channels(x, layout, "batch_norm")
    if (running_mean is None) != (running_var is None):
        raise ArgumentError("batch_norm: running_mean and running_var belong together")
    if not training:
        if running_mean is None:
            raise ArgumentError("batch_norm: without training it needs the running statistics")
        mean, var = (_along(v, x, axis, "batch_norm", "running statistics")
                     for v in (running_mean, running_var))  # fmt: skip
        return _moved((x - mean) * rsqrt(var + epsilon), scale, bias, axis, "batch_norm")
    axes = tuple(k for k in range(x.ndim) if k != axis)
    mean = moments.mean(x, axes, keepdims=True)
    distance = x - mean
    var = moments.mean(square(distance), axes, keepdims=True)
    y = _moved(distance * rsqrt(var + epsilon), scale, bias, axis, "batch_norm")
    if running_mean is None:
        return y
    count = elements([x.shape[k] for k in axes])
    share = cast(as_variable(count), x.dtype) / cast(as_variable(_less(count)), x.dtype)
    found = [mean.squeeze(axes), var.squeeze(axes) * share]
    news = []
    for old, new in zip(map(as_variable, (running_mean, running_var)), found, strict=True):
        _along(old, x, axis, "batch_norm", "running statistics")
        news.append((1 - momentum) * old + momentum * stop_gradient(cast(new, old.dtype)))
    return (y, *news)


def _less(count: Size) -> Size:
    """One less than a count, but not below 1."""
    return larger(as_size(as_expr(count) - 1), 1)


def group_norm(
    x: Any, groups: int, scale: Any = None, bias: Any = None, epsilon: float = 1e-5,
    layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """x normalised over ``groups`` equal parts of the channels of each image (Wu and He, 2018);
    ``scale`` and ``bias`` are by channel. Raises ShapeError when the groups do not divide them.

    >>> import symgraph as sg
    >>> sg.nn.group_norm([[1.0, 3.0, 5.0, 5.0]], 2, epsilon=1e-5).eval().round(3).tolist()
    [[-1.0, 1.0, 0.0, 0.0]]
    """
    x = _floats(x)
    axis = _channels(x, layout, "group_norm")
    groups, c = as_int(groups, "group_norm: groups"), x.shape[axis]
    if groups < 1:
        raise ArgumentError(f"group_norm: groups is at least 1, not {groups}")
    rest = as_size(as_expr(c) % groups)
    if isinstance(rest, int) and rest:
        raise ShapeError(f"group_norm: {groups} groups do not divide {c} channels",
                         operands=[named(x)])  # fmt: skip
    each = as_size(as_expr(c) // groups)
    parts = reshape(x, (*x.shape[:axis], groups, each, *x.shape[axis + 1 :]))
    axes = tuple(k for k in range(1, parts.ndim) if k != axis)
    y = reshape(_standard(parts, axes, epsilon), x.shape)
    return _moved(y, scale, bias, axis, "group_norm")


def instance_norm(
    x: Any, scale: Any = None, bias: Any = None, epsilon: float = 1e-5, layout: str = "NCHW"
) -> Variable:
    """x normalised over the spatial axes of each channel of each image (Ulyanov, Vedaldi and
    Lempitsky, 2016).

    >>> import symgraph as sg
    >>> sg.nn.instance_norm([[[1.0, 3.0]]], epsilon=0.0).eval().tolist()
    [[[-1.0, 1.0]]]
    """
    x = _floats(x)
    axis = _channels(x, layout, "instance_norm")
    if x.ndim < 3:
        raise RankError(f"instance_norm: x has spatial axes, not {x.ndim} axes",
                        operands=[named(x)])  # fmt: skip
    axes = tuple(k for k in range(1, x.ndim) if k != axis)
    return _moved(_standard(x, axes, epsilon), scale, bias, axis, "instance_norm")


def rms_norm(x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-6) -> Variable:
    """x over the square root of the mean of its squares plus ``epsilon`` along ``axis`` (Zhang and
    Sennrich, 2019), times ``scale``.

    >>> import symgraph as sg
    >>> sg.nn.rms_norm([[3.0, 4.0, 0.0, 0.0]], epsilon=0.0).eval().round(6).tolist()
    [[1.2, 1.6, 0.0, 0.0]]
    """
    x = _floats(x)
    axis = normalize_axis(axis, x.ndim, "rms_norm: axis")
    y = x * rsqrt(moments.mean(square(x), axis, keepdims=True) + epsilon)
    return _moved(y, scale, None, axis, "rms_norm")


def local_response_norm(
    x: Any, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0,
    layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """x over (k + alpha * s) ** beta, where s is the sum of squares of ``size`` neighbouring
    channels (Krizhevsky, Sutskever and Hinton, 2012, whose constants are the defaults; PyTorch
    divides alpha by the size).

    >>> import symgraph as sg
    >>> x = sg.constant([[1.0, 2.0]])
    >>> sg.nn.local_response_norm(x, 1, alpha=1.0, beta=1.0, k=0.0).eval().tolist()
    [[1.0, 0.5]]
    """
    x = _floats(x)
    axis = _channels(x, layout, "local_response_norm")
    size = as_int(size, "local_response_norm: size")
    if size < 1:
        raise ArgumentError(f"local_response_norm: size is at least 1, not {size}")
    window = Pool((axis,), (size,), (1,), (size // 2,), (1,), (x.shape[axis],), "add")
    return x / (k + alpha * window(square(x))) ** beta  # type: ignore[no-any-return]


def weight_standardization(w: Any, epsilon: float = 1e-5, layout: str = "NCHW") -> Variable:
    """The filters of a convolution, each less its mean and over its standard deviation (Qiao et
    al., 2019); ``w`` as for :func:`conv` of that layout.

    >>> import symgraph as sg
    >>> sg.nn.weight_standardization([[[1.0, 3.0]]], epsilon=0.0).eval().tolist()
    [[[-1.0, 1.0]]]
    """
    w = _floats(w)
    own = w.ndim - 1 if channels_last(layout, "weight_standardization") else 0
    return _standard(w, tuple(k for k in range(w.ndim) if k != own), epsilon)
