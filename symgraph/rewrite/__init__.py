"""Rewriting: rules are equations over any immutable graph, and data.

    from symgraph.rewrite import rule, wild

    x, y = wild("x"), wild("y")
    f = sg.compile([a, b], cost, rules=[rule(my_op(x) * my_op(y), my_op(x + y))])

``wild("x")`` stands for any value, ``const("c")`` for any constant; the package's functions and the
operators take them like tensors. ``rule(left, right, when=)`` is read from left to right,
``rule_function(left, function)`` computes the right side. `symgraph explain --rules` lists the
rules of the compiler itself, in this notation.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from symgraph.rewrite.pattern import attr, const, match_op, wild
    from symgraph.rewrite.rules import EXACT, RELAXED, STABLE, Rule, rule, rule_function

__all__ = [
    "EXACT", "RELAXED", "STABLE", "Rule", "attr", "const", "match_op", "rule", "rule_function",
    "wild",
]  # fmt: skip
_PATTERNS = ("attr", "const", "match_op", "wild")


def __getattr__(name: str) -> Any:
    """The public names, from the module that has them: who only computes needs no rules."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "pattern" if name in _PATTERNS else "rules"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
