"""`keras.src.backend.core` of this backend, by families."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keras.src.backend.common.name_scope import name_scope

from keras_symgraph.src.control import (
    associative_scan,
    cond,
    fori_loop,
    map,
    scan,
    switch,
    unstack,
    vectorized_map,
    while_loop,
)
from keras_symgraph.src.conversion import (
    IS_THREAD_SAFE,
    SUPPORTS_COMPLEX_DTYPES,
    SUPPORTS_GRADIENT,
    SUPPORTS_RAGGED_TENSORS,
    SUPPORTS_SPARSE_TENSORS,
    cast,
    convert_to_numpy,
    convert_to_tensor,
    is_tensor,
    random_seed_dtype,
    shape,
)
from keras_symgraph.src.derivatives import custom_gradient, gradients, remat, stop_gradient
from keras_symgraph.src.specs import compute_output_spec
from keras_symgraph.src.updating import scatter, scatter_update, slice, slice_update
from keras_symgraph.src.variable import StateVariable as Variable


@contextmanager
def device_scope(device_name: Any) -> Iterator[None]:
    """There is one device, the processor: any name of it will do."""
    yield


__all__ = [
    "IS_THREAD_SAFE", "SUPPORTS_COMPLEX_DTYPES", "SUPPORTS_GRADIENT", "SUPPORTS_RAGGED_TENSORS",
    "SUPPORTS_SPARSE_TENSORS", "Variable", "associative_scan", "cast", "compute_output_spec",
    "cond", "convert_to_numpy", "convert_to_tensor", "custom_gradient", "device_scope",
    "fori_loop", "gradients", "is_tensor", "map", "name_scope", "random_seed_dtype", "remat",
    "scan", "scatter", "scatter_update", "shape", "slice", "slice_update", "stop_gradient",
    "switch", "unstack", "vectorized_map", "while_loop",
]  # fmt: skip
