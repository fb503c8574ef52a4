"""What compiled functions count: the right rows, calls, bytes, operations, and all the time."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.compiler import stage_definition
from symgraph.errors import ArgumentError, IndexOutOfRange
from symgraph.profiling.attach import PROFILES
from symgraph.stages import emit, lower, optimized_graph


def row(f: object, name: str) -> dict:
    """The only row whose name begins so."""
    (found,) = [r for r in f.profile.data()["rows"] if r["name"].startswith(name)]
    return found


def test_a_product_and_its_epilogue() -> None:
    a, b = sg.matrix("a", shape=("m", 30)), sg.matrix("b", shape=(30, 20))
    f = sg.compile([a, b], sg.tanh(a @ b), profile=True)
    f(np.ones((10, 30)), np.ones((30, 20)))
    f(np.ones((50, 30)), np.ones((30, 20)))
    found = row(f, "matmul")
    assert found["calls"] == 2
    assert found["flops"] == 60 * 20 * (2 * 30 + 20)  # the tangent counts 20
    assert {s["op"] for s in found["ops"]} == {"matmul", "tanh"}
    assert all(Path(s["line"].rpartition(":")[0]).name == Path(__file__).name for s in found["ops"])
    assert f.profile.calls == 2


def test_bytes_follow_the_sizes_of_each_call() -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x * 2, profile=True)
    for n in (3, 1000, 10):
        f(np.ones(n, "float32"))
    kernel = row(f, "kernel0")
    assert (kernel["bytes"], kernel["flops"], kernel["calls"]) == (8 * 1013, 1013, 3)
    assert f.profile.peak_bytes >= 4000
    allocated = f.profile.data()["allocations"]["outputs"]
    assert allocated == {"calls": 3, "bytes": 4 * 1013}


def test_rows_sum_to_the_whole_and_the_whole_to_the_wall() -> None:
    x = sg.matrix("x")
    f = sg.compile([x], sg.sum(sg.exp(x) @ x), profile=True)
    data = np.ones((300, 300))
    f(data)
    f.profile.reset()
    start = time.perf_counter()
    for _ in range(20):
        f(data)
    wall = time.perf_counter() - start
    rows = f.profile.data()["rows"]
    assert sum(r["share"] for r in rows) == pytest.approx(1.0)
    assert sum(r["seconds"] for r in f.profile.by("op")) == pytest.approx(f.profile.seconds)
    assert sum(r["seconds"] for r in f.profile.by("line")) == pytest.approx(f.profile.seconds)
    assert 0.5 * wall < f.profile.seconds < 1.05 * wall


def test_steps_of_a_loop_have_rows_of_their_own() -> None:
    w = sg.matrix("w", shape=(40, 40))
    x = sg.matrix("x", shape=(40, 50))
    ys = sg.scan(lambda h: sg.tanh(w @ h), outputs_info=[x], n_steps=7)
    f = sg.compile([w, x], ys, profile=True)
    for _ in range(2):
        f(np.eye(40), np.ones((40, 50)))
    rows = {r["number"]: r for r in f.profile.data()["rows"]}
    loop = next(r for r in rows.values() if r["kind"] == "loop")
    inside = [r for r in rows.values() if r["parent"] == loop["number"]]
    assert loop["calls"] == 2
    assert inside and all(r["calls"] == 14 for r in inside if r["kind"] != "copy")
    assert {"tanh", "matmul"} <= {s["op"] for r in inside for s in r["ops"]}
    assert loop["name"] == "loop"


def test_only_the_arm_that_ran_counts() -> None:
    x = sg.vector("x")
    y = sg.cond(sg.sum(x) > 0, lambda: sg.sum(sg.tanh(x)), lambda: sg.sum(sg.exp(x)))
    f = sg.compile([x], y, profile=True)
    f(-np.ones(5))
    rows = f.profile.data()["rows"]
    branch = next(r for r in rows if r["kind"] == "branch")
    inside = [r for r in rows if r["parent"] == branch["number"]]
    assert branch["calls"] == 1 and {r["calls"] for r in inside} == {0, 1}


def test_results_are_the_same_and_the_code_of_others_is_untouched() -> None:
    x = sg.matrix("x")
    y = sg.nn.softmax(x)
    data = np.random.default_rng(1).normal(size=(20, 30))
    plain, counted = sg.compile([x], y), sg.compile([x], y, profile=True)
    np.testing.assert_array_equal(plain(data), counted(data))
    d = stage_definition(y)
    texts = []
    for options in ({"mode": "run"}, {"mode": "run", "profile": True}):
        with_options = d._replace(options=options)
        graph = optimized_graph(with_options)
        low = emit(with_options, graph, lower(with_options, graph))
        texts.append(low.main)
        assert "sg_mark" not in "".join(low.kernels.values())
    assert "sg_mark" not in texts[0] and "profile" not in texts[0] and "sg_mark" in texts[1]


def test_a_function_from_the_cache_knows_its_rows(tmp_path: Path) -> None:
    with config.change(cache_dir=str(tmp_path / "cache")):
        x = sg.vector("x")
        first = sg.compile([x], sg.sum(sg.exp(x)), profile=True)
        other = sg.compile([x], sg.sum(sg.exp(x)))
        y = sg.vector("y")
        second = sg.compile([y], sg.sum(sg.exp(y)), profile=True)
    assert second.statistics["cached"] and not other.statistics["cached"]
    second(np.ones(9))
    assert first.profile.calls == 0 and second.profile.calls == 1
    ops = {s["op"] for r in second.profile.data()["rows"] for s in r["ops"]}
    assert ops == {"exp", "sum"}
    compiled = second.profile.compiling()[0]
    assert list(compiled["stages"]) == ["load", "optimize", "lower", "emit", "llvm"]
    assert compiled["passes"] and {"rule", "attempts", "firings"} <= set(compiled["rules"][0])


def test_calls_of_several_threads_do_not_mix() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.sum(sg.exp(x) * sg.log(x)), profile=True)
    data = np.full(200_000, 2.0)

    def work() -> None:
        for _ in range(30):
            f(data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert f.profile.calls == 120
    for r in f.profile.data()["rows"]:
        assert r["seconds"] >= 0 and (r["kind"] != "kernel" or r["calls"] == 120)


def test_a_call_that_fails_is_counted() -> None:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    f = sg.compile([x, i], x[i] * 2, profile=True)
    with pytest.raises(IndexOutOfRange):
        f(np.ones(3), np.array([5]))
    assert f.profile.calls == 1 and f.profile.seconds > 0


def test_arguments_that_are_converted_and_nests() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.exp(x), profile=True)
    f([1.0, 2.0])
    assert row(f, "conversion of arguments")["calls"] == 1
    g = sg.compile({"x": x}, {"y": (x + 1, [x * 2])}, profile=True)
    assert g(np.ones(2))["y"][0].tolist() == [2.0, 2.0]
    assert row(g, "packing")["calls"] == 1 and g.profile.calls == 1


def test_a_function_in_parts() -> None:
    x = sg.vector("x")
    f = sg.compile([x], sg.exp(x[x > 0]) * 2, profile=True)
    f(np.linspace(-1.0, 2.0, 200_000))  # so that no row is too short for the table
    names = {r["name"] for r in f.profile.data()["rows"]}
    assert {"nonzero", "between parts"} & names and f.profile.calls == 1
    assert sum(p is f.profile for p in PROFILES) == 1
    assert "exp" in f.profile.table(by="op", width=200)


def test_updates_copies_and_a_pickle() -> None:
    w = sg.shared(np.ones(5), name="w")
    x = sg.vector("x", shape=(5,))
    f = sg.compile([x], w + x, updates={w: w * 2}, profile=True)
    f(np.ones(5))
    again = pickle.loads(pickle.dumps(f))
    again(np.ones(5))
    assert f.profile.calls == again.profile.calls == 1


def test_without_a_profile() -> None:
    x = sg.vector("x")
    with pytest.raises(ArgumentError, match="compiled without a profile"):
        sg.compile([x], x + 1, name="f").profile  # noqa: B018
    with pytest.raises(ArgumentError, match='only mode="run"'):
        sg.compile([x], x + 1, mode="debug", profile=True)
    f = sg.compile([x], x + 1, profile=True)
    with pytest.raises(ArgumentError, match="by is"):
        f.profile.table(by="colour")


def test_the_setting_reaches_every_function() -> None:
    x = sg.vector("x")
    with config.change(profile=True):
        f = sg.compile([x], x + 1)
        g = sg.compile([x], x + 1, profile=False)
        h = sg.compile([x], x + 1, mode="interpret")
    f(np.ones(2))
    h(np.ones(2))
    assert f.profile.calls == 1
    with pytest.raises(ArgumentError):
        g.profile  # noqa: B018


def test_reset_forgets() -> None:
    x = sg.vector("x")
    f = sg.compile([x], x + 1, profile=True)
    f([1.0])
    f.profile.reset()
    assert f.profile.calls == 0 and f.profile.seconds == 0 and f.profile.peak_bytes == 0
