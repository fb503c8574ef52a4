"""Sizes as Keras hands them over: integers, and 0-d tensors that `ops.shape` made of unknown sizes.

What is computed with such tensors is read back as an expression of sizes, so that a reshape to
``(batch * heads, -1)`` makes an array whose type says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.backend.common import KerasVariable

import symgraph as sg
from keras_symgraph.src.tensor import Tensor, known, node_of
from symgraph import Constant, Variable

Size = Any  # an int or an expression of sizes


def size(n: Any) -> Size:
    """One size out of an integer, an expression, or a 0-d integer tensor."""
    if isinstance(n, int | np.integer):
        return int(n)
    if isinstance(n, float):
        return int(n)
    if not isinstance(n, Tensor | Variable | KerasVariable | np.ndarray):
        return n  # an expression of sizes
    node = node_of(n)
    found = expression(node)
    if found is not None:
        return found
    value = known(n)
    return int(value) if value is not None else sg.size_from(node)


def shape_of(shape: Any) -> tuple[Size, ...]:
    """A shape out of a sequence of sizes, one size, or a vector of integers."""
    if isinstance(shape, list | tuple):
        return tuple(map(size, shape))
    if isinstance(shape, Tensor | Variable | KerasVariable | np.ndarray):
        node = node_of(shape)
        if node.ndim == 0:
            return (size(shape),)
        value = known(shape)
        if value is not None:
            return tuple(map(int, value))
        return tuple(size(node[k]) for k in range(int(node.shape[0])))
    return (size(shape),)


def numbers(x: Any) -> Any:
    """A tensor as the number or the nested list of numbers that it is, if that is known; else its
    node. Numbers and lists are given back."""
    if isinstance(x, bool | int | float | list | tuple):
        return x
    value = known(x)
    return node_of(x) if value is None else value.tolist()


_ARITHMETIC = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
}


def expression(node: Variable) -> Size | None:
    """The size that a 0-d integer tensor is, if it is made of sizes and integers alone."""
    if isinstance(node, Constant):
        return int(node.data) if node.ndim == 0 and node.dtype not in ("bool",) else None
    if node.owner is None or node.ndim:
        return None
    op, inputs = node.owner.op, node.owner.inputs
    if op.name == "size_value":
        return op.size
    if op.name == "cast" and "int" in node.dtype:
        return expression(inputs[0])
    if op.name == "reshape" and inputs[0].ndim == 0:
        return expression(inputs[0])
    if op.name in _ARITHMETIC and "int" in node.dtype:
        left, right = (expression(x) for x in inputs)
        if left is None or right is None:
            return None
        return _ARITHMETIC[op.name](left, right)
    return None
