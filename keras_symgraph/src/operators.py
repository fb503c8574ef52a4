"""What Python writes with tensors: operators, methods and numbers, in terms of Keras' functions.

:class:`Operators` is the part of a `Tensor` that computes nothing itself: ``x + y``, ``x.sum()``
and NumPy's ufuncs are the functions of Keras' `ops.numpy`, which `speak` registers once they exist,
and ``float(x)`` and ``x.tolist()`` are what NumPy makes of the value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src.backend.common.keras_tensor import KerasTensor

_language: dict[str, Callable[..., Any]] = {}


def speak(module: Any) -> None:
    """Let the operators of tensors be the functions of this module."""
    _language.update({k: f for k, f in vars(module).items() if callable(f)})


def _binary(name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    def left(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, KerasTensor) else _language[name](self, other)

    def right(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, KerasTensor) else _language[name](other, self)

    return left, right


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _language[name](self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"`keras.ops.{name}` of this tensor."
    return method


_UFUNCS = {
    "add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "mod", "power",
    "matmul", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
    "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift",
}  # fmt: skip


class Operators:
    """What a tensor is asked in Python's own words; see the module."""

    __slots__ = ()
    dtype: Any
    _value: Callable[[], np.ndarray]

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("subtract")
    __mul__, __rmul__ = _binary("multiply")
    __truediv__, __rtruediv__ = _binary("true_divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide")
    __mod__, __rmod__ = _binary("mod")
    __pow__, __rpow__ = _binary("power")
    __matmul__, __rmatmul__ = _binary("matmul")
    __and__, __rand__ = _binary("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor")
    __lshift__, __rlshift__ = _binary("left_shift")
    __rshift__, __rrshift__ = _binary("right_shift")
    __lt__, __gt__ = _binary("less")[0], _binary("greater")[0]
    __le__, __ge__ = _binary("less_equal")[0], _binary("greater_equal")[0]
    __eq__ = _binary("equal")[0]  # type: ignore[assignment]
    __ne__ = _binary("not_equal")[0]  # type: ignore[assignment]
    __hash__ = object.__hash__
    __neg__, __abs__ = _method("negative"), _method("absolute")
    __round__ = _method("round")
    sum, mean, prod, std, var = map(_method, ("sum", "mean", "prod", "std", "var"))
    max, min, argmax, argmin = map(_method, ("max", "min", "argmax", "argmin"))
    all, any, squeeze, cumsum = map(_method, ("all", "any", "squeeze", "cumsum"))
    swapaxes, round, clip, ravel = map(_method, ("swapaxes", "round", "clip", "ravel"))

    def __pos__(self) -> Any:
        return self

    def __invert__(self) -> Any:
        return _language["logical_not" if self.dtype == "bool" else "bitwise_not"](self)

    def reshape(self, *shape: Any) -> Any:
        """`keras.ops.reshape`; sizes may be given one by one."""
        one = len(shape) == 1 and not isinstance(shape[0], int)
        return _language["reshape"](self, shape[0] if one else shape)

    def flatten(self) -> Any:
        """All elements along one axis."""
        return _language["reshape"](self, (-1,))

    def transpose(self, *axes: Any) -> Any:
        """`keras.ops.transpose`; axes may be given one by one."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return _language["transpose"](self, axes=order)

    @property
    def T(self) -> Any:
        """All axes reversed."""
        return _language["transpose"](self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        if method == "__call__" and not options and name in _UFUNCS:
            return _language[name](*inputs)
        arrays = [np.asarray(x) if isinstance(x, Operators) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def numpy(self) -> np.ndarray:
        """The value, as an array of the caller's own."""
        return np.array(self._value())

    def item(self, *index: int) -> Any:
        """One element as a number of Python."""
        return self._value().item(*index)

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self._value().tolist()

    def __bool__(self) -> bool:
        return bool(self._value())

    def __int__(self) -> int:
        return int(self._value())

    def __float__(self) -> float:
        return float(self._value())

    def __complex__(self) -> complex:
        return complex(self._value())

    def __index__(self) -> int:
        return self._value().__index__()
