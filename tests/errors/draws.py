"""Random numbers."""

from __future__ import annotations

from typing import Any

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ArgumentError,
    "n is no number while the graph is built",
    caret="sg.random.Stream(0).normal((n,))",
    hint="compile it, or ask for its value by .eval(); sizes are",
    operands="n: int64",
)
def random_shape_tensor() -> Any:
    n = sg.scalar("n", dtype="int64")
    return sg.random.Stream(0).normal((n,))  # <-


@mistake(
    e.ArgumentError,
    "a seed is an integer, not str",
    caret='sg.random.Stream("seed")',
    hint="zlib.crc32(text.encode()) makes one of a text",
)
def random_seed_str() -> Any:
    return sg.random.Stream("seed")  # <-


@mistake(
    e.DTypeError,
    "random.key: a seed is a 0-d integer, not float64",
    caret="sg.random.key(1.5)",
    hint="as in sg.random.key(0); an array of seeds goes through",
    operands="seed: float64",
)
def random_seed_float() -> Any:
    return sg.random.key(1.5)  # <-


@mistake(
    e.ShapeError,
    "a size cannot be negative: -3",
    caret="sg.random.Stream(0).normal((-3,))",
    hint="for a size that is not known: None or a name",
)
def random_negative_size() -> Any:
    return sg.random.Stream(0).normal((-3,))  # <-


@mistake(
    e.ShapeError,
    "random.choice: probabilities and elements differ in number: 2 and 5",
    caret="sg.random.Stream(0).choice(5, (3,), p=[0.5, 0.5])",
)
def random_choice_p() -> Any:
    return sg.random.Stream(0).choice(5, (3,), p=[0.5, 0.5])  # <-


@mistake(
    e.DTypeError,
    "random.uniform draws floats, not int64",
    caret='sg.random.Stream(0).uniform((3,), dtype="int64")',
)
def random_int_dtype() -> Any:
    return sg.random.Stream(0).uniform((3,), dtype="int64")  # <-


@mistake(
    e.ShapeError,
    "a size cannot be negative: -1",
    caret="sg.random.split(sg.random.key(0), -1)",
    hint="for a size that is not known: None or a name",
    operands="key: uint32[2]",
)
def random_split() -> Any:
    return sg.random.split(sg.random.key(0), -1)  # <-
