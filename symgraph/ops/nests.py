"""Nested states of loops and arguments of functions: tuples, lists and dicts of tensors, and the
containers that users register.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.records import NamedTuple

__all__ = ["register_container"]

Pack = Callable[[Sequence[Any]], Any]


class Container(NamedTuple):
    """How a class of the user's is taken apart and put together, see register_container."""

    flatten: Callable[[Any], tuple[Sequence[Any], Any]]
    unflatten: Callable[[Any, Sequence[Any]], Any]
    read: Callable[[Any, Any, str], Sequence[Any]] | None


_containers: dict[type, Container] = {}


def register_container(
    kind: type, flatten: Callable[[Any], tuple[Sequence[Any], Any]],
    unflatten: Callable[[Any, Sequence[Any]], Any],
    read: Callable[[Any, Any, str], Sequence[Any]] | None = None,
) -> None:  # fmt: skip
    """Let objects of a class stand wherever a list of tensors can: among the inputs and outputs of
    :func:`compile`, in ``givens`` and updates, in what scan, cond and vmap take and give, and as
    ``wrt`` of :func:`grad`.

    ``flatten(object)`` gives its parts and what else it is (hashable, to be pickled);
    ``unflatten(rest, parts)`` makes one of other parts, of tensors as of NumPy arrays.
    ``read(rest, value, what)`` gives the parts of a value that a call of a compiled function is
    given; without it that is an object of the same class.

    >>> import symgraph as sg
    >>> class Line:
    ...     def __init__(self, slope, start):
    ...         self.slope, self.start = slope, start
    >>> sg.register_container(
    ...     Line, lambda l: ((l.slope, l.start), None), lambda _, parts: Line(*parts)
    ... )
    >>> line, x = Line(sg.scalar("slope"), sg.scalar("start")), sg.scalar("x")
    >>> f = sg.compile([line, x], Line(line.slope * 2, line.start + x))
    >>> f(Line(3.0, 1.0), 10.0).start.item()
    11.0
    """
    _containers[kind] = Container(flatten, unflatten, read)


def container_class(value: Any) -> type | None:
    """The registered class of an object, None for all that is no container."""
    for kind in type(value).__mro__:
        if kind in _containers:
            return kind
    return None


def container(kind: type) -> Container:
    """What is registered of a class."""
    return _containers[kind]


def parts_of(value: Any) -> list[Any]:
    """The parts of a container."""
    kind = container_class(value)
    assert kind is not None
    return list(_containers[kind].flatten(value)[0])


def inexact_parts(item: Any) -> list[Any]:
    """What of an item has derivatives: of a container the tensors of floats in it, else itself."""
    if container_class(item) is None:
        return [item]
    parts = flatten(item)[0]
    return [p for p in parts if dtypes.is_inexact(p.dtype)] or parts[:1]  # an error names it


def with_inexact_parts(item: Any, values: Any) -> Any:
    """The item with the next of the iterator's values in the places of its inexact parts."""
    if container_class(item) is None:
        return next(values)
    leaves, pack = flatten(item)
    return pack([next(values) if dtypes.is_inexact(p.dtype) else p for p in leaves])


def flatten(nest: Any) -> tuple[list[Any], Pack]:
    """The leaves of a nest from left to right, and what puts other leaves in their places.

    Whatever is no tuple, list, dict or container is a leaf.

    >>> leaves, pack = flatten({"a": 1, "b": (2, [3])})
    >>> leaves, pack([x * 10 for x in leaves])
    ([1, 2, 3], {'a': 10, 'b': (20, [30])})
    """
    leaves: list[Any] = []

    def read(part: Any) -> Any:
        if isinstance(part, dict):
            return dict, tuple(part), [read(v) for v in part.values()]
        if isinstance(part, tuple | list):
            return type(part), None, [read(v) for v in part]
        kind = container_class(part) if _containers else None
        if kind is not None:
            parts, rest = _containers[kind].flatten(part)
            return kind, rest, [read(v) for v in parts]
        leaves.append(part)
        return None

    form = read(nest)

    def pack(values: Sequence[Any]) -> Any:
        rest = iter(values)

        def build(form: Any) -> Any:
            if form is None:
                return next(rest)
            kind, keys, parts = form
            built = [build(p) for p in parts]
            if kind is dict:
                return dict(zip(keys, built, strict=True))
            if kind in _containers:
                return _containers[kind].unflatten(keys, built)
            return kind(*built) if hasattr(kind, "_fields") else kind(built)

        return build(form)

    return leaves, pack
