"""The table from PyTensor's ops to functions that translate them.

Rows are keyed by the name of the op's class: PyTensor moves classes between modules from version
to version, and a name costs no import. Those of the sparse package are called "sparse.Dot" and so
on. A class without a row of its own uses that of its nearest base class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translator = Callable[..., Any]  # (op, node, translation) -> the outputs of the node

OPS: dict[str, Translator] = {}
SCALAR_OPS: dict[str, Translator] = {}  # (op, node, operands) -> the result


class Untranslatable(Exception):
    """This node has no native form, for the reason given; it runs by its `perform`."""


def translates(*names: str) -> Callable[[Translator], Translator]:
    """Decorator: the function translates nodes whose op is of one of these classes."""

    def register(function: Translator) -> Translator:
        OPS.update(dict.fromkeys(names, function))
        return function

    return register


def scalar(*names: str) -> Callable[[Translator], Translator]:
    """Decorator: the function translates scalar ops, elementwise over whole arrays."""

    def register(function: Translator) -> Translator:
        SCALAR_OPS.update(dict.fromkeys(names, function))
        return function

    return register


def row_of(op: Any, table: dict[str, Translator] = OPS) -> Translator | None:
    """The row for an op: of its class or the nearest base class. Classes of users' own count as
    what they derive from only by their base classes' `perform`: they override it."""
    for cls in type(op).__mro__:
        home = cls.__module__
        if not home.startswith("pytensor."):
            if "perform" in vars(cls) or "impl" in vars(cls) or "make_node" in vars(cls):
                return None  # a user's op that means something else than its base class
            continue
        name = f"sparse.{cls.__name__}" if home.startswith("pytensor.sparse") else cls.__name__
        if name in table:
            return table[name]
        if cls.__name__ in ("Op", "ScalarOp"):
            return None
    return None
