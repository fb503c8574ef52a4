"""Layouts of random graphs: nothing overlaps, edges lead down, the work stays linear."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgraph.drawing.layout import GAP_Y, Layout, layered, layers
from symgraph.drawing.scene import Box, Edge, Scene
from symgraph.drawing.untangle import LONGEST, NEAR, untangled

Sizes = list[tuple[float, float]]
Edges = list[tuple[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Sizes, Edges]:
    count = draw(st.integers(1, 25))
    size = st.tuples(st.floats(10, 200), st.floats(10, 90))
    sizes = draw(st.lists(size, min_size=count, max_size=count))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    found = draw(st.lists(pair, max_size=3 * count))
    return sizes, [(min(p), max(p)) for p in found if p[0] != p[1]]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_boxes_do_not_overlap_and_edges_lead_down(graph: tuple[Sizes, Edges]) -> None:
    sizes, edges = graph
    layout = layered(sizes, edges)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(layout.boxes, sizes, strict=True)]
    for k, a in enumerate(boxes):
        assert a[0] >= -1e-6 and a[1] >= 0
        assert a[2] <= layout.width + 1e-6 and a[3] <= layout.height + 1e-6
        for b in boxes[:k]:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart
    check_routes(layout, boxes, edges)


def check_routes(
    layout: Layout, boxes: list[tuple[float, float, float, float]], edges: Edges
) -> None:
    assert len(layout.routes) == len(edges)
    for (s, t), route in zip(edges, layout.routes, strict=True):
        (x, y), (u, v) = route[0], route[-1]
        assert boxes[s][0] <= x <= boxes[s][2] and y == pytest.approx(boxes[s][3])
        assert boxes[t][0] <= u <= boxes[t][2] and v == pytest.approx(boxes[t][1])
        assert all(a[1] <= b[1] + 1e-6 for a, b in pairwise(route))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_edge_passes_at_least_one_layer(graph: tuple[Sizes, Edges]) -> None:
    sizes, edges = graph
    found = layers(len(sizes), edges)
    assert min(found) >= 0
    assert all(found[s] < found[t] for s, t in edges)


def test_a_layout_is_the_same_every_time() -> None:
    edges = [(k // 2, k) for k in range(1, 40)]
    sizes = [(30.0, 20.0)] * 40
    assert layered(sizes, edges) == layered(sizes, edges)


def test_a_chain_is_straight() -> None:
    layout = layered([(40.0, 20.0), (100.0, 20.0), (60.0, 20.0)], [(0, 1), (1, 2)])
    assert [x + w / 2 for (x, _), w in zip(layout.boxes, (40, 100, 60), strict=True)] == [50] * 3
    assert [y for _, y in layout.boxes] == [0, 20 + GAP_Y, 40 + 2 * GAP_Y]


def test_crossings_that_can_go_are_gone() -> None:
    # a complete bipartite order reversed: 0-5, 1-4, 2-3
    layout = layered([(20.0, 20.0)] * 6, [(0, 5), (1, 4), (2, 3)])
    ends = sorted((route[0][0], route[-1][0]) for route in layout.routes)
    assert [e[1] for e in ends] == sorted(e[1] for e in ends)


def test_an_input_moves_to_its_reader() -> None:
    assert layers(5, [(0, 1), (1, 2), (2, 4), (3, 4)])[3] == 2


# untangling ---------------------------------------------------------------------------------------


def chain(length: int) -> Scene:
    """A chain whose every box also reads the box 0, an input."""
    edges = [Edge(k, k + 1) for k in range(1, length)]
    edges += [Edge(0, k, 1) for k in range(2, length + 1)]
    boxes = [Box("x", family="input"), *(Box(f"op{k}") for k in range(length))]
    return Scene("chain", boxes, edges)


def test_inputs_are_drawn_again_where_they_are_read() -> None:
    scene = untangled(chain(50))
    layer = layers(len(scene.boxes), [(e.source, e.target) for e in scene.edges])
    copies = [k for k, box in enumerate(scene.boxes) if box.title == "x"]
    assert len(copies) > 5
    assert all(scene.boxes[k].again for k in copies[:-1])
    for e in scene.edges:
        if e.source in copies:
            assert layer[e.target] - layer[e.source] <= NEAR + 1


def test_edges_that_are_too_long_become_references() -> None:
    length = 3 * LONGEST
    boxes = [Box("x"), *(Box(f"op{k}") for k in range(length))]
    edges = [Edge(k, k + 1) for k in range(length)]
    far = [Edge(k, length - k, 1) for k in range(1, 20)]  # as the backward pass reads the forward
    scene = untangled(Scene("long", boxes, [*edges, *far]))
    assert len(scene.edges) == len(edges) + len(far)
    marked = [b.title for b in scene.boxes if b.title.endswith("]")]
    references = [b.title for b in scene.boxes if b.title.startswith("[")]
    assert len(marked) == len(references) == 19
    assert {m.split(" ")[1] for m in marked} == {r.split(" ")[0] for r in references}


def test_work_is_linear_in_deep_graphs() -> None:
    """A chain of 3 000 whose backward pass reads every step forward: 4.5 million layers are passed
    by its edges, which nobody could wait for."""
    length = 3000
    boxes = [Box(f"op{k}") for k in range(2 * length)]
    edges = [Edge(k, k + 1) for k in range(2 * length - 1)]
    edges += [Edge(k, 2 * length - 1 - k, 1) for k in range(length - 1)]
    scene = untangled(Scene("deep", boxes, edges))
    layer = layers(len(scene.boxes), [(e.source, e.target) for e in scene.edges])
    passed = sum(layer[e.target] - layer[e.source] - 1 for e in scene.edges)
    assert passed <= 4 * 2 * length + 300
    layout = layered([(60.0, 30.0)] * len(scene.boxes), [(e.source, e.target) for e in scene.edges])
    assert len(layout.routes) == len(edges)
