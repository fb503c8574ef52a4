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
    interpreter, which sees values, may say more."""

    program: Callable[..., Any]
    kind: type[e.SymgraphError]
    what: str
    interpreted: str

    @property
    def at_call(self) -> bool:
        """Whether it takes a mode."""
        return bool(self.program.__code__.co_argcount)


MISTAKES: dict[str, Mistake] = {}


def mistake(kind: type[e.SymgraphError], what: str, interpreted: str = "") -> Callable[[Any], Any]:
    """Decorator: this program raises that."""

    def register(program: Callable[..., Any]) -> Callable[..., Any]:
        MISTAKES[program.__name__] = Mistake(program, kind, what, interpreted or what)
        return program

    return register
