"""The viewer: everything about one program on one offline page, linked both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgraph.drawing.viewer.data import page_data
from symgraph.drawing.viewer.page import page
from symgraph.function import Definition


def view_page(
    d: Definition,
    words: Sequence[str],
    *,
    sizes: Mapping[str, int] | None = None,
    until: str = "asm",
    profile: Any = None,
    target: str = "cpu",
) -> str:
    """The page of a definition as HTML; the parameters are those of `data.page_data`."""
    return page(page_data(d, words, sizes, until, profile, target))
