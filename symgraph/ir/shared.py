"""Shared variables: state that lives across calls of compiled functions."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes, provenance
from symgraph.errors import DTypeError, ShapeError
from symgraph.ir.graph import Graph, Variable, checked_name
from symgraph.ir.types import TensorType, tensor_type


class Shared(Variable):
    """A variable with a value of its own, read and updated by compiled functions.

    ``cell`` is the address table that native code reads: data pointer, then one word per axis.
    ``residence`` knows the memory of the value on a GPU, where there is any: it has to_host(array,
    borrowed), called before the array here is read, and changed(), called when it has a new value.
    ``default_update`` is applied by every compiled function that uses the variable.
    """

    __slots__ = ("_array", "_cell", "default_update", "native", "origins", "residence")

    def __init__(self, array: np.ndarray, type: TensorType, name: str | None) -> None:
        super().__init__(type, None, 0)
        self.name = name
        self.default_update: Variable | None = None
        origin = provenance.capture()
        self.origins = (origin,) if origin else ()
        self._cell = (ctypes.c_int64 * (1 + array.ndim))()
        self.native = False  # whether native code has the address of the value
        self.residence: Any = None
        self._install(array)

    def _own_origins(self) -> tuple[provenance.Origin, ...]:
        return self.origins

    def _install(self, array: np.ndarray) -> None:
        self._array = array
        self._cell[0] = array.ctypes.data
        for k, n in enumerate(array.shape):
            self._cell[1 + k] = n

    @property
    def cell(self) -> Any:
        """The table; who takes it reads and writes the value without asking from then on."""
        self.native = True
        self._bring(True)
        return self._cell

    @property
    def held_shape(self) -> tuple[int, ...]:
        """The shape of the present value."""
        return self._array.shape

    def _bring(self, borrowed: bool) -> None:
        if self.residence is not None:
            self.residence.to_host(self._array, borrowed)

    def get_value(self, borrow: bool = False) -> np.ndarray:
        """The present value: a copy, or with ``borrow`` the storage itself (changes with calls)."""
        self._bring(borrow)
        return self._array if borrow else self._array.copy()

    def set_value(self, value: Any) -> None:
        """Replace the value; dtype must convert without loss of kind and the shape must fit.

        Raises DTypeError or ShapeError and leaves the value as it was.
        """
        new = np.asarray(value)
        if not dtypes.can_cast_same_kind(dtypes.as_dtype(new.dtype), self.dtype):
            raise DTypeError(f"{self.label()} holds {self.dtype}; cannot store {new.dtype}")
        fits = len(new.shape) == self.ndim and all(
            not isinstance(s, int) or s == n for s, n in zip(self.shape, new.shape, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"{self.label()} holds {self.type.text()}; cannot store shape {new.shape}",
                hint="give shared(..., shape=(None, ...)) for axes that may change",
            )
        if new.shape == self._array.shape:
            self._array[...] = new  # in place: borrowed views and native code keep their address
        else:
            self._install(np.array(new, dtypes.numpy_dtype(self.dtype), order="C"))
        if self.residence is not None:
            self.residence.changed()

    def __reduce__(self) -> Any:
        later = None if self.default_update is None else Graph((), (self.default_update,))
        self._bring(False)
        return _restored, (self._array, self.type, self.name, self.origins), later

    def __setstate__(self, later: Graph) -> None:
        (self.default_update,) = later.outputs

    def __repr__(self) -> str:
        return f"<shared {self.label()}: {self.type.text()}>"


def _restored(
    array: np.ndarray, type: TensorType, name: str | None, origins: tuple[Any, ...]
) -> Shared:
    s = Shared(np.array(array, order="C"), type, name)
    s.origins = origins
    return s


def shared(
    value: Any, name: str | None = None, *, dtype: Any = None, shape: Sequence[Any] | None = None
) -> Shared:
    """State from an initial value (copied). ``shape`` may free axes: names or None.

    >>> w = shared([[1.0, 2.0]], name="w")
    >>> w.set_value([[3, 4]]); w.get_value().tolist()
    [[3.0, 4.0]]
    """
    source = np.asarray(value)
    kind = dtypes.as_dtype(dtype if dtype is not None else source.dtype)
    array = np.array(source, dtypes.numpy_dtype(kind), order="C")
    declared = tensor_type(kind, array.shape if shape is None else shape)
    if declared.ndim != array.ndim or any(
        isinstance(s, int) and s != n for s, n in zip(declared.shape, array.shape, strict=True)
    ):
        raise ShapeError(f"shared value has shape {array.shape}, declared {declared.text()}")
    return Shared(array, declared, checked_name(name))
