"""Scenes of graphs and programs, and the files written from them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
from symgraph.drawing.dot import dot
from symgraph.drawing.families import family
from symgraph.drawing.html import html
from symgraph.drawing.program_scene import program_scene
from symgraph.drawing.scene import FAMILIES, Box, Edge, Scene, columns, shorten
from symgraph.drawing.svg import svg
from symgraph.drawing.tensor_scene import tensor_scene
from symgraph.drawing.theme import STYLE, fill_and_stroke

HOSTILE = "</script></title><script>alert(1)</script>\"'&\\\x1b[31m\n\u202eevil"


def text_of(picture: str) -> list[str]:
    """All texts of an SVG, in the order in which they stand."""
    root = ElementTree.fromstring(picture)
    return [t.text or "" for t in root.iter("{http://www.w3.org/2000/svg}text")]


def small_graph() -> sg.Graph:
    x = sg.matrix("x", dtype="float32", shape=("n", 4))
    w = sg.shared(np.ones((4, 3), "float32"), name="w")
    y = sg.sum(sg.exp(x @ w) * 0.5 - 1, axis=1)
    return sg.Graph([x], [y])


def test_scene_of_a_graph() -> None:
    scene = tensor_scene(small_graph(), ["y"])
    words = [(b.title, b.lines, b.family) for b in scene.boxes]
    assert words == [
        ("x", ("float32[n, 4]",), "input"),
        ("w", ("float32[4, 3]",), "shared"),
        ("matmul", ("float32[n, 3]",), "contraction"),
        ("exp", ("float32[n, 3]",), "elementwise"),
        ("multiply", ("(·, 0.5)", "float32[n, 3]"), "elementwise"),
        ("subtract", ("(·, 1)", "float32[n, 3]"), "elementwise"),
        ("sum", ("axes=(1,)", "float32[n]"), "reduction"),
        ("y", (), "output"),
    ]
    assert [tuple(e) for e in scene.edges] == [
        (0, 2, 0), (1, 2, 1), (2, 3, 0), (3, 4, 0), (4, 5, 0), (5, 6, 0), (6, 7, 0),
    ]  # fmt: skip


def test_details_name_the_line() -> None:
    (box,) = (b for b in tensor_scene(small_graph()).boxes if b.title == "exp")
    details = dict(box.details)
    assert details["op"] == "exp" and details["operand 0"] == "matmul: float32[n, 3]"
    assert details["line"].endswith(" in small_graph")
    assert details["source"] == "y = sg.sum(sg.exp(x @ w) * 0.5 - 1, axis=1)"


def test_scene_of_a_loop_holds_its_body() -> None:
    xs, s = sg.vector("xs", shape=("t",)), sg.scalar("s")
    out = sg.scan(lambda x, a: a + x, [xs], [s])
    (box,) = (b for b in tensor_scene(sg.Graph([xs, s], [out])).boxes if b.inner)
    assert box.family == "control" and box.inner[0][0] == "body"
    assert "add" in [b.title for b in box.inner[0][1].boxes]


def test_scene_of_a_program() -> None:
    x = sg.matrix("x", shape=("n", 4))
    w = sg.shared(np.ones((4, 3)), name="w")
    d = stage_definition(sg.nn.softmax(x @ w))
    program = stages.lower(d, stages.optimized_graph(d))
    scene = program_scene(program, {"in0": "x", "state0": "w", "out0": "result"})
    titles = [b.title for b in scene.boxes]
    assert titles[:3] == ["x", "w", "matmul"] and titles[-1] == "result"
    (kernel,) = (b for b in scene.boxes if b.family == "reduction")
    assert {"max", "exp", "Σ"} <= set(kernel.lines[0].split())
    with_loops = program_scene(program, {}, loops=True)
    assert any("fold" in line for b in with_loops.boxes for line in b.code)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_has_its_colours(name: str) -> None:
    assert all(re.fullmatch("#[0-9a-f]{6}", c) for c in fill_and_stroke(name))
    assert f".{name}{{fill:" in STYLE


def test_families_follow_from_what_ops_are() -> None:
    x, i = sg.matrix("x"), sg.vector("i", dtype="int64")
    expected = {
        "elementwise": [sg.exp(x), sg.where(x > 0, x, 0)],
        "reduction": [sg.sum(x), sg.argmax(x, axis=0)],
        "contraction": [x @ x],
        "view": [x.T, x[1:], sg.flip(x, 0), sg.reshape(x, (-1,)), sg.expand_dims(x, 0)],
        "gather": [sg.take_along_axis(x, sg.matrix("k", dtype="int64"), 1)],
        "routine": [sg.cumsum(x, axis=0)],
        "control": [sg.scan(lambda a: a + 1, [x])],
    }
    found = {word: [family(v.owner) for v in vs] for word, vs in expected.items()}
    assert found == {word: [word] * len(vs) for word, vs in expected.items()}
    assert family(x[i].owner) in ("gather", "view")


# files --------------------------------------------------------------------------------------------


def test_svg_shows_every_text() -> None:
    found = text_of(svg(tensor_scene(small_graph(), ["y"], "a title")))
    for text in ("a title", "x", "float32[4, 3]", "matmul", "(·, 0.5)", "axes=(1,)", "y"):
        assert text in found


def test_operands_in_another_order_are_numbered() -> None:
    boxes = [Box("a"), Box("b"), Box("c"), Box("d"), Box("e")]
    # the edges to d and e cannot both be drawn in the order of their operands
    edges = [Edge(0, 3, 0), Edge(1, 3, 1), Edge(0, 4, 1), Edge(1, 4, 0), Edge(2, 4, 0)]
    assert {"0", "1"} <= set(text_of(svg(Scene("", boxes, edges))))
    assert "0" not in text_of(svg(Scene("", boxes, edges[:2])))


def hostile_scene() -> Scene:
    inner = Scene(HOSTILE, [Box(HOSTILE, (HOSTILE,))], [])
    box = Box(HOSTILE, (HOSTILE,), "control", ((HOSTILE, HOSTILE),), ((HOSTILE, inner),))
    plain = Box(HOSTILE, (), "input", (), (), False, (HOSTILE,))
    return Scene(HOSTILE, [plain, box], [Edge(0, 1)])


def without_controls(scene: Scene) -> Scene:
    """As the makers of scenes do: control characters never reach a writer but in details."""

    def clean(box: Box) -> Box:
        title = shorten(box.title, 99)
        lines, code = (tuple(shorten(t, 99) for t in ts) for ts in (box.lines, box.code))
        inner = tuple((shorten(w, 99), without_controls(s)) for w, s in box.inner)
        return box._replace(title=title, lines=lines, code=code, inner=inner)

    return Scene(shorten(scene.title, 99), [clean(b) for b in scene.boxes], scene.edges)


def test_hostile_text_stays_text_in_svg() -> None:
    root = ElementTree.fromstring(svg(without_controls(hostile_scene())))
    assert {e.tag.rpartition("}")[2] for e in root.iter()} == {
        "svg", "title", "style", "rect", "g", "text", "path",
    }  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.open.append(tag)
        given = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in given)
        if tag == "script":
            self.scripts.append((given, ""))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            given, before = self.scripts[-1]
            self.scripts[-1] = (given, before + data)
        if self.open and self.open[-1] == "style":
            self.styles.append(data)


def parsed(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


def test_page_is_locked_to_its_own_script_and_style() -> None:
    page = parsed(html(tensor_scene(small_graph())))
    (data, script), (style,) = page.scripts, page.styles
    for text in (script[1], style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'; ") and "unsafe" not in page.policy
    assert data[0]["type"] == "application/json"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html(Scene("", [], [])))


def test_hostile_text_stays_text_in_the_page() -> None:
    page = parsed(html(without_controls(hostile_scene())))
    assert page.names.count("script") == 2
    boxes = json.loads(page.scripts[0][1])["boxes"]
    assert boxes["1"]["details"] == [[HOSTILE, HOSTILE]]
    assert set(boxes) == {"0", "1", "1.0.0"}


def test_dot_quotes_every_text() -> None:
    text = dot(without_controls(hostile_scene()))
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert "alert" not in unquoted and '"' not in unquoted
    assert unquoted.count("{") == unquoted.count("}") == 2


def test_an_empty_scene() -> None:
    empty = Scene("nothing", [], [])
    assert text_of(svg(empty)) == ["nothing"]
    parsed(html(empty))
    dot(empty)


@pytest.mark.parametrize("text", ["", "abc", "日本", "e\u0301", "a\u200bb"])
def test_columns(text: str) -> None:
    assert columns(text) == {"": 0, "abc": 3, "日本": 4, "e\u0301": 1, "a\u200bb": 2}[text]


def test_a_large_graph_is_drawn() -> None:
    x = sg.vector("x", shape=("n",))
    y = x
    for _ in range(1000):
        y = sg.sin(y) + x
    picture = svg(tensor_scene(sg.Graph([x], [y])))
    assert len(text_of(picture)) > 4000
