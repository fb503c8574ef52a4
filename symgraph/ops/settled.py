"""Formulas of the library that are stable as they are written, so that no rule need repair them
before they are differentiated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from symgraph.ir.graph import Variable

_F = TypeVar("_F", bound=Callable[..., Any])
# by identity: a weak set would compare variables, which are elementwise
_settled: WeakValueDictionary[int, Variable] = WeakValueDictionary()
_results: WeakValueDictionary[int, Variable] = WeakValueDictionary()


def stable_as_written(function: _F) -> _F:
    """Note all that ``function`` computes from its arguments."""

    @functools.wraps(function)
    def noted(*args: Any, **keywords: Any) -> Any:
        result = function(*args, **keywords)
        given = {v for v in (*args, *keywords.values()) if isinstance(v, Variable)}
        waiting = [result]
        while waiting:
            v = waiting.pop()
            if v not in given and v.owner is not None and not is_settled(v):
                _settled[id(v)] = v
                waiting += v.owner.inputs
        _results[id(result)] = result
        return result

    return noted  # type: ignore[return-value]


def is_settled(v: Variable) -> bool:
    """Whether v is part of such a formula."""
    return _settled.get(id(v)) is v


def is_inside(v: Variable) -> bool:
    """Whether v is a part of such a formula and not what it results in."""
    return is_settled(v) and _results.get(id(v)) is not v


def mark_of(v: Variable) -> int:
    """0 for what is no part of such a formula, 1 for a part, 2 for the result."""
    return 0 if not is_settled(v) else 1 if is_inside(v) else 2


def marked(v: Variable, mark: int) -> None:
    """Note that v is what another process says of it by `mark_of`."""
    _settled[id(v)] = v
    if mark == 2:
        _results[id(v)] = v
