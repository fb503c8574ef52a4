"""What Keras makes of operands: tensors of one dtype, by its own rules of promotion.

Keras promotes as JAX does: Python's int and float are weak, integers give way to any float, and
64 bits are taken only when an operand brings them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.backend.common import dtypes
from keras.src.backend.common.variables import standardize_dtype
from keras.src.backend.config import floatx

from keras_symgraph.src.tensor import node_of
from symgraph import Variable

_WIDE = {"float32": "float64", "int32": "int64", "uint32": "uint64", "complex64": "complex128"}


def kind(x: Any) -> Any:
    """What `x` brings to a promotion: a dtype, or Python's int or float, which are weak."""
    if isinstance(x, bool):
        return "bool"
    if isinstance(x, int):
        return int
    if isinstance(x, float) and not isinstance(x, np.floating):
        return float
    dtype = getattr(x, "dtype", None)
    return standardize_dtype(dtype) if dtype is not None else node_of(x).dtype


def result_type(*kinds: Any) -> str:
    """Keras' result type; unlike there, a 64-bit operand is not cut to 32 bits.

    >>> result_type("int8", float), result_type("bfloat16", "float16"), result_type("float64", int)
    ('float32', 'float32', 'float64')
    """
    found: str = dtypes.result_type(*kinds)
    wide = _WIDE.get(found)
    if wide is None:
        return found
    strong = {k for k in kinds if isinstance(k, str)}
    if found == "float32":
        return wide if "float64" in strong else found
    if found == "complex64":
        return wide if strong & {"complex128", "float64"} else found
    if found == "int32":
        return wide if strong & {"int64", "uint64"} else found
    return wide if "uint64" in strong else found


def promoted(*xs: Any, also: tuple[Any, ...] = ()) -> list[Variable]:
    """The operands with the dtype that they have together (and with ``also``)."""
    dtype = result_type(*map(kind, xs), *also)
    return [node_of(x, dtype) for x in xs]


def floating(x: Any) -> Variable:
    """`x` as a float: floats and complex numbers as they are, all else in Keras' floatx."""
    node = node_of(x)
    return node if is_inexact(node.dtype) else node.astype(floatx())


def is_inexact(dtype: str) -> bool:
    """Whether a dtype is of floats or complex numbers."""
    return "float" in dtype or "complex" in dtype


def is_int(dtype: str) -> bool:
    """Whether a dtype is of integers, signed or not."""
    return "int" in dtype


def accumulator(dtype: str) -> str:
    """The dtype of a sum or product of elements: small integers go to 32 bits, as in JAX."""
    if dtype in ("bool", "int8", "int16"):
        return "int32"
    return "uint32" if dtype in ("uint8", "uint16") else dtype


def real_of(dtype: str) -> str:
    """The float that JAX takes for `dtype` where it computes on its own: halves keep their size,
    64 bits give float64, all else floatx."""
    if dtype in ("int64", "uint64", "float64"):
        return "float64"
    return dtype if dtype in ("bfloat16", "float16") else floatx()
