"""Mistakes of hands that are used to NumPy, PyTorch or plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ArgumentError,
    "np.sin wants an array; x has no elements while the graph is built",
    caret='np.sin(sg.vector("x"))',
    hint="sg.sin is the function of graphs; for the value of a",
    operands="x: float64[?]",
)
def np_sin() -> Any:
    return np.sin(sg.vector("x"))  # <-


@mistake(
    e.ArgumentError,
    "np.dot wants an array; x has no elements while the graph is built",
    caret='np.dot(sg.matrix("x"), np.ones((3, 3)))',
    hint="sg.dot is the function of graphs; for the value of a",
    operands="x: float64[?, ?]",
)
def np_dot() -> Any:
    return np.dot(sg.matrix("x"), np.ones((3, 3)))  # <-


@mistake(
    e.ArgumentError,
    "np.sum wants an array; x has no elements while the graph is built",
    caret='np.sum(sg.vector("x"))',
    hint="sg.sum is the function of graphs; for the value of a",
    operands="x: float64[?]",
)
def np_sum() -> Any:
    return np.sum(sg.vector("x"))  # <-


@mistake(
    e.ArgumentError,
    "np.concatenate wants an array; x has no elements while the graph is built",
    caret='np.concatenate([sg.vector("x"), np.ones(3)])',
    hint="sg.concatenate is the function of graphs; for the value of",
    operands="x: float64[?]",
)
def np_concatenate() -> Any:
    return np.concatenate([sg.vector("x"), np.ones(3)])  # <-


@mistake(
    e.ArgumentError,
    "x is no array while the graph is built",
    caret='np.array([sg.scalar("x"), 1.0])',
    hint="call the function of symgraph (sg.exp for np.exp); for its",
    operands="x: float64",
)
def np_array() -> Any:
    return np.array([sg.scalar("x"), 1.0])  # <-


@mistake(
    e.ArgumentError,
    "np.linalg.norm wants an array; x has no elements while the graph is built",
    caret='np.linalg.norm(sg.vector("x"))',
    hint="sg.linalg.norm is the function of graphs; for the value of",
    operands="x: float64[?]",
)
def np_linalg() -> Any:
    return np.linalg.norm(sg.vector("x"))  # <-


@mistake(
    e.ArgumentError,
    "np.where wants an array; x has no elements while the graph is built",
    caret="np.where(x > 0, x, 0)",
    hint="sg.where is the function of graphs; for the value of a",
    operands="x: float64[?]",
)
def np_where() -> Any:
    x = sg.vector("x")
    return np.where(x > 0, x, 0)  # <-


@mistake(
    e.ArgumentError,
    "np.maximum wants an array; x has no elements while the graph is built",
    caret="np.maximum(x, 0)",
    hint="sg.maximum is the function of graphs; for the value of a",
    operands="x: float64[?]",
)
def np_maximum() -> Any:
    x = sg.vector("x")
    return np.maximum(x, 0)  # <-


@mistake(
    e.ArgumentError,
    "np.add: a tensor of the graph cannot be written into an array of NumPy",
    hint="write y = y + x instead of y += x; y becomes a tensor",
    operands="x: float64[?]",
)
def np_out() -> Any:
    y = np.zeros(3)
    y += sg.vector("x")  # <-


@mistake(
    e.ArgumentError,
    "x is no number while the graph is built",
    caret='math.exp(sg.scalar("x"))',
    hint="compile it, or ask for its value by .eval(); sizes are",
    operands="x: float64",
)
def math_exp() -> Any:
    return math.exp(sg.scalar("x"))  # <-


@mistake(
    e.ArgumentError,
    "the size ? is known only at run time",
    caret="math.sqrt(x.shape[0])",
    hint="declare it (shape=(3,)) where Python needs the number;",
)
def math_sqrt_size() -> Any:
    x = sg.vector("x")
    return math.sqrt(x.shape[0])  # <-


@mistake(
    e.ArgumentError,
    "x is no number while the graph is built",
    caret="f\"{sg.scalar('x'):.3f}\"",
    hint="compile it, or ask for its value by .eval(); sizes are",
    operands="x: float64",
)
def format_spec() -> Any:
    return f"{sg.scalar('x'):.3f}"  # <-


@mistake(
    e.ArgumentError,
    "the size ? is known only at run time",
    caret="range(x.shape[0])",
    hint="declare it (shape=(3,)) where Python needs the number;",
)
def range_of_shape() -> Any:
    x = sg.vector("x")
    return list(range(x.shape[0]))  # <-


@mistake(
    e.ArgumentError,
    "the size ? is known only at run time",
    caret="int(x.shape[0])",
    hint="declare it (shape=(3,)) where Python needs the number;",
)
def int_shape() -> Any:
    x = sg.vector("x")
    return int(x.shape[0])  # <-


@mistake(
    e.ArgumentError,
    "the size ? is known only at run time",
    caret="np.zeros(x.shape)",
    hint="declare it (shape=(3,)) where Python needs the number;",
)
def np_zeros_shape() -> Any:
    x = sg.vector("x")
    return np.zeros(x.shape)  # <-


@mistake(
    e.ArgumentError,
    "the size ? is known only at run time",
    caret="x.shape[0] > 3",
    hint="declare it (shape=(3,)) where Python needs the number;",
)
def if_shape() -> Any:
    x = sg.vector("x")
    if x.shape[0] > 3:  # <-
        return 1


@mistake(
    e.ArgumentError,
    "x cannot be changed in place: a tensor of a graph is a value",
    caret="x[0]",
    hint="x.at[i].set(v) and x.at[i].add(v) give a changed copy",
    operands="x: float64[?]",
)
def augmented_item() -> Any:
    x = sg.vector("x")
    x[0] += 1.0  # <-


@mistake(
    e.ArgumentError,
    "x cannot be changed in place: a tensor of a graph is a value",
    caret="x[0]",
    hint="x.at[i].set(v) and x.at[i].add(v) give a changed copy",
    operands="x: float64[?]",
)
def delete_item() -> Any:
    x = sg.vector("x")
    del x[0]  # <-


@mistake(
    e.ArgumentError,
    "whether x contains a value is not known while the graph is built",
    caret='1 in sg.vector("x")',
    hint="sg.any(x == value); for a list of tensors: any(v is x for v",
    operands="x: float64[?]",
)
def in_tensor() -> Any:
    return 1 in sg.vector("x")  # <-


@mistake(
    e.ArgumentError,
    "iteration: the size ? is known only at run time",
    caret="a, b",
    hint="sg.scan loops over an axis of any size, sg.sum and the like",
    operands="x: float64[?]",
)
def tuple_unpack() -> Any:
    a, b = sg.vector("x")  # <-
    return a + b


@mistake(
    e.RankError,
    "iteration of a 0-d tensor: it has no axes",
    caret='[v for v in sg.scalar("x")]',
    hint="sg.expand_dims(x, 0) is a vector of one element",
    operands="x: float64",
)
def iterate_scalar() -> Any:
    return [v for v in sg.scalar("x")]  # <-


@mistake(
    e.ArgumentError,
    "iteration: the size ? is known only at run time",
    caret='sum(sg.vector("x"))',
    hint="sg.scan loops over an axis of any size, sg.sum and the like",
    operands="x: float64[?]",
)
def sum_builtin() -> Any:
    return sum(sg.vector("x"))  # <-


@mistake(
    e.ArgumentError,
    "the truth of less is not known while the graph is built",
    caret="max(x, y)",
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="less: bool",
)
def max_builtin() -> Any:
    x, y = sg.scalar("x"), sg.scalar("y")
    return max(x, y)  # <-


@mistake(
    e.ArgumentError,
    "the truth of less is not known while the graph is built",
    caret='sorted([sg.scalar("x"), sg.scalar("y")])',
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="less: bool",
)
def sorted_builtin() -> Any:
    return sorted([sg.scalar("x"), sg.scalar("y")])  # <-


@mistake(
    e.ArgumentError,
    "the truth of equal is not known while the graph is built",
    caret="[x, x + 1].index(x + 1)",
    hint="`is` says whether two names stand for one tensor; sg.where",
    operands="equal: bool[?]",
)
def hash_dict_eq() -> Any:
    x = sg.vector("x")
    return [x, x + 1].index(x + 1)  # <-


@mistake(
    e.ArgumentError,
    "the truth of less is not known while the graph is built",
    caret="x > 0 and x < 1",
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="less: bool[?]",
)
def bool_and() -> Any:
    x = sg.vector("x")
    return x > 0 and x < 1  # <-


@mistake(
    e.ArgumentError,
    "the truth of less is not known while the graph is built",
    caret="0 < x < 1",
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="less: bool",
)
def chained() -> Any:
    x = sg.scalar("x")
    return 0 < x < 1  # <-


@mistake(
    e.ArgumentError,
    "the truth of x is not known while the graph is built",
    caret="not x",
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="x: float64",
)
def negation() -> Any:
    x = sg.scalar("x")
    return not x  # <-


@mistake(
    e.DTypeError,
    "bitwise_and is not defined for int, float64",
    caret="0 & x",
    hint="it works on integers and bools; & binds tighter than <:",
    operands="x: float64[?]",
)
def and_of_comparisons() -> Any:
    x = sg.vector("x")
    return x > 0 & x < 1  # <-


@mistake(
    e.NoSuchAttribute,
    "a tensor has no attribute 'summ'",
    caret='sg.matrix("x").summ',
    hint="did you mean sum?",
    operands="x: float64[?, ?]",
)
def method_typo() -> Any:
    return sg.matrix("x").summ()  # <-


@mistake(
    e.NoSuchAttribute,
    "a tensor has no attribute 'view'",
    caret='sg.matrix("x").view',
    hint="x.reshape(shape)",
    operands="x: float64[?, ?]",
)
def view_torch() -> Any:
    return sg.matrix("x").view(-1)  # <-


@mistake(
    e.NoSuchAttribute,
    "a tensor has no attribute 'item'",
    caret='sg.scalar("x").item',
    hint="a tensor has no value before it is computed: x.eval({input:",
    operands="x: float64",
)
def item_of_a_tensor() -> Any:
    return sg.scalar("x").item()  # <-


@mistake(
    e.NoSuchAttribute,
    "a tensor has no attribute 'tolist'",
    caret='sg.vector("x").tolist',
    hint="a tensor has no value before it is computed: x.eval({input:",
    operands="x: float64[?]",
)
def list_of_a_tensor() -> Any:
    return sg.vector("x").tolist()  # <-


@mistake(
    e.NoSuchAttribute,
    "module 'symgraph' has no attribute 'softmx'",
    caret="sg.softmx",
    hint="did you mean sg.sort?",
)
def module_typo() -> Any:
    return sg.softmx(sg.vector("x"))  # <-


@mistake(
    e.NoSuchAttribute,
    "module 'symgraph' has no attribute 'softmax'",
    caret="sg.softmax",
    hint="did you mean sg.nn.softmax?",
)
def module_nn() -> Any:
    return sg.softmax(sg.vector("x"))  # <-


@mistake(
    e.NoSuchAttribute,
    "module 'symgraph' has no attribute 'dmatrix'",
    caret="sg.dmatrix",
    hint='did you mean sg.matrix(name, dtype="float64")?',
)
def theano_tensor() -> Any:
    return sg.dmatrix("x")  # <-


@mistake(
    e.ArgumentError,
    "exp has no option out",
    caret='sg.exp(sg.vector("x"), out=np.zeros(3))',
    hint="tensors are made anew: sg.where for where=, sg.cast for",
)
def out_kw() -> Any:
    return sg.exp(sg.vector("x"), out=np.zeros(3))  # <-


@mistake(
    e.NoSuchAttribute,
    "a tensor has no attribute 'get_value'",
    caret='sg.vector("x").get_value',
    hint="a tensor has no value before it is computed: x.eval({input:",
    operands="x: float64[?]",
)
def input_get_value() -> Any:
    return sg.vector("x").get_value()  # <-
