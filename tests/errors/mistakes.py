"""Mistakes that users make: small programs, each with the error it must give.

The line marked ``# <-`` is the one that the message must show. A program takes the mode to compile
in when the mistake is seen at a call only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from symgraph import errors as e


class Mistake(NamedTuple):
    """A program, the class of its error, and how its text begins (``?`` for any unnamed size); the
    interpreter, which sees values, may say more.

    ``caret`` is the expression that must be underlined, ``hint`` how the hint begins, ``operands``
    the first of them with their types; empty ones are not looked at."""

    program: Callable[..., Any]
    kind: type[e.SymgraphError]
    what: str
    interpreted: str
    caret: str
    hint: str
    operands: str

    @property
    def at_call(self) -> bool:
        """Whether it takes a mode."""
        return bool(self.program.__code__.co_argcount)


MISTAKES: dict[str, Mistake] = {}


def mistake(
    kind: type[e.SymgraphError], what: str, interpreted: str = "", caret: str = "",
    hint: str = "", operands: str = "",
) -> Callable[[Any], Any]:  # fmt: skip
    """Decorator: this program raises that."""

    def register(program: Callable[..., Any]) -> Callable[..., Any]:
        name = program.__name__
        assert name not in MISTAKES, f"two programs are called {name}"
        MISTAKES[name] = Mistake(program, kind, what, interpreted or what, caret, hint, operands)
        return program

    return register
