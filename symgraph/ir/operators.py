"""Python's operators and NumPy's methods on variables.

The functions behind them belong to higher layers; each registers itself in ``LANGUAGE`` under the
name used here, so that this file needs to know nothing but words.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class _Language(dict[str, Callable[..., Any]]):
    """The functions by name. What is unpickled before a public name was asked for finds none: then
    the package loads them, whose modules register."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        importlib.import_module("symgraph").__all__  # noqa: B018
        if name not in self:
            raise KeyError(name)
        return self[name]


LANGUAGE = _Language()


def in_language(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: this function is what the operator or method ``name`` means."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        LANGUAGE[name] = function
        return function

    return register


def _binary(name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    def left(self: Any, other: Any) -> Any:
        if getattr(other, "outranks_tensors", False):  # its reflected operator knows both
            return NotImplemented
        return LANGUAGE[name](self, other)

    def right(self: Any, other: Any) -> Any:
        return LANGUAGE[name](other, self)

    return left, right


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return LANGUAGE[name](self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"The function ``{name}`` of this tensor."
    return method


class Operators:
    """The operator methods of Variable; ``==`` compares elements and hashing is by identity."""

    __slots__ = ()
    __array_priority__ = 1000
    outranks_tensors = False

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("subtract")
    __mul__, __rmul__ = _binary("multiply")
    __truediv__, __rtruediv__ = _binary("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide")
    __mod__, __rmod__ = _binary("remainder")
    __pow__, __rpow__ = _binary("power")
    __matmul__, __rmatmul__ = _binary("matmul")
    __and__, __rand__ = _binary("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor")
    __lshift__, __rlshift__ = _binary("left_shift")
    __rshift__, __rrshift__ = _binary("right_shift")
    __lt__, __gt__ = _binary("less")
    __le__, __ge__ = _binary("less_equal")
    __eq__ = _binary("equal")[0]  # type: ignore[assignment]
    __ne__ = _binary("not_equal")[0]  # type: ignore[assignment]
    __hash__ = object.__hash__
    __neg__ = _method("negative")
    __pos__ = _method("positive")
    __abs__ = _method("absolute")
    __invert__ = _method("invert")
    __getitem__ = _method("getitem")
    __divmod__ = _method("divmod")

    sum, prod, mean, var, std = (_method(n) for n in ("sum", "prod", "mean", "var", "std"))
    min, max, argmin, argmax = (_method(n) for n in ("min", "max", "argmin", "argmax"))
    all, any, cumsum = _method("all"), _method("any"), _method("cumsum")
    reshape, ravel, flatten = _method("reshape_method"), _method("ravel"), _method("ravel")
    transpose = _method("transpose_method")
    swapaxes, squeeze, repeat = _method("swapaxes"), _method("squeeze"), _method("repeat")
    astype, clip, round, dot = (_method(n) for n in ("cast", "clip", "round", "dot"))
    conj = conjugate = _method("conj")
    eval = _method("eval")
    __round__ = _method("round")

    @property
    def real(self) -> Any:
        """The real part; real tensors are their own."""
        return LANGUAGE["real"](self)

    @property
    def imag(self) -> Any:
        """The imaginary part; zeros for real tensors."""
        return LANGUAGE["imag"](self)

    @property
    def T(self) -> Any:
        """All axes reversed."""
        return LANGUAGE["transpose"](self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return LANGUAGE["swapaxes"](self, -1, -2)

    @property
    def at(self) -> Any:
        """``x.at[i].set(v)``, ``.add(v)``: a copy with the elements at the index changed."""
        return LANGUAGE["at"](self)

    @property
    def size(self) -> Any:
        """The number of elements: an int, or an expression of the symbolic sizes."""
        return LANGUAGE["size"](self)

    def __iter__(self) -> Any:
        return LANGUAGE["iterate"](self)

    def __len__(self) -> int:
        return LANGUAGE["length"](self)  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return LANGUAGE["truth"](self)  # type: ignore[no-any-return]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return LANGUAGE["as_array"](self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return LANGUAGE["ufunc"](self, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, _: Any, args: Any, options: Any) -> Any:
        return LANGUAGE["array_function"](self, function, args, options)

    def __setitem__(self, key: Any, value: Any) -> None:
        LANGUAGE["assign"](self)

    def __delitem__(self, key: Any) -> None:
        LANGUAGE["assign"](self)

    def __contains__(self, value: Any) -> bool:
        return LANGUAGE["contains"](self)  # type: ignore[no-any-return]

    def __format__(self, spec: str) -> str:
        return format(str(self)) if not spec else LANGUAGE["number"](self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _SLOTS:  # Python's own questions; not yet filled
            raise AttributeError(name)
        return LANGUAGE["missing"](self, name)

    def _number(self) -> Any:
        return LANGUAGE["number"](self)

    __index__ = __int__ = __float__ = __complex__ = _number


_SLOTS = frozenset(
    "type owner index name origins default data cell default_update".split()
)  # of variables: asked for while one is being made
