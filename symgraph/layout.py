"""How errors are laid out: lines that fit a terminal, the tensors of a call, what Python prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from symgraph.provenance import Origin, is_own

Operand = tuple[str, str, "Origin | None"]  # name, type as text, where it was made

WIDTH = 100
# with the place, two source lines and the last line these make twelve
WHAT_LINES, OPERAND_LINES, HINT_LINES = 3, 3, 2
MOST_OPERANDS = 6  # that an error looks for; more would not fit into the lines


def wrap(
    head: str, words: Sequence[str], indent: str, max_lines: int, separator: str = " "
) -> list[str]:
    """Fills lines of WIDTH columns, the first starting with `head`; what does not fit into
    `max_lines` becomes an ellipsis.
    """
    lines, empty = [head], True
    for word in words:
        word = shorten(word, WIDTH - len(head))
        if not empty and len(lines[-1]) + len(separator) + len(word) > WIDTH:
            if len(lines) == max_lines:
                lines[-1] = lines[-1][: WIDTH - 4] + " ..."
                return lines
            lines.append(indent)
            empty = True
        lines[-1] += word if empty else separator + word
        empty = False
    return lines


def operand_lines(operands: Sequence[Operand]) -> list[str]:
    words = []
    for name, type_text, origin in operands:
        place = f" ({origin.brief()})" if origin is not None else ""
        words.append(shorten(f"{name}: {type_text}" if name else type_text, 60) + place)
    return wrap("  operands: ", words, "    ", OPERAND_LINES, separator="  ")


def shorten(text: str, width: int) -> str:
    """Leaves out the middle of a text that is too long: its ends tell more."""
    if len(text) <= width:
        return text
    tail = (width - 3) // 2
    return text[: width - 3 - tail] + "..." + text[len(text) - tail :]


def tensors_among(arguments: dict[str, Any]) -> tuple[Operand, ...]:
    """The tensors and arrays of a call, also those in its lists: what has a type with a text."""
    found: list[Operand] = []
    for parameter, value in arguments.items():
        listed = isinstance(value, list | tuple) and len(value) <= MOST_OPERANDS
        for v in value if listed else (value,):
            text = _type_text(v)
            if text and len(found) < MOST_OPERANDS:
                name = v.label() if callable(getattr(v, "label", None)) else ""
                if name in ("", "value"):  # a constant: what it is for tells more
                    name = parameter if parameter not in ("self", "other") else "constant"
                found.append((name, text, getattr(v, "origin", None)))
    return tuple(found)


def _type_text(value: Any) -> str:
    own = getattr(getattr(value, "type", None), "text", None)
    if callable(own):
        return str(own())
    if type(value).__module__ != "numpy" or not hasattr(value, "shape"):
        return ""
    return f"{value.dtype}[{', '.join(map(str, value.shape))}]" if value.shape else str(value.dtype)


def dedent(text: str) -> str:
    """As inspect.cleandoc, whose module takes longer to import than all of this package's
    errors.
    """
    first, *rest = text.strip("\n").rstrip().splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    if first.startswith(" "):
        margin = min(margin or len(first), len(first) - len(first.lstrip()))
        first = first[margin:]
    return "\n".join([first, *(line[margin:] for line in rest)])


# what Python prints of an error that nobody catches ----------------------------------------------


def print_users_mistakes(shortly: Callable[[BaseException], bool]) -> None:
    """From now on Python prints uncaught errors of which ``shortly`` is true without the frames
    inside symgraph; all are shown under SYMGRAPH_VERIFY=1. A hook that somebody else has set stays.
    """
    if sys.excepthook is not sys.__excepthook__:  # of a notebook or a debugger
        return

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if shortly(error) and os.environ.get("SYMGRAPH_VERIFY", "0") in ("", "0"):
            error.__traceback__ = trace = without_own_frames(trace) or trace
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = show


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of symgraph's own files."""
    kept: list[TracebackType] = []
    while trace is not None:
        if not is_own(trace.tb_frame):
            kept.append(trace)
        trace = trace.tb_next
    below: TracebackType | None = None
    for t in reversed(kept):
        below = TracebackType(below, t.tb_frame, t.tb_lasti, t.tb_lineno)
    return below
