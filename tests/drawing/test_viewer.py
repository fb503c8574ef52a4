"""The viewer's page without a browser: its data, its policy, and names that stay text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.compiler import stage_definition
from symgraph.drawing import notebook
from symgraph.drawing.viewer import graphs
from symgraph.drawing.viewer.data import page_data
from symgraph.drawing.viewer.page import ASSETS, SCRIPTS, page

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>\"'&\u2028\x1b[31m\u202e"


def loss() -> sg.Variable:
    x = sg.matrix("x", shape=("n", 4))
    w = sg.shared(np.ones((4, 3)), name="w")
    return sg.mean(sg.nn.softmax(x @ w) ** 2.0)


def data_of(*outputs: sg.Variable, **options: Any) -> dict[str, Any]:
    words = [f"y{k}" for k in range(len(outputs))]
    data = page_data(stage_definition(list(outputs), "thing"), words, **options)
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.policy, self.scripts, self.styles, self.open = "", [""], "", ""
        self.title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names.append(tag)
        self.open = tag
        assert not any(n.startswith("on") or n in ("style", "src", "href") for n in given), given
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, text: str) -> None:
        if self.open == "script":
            self.scripts[-1] += text
        if self.open == "style":
            self.styles += text
        if self.open == "title":
            self.title += text


def hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_admits_the_script_and_the_style_and_nothing_else() -> None:
    found = Elements(page(data_of(loss(), until="program")))
    _, data, script = found.scripts
    json.loads(data)
    rules = dict(r.strip().split(" ", 1) for r in found.policy.split(";"))
    assert rules == {
        "default-src": "'none'", "base-uri": "'none'", "form-action": "'none'",
        "script-src": f"'{hash_of(script)}'", "style-src": f"'{hash_of(found.styles)}'",
    }  # fmt: skip
    assert "img" not in found.names and "link" not in found.names and "iframe" not in found.names


def test_nothing_in_the_assets_asks_for_anything() -> None:
    for file in ASSETS.iterdir():
        text = file.read_text(encoding="utf-8")
        for word in ("http:", "https:", "innerHTML", "fetch(", "XMLHttp", "eval(", "import("):
            found = [t for t in text.splitlines() if word in t and "www.w3.org/2000/svg" not in t]
            assert not found, (file.name, found)
    assert {f.name for f in ASSETS.glob("*.js")} == set(SCRIPTS)


def test_hostile_names_stay_data() -> None:
    x = sg.vector(HOSTILE, shape=("n",))
    w = sg.shared(np.ones(3), name=HOSTILE)
    y = sg.exp(x) * sg.sum(w)
    d = stage_definition({HOSTILE: y}, HOSTILE)
    text = page(page_data(d, [HOSTILE]))
    found = Elements(text)
    assert found.names.count("script") == 2 and "img" not in found.names
    assert found.title == f"{HOSTILE} · symgraph"
    assert HOSTILE in json.dumps(json.loads(found.scripts[1]), ensure_ascii=False).replace(
        "\\\"", '"').replace("\\u001b", "\x1b")  # fmt: skip


def test_everything_is_linked() -> None:
    data = data_of(loss())
    titles = {b[0] for b in data["boxes"]}
    assert {"matmul", "softmax", "x", "w"} <= titles or {"matmul", "x", "w"} <= titles
    n, units, lines = len(data["nodes"]), len(data["units"]), len(data["lines"])
    assert units >= 2 and lines >= 1
    for found, homes in data["nodes"]:
        assert all(0 <= line[0] < lines for line in found)
        assert all(0 <= u < units for u in homes)
    linked = [homes for found, homes in data["nodes"] if homes]
    assert len(linked) > n / 2
    for u in data["units"]:
        assert u["lines"] and {*u["reads"], *u["writes"]} <= {b["name"] for b in data["buffers"]}
    (matmul,) = (u for u in data["units"] if u["name"] == "matmul")
    held = {b["name"]: b for b in data["buffers"]}
    assert held[matmul["reads"][0]]["word"] == "x" and held[matmul["reads"][1]]["word"] == "w"
    kernel = next(u for u in data["units"] if u["text"])
    assert "kernel kernel" in kernel["text"]["loops"] and kernel["modules"]
    names = {m["name"]: m for m in data["modules"]}
    assert "define" in names[kernel["modules"][0]]["llvm"]
    assert "ret" in names[kernel["modules"][0]]["asm"]


def test_source_lines_are_those_of_this_file() -> None:
    sources = data_of(loss(), until="graph")["sources"]
    source = next(s for s in sources if s["file"].endswith("test_viewer.py"))
    made = [text for _, text, line in source["rows"] if line >= 0]
    assert any('x = sg.matrix("x"' in t for t in made)
    assert any(line < 0 for _, _, line in source["rows"])  # and those around


def test_pictures_say_which_box_is_which_node() -> None:
    (graph,) = data_of(loss(), until="optimized")["graphs"]
    first = graph["pictures"][graph["first"]]
    keys = first["n"][1::7]
    step = next(s for s in graph["steps"] if s["added"])
    after = graph["pictures"][step["picture"]]["n"][1::7]
    assert set(step["removed"]) <= set(keys)
    assert set(step["added"]) <= set(after)
    assert step["events"][0]["class"] in ("exact", "stable")
    tops = first["n"][4::7]
    assert tops == sorted(tops)


def test_the_same_program_gives_the_same_page() -> None:
    y = loss()
    assert data_of(y, until="scheduled") == data_of(y, until="scheduled")


def test_large_graphs_have_fewer_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "BUDGET", 10)
    x = sg.vector("x")
    y = x
    for _ in range(20):
        y = sg.exp(sg.log(1 + y))
    (graph,) = data_of(y, until="optimized")["graphs"]
    assert len(graph["pictures"]) == 2 and len(graph["steps"]) >= 20
    assert sum(len(s["events"]) for s in graph["steps"]) >= 20


def test_memory_plan() -> None:
    x = sg.matrix("x", shape=("n", 8))
    w = sg.shared(np.ones((8, 8)), name="w")
    data = data_of(sg.exp(sg.exp(x @ w) @ w) @ w, until="program", sizes={"n": 10})
    temps = [b for b in data["buffers"] if b["slot"] >= 0]
    assert data["sizes"]["n"] == 10 and all(b["bytes"] == 640 for b in temps)
    assert data["slots"] == [640] * len(data["slots"])
    for b in data["buffers"]:
        assert 0 <= b["first"] <= b["last"] < len(data["units"])


def test_a_profile_becomes_heat() -> None:
    profile = {"rows": [{"name": "kernel0", "seconds": 0.25, "calls": 3}]}
    data = data_of(loss(), profile=profile)
    (unit,) = (u for u in data["units"] if u["name"] == "kernel0")
    assert data["heat"] and unit["seconds"] == 0.25 and unit["calls"] == 3


def test_a_program_in_parts_has_a_page() -> None:
    x = sg.vector("x")
    data = data_of(sg.exp(sg.unique(x)))
    assert data["notes"] and data["graphs"] and not data["units"]


def test_loops_hold_their_bodies() -> None:
    xs, s = sg.matrix("xs", shape=("t", 8)), sg.vector("s", shape=(8,))
    w = sg.shared(np.ones((8, 8)), name="w")
    data = data_of(sg.scan(lambda x, a: sg.tanh(sg.sort(a) @ w + x), [xs], [s]))
    inner = [u for u in data["units"] if u["depth"] == 1]
    assert inner and all(u["place"] < len(data["units"]) for u in inner)
    assert "body" in [word for _, _, word in data["graphs"][0]["pictures"][0]["t"]]


# from Python --------------------------------------------------------------------------------------


def test_view_writes_a_page(tmp_path: Path) -> None:
    x = sg.vector("x")
    path = sg.view(sg.compile([x], sg.exp(x) + 1, name="f"), tmp_path / "f.html")
    assert Elements(path.read_text("utf-8")).title == "f · symgraph"


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(sg.errors.ArgumentError, match="no stage"):
        sg.view(sg.exp(sg.vector("x")), "nowhere.html", until="the end")


def test_without_a_path_a_browser_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(notebook.webbrowser, "open", opened.append)
    path = sg.view([sg.exp(sg.vector("x"))], until="graph")
    assert opened == [path.as_uri()]
    path.unlink()


def test_notebooks_show_a_picture() -> None:
    x = sg.vector(HOSTILE)
    for value in (sg.exp(x), sg.compile([x], sg.exp(x)), x):
        text = value._repr_html_()
        assert "<img src=x" not in text and "<script" not in text
    found = re.search(r"base64,([^\"]+)", sg.exp(x)._repr_html_())
    assert found and b"exp" in base64.b64decode(found[1])


def test_notebooks_show_large_graphs_as_text() -> None:
    y = sg.vector("x")
    for _ in range(100):
        y = sg.tanh(y)
    text = y._repr_html_()
    assert "<pre>tanh" in text and "more lines" in text


def test_the_profile_of_a_function_becomes_heat(tmp_path: Path) -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.sum(sg.exp(x)), profile=True, name="f")
    for _ in range(3):
        f(np.zeros(1000))
    page = sg.view(f, tmp_path / "f.html", profile=f.profile)
    data = json.loads(Elements(page.read_text("utf-8")).scripts[1])
    assert data["heat"] and any(share > 0 for share in data["shares"].values())


def test_a_page_for_a_gpu_shows_launches_and_ptx() -> None:
    data = data_of(loss(), target="cuda:sm_90")
    assert data["target"] == "cuda:sm_90" and data_of(loss(), until="graph")["target"] == "cpu"
    modules = {m["name"]: m for m in data["modules"]}
    assert all(".target sm_90" in m["asm"] and "define" in m["llvm"] for m in modules.values())
    assert any("llvm.nvvm" in m["llvm"] for m in modules.values())
    launches = [u for u in data["units"] if u["modules"]]
    assert {m for u in launches for m in u["modules"]} == set(modules)
    for u in launches:
        assert f".entry {u['name']}(" in modules[u["name"]]["asm"]
        assert "threads" in u["gist"] and " grid {" in u["text"]["scheduled"] and u["lines"]
        assert " grid {" not in u["text"].get("loops", "")
    (product,) = (u for u in launches if u["gist"].startswith("matmul"))
    assert "loops" not in product["text"]  # a routine before it was scheduled
    linked = [homes for found, homes in data["nodes"] if homes]
    assert len(linked) > len(data["nodes"]) / 2


def test_the_launches_of_one_kernel_show_its_loops_once() -> None:
    x = sg.vector("x", shape=("n",))
    first, second = data_of(sg.sum(sg.exp(x)), target="cuda")["units"]
    assert first["text"]["loops"].startswith("kernel kernel0(")
    assert second["text"]["loops"] == f"// as of {first['name']}, above"
    assert [p[1] for p in first["params_before"]] == [p[1] for p in second["params_before"]]


def test_loops_and_branches_for_a_gpu() -> None:
    x, h = sg.matrix("x", shape=("n", 4)), sg.vector("h", shape=(4,))
    y = sg.scan(lambda r, s: sg.tanh(s @ np.ones((4, 4)) + r), [x], [h])
    data = data_of(sg.sum(y), target="cuda:sm_80")
    inner = [u for u in data["units"] if u["depth"] == 1 and u["modules"]]
    assert inner and all("threads" in u["gist"] for u in inner)


def test_what_a_page_for_a_gpu_does_not_have() -> None:
    with pytest.raises(sg.errors.ArgumentError, match="times of the CPU"):
        data_of(loss(), target="cuda", profile={})
    with pytest.raises(sg.errors.ArgumentError, match="'ptx' is no stage"):
        data_of(loss(), until="ptx")
