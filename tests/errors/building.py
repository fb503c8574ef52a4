"""Mistakes that are seen at once, where an expression is written."""

from __future__ import annotations

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(e.ShapeError, "add: sizes differ on axis 0: 3 and 4")
def sizes_that_never_fit() -> None:
    x, y = sg.vector("x", shape=(3,)), sg.vector("y", shape=(4,))
    x + y  # <-


@mistake(e.ShapeError, "matmul: inner sizes differ: 784 and 10")
def matrix_product_of_wrong_sizes() -> None:
    x = sg.matrix("x", shape=("batch", 784))
    w = sg.matrix("w", shape=(10, 784))
    x @ w  # <-


@mistake(e.RankError, "matmul: an operand is a scalar")
def matrix_product_of_a_scalar() -> None:
    x, s = sg.matrix("x"), sg.scalar("s")
    x @ s  # <-


@mistake(e.ShapeError, "reshape: numbers of elements differ: 12 and 10")
def reshape_to_another_number_of_elements() -> None:
    x = sg.matrix("x", shape=(3, 4))
    x.reshape((5, 2))  # <-


@mistake(e.ShapeError, "reshape: only one size may be -1")
def reshape_with_two_open_sizes() -> None:
    x = sg.matrix("x", shape=(3, 4))
    x.reshape((-1, -1))  # <-


@mistake(e.ShapeError, "squeeze: size of axis 0 is not 1: 3 and 1")
def squeeze_of_a_long_axis() -> None:
    x = sg.matrix("x", shape=(3, 1))
    sg.squeeze(x, 0)  # <-


@mistake(e.ShapeError, "concatenate: sizes differ on axis 1: 4 and 5")
def concatenate_of_other_sizes() -> None:
    x, y = sg.matrix("x", shape=(3, 4)), sg.matrix("y", shape=(3, 5))
    sg.concatenate([x, y])  # <-


@mistake(e.ShapeError, "concatenate: sizes differ on axis 1: 3 and 5")
def stack_of_other_shapes() -> None:
    x, y = sg.vector("x", shape=(3,)), sg.vector("y", shape=(5,))
    sg.stack([x, y])  # <-


@mistake(e.RankError, "broadcast_to: 2 axes do not fit into 1")
def broadcast_to_a_smaller_shape() -> None:
    x = sg.matrix("x", shape=(3, 4))
    sg.broadcast_to(x, (4,))  # <-


@mistake(e.ShapeError, "max over axis 0, which has no elements")
def maximum_of_nothing() -> None:
    x = sg.matrix("x", shape=(0, 4))
    sg.max(x, axis=0)  # <-


@mistake(e.AxisError, "sum: axis 2 is out of range for 2 dimensions")
def sum_over_an_axis_that_is_not_there() -> None:
    x = sg.matrix("x")
    sg.sum(x, axis=2)  # <-


@mistake(e.AxisError, "sum: an axis is named twice in (0, -2)")
def sum_over_an_axis_twice() -> None:
    x = sg.matrix("x")
    sg.sum(x, axis=(0, -2))  # <-


@mistake(e.AxisError, "transpose: axis 2 is out of range for 2 dimensions")
def transpose_with_wrong_axes() -> None:
    x = sg.matrix("x")
    sg.transpose(x, (0, 2))  # <-


@mistake(e.RankError, "the shape has 1 sizes, not 2")
def matrix_from_a_vector_shape() -> None:
    sg.matrix("x", shape=(3,))  # <-


@mistake(e.RankError, "cond: pred is a scalar, got bool[?]")
def condition_that_is_a_vector() -> None:
    x = sg.vector("x")
    sg.cond(x > 0, lambda: x, lambda: -x)  # <-


@mistake(e.DTypeError, "bitwise_and is not defined for float64, int")
def bits_of_a_float() -> None:
    x = sg.vector("x")
    x & 1  # <-


@mistake(e.DTypeError, "negative is not defined for bool")
def negative_of_a_bool() -> None:
    x = sg.vector("x", dtype="bool")
    y = -x  # <-
    assert y


@mistake(e.DTypeError, "not a dtype: 'float23'")
def unknown_dtype() -> None:
    sg.vector("x", dtype="float23")  # <-


@mistake(e.DTypeError, "unsupported dtype 'object'")
def dtype_of_objects() -> None:
    sg.constant(np.array([None, "a"], dtype=object))  # <-


@mistake(e.DTypeError, "cannot make a tensor of str")
def text_as_an_operand() -> None:
    x = sg.vector("x")
    x + "one"  # <-


@mistake(e.OutOfRangeError, "the integer 300 does not fit into int8 (-128 to 127)")
def number_too_large_for_the_dtype() -> None:
    x = sg.vector("x", dtype="int8")
    x + 300  # <-


@mistake(e.OutOfRangeError, "the integer -1 does not fit into uint8 (0 to 255)")
def negative_number_for_unsigned() -> None:
    x = sg.vector("x", dtype="uint8")
    x * -1  # <-


@mistake(e.ArgumentError, "the truth of less is not known while the graph is built")
def truth_of_a_tensor() -> None:
    x = sg.scalar("x")
    if x > 0:  # <-
        pass


@mistake(e.ArgumentError, "iteration: the size ? is known only at run time")
def iteration_over_an_unknown_size() -> None:
    x = sg.vector("x")
    for _ in x:  # <-
        pass


@mistake(e.ArgumentError, "len(): the size ? is known only at run time")
def length_of_an_unknown_size() -> None:
    x = sg.vector("x")
    len(x)  # <-


@mistake(e.ArgumentError, "x is no number while the graph is built")
def int_of_a_tensor() -> None:
    x = sg.scalar("x", dtype="int64")
    range(x)  # <-


@mistake(e.ArgumentError, "x is no number while the graph is built")
def float_of_a_tensor() -> None:
    x = sg.scalar("x")
    float(x)  # <-


@mistake(e.ArgumentError, "x cannot be changed in place: a tensor of a graph is a value")
def item_assignment() -> None:
    x = sg.vector("x")
    x[0] = 1.0  # <-


@mistake(e.IndexOutOfRange, "index 3 is out of range for axis 0 of size 3")
def constant_index_out_of_range() -> None:
    x = sg.vector("x", shape=(3,))
    x[3]  # <-


@mistake(e.IndexOutOfRange, "index 4 is out of range for axis 1 of size 4")
def constant_index_array_out_of_range() -> None:
    x = sg.matrix("x", shape=(3, 4))
    x[:, np.array([0, 4])]  # <-


@mistake(e.RankError, "too many indices: 3 for 2 dimensions")
def too_many_indices() -> None:
    x = sg.matrix("x")
    x[0, 0, 0]  # <-


@mistake(e.DTypeError, "an index is an integer, a slice or a mask, not float64[?]")
def float_index() -> None:
    x, i = sg.vector("x"), sg.vector("i")
    x[i]  # <-


@mistake(e.DTypeError, "cannot make a tensor of str")
def text_index() -> None:
    x = sg.vector("x")
    x["rows"]  # <-


@mistake(e.ShapeError, "mask and array: sizes differ on axis 0: 3 and 4")
def mask_of_another_size() -> None:
    x, y = sg.vector("x", shape=(3,)), sg.vector("y", shape=(4,))
    y[x > 0]  # <-


@mistake(e.ShapeError, "function: a size that depends on data is made inside it")
def selection_in_a_function_kept_apart() -> None:
    x = sg.vector("x")
    sg.function_graph(lambda v: v[v > 0], inline=False, name="function")(x)  # <-


@mistake(e.RankError, "a size is a scalar, got int64[2]")
def vector_as_size() -> None:
    n = sg.vector("n", dtype="int64", shape=(2,))
    sg.size_from(n)  # <-


@mistake(e.ArgumentError, "einsum: 'ij->ik' has a repeated or unknown letter after ->")
def unknown_einsum_letters() -> None:
    x = sg.matrix("x")
    sg.einsum("ij->ik", x)  # <-


@mistake(e.ShapeError, "'batch size' cannot name a size")
def size_that_is_no_identifier() -> None:
    sg.vector("x", shape=("batch size",))  # <-


@mistake(e.ShapeError, "a size cannot be negative: -1")
def negative_size() -> None:
    sg.vector("x", shape=(-1,))  # <-


@mistake(e.DTypeError, "scan: output 0 begins as int64, the step makes it float64")
def scan_whose_state_changes_its_dtype() -> None:
    x = sg.vector("x")
    sg.scan(lambda r, s: s + r, [x], [sg.constant(0)])  # <-


@mistake(e.ArgumentError, "scan: without sequences n_steps is needed")
def scan_without_a_length() -> None:
    sg.scan(lambda s: s + 1, None, [sg.constant(0.0)])  # <-


@mistake(e.ShapeError, "cond: output 0 of the branches: sizes of axis 0 differ: 3 and 2")
def branches_of_other_shapes() -> None:
    x = sg.vector("x", shape=(3,))
    sg.cond(x[0] > 0, lambda: x, lambda: x[1:])  # <-


@mistake(e.GradientError, "grad: the cost is no scalar but float64[?]")
def gradient_of_a_vector() -> None:
    x = sg.vector("x")
    sg.grad(x * x, x)  # <-


@mistake(e.GradientError, "grad: x is int64; only floats have derivatives")
def gradient_of_integers() -> None:
    x = sg.vector("x", dtype="int64")
    sg.grad(sg.sum(x * 1.5), x)  # <-


@mistake(e.GradientError, "grad: the cost does not depend on y")
def gradient_by_what_is_not_there() -> None:
    x, y = sg.vector("x"), sg.vector("y")
    sg.grad(sg.sum(x), y)  # <-


@mistake(
    e.GradientError,
    "grad: the cost depends on x only through argmax",
)
def gradient_through_a_position() -> None:
    x = sg.vector("x")
    sg.grad(sg.argmax(x) * 1.0, x)  # <-
