"""What Python shows of expressions and functions: `sg.view`, and the pictures in notebooks."""

from __future__ import annotations

import base64
import tempfile
import webbrowser
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from symgraph import compiler
from symgraph.drawing.svg import svg
from symgraph.drawing.tensor_scene import tensor_scene
from symgraph.drawing.viewer import view_page
from symgraph.function import Compiled, Definition
from symgraph.ir.graph import Graph, Variable
from symgraph.ir.text import tree_text

SMALL = 60  # nodes that are drawn in a notebook; more are shown as text
LINES = 40  # of that text


def view(
    subject: Any,
    path: str | Path | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    until: str = "asm",
    profile: Any = None,
    target: str = "cpu",
) -> Path:
    """Write the viewer's page of an expression, several, or a compiled function; returns its path.

    Without a ``path`` the page goes to a temporary file that a browser opens. ``sizes`` gives named
    sizes their values in the memory plan, ``until`` the last stage that the page shows: one of
    graph, optimized, program, loops, scheduled, llvm, asm. ``profile`` is what
    ``symgraph profile --json`` wrote, read by ``json.load``. For a ``target`` such as
    ``"cuda:sm_90"`` it shows launches and PTX, which needs no GPU. The page needs no network.

    >>> import symgraph as sg, tempfile
    >>> x = sg.vector("x")
    >>> page = sg.view(sg.log(1 + x), tempfile.mkdtemp() + "/log.html", until="scheduled")
    >>> page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    True
    """
    d = definition_of(subject)
    text = view_page(
        d, words_of(d), sizes=sizes, until=until, profile=profile, target=target
    )  # fmt: skip
    if path is not None:
        page = Path(path)
        page.write_text(text, encoding="utf-8")
        return page
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8", delete=False) as file:
        file.write(text)
    webbrowser.open(Path(file.name).as_uri())
    return Path(file.name)


def definition_of(subject: Any) -> Definition:
    """The definition that stands behind a compiled function, or one made of expressions."""
    if isinstance(subject, Compiled):
        return subject.definition
    name = subject.name if isinstance(subject, Variable) and subject.name else "expression"
    return compiler.stage_definition(subject, name)


def words_of(d: Definition) -> list[str]:
    """A word for each output and update."""
    count = len(d.graph.outputs) - len(d.updates)
    words = [v.name or (f"output {k}" if count > 1 else "result")
             for k, v in enumerate(d.graph.outputs[:count])]  # fmt: skip
    return [*words, *(f"{s.label()} ←" for s in d.updates)]


def html_of(value: Any) -> str:
    """What a notebook shows of a variable or a compiled function: a small picture, of a large graph
    the beginning of its tree. Names stay text.

    >>> import symgraph as sg
    >>> html_of(sg.exp(sg.vector("<b>"))).count("<b>")
    0
    """
    if isinstance(value, Compiled):
        graph, head = value.definition.graph, repr(value)
        words = words_of(value.definition)
    else:
        graph, head, words = Graph((), (value,)), repr(value), [value.name or "result"]
    top = f'<div style="font:600 13px monospace">{escape(head)}</div>'
    count = len(graph.toposort())
    if 0 < count <= SMALL:
        picture = svg(tensor_scene(graph, words, head))
        return top + _scoped(picture)
    if count == 0:
        return top
    lines = tree_text(graph.outputs).splitlines()
    more = f"\n… {len(lines) - LINES} more lines" if len(lines) > LINES else ""
    return f"{top}<pre>{escape(chr(10).join(lines[:LINES]))}{more}</pre>"


def svg_of(value: Any) -> str | None:
    """The picture alone, for frontends that show no HTML; None for a large graph.

    >>> import symgraph as sg
    >>> svg_of(sg.exp(sg.vector("x")))[:4]
    '<svg'
    """
    if isinstance(value, Compiled):
        graph, words = value.definition.graph, words_of(value.definition)
    else:
        graph, words = Graph((), (value,)), [value.name or "result"]
    small = 0 < len(graph.toposort()) <= SMALL
    return svg(tensor_scene(graph, words, repr(value))) if small else None


def _scoped(picture: str) -> str:
    """The picture as an image, whose style sheet is its own and does not reach the notebook."""
    coded = base64.b64encode(picture.encode("utf-8")).decode()
    return f'<img alt="graph" style="max-width:100%" src="data:image/svg+xml;base64,{coded}">'
