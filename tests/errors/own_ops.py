"""Ops that users write."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ArgumentError,
    "op Wave is incomplete: reference is missing",
    hint="docs/custom-ops.md shows one; abstract=True is for a base",
)
def op_incomplete() -> Any:
    class Wave(sg.Op):  # <-
        """w"""

        name = "dx_wave"

        def infer(self, x: Any) -> Any:
            return x


@mistake(e.ArgumentError, "Wave2 takes the parameters frequency; given are none", caret="Wave2()")
def op_wrong_field() -> Any:
    class Wave2(sg.Op):
        """w"""

        name = "dx_wave2"
        frequency: float

        def infer(self, x: Any) -> Any:
            return x

        def reference(self, x: Any) -> Any:
            return np.sin(x)

        nondifferentiable = "no"

        def lower(self, out: Any, x: Any) -> Any:
            return None

    return Wave2()  # <-


@mistake(
    e.ArgumentError,
    "op Exp: symgraph has an op of the name 'exp'",
    hint='give another: name = "my_exp"',
)
def op_name_taken() -> Any:
    class Exp(sg.Op):  # <-
        """w"""

        name = "exp"
        nondifferentiable = "no"

        def infer(self, x: Any) -> Any:
            return x

        def reference(self, x: Any) -> Any:
            return x

        def lower(self, out: Any, x: Any) -> Any:
            return None


@mistake(
    e.ShapeError,
    "half returned the shape (2,) as result 0, declared is float64[4]",
    caret="half(x)",
    hint="infer= may be a function of the input types where text does",
    operands="x: float64[?]",
)
def python_op_shape(mode: str) -> Any:
    @sg.python_op(infer="float64[n] -> float64[n]")
    def half(a: Any) -> Any:
        return a[: len(a) // 2]

    x = sg.vector("x")
    y = half(x)  # <-
    sg.compile([x], y, mode=mode)(np.ones(4))


@mistake(
    e.DTypeError,
    "half returned int64 as result 0, declared is float64",
    caret="half(x)",
    hint="return result.astype('float64'), or declare int64",
    operands="x: float64[?]",
)
def python_op_dtype(mode: str) -> Any:
    @sg.python_op(infer="float64[n] -> float64[n]")
    def half(a: Any) -> Any:
        return a.astype("int64")

    x = sg.vector("x")
    y = half(x)  # <-
    sg.compile([x], y, mode=mode)(np.ones(4))


@mistake(
    e.ShapeError,
    "'float64[n ' is no type",
    caret='sg.python_op(infer="float64[n -> float64")',
    hint="write float32[batch, 784]",
)
def python_op_infer_text() -> Any:
    @sg.python_op(infer="float64[n -> float64")  # <-
    def half(a: Any) -> Any:
        return a


@mistake(
    e.ArgumentError,
    "half takes 1 inputs, got 2",
    caret='half(sg.vector("x"), sg.vector("y"))',
    hint="declared are float64[n]",
    operands="x: float64[?], y: float64[?]",
)
def python_op_arity() -> Any:
    @sg.python_op(infer="float64[n] -> float64[n]")
    def half(a: Any) -> Any:
        return a

    return half(sg.vector("x"), sg.vector("y"))  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of str",
    caret='sg.erf("a")',
    hint="write the variable, not its name; texts are no tensors",
    operands="str 'a'",
)
def op_call_wrong_type() -> Any:
    return sg.erf("a")  # <-
