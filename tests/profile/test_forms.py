"""Tables, JSON, pages and traces of profiles; the machine's limits; counts of work."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

import symgraph as sg
from symgraph.compiler import stage_definition
from symgraph.loops.work import step_work
from symgraph.profiling import machine, page, tables
from symgraph.profiling.progress import Progress, progress
from symgraph.profiling.traces import document
from symgraph.scalar import evaluate_size
from symgraph.stages import lower, optimized_graph


@pytest.fixture(scope="module")
def used() -> object:
    """A function with some kinds of steps, called three times."""
    a = sg.matrix("a", dtype="float32", shape=("n", 8))
    w = sg.shared(np.ones((8, 8), "float32"), name="w")
    y = sg.nn.softmax(a @ w)
    f = sg.compile([a], [sg.sum(y), a + 1], updates={w: w * 2}, name="<b>f</b>", profile=True)
    f.profile.trace_calls(200)
    for _ in range(3):
        f(np.ones((6, 8), "float32"))
    return f


def test_json_has_a_schema(used: object) -> None:
    data = json.loads(used.profile.json())
    assert data["schema"] == "symgraph.profile" and data["version"] == 1
    assert set(data) == {
        "schema", "version", "function", "calls", "seconds", "peak_bytes", "allocations",
        "machine", "rows", "ops", "lines", "compile",
    }  # fmt: skip
    assert set(data["rows"][0]) == {
        "number", "parent", "kind", "name", "calls", "seconds", "share", "bytes", "flops",
        "gbytes_per_second", "gflops_per_second", "roofline", "dtype", "ops",
    }  # fmt: skip
    assert {r["kind"] for r in data["rows"]} >= {"entry", "kernel", "call"}


@pytest.mark.parametrize("by", ["kernel", "op", "line"])
@pytest.mark.parametrize("width", [30, 60, 100, 250])
def test_tables_keep_to_the_width(used: object, by: str, width: int) -> None:
    lines = used.profile.table(by=by, width=width).splitlines()
    assert all(len(line) <= max(width, 34) for line in lines[1:])
    assert "time" in lines[1] or width == 30


def test_wide_tables_show_everything(used: object) -> None:
    text = used.profile.table(width=250)
    for word in ("step", "op", "line", "calls", "share", "each", "GB/s", "roof", "test_forms.py"):
        assert word in text
    assert str(used.profile) == used.profile.table()


def test_the_page_is_locked_and_escaped(used: object, tmp_path: Path) -> None:
    used.profile.html(tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<b>f</b>" not in text and "&lt;b&gt;f&lt;/b&gt;" in text
    assert "default-src 'none'" in text and "<script" not in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert text.count("<svg") == 2 and 'class="roof' in text and 'class="f where"' in text
    assert "prefers-color-scheme" in text


def test_a_page_of_nothing() -> None:
    x = sg.vector("x", dtype="int64")
    f = sg.compile([x], x + 1, profile=True)
    text = page.html([f.profile.data()])
    assert "Nothing was called yet" in text and "No step computes with floats" in text
    assert "0 calls" in f.profile.table()


def test_traces_nest(used: object, tmp_path: Path) -> None:
    used.profile.trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    calls = [e for e in slices if e["cat"] == "call of the function"]
    assert len(calls) == 3 and all(e["dur"] >= 0 for e in slices)
    for e in slices:
        inside = [c for c in calls if c["ts"] - 1e-3 <= e["ts"] <= c["ts"] + c["dur"] + 1e-3]
        assert inside
    assert {e["name"] for e in slices} > {"arguments", "outputs", "return"}


def test_a_trace_stops_when_it_is_full() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.exp(x), profile=True)
    f.profile.trace_calls(20)
    for _ in range(100):
        f(np.ones(3))
    assert len(f.profile.parts[0].counters.events()) == 20
    assert f.profile.calls == 100
    f.profile.reset()
    f(np.ones(3))
    assert 0 < len(f.profile.parts[0].counters.events()) < 20


def test_a_trace_of_a_loop() -> None:
    x = sg.matrix("x", shape=(30, 30))
    f = sg.compile([x], sg.scan(lambda h: sg.sin(h @ h), outputs_info=[x], n_steps=4), profile=True)
    f.profile.trace_calls()
    f(np.ones((30, 30)))
    slices = [e for e in document([f.profile])["traceEvents"] if e["ph"] == "X"]
    loops = [e for e in slices if e["cat"] == "loop"]
    steps = [e for e in slices if e["cat"] in ("kernel", "phase", "call")]
    long = max(loops, key=lambda e: e["dur"])
    inside = [e for e in steps if long["ts"] <= e["ts"] < long["ts"] + long["dur"]]
    assert len(inside) >= 4


def test_comparing(used: object) -> None:
    data = used.profile.data()
    slower = {**data, "rows": [{**r, "seconds": 2 * r["seconds"]} for r in data["rows"]]}
    text = tables.compared(data, slower, 120)
    assert "2.00 times" in text and "2.00" in text.splitlines()[2]
    gone = {**data, "rows": data["rows"][:2]}
    assert "gone" in tables.compared(data, gone, 120) and "new" in tables.compared(gone, data, 120)


# work ---------------------------------------------------------------------------------------------


def works(y: sg.Variable, **sizes: int) -> list[tuple[int, int, str]]:
    d = stage_definition(y)
    program = lower(d, optimized_graph(d))
    found = [step_work(program, s) for s in program.steps]
    return [
        (int(evaluate_size(w.bytes, sizes)), int(evaluate_size(w.flops, sizes)), w.dtype)
        for w in found
    ]


def test_the_work_of_kernels_is_counted() -> None:
    x = sg.vector("x", shape=("n",), dtype="float32")
    assert works(x * 2 + 1, n=100) == [(800, 200, "float32")]
    assert works(sg.sum(sg.exp(x)), n=100) == [(404, 2100, "float32")]
    table = sg.matrix("t", shape=(1000, 4))
    i = sg.vector("i", shape=("k",), dtype="int64")
    bytes_, flops, _ = works(table[i], k=3)[-1]
    assert bytes_ <= 3 * 4 * 8 * 2 + 3 * 8 + 64 and flops == 0  # not the whole table


def test_a_routine_has_its_leading_term() -> None:
    a = sg.matrix("a", shape=(30, 30))
    found = works(sg.linalg.cholesky(a))
    assert any(flops == 30**3 // 3 for _, flops, _ in found)


# limits -------------------------------------------------------------------------------------------


def test_limits_are_measured_and_kept() -> None:
    found = machine.limits()
    one = machine.of_threads(found, 1)
    assert one["float32"] > 1e8 and one["float64"] > 1e8
    assert all(rate > 1e7 for rate in one["bandwidth"].values())
    assert machine.limits() == found and machine.of_threads(found, 999) is one
    assert machine.least_seconds(one, 0, one["float32"], "float32") == pytest.approx(1.0)


# progress -----------------------------------------------------------------------------------------


def test_progress_guesses_what_is_left() -> None:
    out = io.StringIO()
    clock = iter([0.0, 9.0, 10.0])
    line = Progress("a\nname", out, clock.__next__, 70)
    line.stage("llvm")
    line.show()
    line.end()
    text = out.getvalue()
    assert "compiling a?name: llvm (4 of 4), 10 s, about 2 s left" in text
    assert text.endswith("\r") and max(map(len, text.split("\r"))) < 70


def test_quick_compilations_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("f") as tell:
        tell("lower")
    assert capsys.readouterr().err == ""
