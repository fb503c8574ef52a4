"""`NamedTuple` as in `typing`, made in a fifth of the time.

The package has 150 such classes, three dozen of which each compilation imports. `typing.NamedTuple`
compiles every annotation and a constructor anew for each class (0.12 ms); here all constructors
of a length are one function under other names, and annotations stay the text that they are.

>>> class Point(NamedTuple):
...     x: float
...     y: float = 0.0
>>> Point(2.0)
Point(x=2.0, y=0.0)
>>> Point(2.0)._replace(y=1.0) == (2.0, 1.0)
True
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple

try:
    from _collections import _tuplegetter  # type: ignore[import-not-found]
except ImportError:  # another Python than CPython

    def _tuplegetter(index: int, doc: str) -> property:
        return property(lambda self: tuple.__getitem__(self, index), doc=doc)


_new = tuple.__new__
# constructors by the number of fields; what is longer is compiled
_CONSTRUCTORS: dict[int, Any] = {
    1: lambda _cls, a: _new(_cls, (a,)),
    2: lambda _cls, a, b: _new(_cls, (a, b)),
    3: lambda _cls, a, b, c: _new(_cls, (a, b, c)),
    4: lambda _cls, a, b, c, d: _new(_cls, (a, b, c, d)),
    5: lambda _cls, a, b, c, d, e: _new(_cls, (a, b, c, d, e)),
    6: lambda _cls, a, b, c, d, e, f: _new(_cls, (a, b, c, d, e, f)),
    7: lambda _cls, a, b, c, d, e, f, g: _new(_cls, (a, b, c, d, e, f, g)),
    8: lambda _cls, a, b, c, d, e, f, g, h: _new(_cls, (a, b, c, d, e, f, g, h)),
    9: lambda _cls, a, b, c, d, e, f, g, h, i: _new(_cls, (a, b, c, d, e, f, g, h, i)),
}


class Record(tuple[Any, ...]):
    """What all such classes have."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Any:
        """A record of a sequence of all values. Raises TypeError for another number of them."""
        made = _new(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes: Any) -> Any:
        """The record with other values in some fields. Raises ValueError for an unknown name."""
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return made

    def _asdict(self) -> dict[str, Any]:
        """The values by name."""
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        values = ", ".join(f"{n}={v!r}" for n, v in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({values})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)


def _constructor(name: str, fields: tuple[str, ...], defaults: tuple[Any, ...]) -> FunctionType:
    """The function `__new__` of a class with these fields, the last with defaults."""
    like = _CONSTRUCTORS.get(len(fields))
    if like is None:
        words = ", ".join(f"a{k}" for k in range(len(fields)))
        like = eval(f"lambda _cls, {words}: _new(_cls, ({words}))", {"_new": _new})  # ours alone
        _CONSTRUCTORS[len(fields)] = like
    code = like.__code__.replace(
        co_varnames=("_cls", *fields), co_name="__new__", co_qualname=f"{name}.__new__"
    )
    return FunctionType(code, {"_new": _new, "__name__": __name__}, "__new__", defaults)


class _Made(type):
    """Makes a class whose body is a list of fields."""

    def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        fields = tuple(body.get("__annotations__", ()))
        given = [f in body for f in fields]
        if sorted(given) != given:
            raise TypeError(f"{name}: a field without a default follows one with a default")
        if hidden := next((f for f in fields if f.startswith("_")), None):
            raise ValueError(f"{name}: the name of a field begins with an underscore: {hidden}")
        defaults = {f: body[f] for f in fields if f in body}
        for k, field in enumerate(fields):
            body[field] = _tuplegetter(k, sys.intern(f"Alias for field number {k}"))
        body.update(
            __slots__=(), _fields=fields, __match_args__=fields, _field_defaults=defaults,
            __new__=_constructor(name, fields, tuple(defaults.values())),
        )  # fmt: skip
        return type.__new__(type, name, (Record,), body)


if not TYPE_CHECKING:

    class _Start:
        """What classes name as their base, in the place of which they get `Record`."""

        def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
            """The base whose maker reads the fields. Raises TypeError beside other bases."""
            if len(bases) > 1:
                raise TypeError("a NamedTuple has no other bases")
            return (_base,)

        __call__: Callable[..., Any]

    _base = type.__new__(_Made, "NamedTuple", (), {})
    NamedTuple = _Start()
