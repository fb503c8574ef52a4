"""Errors of symgraph in programs of Keras: they name the user's line and the layer."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from keras.src import tree
from keras.src.utils import traceback_utils

import symgraph as sg
from symgraph.errors import SymgraphError

_MARK = "_keras_call_info_injected"  # by which Keras knows an error that has been explained


def show_user_lines() -> None:
    """Let origins point at who called Keras, and errors of symgraph pass through Keras' layers."""
    for name in ("keras", "keras_symgraph", "optree"):
        if name in sys.modules and (path := sys.modules[name].__file__):
            sg.provenance.exclude_package(path)
    explain = traceback_utils.inject_argument_info_in_traceback
    if not hasattr(explain, "__wrapped__"):
        traceback_utils.inject_argument_info_in_traceback = _explaining(explain)


def _explaining(original: Callable[..., Any]) -> Callable[..., Any]:
    """Keras explains an error by another one of its class, which is made in a place of Keras' own
    and has lost the line and the operands. Those of symgraph get a note with the same facts."""

    @functools.wraps(original)
    def explain(fn: Callable[..., Any], object_name: str | None = None) -> Any:
        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return fn(*args, **kwargs)
            except SymgraphError as caught:
                error = _first(caught)
                if not hasattr(error, _MARK):
                    error.add_note(f"in {object_name or fn.__name__}{_received(args, kwargs)}")
                    setattr(error, _MARK, True)
                raise error from None

        return original(call, object_name)

    return explain


def _first(error: SymgraphError) -> SymgraphError:
    """The error itself where Keras reports that it could not infer a shape because of it."""
    before = error.__context__
    reports = error.what.startswith("Could not automatically infer")
    return _first(before) if reports and isinstance(before, SymgraphError) else error


def _received(args: Any, kwargs: Any) -> str:
    named = [("", x) for x in args] + [(f"{k}=", x) for k, x in kwargs.items()]
    texts = [f"{k}{tree.map_structure(_short, x)}" for k, x in named]
    return f", which received {', '.join(texts)}" if texts else ""


def _short(x: Any) -> Any:
    return _Text(traceback_utils.format_argument_value(x))


class _Text(str):
    """Text that shows itself without quotes inside of lists."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
