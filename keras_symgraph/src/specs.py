"""Shapes and dtypes of results without computing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.backend.common.keras_tensor import KerasTensor
from keras.src.backend.common.stateless_scope import StatelessScope
from keras.src.backend.common.symbolic_scope import SymbolicScope
from keras.src.backend.common.variables import standardize_dtype

import symgraph as sg
from keras_symgraph.src.tensor import Tensor, of_array, tracing, wrap
from symgraph.errors import SymgraphError

_PROBES = (83, 89)  # sizes that a model does not have, in the place of unknown ones


def compute_output_spec(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What ``fn`` returns for KerasTensors, as KerasTensors.

    The function is traced with sizes that have names. One that calculates with sizes in Python is
    run on zeros of two different sizes instead, and what differs is unknown.
    """
    try:
        return _traced(fn, args, kwargs)
    except (TypeError, ValueError, SymgraphError):
        flat = tree.flatten((args, kwargs))
        if not any(isinstance(x, KerasTensor) for x in flat):
            raise
    return _probed(fn, args, kwargs)


def _traced(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    def placeholder(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        sizes = ["batch" if n is None and k == 0 else n for k, n in enumerate(x.shape)]
        tensor = wrap(sg.tensor(x.name, standardize_dtype(x.dtype), sizes))
        if (mask := getattr(x, "_keras_mask", None)) is not None:
            tensor._keras_mask = placeholder(mask)
        return tensor

    with StatelessScope(), SymbolicScope(), tracing():
        positional, keywords = tree.map_structure(placeholder, (args, kwargs))
        found = fn(*positional, **keywords)
        return tree.map_structure(_spec, found)


def _spec(x: Any) -> Any:
    return KerasTensor(x.shape, x.dtype) if isinstance(x, Tensor) else x


def _probed(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    def zeros(x: Any, size: int) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        shape = [size if n is None else n for n in x.shape]
        return of_array(np.zeros(shape).astype(standardize_dtype(x.dtype)))

    found = []
    for size in _PROBES:
        with StatelessScope(), SymbolicScope():
            positional, keywords = tree.map_structure(lambda x: zeros(x, size), (args, kwargs))
            outputs = fn(*positional, **keywords)
            found.append(tree.map_structure(_spec, outputs))
    first, second = map(tree.flatten, found)
    flat = [
        KerasTensor([m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)], a.dtype)
        if isinstance(a, KerasTensor)
        else a
        for a, b in zip(first, second, strict=True)
    ]
    return tree.pack_sequence_as(found[0], flat)
