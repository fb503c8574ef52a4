"""Scenes without edges across half the picture.

An input that is read in far places is drawn again at each of them. The longest edges between other
boxes become references: the source gets a number, and a small box with that number stands at the
target. So the dummy nodes of the layout stay linear in the boxes, whatever the graph is.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.drawing.layout import layers
from symgraph.drawing.scene import Box, Edge, Scene

NEAR = 4  # layers between two readers of an input that share one box
LONGEST = 40  # layers that an edge may pass
PER_BOX, FREE = 4, 300  # how many layers all edges may pass, together


def untangled(scene: Scene) -> Scene:
    """The scene with copies of inputs and references in place of long edges.

    >>> untangled(Scene("", [Box("a"), Box("b")], [Edge(0, 1)])).boxes[1].title
    'b'
    """
    return _references(_copies(scene))


def _layer(scene: Scene) -> list[int]:
    return layers(len(scene.boxes), [(e.source, e.target) for e in scene.edges])


def _copies(scene: Scene) -> Scene:
    layer = _layer(scene)
    entered = {e.target for e in scene.edges}
    leaving: dict[int, list[int]] = {}
    for k, e in enumerate(scene.edges):
        if e.source not in entered and not scene.boxes[e.source].inner:
            leaving.setdefault(e.source, []).append(k)
    copies: list[Box] = []
    source = {}  # number of an edge -> index of the copy it starts from
    for v, numbers in leaving.items():
        numbers.sort(key=lambda k: layer[scene.edges[k].target])
        first = layer[scene.edges[numbers[0]].target]
        here = None
        for k in numbers:
            at = layer[scene.edges[k].target]
            if at - first > NEAR:
                here, first = len(copies), at
                copies.append(scene.boxes[v]._replace(again=True))
            if here is not None:
                source[k] = here
    return _with_front(scene, copies, source)


def _references(scene: Scene) -> Scene:
    layer = _layer(scene)
    spans = sorted((layer[e.target] - layer[e.source] - 1, k) for k, e in enumerate(scene.edges))
    left = PER_BOX * len(scene.boxes) + FREE
    marks: dict[int, int] = {}
    front: list[Box] = []
    source = {}
    for span, k in spans:
        left -= span
        if span <= LONGEST and left >= 0:
            continue
        v = scene.edges[k].source
        mark = marks.setdefault(v, len(marks) + 1)
        box = scene.boxes[v]
        source[k] = len(front)
        title = f"[{mark}] {box.title}"
        front.append(Box(title, (), box.family, box.details, again=True, key=box.key))
    boxes = list(scene.boxes)
    for v, mark in marks.items():
        boxes[v] = boxes[v]._replace(title=f"{boxes[v].title} [{mark}]")
    return _with_front(scene._replace(boxes=boxes), front, source)


def _with_front(scene: Scene, front: Sequence[Box], source: dict[int, int]) -> Scene:
    """More boxes before all others; the edges in ``source`` start from these."""
    if not front:
        return scene
    shift = len(front)
    edges = [
        Edge(source.get(k, e.source + shift), e.target + shift, e.position)
        for k, e in enumerate(scene.edges)
    ]
    return Scene(scene.title, [*front, *scene.boxes], edges)
