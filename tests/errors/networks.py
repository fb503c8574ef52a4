"""Layers, losses and optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ShapeError,
    "conv2d: the images have 3 channels, the weights want 5",
    caret="sg.nn.conv2d(x, w)",
    hint="images are (batch, channels, *sizes)",
    operands="x: float64[1, 3, 8, 8], w: float64[4, 5, 3, 3]",
)
def conv_channels() -> Any:
    x = sg.tensor("x", shape=(1, 3, 8, 8))
    w = sg.tensor("w", shape=(4, 5, 3, 3))
    return sg.nn.conv2d(x, w)  # <-


@mistake(
    e.RankError,
    "conv2d: images have 4 axes, not 3",
    caret="sg.nn.conv2d(x, w)",
    hint="they are (batch, channels, *sizes)",
    operands="x: float64[3, 8, 8], w: float64[4, 3, 3, 3]",
)
def conv_rank() -> Any:
    x = sg.tensor("x", shape=(3, 8, 8))
    w = sg.tensor("w", shape=(4, 3, 3, 3))
    return sg.nn.conv2d(x, w)  # <-


@mistake(
    e.ArgumentError,
    "conv2d: unknown padding 'same_'",
    caret='sg.nn.conv2d(x, w, padding="same_")',
    hint="valid, same, same_lower, full, half, or sizes",
)
def conv_padding() -> Any:
    x = sg.tensor("x", shape=(1, 3, 8, 8))
    w = sg.tensor("w", shape=(4, 3, 3, 3))
    return sg.nn.conv2d(x, w, padding="same_")  # <-


@mistake(
    e.ShapeError,
    "conv2d: a kernel of 3 does not fit spatial axis 0 of size 2",
    caret="sg.nn.conv2d(x, w)",
    hint='padding="same" keeps sizes',
    operands="x: float64[1, 3, 2, 2], w: float64[4, 3, 3, 3]",
)
def conv_too_big() -> Any:
    x = sg.tensor("x", shape=(1, 3, 2, 2))
    w = sg.tensor("w", shape=(4, 3, 3, 3))
    return sg.nn.conv2d(x, w)  # <-


@mistake(
    e.ArgumentError, "conv2d: stride is at least 1, not 0", caret="sg.nn.conv2d(x, w, stride=0)"
)
def conv_stride0() -> Any:
    x = sg.tensor("x", shape=(1, 3, 8, 8))
    w = sg.tensor("w", shape=(4, 3, 3, 3))
    return sg.nn.conv2d(x, w, stride=0)  # <-


@mistake(
    e.ShapeError,
    "max_pool: a window of 3 does not fit axis 2 of size 2",
    caret="sg.nn.max_pool(x, 3)",
    operands="x: float64[1, 3, 2, 2]",
)
def pool_too_big() -> Any:
    x = sg.tensor("x", shape=(1, 3, 2, 2))
    return sg.nn.max_pool(x, 3)  # <-


@mistake(
    e.ArgumentError,
    "max_pool: a window of (2, 2, 2) for 2 axes",
    caret="sg.nn.max_pool(x, (2, 2, 2))",
)
def pool_window() -> Any:
    x = sg.tensor("x", shape=(1, 3, 8, 8))
    return sg.nn.max_pool(x, (2, 2, 2))  # <-


@mistake(
    e.ArgumentError,
    "dropout: the rate is a Python number, not the tensor value",
    caret='sg.nn.dropout(sg.vector("x"), 1.5, sg.random.key(0))',
    hint="the key comes first: sg.nn.dropout(key, x, rate)",
    operands="value: uint32[2]",
)
def dropout_rate() -> Any:
    return sg.nn.dropout(sg.vector("x"), 1.5, sg.random.key(0))  # <-


@mistake(
    e.ShapeError,
    "softmax_cross_entropy: 1 axes of probabilities for 2 of scores",
    caret="sg.nn.softmax_cross_entropy(x, y)",
    hint="targets that are class numbers are integers",
    operands="x: float64[b, 3], y: float64[b]",
)
def xent_float_labels() -> Any:
    x = sg.matrix("x", shape=("b", 3))
    y = sg.vector("y", shape=("b",))
    return sg.nn.softmax_cross_entropy(x, y)  # <-


@mistake(
    e.DTypeError,
    "one_hot: labels are integers, not float64",
    caret='sg.nn.one_hot(sg.vector("y"), 3)',
    hint='labels.astype("int64")',
    operands="y: float64[?]",
)
def one_hot_float() -> Any:
    return sg.nn.one_hot(sg.vector("y"), 3)  # <-


@mistake(
    e.DTypeError,
    "embedding: labels are integers, not float64",
    caret='sg.nn.embedding(sg.matrix("t"), sg.vector("i"))',
    hint="the integers come first: sg.nn.embedding(indices, table)",
    operands="t: float64[?, ?], i: float64[?]",
)
def embedding_float() -> Any:
    return sg.nn.embedding(sg.matrix("t"), sg.vector("i"))  # <-


@mistake(
    e.ArgumentError,
    "layer_norm: axis is known while the graph is built; g is a tensor",
    hint="give a Python number; where a size is meant, x.shape[0] or",
    operands="g: float64[7]",
)
def layer_norm_size() -> Any:
    return sg.nn.layer_norm(
        sg.matrix("x", shape=("b", 8)), sg.vector("g", shape=(7,)), sg.vector("b", shape=(7,))
    )  # <-


@mistake(
    e.AxisError,
    "softmax: axis 1 is out of range for 1 dimension",
    caret='sg.nn.softmax(sg.vector("x"), axis=1)',
    hint="axes run from 0 to 0, or from -1 to -1 counted from the end",
    operands="x: float64[?]",
)
def softmax_axis() -> Any:
    return sg.nn.softmax(sg.vector("x"), axis=1)  # <-


@mistake(
    e.ShapeError,
    "matmul: inner sizes differ: 8 and 6",
    caret="sg.nn.dot_product_attention(q, k, k)",
    operands="q: float64[2, 4, 8], transpose: float64[2, 6, 4]",
)
def attention_dims() -> Any:
    q = sg.tensor("q", shape=(2, 4, 8))
    k = sg.tensor("k", shape=(2, 4, 6))
    return sg.nn.dot_product_attention(q, k, k)  # <-


@mistake(
    e.RankError,
    "lstm: the weights w and u are matrices",
    operands="x: float64[5, 2, 3], w: float64[3, 16], u: float64[5, 16]",
)
def lstm_sizes() -> Any:
    return sg.nn.lstm(
        sg.tensor("x", shape=(5, 2, 3)),
        sg.matrix("w", shape=(3, 16)),
        sg.matrix("u", shape=(5, 16)),
    )  # <-


@mistake(
    e.ShapeError,
    "group_norm: 4 groups do not divide 6 channels",
    caret='sg.nn.group_norm(sg.tensor("x", shape=(2, 6, 4, 4)), 4)',
    operands="x: float64[2, 6, 4, 4]",
)
def group_norm_groups() -> Any:
    return sg.nn.group_norm(sg.tensor("x", shape=(2, 6, 4, 4)), 4)  # <-


@mistake(
    e.ShapeError,
    "subtract: sizes differ on axis 0: 3 and 4",
    caret='sg.nn.mse(sg.vector("p", shape=(3,)), sg.vector("t", shape=(4,)))',
    hint="sizes along an axis are equal, or one of them is 1; axes",
    operands="p: float64[3], t: float64[4]",
)
def mse_shape() -> Any:
    return sg.nn.mse(sg.vector("p", shape=(3,)), sg.vector("t", shape=(4,)))  # <-


@mistake(
    e.ArgumentError,
    "sgd: <x: float64[?]> is no shared variable",
    caret="sg.optim.sgd(sg.sum(x * x), [x], 0.1)",
    hint="sg.shared makes one",
)
def optim_no_params() -> Any:
    x = sg.vector("x")
    return sg.optim.sgd(sg.sum(x * x), [x], 0.1)  # <-


@mistake(
    e.ArgumentError,
    "adam: the learning rate is 'fast'",
    caret='sg.optim.adam(sg.sum(w * w), [w], "fast")',
    hint="a number, a shared variable, or a schedule of sg.optim",
)
def optim_rate_str() -> Any:
    w = sg.shared(np.zeros(3), "w")
    return sg.optim.adam(sg.sum(w * w), [w], "fast")  # <-


@mistake(
    e.GradientError,
    "grad: the cost is no scalar but float64[3]",
    caret="sg.optim.adam(w * w, [w], 0.1)",
    hint="take sg.sum or sg.mean of it, or use sg.vjp or sg.jacobian",
    operands="multiply: float64[3]",
)
def optim_vector_loss() -> Any:
    w = sg.shared(np.zeros(3), "w")
    return sg.optim.adam(w * w, [w], 0.1)  # <-


@mistake(
    e.GradientError,
    "grad: the cost does not depend on v",
    caret="sg.optim.sgd(sg.sum(w * w), [w, v], 0.1)",
    hint='disconnected="zero" gives zeros instead',
    operands="v: float64[3]",
)
def optim_unused_param() -> Any:
    w, v = sg.shared(np.zeros(3), "w"), sg.shared(np.zeros(3), "v")
    return sg.optim.sgd(sg.sum(w * w), [w, v], 0.1)  # <-


@mistake(
    e.ShapeError,
    "odeint: part 0 of fn(y, t) is float64[4], of the unknown float64[2]",
    operands="y0: float64[2]",
)
def odeint_shape() -> Any:
    return sg.integrate.odeint(
        lambda y, t: sg.concatenate([y, y]), sg.vector("y0", shape=(2,)), np.linspace(0, 1, 5)
    )  # <-


@mistake(
    e.GradientError,
    "minimize: fn gives float64[?], not a real scalar",
    caret='sg.optimize.minimize(lambda x: x * x, sg.vector("x0"))',
    hint="take sg.sum or sg.mean of it",
    operands="multiply: float64[?]",
)
def minimize_vector() -> Any:
    return sg.optimize.minimize(lambda x: x * x, sg.vector("x0"))  # <-


@mistake(
    e.ShapeError,
    "root: part 0 of fn(x) is float64, of the unknown float64[3]",
    caret='sg.optimize.root(lambda x: sg.sum(x), sg.vector("x0", shape=(3,)))',
    operands="x0: float64[3]",
)
def root_shape() -> Any:
    return sg.optimize.root(lambda x: sg.sum(x), sg.vector("x0", shape=(3,)))  # <-
