"""Graphviz text of a scene, for those who have `dot` and want its layout."""

from __future__ import annotations

import re

from symgraph.drawing.scene import Box, Scene
from symgraph.drawing.theme import fill_and_stroke

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def dot(scene: Scene) -> str:
    """The scene as a digraph; boxes with inner scenes become clusters.

    >>> print(dot(Scene("g", [], [])))
    digraph "g" {
      node [shape=box style="rounded,filled" fontname="monospace" fontsize=11];
      edge [color="#9ca3af" arrowsize=0.7];
    }
    """
    lines = [f"digraph {quoted(scene.title)} {{"]
    lines.append('  node [shape=box style="rounded,filled" fontname="monospace" fontsize=11];')
    lines.append('  edge [color="#9ca3af" arrowsize=0.7];')
    _write(scene, "b", "  ", lines)
    return "\n".join([*lines, "}"])


def _write(scene: Scene, prefix: str, indent: str, lines: list[str]) -> None:
    for k, box in enumerate(scene.boxes):
        _box(box, f"{prefix}{k}", indent, lines)
    for e in scene.edges:
        label = f" [label={e.position} fontsize=8]" if e.position else ""
        lines.append(f"{indent}{prefix}{e.source} -> {prefix}{e.target}{label};")


def _box(box: Box, key: str, indent: str, lines: list[str]) -> None:
    fill, stroke = fill_and_stroke(box.family)
    look = f'fillcolor="{fill}" color="{stroke}"'
    if box.family == "output":
        look += ' fontcolor="white"'
    label = "\\n".join(_escaped(t) for t in (box.title, *box.lines))
    code = "".join(_escaped(t) + "\\l" for t in box.code)
    lines.append(f'{indent}{key} [label="{label}{chr(92) + "n" + code if code else ""}" {look}];')
    for n, (word, inner) in enumerate(box.inner):
        lines.append(f"{indent}subgraph {quoted(f'cluster_{key}_{n}')} {{")
        lines.append(f"{indent}  label={quoted(word)} fontname=monospace fontsize=10;")
        _write(inner, f"{key}_{n}_", indent + "  ", lines)
        lines.append(indent + "}")
        if inner.boxes:  # the cluster stands near the box that owns it
            lines.append(f"{indent}{key} -> {key}_{n}_0 [style=dotted arrowhead=none];")


def quoted(text: str) -> str:
    """A string of the dot language.

    >>> quoted('a "b"')
    '"a \\\\"b\\\\""'
    """
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return _CONTROL.sub("?", text)
