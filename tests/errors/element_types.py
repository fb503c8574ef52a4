"""Values and dtypes that do not go together."""

from __future__ import annotations

from typing import Any

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.DTypeError,
    "left_shift is not defined for float64, int",
    caret='sg.vector("x") << 1',
    hint="it works on integers; sg.cast the operand first",
    operands="x: float64[?]",
)
def shift_float() -> Any:
    return sg.vector("x") << 1  # <-


@mistake(
    e.DTypeError,
    "invert is not defined for float64",
    caret='~sg.vector("x")',
    hint="it works on integers and bools; & binds tighter than <:",
    operands="x: float64[?]",
)
def invert_float() -> Any:
    return ~sg.vector("x")  # <-


@mistake(
    e.DTypeError,
    "subtract is not defined for bool, bool",
    caret="x - x",
    hint="use sg.logical_xor, sg.logical_not or sg.cast to an integer",
    operands="x: bool[?], x: bool[?]",
)
def subtract_bools() -> Any:
    x = sg.vector("x", dtype="bool")
    return x - x  # <-


@mistake(
    e.DTypeError,
    "remainder is not defined for complex numbers",
    caret="x % 2",
    hint="it is a function of real numbers: take x.real, x.imag or",
    operands="x: complex128[?]",
)
def mod_complex() -> Any:
    x = sg.vector("x", dtype="complex128")
    return x % 2  # <-


@mistake(
    e.DTypeError,
    "less is not defined for complex numbers",
    caret="x < 2",
    hint="it is a function of real numbers: take x.real, x.imag or",
    operands="x: complex128[?]",
)
def less_complex() -> Any:
    x = sg.vector("x", dtype="complex128")
    return x < 2  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of str",
    caret='sg.sqrt("4")',
    hint="write the variable, not its name; texts are no tensors",
    operands="str '4'",
)
def sqrt_str() -> Any:
    return sg.sqrt("4")  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of NoneType",
    caret='sg.vector("x") + None',
    hint="a Python function without a return gives None",
    operands="x: float64[?]",
)
def none_operand() -> Any:
    return sg.vector("x") + None  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of list",
    caret='sg.vector("v") + [x, x]',
    hint="a list that holds tensors becomes one by sg.stack",
    operands="v: float64[?], x: float64, x: float64",
)
def list_of_tensors() -> Any:
    x = sg.scalar("x")
    return sg.vector("v") + [x, x]  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of Elementwise",
    caret='sg.vector("x") * sg.exp',
    hint="call it first: give its result",
    operands="x: float64[?]",
)
def function_operand() -> Any:
    return sg.vector("x") * sg.exp  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of dict",
    caret='sg.exp({"a": 1})',
    hint="take its values: [*d.values()]",
    operands="dict {'a': 1}",
)
def dict_operand() -> Any:
    return sg.exp({"a": 1})  # <-


@mistake(
    e.DTypeError,
    "not a dtype: 'float31'",
    caret='sg.vector("x").astype("float31")',
    hint="one of bool, int8, int16, int32, int64, uint8, uint16,",
    operands="x: float64[?]",
)
def cast_unknown() -> Any:
    return sg.vector("x").astype("float31")  # <-


@mistake(
    e.OutOfRangeError,
    "the integer 1180591620717411303424 does not fit into int64",
    caret='sg.vector("x", dtype="int64") + 2**70',
    hint="cast the other operand to a wider dtype first",
    operands="x: int64[?]",
)
def huge_int() -> Any:
    return sg.vector("x", dtype="int64") + 2**70  # <-


@mistake(
    e.OutOfRangeError,
    "constant: Python integer 300 out of bounds for int8",
    caret='sg.constant(300, "int8")',
    hint="give a wider dtype",
)
def overflow_const() -> Any:
    return sg.constant(300, "int8")  # <-


@mistake(
    e.DTypeError,
    "an index is an integer, a slice or a mask, not float64",
    caret='sg.vector("x")[1.0]',
    hint='i.astype("int64") makes integers of it; i // 2 stays an',
    operands="x: float64[?]",
)
def float_index_const() -> Any:
    return sg.vector("x")[1.0]  # <-


@mistake(
    e.DTypeError,
    "power: integers to negative integer powers are not integers",
    caret='sg.vector("x", dtype="int64") ** -1',
    hint="make the base or the exponent a float",
    operands="x: int64[?]",
)
def negative_int_power() -> Any:
    return sg.vector("x", dtype="int64") ** -1  # <-
