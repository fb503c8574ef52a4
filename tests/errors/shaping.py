"""Shapes and axes that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ShapeError,
    "add: sizes differ on axis 1: 10 and 12",
    caret="x @ w + b",
    hint="sizes along an axis are equal, or one of them is 1; axes",
    operands="matmul: float64[batch, 10], b: float64[12]",
)
def bias_of_wrong_size() -> Any:
    x = sg.matrix("x", shape=("batch", 784))
    w = sg.shared(np.zeros((784, 10)), "w")
    b = sg.shared(np.zeros(12), "b")
    return x @ w + b  # <-


@mistake(
    e.ShapeError,
    "where: sizes differ on axis 0: 3 and 4",
    caret="sg.where(x > 0, x, np.zeros(4))",
    hint="sizes along an axis are equal, or one of them is 1; axes",
    operands="less: bool[3], x: float64[3]",
)
def where_of_shapes() -> Any:
    x = sg.vector("x", shape=(3,))
    return sg.where(x > 0, x, np.zeros(4))  # <-


@mistake(
    e.RankError,
    "concatenate: cannot join tensors of 1 and 2 dimensions",
    caret='sg.concatenate([sg.vector("x"), sg.matrix("y")])',
    hint="x[None] adds a leading axis",
    operands="x: float64[?], y: float64[?, ?]",
)
def hstack_rank() -> Any:
    return sg.concatenate([sg.vector("x"), sg.matrix("y")])  # <-


@mistake(
    e.ArgumentError,
    "concatenate takes a list of tensors, not the one tensor x",
    caret="sg.concatenate(x, x)",
    hint="write sg.concatenate([x, y])",
    operands="x: float64[?]",
)
def concat_no_list() -> Any:
    x = sg.vector("x")
    return sg.concatenate(x, x)  # <-


@mistake(
    e.ArgumentError,
    "concatenate takes a sequence of at least one tensor, not an empty one",
    caret="sg.concatenate([])",
    hint="write sg.concatenate([x, y])",
)
def concat_empty() -> Any:
    return sg.concatenate([])  # <-


@mistake(
    e.ArgumentError,
    "stack takes a sequence of at least one tensor, not an empty one",
    caret="sg.stack([])",
    hint="write sg.stack([x, y])",
)
def stack_empty() -> Any:
    return sg.stack([])  # <-


@mistake(
    e.ShapeError,
    "split: an axis of size 10 cannot be cut into 3 equal parts",
    caret="sg.split(x, 3)",
    hint="sg.array_split makes parts that differ by 1; sg.split(x,",
    operands="x: float64[10]",
)
def split_uneven() -> Any:
    x = sg.vector("x", shape=(10,))
    return sg.split(x, 3)  # <-


@mistake(
    e.ShapeError,
    "tile: a size cannot be negative: -1",
    caret='sg.tile(sg.vector("x"), -1)',
    operands="x: float64[?]",
)
def tile_negative() -> Any:
    return sg.tile(sg.vector("x"), -1)  # <-


@mistake(
    e.ArgumentError,
    "reshape: expected an int, got float",
    caret="x.reshape((4 / 2, 2))",
    hint="write // for a whole number",
)
def reshape_float() -> Any:
    x = sg.vector("x", shape=(4,))
    return x.reshape((4 / 2, 2))  # <-


@mistake(
    e.ShapeError,
    "reshape: a size cannot be negative: -2",
    caret="x.reshape((-2, 2))",
    operands="x: float64[4]",
)
def reshape_neg2() -> Any:
    x = sg.vector("x", shape=(4,))
    return x.reshape((-2, 2))  # <-


@mistake(
    e.DTypeError,
    "not a dtype: 4",
    caret="sg.zeros(3, 4)",
    hint="here stands the dtype; a shape is one tuple (3, 4), other",
)
def zeros_two_args() -> Any:
    return sg.zeros(3, 4)  # <-


@mistake(
    e.AxisError,
    "swapaxes: axis 2 is out of range for 2 dimensions",
    caret='sg.swapaxes(sg.matrix("x"), 0, 2)',
    hint="axes run from 0 to 1, or from -2 to -1 counted from the end",
    operands="x: float64[?, ?]",
)
def swapaxes_out() -> Any:
    return sg.swapaxes(sg.matrix("x"), 0, 2)  # <-


@mistake(
    e.AxisError,
    "moveaxis: axis 3 is out of range for 2 dimensions",
    caret='sg.moveaxis(sg.matrix("x"), 0, 3)',
    hint="axes run from 0 to 1, or from -2 to -1 counted from the end",
    operands="x: float64[?, ?]",
)
def moveaxis_out() -> Any:
    return sg.moveaxis(sg.matrix("x"), 0, 3)  # <-


@mistake(
    e.AxisError,
    "expand_dims: axis 3 is out of range for 2 dimensions",
    caret='sg.expand_dims(sg.vector("x"), 3)',
    hint="axes run from 0 to 1, or from -2 to -1 counted from the end",
    operands="x: float64[?]",
)
def expand_dims_out() -> Any:
    return sg.expand_dims(sg.vector("x"), 3)  # <-


@mistake(
    e.AxisError,
    "flip: axis 1 is out of range for 1 dimension",
    caret='sg.flip(sg.vector("x"), 1)',
    hint="axes run from 0 to 0, or from -1 to -1 counted from the end",
    operands="x: float64[?]",
)
def flip_out() -> Any:
    return sg.flip(sg.vector("x"), 1)  # <-


@mistake(
    e.ShapeError,
    "matmul: inner sizes differ: 3 and 4",
    caret="v.T @ w",
    operands="v: float64[3], w: float64[4, 5]",
)
def transpose_vector_matmul() -> Any:
    v = sg.vector("v", shape=(3,))
    w = sg.matrix("w", shape=(4, 5))
    return v.T @ w  # <-


@mistake(
    e.ShapeError,
    "tensordot: sizes of axes 1 and 0 differ: 3 and 4",
    caret="sg.tensordot(a, b, 1)",
    operands="a: float64[2, 3], b: float64[4, 5]",
)
def outer_mismatch_tensordot() -> Any:
    a = sg.matrix("a", shape=(2, 3))
    b = sg.matrix("b", shape=(4, 5))
    return sg.tensordot(a, b, 1)  # <-


@mistake(
    e.ShapeError,
    "einsum: sizes of 'j' differ: 3 and 4",
    caret='sg.einsum("ij,jk->ik", a, b)',
    operands="a: float64[2, 3], b: float64[4, 5]",
)
def einsum_sizes() -> Any:
    a = sg.matrix("a", shape=(2, 3))
    b = sg.matrix("b", shape=(4, 5))
    return sg.einsum("ij,jk->ik", a, b)  # <-


@mistake(
    e.ArgumentError, "einsum: 2 terms in 'ij,jk->ik', 1 operands", caret='sg.einsum("ij,jk->ik", a)'
)
def einsum_count() -> Any:
    a = sg.matrix("a")
    return sg.einsum("ij,jk->ik", a)  # <-


@mistake(
    e.RankError,
    "einsum: 'ijk' names 3 axes, its operand has 2",
    caret='sg.einsum("ijk->i", a)',
    operands="a: float64[?, ?]",
)
def einsum_rank() -> Any:
    a = sg.matrix("a")
    return sg.einsum("ijk->i", a)  # <-


@mistake(
    e.ShapeError,
    "pad: a size cannot be negative: -1",
    caret='sg.pad(sg.vector("x"), -1)',
    operands="x: float64[?]",
)
def pad_negative() -> Any:
    return sg.pad(sg.vector("x"), -1)  # <-


@mistake(e.ArgumentError, "arange: the step is 0", caret="sg.arange(0, 10, 0)")
def arange_zero_step() -> Any:
    return sg.arange(0, 10, 0)  # <-


@mistake(
    e.ShapeError,
    "a size cannot be negative: -3",
    caret="sg.linspace(0, 1, -3)",
    hint="for a size that is not known: None or a name",
)
def linspace_negative() -> Any:
    return sg.linspace(0, 1, -3)  # <-


@mistake(
    e.RankError,
    "diag: needs a vector or a matrix, got 3 dimensions",
    caret='sg.diag(sg.tensor("x", shape=(2, 2, 2)))',
    operands="x: float64[2, 2, 2]",
)
def diag_rank3() -> Any:
    return sg.diag(sg.tensor("x", shape=(2, 2, 2)))  # <-


@mistake(
    e.ShapeError,
    "'nm k' cannot name a size",
    caret='sg.matrix("x", shape="nm k")',
    hint="a size name is an identifier that does not begin with an",
)
def shape_string() -> Any:
    return sg.matrix("x", shape="nm k")  # <-


@mistake(
    e.ShapeError,
    "a size is an int, a name or None, not 3.5",
    caret='sg.vector("x", shape=(3.5,))',
    hint="write // for whole sizes",
)
def shape_float() -> Any:
    return sg.vector("x", shape=(3.5,))  # <-


@mistake(
    e.DTypeError,
    "not a dtype: (3,)",
    caret='sg.vector("x", (3,))',
    hint="here stands the dtype; a shape is one tuple (3, 4), other",
)
def tensor_dtype_pos() -> Any:
    return sg.vector("x", (3,))  # <-


@mistake(
    e.ShapeError,
    "cross: vectors have three elements, not 4",
    caret='sg.cross(sg.vector("a", shape=(4,)), sg.vector("b", shape=(4,)))',
    operands="a: float64[4], b: float64[4]",
)
def cross_size() -> Any:
    return sg.cross(sg.vector("a", shape=(4,)), sg.vector("b", shape=(4,)))  # <-


@mistake(
    e.ShapeError,
    "specify_shape: sizes differ on axis 0: 3 and 4",
    caret='sg.specify_shape(sg.vector("a", shape=(3,)), (4,))',
    operands="a: float64[3]",
)
def specify_shape_bad() -> Any:
    return sg.specify_shape(sg.vector("a", shape=(3,)), (4,))  # <-


@mistake(
    e.AxisError,
    "sort: axis 1 is out of range for 1 dimension",
    caret='sg.sort(sg.vector("x"), axis=1)',
    hint="axes run from 0 to 0, or from -1 to -1 counted from the end",
    operands="x: float64[?]",
)
def sort_axis() -> Any:
    return sg.sort(sg.vector("x"), axis=1)  # <-


@mistake(
    e.ShapeError,
    "topk: 5 elements of an axis of size 3",
    caret='sg.topk(sg.vector("x", shape=(3,)), 5)',
    operands="x: float64[3]",
)
def topk_too_many() -> Any:
    return sg.topk(sg.vector("x", shape=(3,)), 5)  # <-


@mistake(
    e.ArgumentError,
    "sum: axis: expected an int, got float",
    caret='sg.sum(sg.matrix("x"), axis=1.0)',
    hint="write // for a whole number",
)
def axis_float() -> Any:
    return sg.sum(sg.matrix("x"), axis=1.0)  # <-


@mistake(
    e.ArgumentError,
    "sum: axis: expected an int, got str",
    caret='sg.sum(sg.matrix("x"), axis="rows")',
)
def axis_str() -> Any:
    return sg.sum(sg.matrix("x"), axis="rows")  # <-


@mistake(
    e.ArgumentError,
    "sum: axis is known while the graph is built; k is a tensor",
    caret='sg.sum(sg.matrix("x"), axis=sg.scalar("k", dtype="int64"))',
    hint="give a Python number; where a size is meant, x.shape[0] or",
    operands="k: int64",
)
def axis_tensor() -> Any:
    return sg.sum(sg.matrix("x"), axis=sg.scalar("k", dtype="int64"))  # <-


@mistake(
    e.IndexOutOfRange,
    "index 3 is out of range for axis 1 of size 3",
    caret='sg.matrix("x", shape=(2, 3))[:, 3]',
    hint="valid indices are -3 to 2",
    operands="x: float64[2, 3]",
)
def index_axis_const() -> Any:
    return sg.matrix("x", shape=(2, 3))[:, 3]  # <-


@mistake(
    e.IndexOutOfRange,
    "index -4 is out of range for axis 0 of size 3",
    caret='sg.vector("x", shape=(3,))[-4]',
    hint="valid indices are -3 to 2",
    operands="x: float64[3]",
)
def index_neg() -> Any:
    return sg.vector("x", shape=(3,))[-4]  # <-


@mistake(
    e.ArgumentError,
    "an index can have only one ellipsis",
    caret='sg.matrix("x")[..., ...]',
    hint="write : for each other axis",
)
def two_ellipses() -> Any:
    return sg.matrix("x")[..., ...]  # <-


@mistake(
    e.ArgumentError,
    "slice step cannot be zero",
    caret='sg.vector("x")[::0]',
    hint="x[::-1] reverses, x[::2] takes every second element",
)
def slice_zero_step() -> Any:
    return sg.vector("x")[::0]  # <-


@mistake(
    e.ArgumentError,
    "slice bound: expected an int, got float",
    caret='sg.vector("x")[0:2.5]',
    hint="write // for a whole number",
)
def slice_float() -> Any:
    return sg.vector("x")[0:2.5]  # <-


@mistake(
    e.ShapeError,
    "index arrays: sizes differ on axis 0: 2 and 3",
    caret="x[np.array([0, 1]), np.array([0, 1, 2])]",
    operands="x: float64[?, ?]",
)
def index_shapes() -> Any:
    x = sg.matrix("x")
    return x[np.array([0, 1]), np.array([0, 1, 2])]  # <-


@mistake(
    e.RankError,
    "too many indices: a mask of 2 axes for 1",
    caret='x[sg.matrix("m", dtype="bool")]',
    operands="x: float64[?], m: bool[?, ?]",
)
def mask_rank() -> Any:
    x = sg.vector("x")
    return x[sg.matrix("m", dtype="bool")]  # <-


@mistake(
    e.ShapeError,
    "x.at[...].set: a value of type float64[3] for places of the shape [2]",
    caret="x.at[:2].set(np.ones(3))",
    hint="a value has the shape of x[...], or broadcasts to it",
)
def at_set_shape() -> Any:
    x = sg.vector("x", shape=(4,))
    return x.at[:2].set(np.ones(3))  # <-


@mistake(
    e.AxisError,
    "take: axis 2 is out of range for 2 dimensions",
    caret='sg.take(sg.matrix("x"), [0], axis=2)',
    hint="axes run from 0 to 1, or from -2 to -1 counted from the end",
    operands="x: float64[?, ?]",
)
def take_axis() -> Any:
    return sg.take(sg.matrix("x"), [0], axis=2)  # <-


@mistake(
    e.DTypeError,
    "an index is an integer, a slice or a mask, not float64[?]",
    caret='sg.take(sg.vector("x"), sg.vector("i"))',
    hint='i.astype("int64") makes integers of it; i // 2 stays an',
    operands="x: float64[?], i: float64[?]",
)
def take_float() -> Any:
    return sg.take(sg.vector("x"), sg.vector("i"))  # <-


@mistake(
    e.RankError,
    "searchsorted: 2 and 1 dimensions do not go together",
    caret='sg.searchsorted(sg.matrix("a"), sg.vector("v"))',
    operands="a: float64[?, ?], v: float64[?]",
)
def searchsorted_rank() -> Any:
    return sg.searchsorted(sg.matrix("a"), sg.vector("v"))  # <-


@mistake(
    e.ShapeError,
    "fft: a size cannot be negative: -3",
    caret='sg.fft.fft(sg.vector("x"), n=-3)',
    operands="x: float64[?]",
)
def fft_int_n() -> Any:
    return sg.fft.fft(sg.vector("x"), n=-3)  # <-


@mistake(
    e.RankError,
    "convolve takes two vectors, got 2 and 1 dimensions",
    caret='sg.convolve(sg.matrix("x"), sg.vector("k"))',
    operands="x: float64[?, ?], k: float64[?]",
)
def convolve_rank() -> Any:
    return sg.convolve(sg.matrix("x"), sg.vector("k"))  # <-
