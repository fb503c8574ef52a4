"""From what Keras is given to tensors, and back to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.backend.common import KerasVariable
from keras.src.backend.common.variables import standardize_dtype

import symgraph as sg
from keras_symgraph.src.float8 import to_float8
from keras_symgraph.src.tensor import (
    Tensor,
    _as_array,
    node_of,
    of_array,
    shape_of,
    value_of,
    wrap,
)

SUPPORTS_SPARSE_TENSORS = False
SUPPORTS_RAGGED_TENSORS = False
SUPPORTS_COMPLEX_DTYPES = True
SUPPORTS_GRADIENT = True
IS_THREAD_SAFE = True


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Tensor:
    """`keras.ops.convert_to_tensor`. Sparse and ragged tensors do not exist here: ValueError."""
    if sparse or ragged:
        kind = "sparse" if sparse else "ragged"
        raise ValueError(f"`{kind}=True` is not supported with the symgraph backend")
    if dtype is not None:
        dtype = standardize_dtype(dtype)
    if isinstance(x, Tensor):
        return x if dtype is None or dtype == x.dtype else _cast(x, dtype)
    if isinstance(x, KerasVariable):
        value: Tensor = x.value
        return value if dtype is None or dtype == value.dtype else _cast(value, dtype)
    if isinstance(x, sg.Variable) or (isinstance(x, list | tuple) and _holds_tensors(x)):
        return wrap(node_of(x, dtype))  # type: ignore[no-any-return]
    if isinstance(x, bool | int | float | complex) and not isinstance(x, np.generic):
        array = _as_array(x, dtype)
        if not array.dtype.name.startswith("float8"):
            return Tensor(sg.constant(array), array)
    return of_array(_as_array(_without_jax(x), dtype))


def _without_jax(x: Any) -> Any:
    """Arrays of other libraries by NumPy's protocol."""
    known = isinstance(x, np.ndarray | np.generic | list | tuple | int | float | complex)
    return x if known or not hasattr(x, "__array__") else np.asarray(x)


def _holds_tensors(nest: Any) -> bool:
    return any(
        _holds_tensors(x) if isinstance(x, list | tuple) else isinstance(x, Tensor | KerasVariable)
        for x in nest
    )


def _cast(x: Tensor, dtype: str) -> Tensor:
    if dtype.startswith("float8"):
        return to_float8(x, dtype)
    return wrap(node_of(x, dtype))  # type: ignore[no-any-return]


def convert_to_numpy(x: Any) -> np.ndarray:
    """The value, in an array of the caller's own."""
    return np.array(value_of(x))


def is_tensor(x: Any) -> bool:
    """Whether this is a tensor of this backend."""
    return isinstance(x, Tensor)


def shape(x: Any) -> tuple[Any, ...]:
    """`keras.ops.shape`: integers, and 0-d tensors for sizes that are not known yet."""
    return shape_of(x)


def cast(x: Any, dtype: Any) -> Tensor:
    """`keras.ops.cast`."""
    return convert_to_tensor(x, dtype=dtype)


def random_seed_dtype() -> str:
    """The dtype of the state of a `keras.random.SeedGenerator`."""
    return "uint32"
