"""What is drawn, before anything has a place: boxes with text, and edges between them.

A scene knows nothing of graphs or programs; `tensor_scene.py` and `program_scene.py` make scenes of
those, `layout.py` places the boxes, `svg.py`, `html.py` and `dot.py` write them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from symgraph.records import NamedTuple


class Box(NamedTuple):
    """A box: ``title``, smaller ``lines`` below it, ``code`` as it is, scenes drawn inside it.

    ``family`` is one of FAMILIES and gives the colour; ``details`` are (word, text) pairs for the
    panel of the HTML page and the tooltip of the SVG; ``again``: another box shows the same.
    ``key`` is what the maker of the scene knows the box by; copies keep it.
    """

    title: str
    lines: tuple[str, ...] = ()
    family: str = "elementwise"
    details: tuple[tuple[str, str], ...] = ()
    inner: tuple[tuple[str, Scene], ...] = ()
    again: bool = False
    code: tuple[str, ...] = ()
    key: int = -1


class Edge(NamedTuple):
    """From box ``source`` to box ``target``; ``position`` counts the target's operands."""

    source: int
    target: int
    position: int = 0


class Scene(NamedTuple):
    """Boxes and edges. Every edge leads from an earlier box to a later one."""

    title: str
    boxes: Sequence[Box]
    edges: Sequence[Edge]


# The order is that of the legend; the words stand in it.
FAMILIES = {
    "input": "input",
    "shared": "shared state",
    "constant": "constant",
    "elementwise": "elementwise",
    "reduction": "reduction",
    "contraction": "contraction",
    "view": "view",
    "gather": "indexing",
    "random": "random",
    "routine": "routine",
    "control": "loop or branch",
    "check": "check",
    "output": "result",
}


def columns(text: str) -> int:
    """How many columns of a monospaced font a text takes.

    >>> columns("abc"), columns("日本")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(c) for c in text)


def _columns(c: str) -> int:
    if unicodedata.combining(c) or unicodedata.category(c) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """One printable line of at most ``width`` characters; what is left out shows as an ellipsis.

    Control characters and what turns the direction of writing become a question mark, so that a
    name cannot disturb the picture.

    >>> shorten("a very long name", 8), shorten("a\\nb", 8)
    ('a very …', 'a?b')
    """
    clean = "".join(c if c.isprintable() else "?" for c in text[: width + 1])
    return clean if len(clean) <= width else clean[: width - 1] + "…"
