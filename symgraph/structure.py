"""Nested inputs and outputs: lists, tuples, dicts and registered containers of variables, flattened
and packed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ops.nests import container, container_class


class Structure:
    """The shape of a nest whose leaves are numbered from left to right.

    >>> s = Structure({"a": [0, 0], "b": 0}, leaf=lambda x: isinstance(x, int))
    >>> s.count, s.pack([1, 2, 3])
    (3, {'a': [1, 2], 'b': 3})
    """

    __slots__ = ("containers", "count", "form", "leaves")

    def __init__(self, nest: Any, leaf: Any = None) -> None:
        self.leaves: list[Any] = []
        self.containers: list[tuple[Any, range]] = []  # with the places of their leaves
        is_leaf = leaf or (lambda x: isinstance(x, Variable))
        self.form = self._read(nest, is_leaf)
        self.count = len(self.leaves)

    def __reduce__(self) -> Any:
        return _empty, (self.form, self.count)

    def _read(self, nest: Any, is_leaf: Any) -> Any:
        if nest is not None and is_leaf(nest):
            self.leaves.append(nest)
            return None
        if isinstance(nest, dict):
            return dict, tuple(nest), tuple(self._read(v, is_leaf) for v in nest.values())
        if isinstance(nest, list | tuple):
            kind: Any = type(nest) if type(nest) in (list, tuple) else tuple
            return kind, (), tuple(self._read(v, is_leaf) for v in nest)
        own = container_class(nest)
        if own is not None:
            first = len(self.leaves)
            parts, rest = container(own).flatten(nest)
            read = own, rest, tuple(self._read(v, is_leaf) for v in parts)
            self.containers.append((nest, range(first, len(self.leaves))))
            return read
        raise ArgumentError(f"expected a symbolic variable or a nest of them, not {nest!r}")

    @property
    def container(self) -> str:
        """single, list or tuple when that is all there is; else nested."""
        if self.form is None:
            return "single"
        kind, _, parts = self.form
        if kind in (list, tuple) and all(p is None for p in parts):
            return "list" if kind is list else "tuple"
        return "nested"

    def pack(self, values: Sequence[Any]) -> Any:
        """The nest with these leaves."""
        return _packed(self.form, iter(values))

    def as_list(self, native: Any) -> list[Any]:
        """What a native call returned, as a list of leaves."""
        return list(native) if isinstance(native, list | tuple) else [native]

    def flatten(self, nest: Any, form: Any = ..., what: str = "value") -> list[Any]:
        """The leaves of a nest of this shape; raises ArgumentError where the shape differs."""
        form = self.form if form is ... else form
        if form is None:
            return [nest]
        kind, keys, parts = form
        if kind is dict:
            if not isinstance(nest, dict) or set(nest) != set(keys):
                given = f"keys {list(nest)}" if isinstance(nest, dict) else type(nest).__name__
                raise ArgumentError(
                    f"{what}: expected a dict with the keys {list(keys)}, not {given}",
                    hint="an argument has the nesting of the input it is for",
                )
            nest = [nest[k] for k in keys]
        elif kind not in (list, tuple):
            nest = _parts(kind, keys, nest, what)
        elif not isinstance(nest, list | tuple) or len(nest) != len(parts):
            raise ArgumentError(f"{what}: expected {len(parts)} items, got {nest!r:.60}")
        return [x for n, p in zip(nest, parts, strict=True) for x in self.flatten(n, p, what)]

    def named_parts(self, keywords: dict[str, Any]) -> dict[int, Any]:
        """Keywords that name a whole container, taken out of the others: leaves by place."""
        found: dict[int, Any] = {}
        _, _, forms = self.form
        first = 0
        for form in forms:
            count = _count(form)
            if form is not None and form[0] not in (dict, list, tuple):
                name = getattr(form[1], "name", None)
                if name in keywords:
                    leaves = self.flatten(keywords.pop(name), form, f"input {name}")
                    found.update(enumerate(leaves, first))
            first += count
        return found

    def flatten_arguments(self, args: Sequence[Any], name: str) -> list[Any]:
        """Positional arguments, each nested as declared; fewer are allowed (defaults, keywords)."""
        _, _, parts = self.form
        if len(args) > len(parts):
            raise ArgumentError(f"{name} takes {len(parts)} arguments, got {len(args)}")
        pairs = enumerate(zip(args, parts, strict=False))
        return [x for k, (a, p) in pairs for x in self.flatten(a, p, f"argument {k} of {name}")]


def _count(form: Any) -> int:
    """The number of leaves of a form."""
    return 1 if form is None else sum(map(_count, form[2]))


def _empty(form: Any, count: int) -> Structure:
    """A structure whose leaves are held elsewhere: by the graph that it was made with."""
    s = Structure([])
    s.form, s.count = form, count
    return s


def _packed(form: Any, values: Iterator[Any]) -> Any:
    # No closure that calls itself: such a cycle would keep the arrays until the garbage collector.
    if form is None:
        return next(values)
    kind, keys, parts = form
    built = [_packed(p, values) for p in parts]
    if kind is dict:
        return dict(zip(keys, built, strict=True))
    return kind(built) if kind in (list, tuple) else container(kind).unflatten(keys, built)


def _parts(kind: type, rest: Any, value: Any, what: str) -> list[Any]:
    """The parts of what stands for a container in a call."""
    row = container(kind)
    if row.read is not None:
        return list(row.read(rest, value, what))
    if not isinstance(value, kind):
        raise ArgumentError(f"{what}: expected {kind.__name__}, got {value!r:.60}")
    return list(row.flatten(value)[0])
