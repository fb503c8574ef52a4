"""The states of a graph as the page wants them: boxes, places and routes as plain numbers.

Places cost time, so only as many states are laid out as BUDGET boxes allow; between two of these
the page keeps the earlier picture and marks in it what a rule is about to replace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.drawing.layout import Point
from symgraph.drawing.replay import Change, History, Numbers
from symgraph.drawing.scene import Box, Scene
from symgraph.drawing.svg import CAPTION, MARGIN, Placed, canvas, place, text_height
from symgraph.drawing.tensor_scene import Keys, tensor_scene
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.text import type_text
from symgraph.rewrite.rules import described

BUDGET = 5000  # boxes in all pictures together, beyond the first and the last


class Boxes:
    """The texts of all boxes of a page, each kept once."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.place: dict[Box, int] = {}

    def number(self, box: Box) -> int:
        """The row of a box: title, lines, family, details, code."""
        plain = box._replace(inner=(), key=-1, again=False)
        number = self.place.get(plain)
        if number is None:
            number = self.place[plain] = len(self.rows)
            self.rows.append([box.title, box.lines, box.family, box.details, box.code])
        return number

    def picture(self, scene: Scene) -> dict[str, Any]:
        """Nodes as (box, key, again, x, y, width, height), edges as (source, target, number of
        points, x, y, ...): each in one flat list, from the top to the bottom."""
        placed = place(scene)
        width, height = canvas(placed)
        nodes: list[list[int]] = []
        edges: list[list[int]] = []
        labels: list[list[Any]] = []
        self._collect(placed, (MARGIN, MARGIN), nodes, edges, labels)
        order = sorted(range(len(nodes)), key=lambda k: nodes[k][4])
        rank = {k: n for n, k in enumerate(order)}
        for e in edges:
            e[0], e[1] = rank[e[0]], rank[e[1]]
        edges.sort(key=lambda e: e[4])
        return {
            "n": [x for k in order for x in nodes[k]],
            "e": [x for e in edges for x in e],
            "t": labels,
            "w": round(width),
            "h": round(height),
        }

    def _collect(
        self, placed: Placed, corner: Point, nodes: list[list[int]], edges: list[list[int]],
        labels: list[list[Any]],
    ) -> None:  # fmt: skip
        first = len(nodes)
        left, top = corner
        scene, layout = placed.scene, placed.layout
        for box, (x, y), (w, h) in zip(scene.boxes, layout.boxes, placed.sizes, strict=True):
            at = [round(left + x), round(top + y), round(w), round(h)]
            nodes.append([self.number(box), box.key, int(box.again), *at])
        for e, route in zip(scene.edges, layout.routes, strict=True):
            points = _thinned(route)
            flat = [round(c) for x, y in points for c in (left + x, top + y)]
            edges.append([first + e.source, first + e.target, len(points), *flat])
        for k, parts in enumerate(placed.inner):
            x = left + layout.boxes[k][0] + MARGIN / 2
            y = top + layout.boxes[k][1] + text_height(scene.boxes[k]) + CAPTION
            for word, inner in parts:
                labels.append([round(x), round(y - 6), word])
                self._collect(inner, (x, y), nodes, edges, labels)
                x += inner.layout.width + MARGIN


def _thinned(route: Sequence[Point]) -> list[Point]:
    """The route without points in the middle of a straight line down."""
    kept: list[Point] = []
    for k, p in enumerate(route):
        straight = 0 < k < len(route) - 1 and route[k - 1][0] == p[0] == route[k + 1][0]
        if not straight:
            kept.append(p)
    return kept


class Pictures:
    """The histories of a program's graphs, drawn."""

    def __init__(self, boxes: Boxes, numbers: Numbers) -> None:
        self.boxes, self.numbers = boxes, numbers
        self.keys = Keys(numbers)

    def history(self, h: History, name: str, words: Sequence[str]) -> dict[str, Any]:
        """A history as plain data: pictures, and for each step which of them it shows."""
        graphs = [h.start, *(c.graph for c in h.changes)]
        counts = [len(g.toposort()) + len(g.inputs) for g in graphs]
        every = max(1, -(-sum(counts) // BUDGET))
        pictures: list[dict[str, Any]] = []
        shown: list[int] = []
        scenes: dict[tuple[Any, ...], int] = {}
        for k, g in enumerate(graphs):
            wanted = k % every == 0 or k == len(graphs) - 1
            if every > 1 and sum(counts) > 20 * BUDGET:
                wanted = k in (0, len(graphs) - 1)
            if wanted:
                scene = tensor_scene(g, words, name, self.keys)
                look = (*((b.key, b.title, b.lines, *(id(s) for _, s in b.inner))
                          for b in scene.boxes), *scene.edges)  # fmt: skip
                if look not in scenes:
                    scenes[look] = len(pictures)
                    pictures.append(self.boxes.picture(scene))
                shown.append(scenes[look])
            else:
                shown.append(shown[-1])
        steps = [self._step(c, k) for c, k in zip(h.changes, shown[1:], strict=True)]
        return {"name": name, "pictures": pictures, "first": shown[0], "steps": steps,
                "counts": [counts[0], counts[-1]]}  # fmt: skip

    def _step(self, c: Change, picture: int) -> dict[str, Any]:
        events = []
        for f in c.firings:
            words = GraphWords()
            events.append({
                "rule": f.rule.name, "class": f.rule.klass, "where": f.rule.location(),
                "doc": f.rule.doc, "when": described(f.rule.when) if f.rule.when else "",
                "before": words.brief(f.before), "after": words.brief(f.after),
                "type": type_text(f.before.type),
                "at": self.numbers(f.before.owner or f.before),
                "to": self.numbers(f.after.owner or f.after),
            })  # fmt: skip
        return {"pass": c.name, "what": c.what, "events": events, "picture": picture,
                "added": c.added, "removed": c.removed}  # fmt: skip


class GraphWords:
    """Short texts of values, in which equal operands have equal words."""

    def __init__(self) -> None:
        self.words: dict[Variable, str] = {}

    def brief(self, v: Variable, depth: int = 3) -> str:
        """The value as an expression of a few levels; what is below has a letter."""
        if isinstance(v, Constant):
            return f"{v.data.item():.6g}" if _plain_number(v) else f"const {type_text(v.type)}"
        if v.owner is None or depth == 0:
            return v.name or self._letter(v)
        below = ", ".join(self.brief(i, depth - 1) for i in v.owner.inputs)
        end = f"[{v.index}]" if len(v.owner.outputs) > 1 else ""
        return f"{v.owner.op.name}({below}){end}"

    def _letter(self, v: Variable) -> str:
        word = self.words.get(v)
        if word is None:
            k = len(self.words)
            word = self.words[v] = "abcdefghijklmnopqrstuvwxyz"[k % 26] + str(k // 26 or "")
        return word


def _plain_number(v: Constant) -> bool:
    return v.data.size == 1 and v.data.dtype.kind in "iuf"
