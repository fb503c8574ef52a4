"""Keras' variables as shared variables of symgraph: state that compiled functions update in place.

A variable's storage changes while tensors that were read from it must not. A read therefore gives a
leaf of the graph that carries the storage itself, and whoever is about to write calls `detach`
first: if the leaf is still in use, it gets a copy, and nobody pays for what was read and dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from keras.src.backend.common import KerasVariable

import symgraph as sg
from keras_symgraph.src.conversion import convert_to_tensor
from keras_symgraph.src.tensor import Tensor, is_tracing, leaf, of_array, value_of, wrap
from symgraph import Input, Shared, Variable

_ALONE = 3  # references to a leaf that only its variable has, while it asks for their number


class StateVariable(KerasVariable):  # type: ignore[misc]
    """A Keras variable; `shared` is the symgraph variable that holds its value.

    A dtype that symgraph does not compute with (float8) has its value in an array beside.
    """

    shared: Shared | None = None
    _plain: np.ndarray | None = None
    _lent: Input | None = None

    @property
    def _value(self) -> Any:
        if self.shared is None:
            return None if self._plain is None else Tensor(None, self._plain)
        return wrap(self.shared) if is_tracing() else self.lent()

    @_value.setter
    def _value(self, value: Any) -> None:
        if value is None:
            self.shared = self._plain = self._lent = None
        else:
            self._direct_assign(value)

    def _initialize(self, value: Any) -> None:
        self._direct_assign(value)

    def _direct_assign(self, value: Any) -> None:
        array = value_of(value)
        if array.dtype.name != self._dtype:
            array = array.astype(self._dtype)
        if self._dtype.startswith("float8"):
            self._plain = of_array(np.array(array))._array
        elif self.shared is None or self.shared.shape != array.shape:
            self.shared, self._lent = sg.shared(array), None
            self.shared.name = None
        else:
            self.detach()
            self.shared.set_value(array)

    def lent(self) -> Tensor:
        """The present value, which it will keep, as a leaf of graphs that are not compiled."""
        assert self.shared is not None
        if self._lent is None:
            self._lent = leaf(self.shared.get_value(borrow=True))
        return wrap(self._lent)  # type: ignore[no-any-return]

    def detach(self) -> None:
        """Give tensors that were read from the storage, if any are left, a copy of their own."""
        lent = self._lent
        if lent is not None and sys.getrefcount(lent) > _ALONE:
            lent.default = lent.default.copy()
            self._lent = None

    def _convert_to_tensor(self, value: Any, dtype: Any = None) -> Tensor:
        return convert_to_tensor(value, dtype=dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(value_of(self), dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lent"}


def node_to_differentiate(variable: Any, scope: Any) -> Variable:
    """The node that stands for a variable's value, in a scope the one that it has there."""
    current = None if scope is None else scope.get_current_value(variable)
    value = variable._value if current is None else current
    return value.node  # type: ignore[no-any-return]


def detach_all(variables: Iterable[StateVariable]) -> None:
    """Before a compiled function writes to the storage of these."""
    for v in variables:
        v.detach()


StateVariable.__name__ = StateVariable.__qualname__ = "Variable"
