"""Convolutions of neural networks: any number of axes, strides, padding, dilation, groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Shape, Size
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.complex_parts import complex_number, imag_part, real_part
from symgraph.ops.convolution_ops import Convolution, ConvolutionInput, Layout, reach
from symgraph.ops.operands import promotable
from symgraph.ops.shape import as_int, flip
from symgraph.ops.slicing import Embed, Slice
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.sizes import larger

__all__ = [
    "conv", "conv1d", "conv2d", "conv3d", "conv_transpose", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "depthwise_conv1d", "depthwise_conv2d", "separable_conv1d",
    "separable_conv2d",
]  # fmt: skip

FIRST = ("NCHW", "NCW", "NCL", "NCDHW", "first")
LAST = ("NHWC", "NWC", "NLC", "NDHWC", "last")
WORDS = ("valid", "same", "same_lower", "full", "half")


# what users may say -------------------------------------------------------------------------------


def channels_last(layout: str, name: str) -> bool:
    """Whether a layout has its channels last.

    >>> channels_last("NHWC", "conv")
    True
    """
    if layout in FIRST or layout in LAST:
        return layout in LAST
    known = "NCHW (NCW, NCDHW) or NHWC (NWC, NDHWC)"
    raise ArgumentError(f"{name}: unknown layout {layout!r}", hint=known)


def per_axis(value: Any, spatial: int, what: str) -> tuple[int, ...]:
    """A positive int for each axis, from one or several."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * spatial
    if len(given) != spatial:
        raise ArgumentError(f"{what} has {len(given)} entries for {spatial} spatial axes")
    found = tuple(as_int(v, what) for v in given)
    if min(found) < 1:
        raise ArgumentError(f"{what} is at least 1, not {min(found)}")
    return found


def paddings(
    padding: Any, sizes: Shape, kernel: Shape, stride: Sequence[int], dilation: Sequence[int],
    what: str,
) -> tuple[Shape, Shape]:  # fmt: skip
    """What stands before and after each axis, from one of WORDS, a size, or for each axis a size or
    a pair of them. Negative sizes cut the axis."""
    if isinstance(padding, str):
        rows = zip(sizes, kernel, stride, dilation, strict=True)
        pairs = [_worded(padding, *row, what) for row in rows]
    else:
        given = padding if isinstance(padding, tuple | list) else (padding,) * len(sizes)
        if len(given) != len(sizes):
            raise ArgumentError(
                f"{what}: padding has {len(given)} entries for {len(sizes)} spatial axes",
                hint="a size, or for each axis a size or a pair (before, after)",
            )
        pairs = [_pair(p, what) for p in given]
    return tuple(b for b, _ in pairs), tuple(a for _, a in pairs)


def _pair(given: Any, what: str) -> tuple[Size, Size]:
    both = given if isinstance(given, tuple | list) else (given, given)
    if len(both) != 2:
        raise ArgumentError(f"{what}: the padding of an axis is a size or a pair of them")
    first, second = (
        as_size(v) if isinstance(v, Expr) else as_int(v, f"{what}: padding") for v in both
    )
    return first, second


def _worded(
    word: str, size: Size, kernel: Size, stride: int, dilation: int, what: str
) -> tuple[Size, Size]:
    word = word.lower()
    span = reach(kernel, dilation)
    if word == "valid":
        return 0, 0
    if word == "full":
        most = as_size(as_expr(span) - 1)
        return most, most
    if word == "half":
        half = as_size(as_expr(span) // 2)
        return half, half
    if word not in WORDS:
        known = ", ".join(WORDS)
        raise ArgumentError(f"{what}: unknown padding {word!r}", hint=f"{known}, or sizes")
    if stride == 1:
        total = as_size(as_expr(span) - 1)
    else:  # as many windows as strides begin in the axis
        windows = (as_expr(size) + (stride - 1)) // stride
        total = larger(as_size((windows - 1) * stride + span - size), 0)
    less = as_size(as_expr(total) // 2)
    more = as_size(as_expr(total) - less)
    return (less, more) if word == "same" else (more, less)


def tensors(name: str, *given: Any) -> list[Variable]:
    """The operands in their common dtype; bool counts as int8."""
    dtype = dtypes.promote(*map(promotable, given))
    return [to_dtype(v, "int8" if dtype == "bool" else dtype) for v in given]


def named(v: Variable) -> tuple[Any, ...]:
    """A variable as errors list it."""
    return (v.label(), v.type.text(), v.origin)


def _checked(
    name: str, x: Variable, w: Variable, spatial: int | None, groups: int, layout: Layout
) -> None:
    """Refuse ranks and channels that do not fit, naming the axes."""
    operands = [named(x), named(w)]
    order = "(batch, *sizes, channels)" if layout.last else "(batch, channels, *sizes)"
    if x.ndim != layout.spatial + 2 or layout.spatial < 1:
        wanted = f"{spatial + 2}" if spatial is not None else "at least 3"
        raise RankError(f"{name}: images have {wanted} axes, not {x.ndim}",
                        operands=operands, hint=f"they are {order}")  # fmt: skip
    if w.ndim != x.ndim:
        order = "(*kernel, in / groups, out)" if layout.last else "(out, in / groups, *kernel)"
        raise RankError(f"{name}: weights have {x.ndim} axes, not {w.ndim}",
                        operands=operands, hint=f"they are {order}")  # fmt: skip
    _, c, _ = layout.of_image(x.shape)
    o, own, _ = layout.of_weights(w.shape)
    for count, what in ((c, "input"), (o, "output")):
        if isinstance(count, int) and count % groups:
            raise ShapeError(
                f"{name}: {groups} groups do not divide {count} {what} channels", operands=operands
            )
    if isinstance(c, int) and isinstance(own, int) and own * groups != c:
        each = f" in each of {groups} groups" if groups > 1 else ""
        raise ShapeError(f"{name}: the images have {c} channels, the weights want {own}{each}",
                         operands=operands, hint=f"images are {order}")  # fmt: skip


# the general function -----------------------------------------------------------------------------


def conv(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1,
    input_dilation: Any = 1, groups: int = 1, layout: str = "NCHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """Images ``x`` with the filters ``w``, over as many spatial axes as x has besides batch and
    channels.

    ``x`` is (batch, channels, *sizes) and ``w`` (out, in / groups, *kernel); with ``layout`` "NHWC"
    (batch, *sizes, channels) and (*kernel, in / groups, out). The result is like x. ``stride`` and
    ``dilation`` (of the filter) are ints or one for each axis; ``padding`` is "valid" (none),
    "same" (as many windows as strides begin in the axis; an odd one more after, with "same_lower"
    before), "full", "half" (as Theano), a size, or for each axis a size or a pair. With
    ``input_dilation`` d there are d - 1 zeros between the elements of x. ``groups`` cuts the
    channels into parts that do not mix. ``flip`` turns the filters round: the convolution of
    mathematics, and Theano's.

    By im2col and matrix products (Chellapilla, Puri and Simard, 2006). Floats of 16 bits are
    computed in 32, complex numbers by their parts; integers are exact. Raises RankError,
    ShapeError for channels, groups or windows that do not fit, ArgumentError.

    >>> import symgraph as sg
    >>> x = sg.constant([[[1.0, 2.0, 3.0, 4.0]]])
    >>> sg.nn.conv(x, [[[1.0, 10.0]]]).eval().tolist()
    [[[21.0, 32.0, 43.0]]]
    """
    options = (stride, padding, dilation, input_dilation, groups, layout, flip)
    return _conv("conv", None, x, w, *options)


def _conv(
    name: str, spatial: int | None, x: Any, w: Any, stride: Any, padding: Any, dilation: Any,
    input_dilation: Any, groups: int, layout: str, turned: bool,
) -> Variable:  # fmt: skip
    x, w = tensors(name, x, w)
    if dtypes.is_narrow(x.dtype) or dtypes.is_complex(x.dtype):
        options = (stride, padding, dilation, input_dilation, groups, layout, turned)
        return _in_floats(lambda a, b: _conv(name, spatial, a, b, *options), x, w)
    axes = Layout(channels_last(layout, name), x.ndim - 2 if spatial is None else spatial)
    groups = as_int(groups, f"{name}: groups")
    if groups < 1:
        raise ArgumentError(f"{name}: groups is at least 1, not {groups}")
    _checked(name, x, w, spatial, groups, axes)
    count = axes.spatial
    stride, dilation = (
        per_axis(v, count, f"{name}: {n}")
        for v, n in ((stride, "stride"), (dilation, "dilation"))
    )  # fmt: skip
    x = _spread(x, per_axis(input_dilation, count, f"{name}: input_dilation"), axes)
    _, _, sizes = axes.of_image(x.shape)
    _, _, kernel = axes.of_weights(w.shape)
    before, after = paddings(padding, sizes, kernel, stride, dilation, name)
    _fits(name, x, w, sizes, kernel, before, after, dilation)
    if turned:
        w = flip(w, tuple(range(count)) if axes.last else tuple(range(2, count + 2)))
    bare = all(isinstance(p, int) and p == 0 for p in (*before, *after))
    if bare and any(s > 1 for s in stride) and all(isinstance(k, int) and k == 1 for k in kernel):
        x, stride = _thinned(x, stride, axes), (1,) * count
    return Convolution(stride, before, after, dilation, groups, axes.last)(x, w)  # type: ignore[no-any-return]


def _in_floats(
    bilinear: Callable[[Variable, Variable], Variable], x: Variable, w: Variable
) -> Variable:
    """A bilinear function of narrow floats by float32, of complex numbers by their parts."""
    if dtypes.is_narrow(x.dtype):
        return cast(bilinear(cast(x, "float32"), cast(w, "float32")), x.dtype)
    (a, b), (c, d) = ((real_part(v), imag_part(v)) for v in (x, w))
    return complex_number(bilinear(a, c) - bilinear(b, d), bilinear(a, d) + bilinear(b, c))


def _fits(
    name: str, x: Variable, w: Variable, sizes: Shape, kernel: Shape, before: Shape, after: Shape,
    dilation: Sequence[int],
) -> None:  # fmt: skip
    """Refuse windows that surely are larger than the padded images."""
    rows = zip(sizes, kernel, before, after, dilation, strict=True)
    for axis, (n, k, b, a, d) in enumerate(rows):
        span = reach(k, d)
        room = as_size(as_expr(n) + b + a - span)
        if isinstance(room, int) and room < 0:
            padded = f" padded by {b} and {a}" if b or a else ""
            wide = f" with dilation {d}, which spans {span}," if d > 1 else ""
            raise ShapeError(
                f"{name}: a kernel of {k}{wide} does not fit spatial axis {axis} of size "
                f"{n}{padded}", operands=[named(x), named(w)], hint='padding="same" keeps sizes',
            )  # fmt: skip


def _thinned(x: Variable, stride: Sequence[int], axes: Layout) -> Variable:
    """What windows of one element see of images without padding."""
    n, c, sizes = axes.of_image(x.shape)
    counts = [as_size((as_expr(m) - 1) // s + 1) for m, s in zip(sizes, stride, strict=True)]
    start, size = axes.image(0, 0, [0] * len(stride)), axes.image(n, c, counts)
    return Slice(start, axes.image(1, 1, stride), size)(x)  # type: ignore[no-any-return]


def _spread(x: Variable, dilation: Sequence[int], axes: Layout) -> Variable:
    """x with zeros between its elements."""
    if all(d == 1 for d in dilation):
        return x
    n, c, sizes = axes.of_image(x.shape)
    whole = [larger(reach(m, d), 0) for m, d in zip(sizes, dilation, strict=True)]
    start = axes.image(0, 0, [0] * len(dilation))
    return Embed(start, axes.image(1, 1, dilation), axes.image(n, c, whole))(x)  # type: ignore[no-any-return]


# of a number of axes ------------------------------------------------------------------------------


def conv1d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
    layout: str = "NCW", flip: bool = False,
) -> Variable:  # fmt: skip
    """:func:`conv` over one axis: x is (batch, channels, width), w (out, in / groups, kernel).

    >>> import symgraph as sg
    >>> sg.nn.conv1d([[[1.0, 2.0, 3.0]]], [[[1.0, 1.0, 1.0]]], padding="same").eval().tolist()
    [[[3.0, 6.0, 5.0]]]
    """
    return _conv("conv1d", 1, x, w, stride, padding, dilation, 1, groups, layout, flip)


def conv2d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
    layout: str = "NCHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """:func:`conv` over two axes: x is (batch, channels, height, width) and w (out, in / groups,
    height, width); with ``layout`` "NHWC" the channels are the last axis of x, and w is (height,
    width, in / groups, out).

    >>> import symgraph as sg
    >>> x = sg.tensor("x", dtype="float32", shape=("batch", 3, 32, 32))
    >>> w = sg.tensor("w", dtype="float32", shape=(64, 3, 3, 3))
    >>> sg.nn.conv2d(x, w, stride=2, padding=1).type.text()
    'float32[batch, 64, 16, 16]'
    """
    return _conv("conv2d", 2, x, w, stride, padding, dilation, 1, groups, layout, flip)


def conv3d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
    layout: str = "NCDHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """:func:`conv` over three axes: x is (batch, channels, depth, height, width).

    >>> import symgraph as sg
    >>> x = sg.tensor("x", shape=(1, 2, 4, 5, 6))
    >>> sg.nn.conv3d(x, sg.zeros((7, 2, 2, 2, 2))).shape
    (1, 7, 3, 4, 5)
    """
    return _conv("conv3d", 3, x, w, stride, padding, dilation, 1, groups, layout, flip)


# transposed ---------------------------------------------------------------------------------------


def conv_transpose(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
    dilation: Any = 1, groups: int = 1, layout: str = "NCHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """The transposed convolution (also called deconvolution, or convolution of fractional stride):
    every element of x adds its filter, scaled by it, to the window of the result where it stands.

    It is the derivative by its input of the convolution with the same ``w``, ``stride``,
    ``padding``, ``dilation`` and ``groups``, so ``w`` is (in, out / groups, *kernel), or (*kernel,
    out / groups, in) with the channels last, where "in" are the channels of x. An axis of size n
    becomes (n - 1) * stride + span - before - after + output_padding, where span is
    (kernel - 1) * dilation + 1; with padding "same" it becomes n * stride.

    Raises RankError, ShapeError, ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.conv_transpose([[[1.0, 2.0]]], [[[1.0, 10.0]]], stride=2).eval().tolist()
    [[[1.0, 10.0, 2.0, 20.0]]]
    """
    options = (stride, padding, output_padding, dilation, groups, layout, flip)
    return _transposed("conv_transpose", None, x, w, *options)


def _transposed(
    name: str, spatial: int | None, x: Any, w: Any, stride: Any, padding: Any, more: Any,
    dilation: Any, groups: int, layout: str, turned: bool,
) -> Variable:  # fmt: skip
    x, w = tensors(name, x, w)
    if dtypes.is_narrow(x.dtype) or dtypes.is_complex(x.dtype):
        options = (stride, padding, more, dilation, groups, layout, turned)
        return _in_floats(lambda a, b: _transposed(name, spatial, a, b, *options), x, w)
    axes = Layout(channels_last(layout, name), x.ndim - 2 if spatial is None else spatial)
    count, groups = axes.spatial, as_int(groups, f"{name}: groups")
    _checked_back(name, x, w, spatial, groups, axes)
    stride, dilation = (
        per_axis(v, count, f"{name}: {n}")
        for v, n in ((stride, "stride"), (dilation, "dilation"))
    )  # fmt: skip
    added = tuple(more) if isinstance(more, tuple | list) else (more,) * count
    if len(added) != count or any(not 0 <= m < s for m, s in zip(added, stride, strict=False)):
        raise ArgumentError(
            f"{name}: output_padding {more} is not from 0 to stride - 1 for each of {count} axes"
        )
    _, _, sizes = axes.of_image(x.shape)
    _, _, kernel = axes.of_weights(w.shape)
    same = isinstance(padding, str) and padding.lower() in ("same", "same_lower")
    goal = tuple(as_size(as_expr(n) * s) for n, s in zip(sizes, stride, strict=True))
    before, after = paddings(padding, goal, kernel, stride, dilation, name)
    spans = [reach(k, d) for k, d in zip(kernel, dilation, strict=True)]
    if same:
        sizes = goal
    else:
        rows = zip(sizes, stride, spans, before, after, added, strict=True)
        sizes = tuple(as_size((as_expr(n) - 1) * s + k - b - a + m) for n, s, k, b, a, m in rows)
    for axis, n in enumerate(sizes):
        if isinstance(n, int) and n < 0:
            raise ShapeError(f"{name}: the padding leaves size {n} of spatial axis {axis}",
                             operands=[named(x), named(w)])  # fmt: skip
    if turned:
        w = flip(w, tuple(range(count)) if axes.last else tuple(range(2, count + 2)))
    return ConvolutionInput(stride, before, after, dilation, groups, axes.last, sizes)(x, w)  # type: ignore[no-any-return]


def _checked_back(
    name: str, x: Variable, w: Variable, spatial: int | None, groups: int, axes: Layout
) -> None:
    """As _checked, for weights whose outputs are the channels of x."""
    operands = [named(x), named(w)]
    wanted = "at least 3" if spatial is None else str(spatial + 2)
    if groups < 1:
        raise ArgumentError(f"{name}: groups is at least 1, not {groups}")
    if x.ndim != axes.spatial + 2 or axes.spatial < 1 or w.ndim != x.ndim:
        raise RankError(
            f"{name}: images and weights have {wanted} axes, not {x.ndim} and {w.ndim}",
            operands=operands,
        )
    c, o = axes.of_image(x.shape)[1], axes.of_weights(w.shape)[0]
    if isinstance(c, int) and isinstance(o, int) and c != o:
        where = "last" if axes.last else "first"
        raise ShapeError(
            f"{name}: the images have {c} channels, the weights want {o}", operands=operands,
            hint=f"the {where} axis of the weights counts the channels of the images",
        )  # fmt: skip
    if isinstance(c, int) and c % groups:
        raise ShapeError(f"{name}: {groups} groups do not divide {c} channels", operands=operands)


def conv_transpose1d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
    dilation: Any = 1, groups: int = 1, layout: str = "NCW", flip: bool = False,
) -> Variable:  # fmt: skip
    """:func:`conv_transpose` over one axis.

    >>> import symgraph as sg
    >>> sg.nn.conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 1.0]]]).eval().tolist()
    [[[1.0, 3.0, 2.0]]]
    """
    options = (stride, padding, output_padding, dilation, groups, layout, flip)
    return _transposed("conv_transpose1d", 1, x, w, *options)


def conv_transpose2d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
    dilation: Any = 1, groups: int = 1, layout: str = "NCHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """:func:`conv_transpose` over two axes.

    >>> import symgraph as sg
    >>> x = sg.tensor("x", shape=("batch", 8, 16, 16))
    >>> sg.nn.conv_transpose2d(x, sg.zeros((8, 4, 4, 4)), stride=2, padding=1).type.text()
    'float64[batch, 4, 32, 32]'
    """
    options = (stride, padding, output_padding, dilation, groups, layout, flip)
    return _transposed("conv_transpose2d", 2, x, w, *options)


def conv_transpose3d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
    dilation: Any = 1, groups: int = 1, layout: str = "NCDHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """:func:`conv_transpose` over three axes.

    >>> import symgraph as sg
    >>> x = sg.tensor("x", shape=(1, 2, 3, 3, 3))
    >>> sg.nn.conv_transpose3d(x, sg.zeros((2, 1, 2, 2, 2))).shape
    (1, 1, 4, 4, 4)
    """
    options = (stride, padding, output_padding, dilation, groups, layout, flip)
    return _transposed("conv_transpose3d", 3, x, w, *options)


# channel by channel -------------------------------------------------------------------------------


def _depthwise(
    name: str, spatial: int, x: Any, w: Any, stride: Any, padding: Any, dilation: Any, layout: str,
    turned: bool,
) -> Variable:  # fmt: skip
    x, w = tensors(name, x, w)
    axes = Layout(channels_last(layout, name), spatial)
    if x.ndim != spatial + 2:
        what = f"{name}: images have {spatial + 2} axes, not {x.ndim}"
        raise RankError(what, operands=[named(x)])
    _, c, _ = axes.of_image(x.shape)
    if not isinstance(c, int):
        raise ShapeError(f"{name}: the number of channels must be known", operands=[named(x)])
    return _conv(name, spatial, x, w, stride, padding, dilation, 1, c, layout, turned)


def depthwise_conv1d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1,
    layout: str = "NCW", flip: bool = False,
) -> Variable:  # fmt: skip
    """Each channel of x with filters of its own: :func:`conv1d` with as many groups as channels,
    so that w is (channels * m, 1, kernel), or (kernel, 1, channels * m) with the channels last.

    >>> import symgraph as sg
    >>> x = sg.constant([[[1.0, 2.0], [3.0, 4.0]]])
    >>> sg.nn.depthwise_conv1d(x, [[[1.0]], [[10.0]]]).eval().tolist()
    [[[1.0, 2.0], [30.0, 40.0]]]
    """
    options = (stride, padding, dilation, layout, flip)
    return _depthwise("depthwise_conv1d", 1, x, w, *options)


def depthwise_conv2d(
    x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1,
    layout: str = "NCHW", flip: bool = False,
) -> Variable:  # fmt: skip
    """Each channel of x with filters of its own: :func:`conv2d` with as many groups as channels,
    so that w is (channels * m, 1, *kernel), or (*kernel, 1, channels * m) with the channels last.

    >>> import symgraph as sg
    >>> x = sg.tensor("x", shape=("batch", 16, 16, 32))
    >>> w = sg.zeros((3, 3, 1, 32))
    >>> sg.nn.depthwise_conv2d(x, w, padding="same", layout="NHWC").type.text()
    'float64[batch, 16, 16, 32]'
    """
    options = (stride, padding, dilation, layout, flip)
    return _depthwise("depthwise_conv2d", 2, x, w, *options)


def separable_conv1d(
    x: Any, depthwise: Any, pointwise: Any, stride: Any = 1, padding: Any = "valid",
    dilation: Any = 1, layout: str = "NCW",
) -> Variable:  # fmt: skip
    """:func:`depthwise_conv1d`, then :func:`conv1d` with filters of one element, ``pointwise``.

    >>> import symgraph as sg
    >>> x = sg.constant([[[1.0, 2.0], [3.0, 4.0]]])
    >>> sg.nn.separable_conv1d(x, [[[1.0]], [[10.0]]], [[[1.0], [1.0]]]).eval().tolist()
    [[[31.0, 42.0]]]
    """
    y = depthwise_conv1d(x, depthwise, stride, padding, dilation, layout)
    return conv1d(y, pointwise, layout=layout)


def separable_conv2d(
    x: Any, depthwise: Any, pointwise: Any, stride: Any = 1, padding: Any = "valid",
    dilation: Any = 1, layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """:func:`depthwise_conv2d`, then :func:`conv2d` with filters of one element, ``pointwise``
    (Chollet, 2017).

    >>> import symgraph as sg
    >>> x = sg.tensor("x", shape=("batch", 8, 16, 16))
    >>> y = sg.nn.separable_conv2d(x, sg.zeros((8, 1, 3, 3)), sg.zeros((4, 8, 1, 1)))
    >>> y.type.text()
    'float64[batch, 4, 14, 14]'
    """
    y = depthwise_conv2d(x, depthwise, stride, padding, dilation, layout)
    return conv2d(y, pointwise, layout=layout)
