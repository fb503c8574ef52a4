"""Nested states of loops and arguments of functions: tuples, lists and dicts of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Pack = Callable[[Sequence[Any]], Any]


def flatten(nest: Any) -> tuple[list[Any], Pack]:
    """The leaves of a nest from left to right, and what puts other leaves in their places.

    Whatever is no tuple, list or dict is a leaf.

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
            if keys is not None:
                return dict(zip(keys, built, strict=True))
            return kind(*built) if hasattr(kind, "_fields") else kind(built)

        return build(form)

    return leaves, pack
