"""Graphs in files, and as networkx and JSON."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symgraph as sg
from symgraph.errors import GraphFileError, UnboundVariableError
from symgraph.ir.export import to_json, to_networkx
from symgraph.ir.graph import Graph, constant
from symgraph.ir.hashing import shared_variables, structural_hash
from symgraph.ir.interpret import interpret
from symgraph.ir.save import load, save
from symgraph.ir.text import graph_text


def test_a_saved_graph_comes_back_with_its_data(graph: Graph, arrays: Any, tmp_path: Path) -> None:
    save(tmp_path / "g.sg", graph)
    back = load(tmp_path / "g.sg")
    assert graph_text(back) == graph_text(graph)
    assert structural_hash(back) == structural_hash(graph)
    (w,) = shared_variables(back)
    assert w.name == "w" and w.get_value().tolist() == np.arange(12.0).reshape(3, 4).tolist()
    for a, b in zip(interpret(graph, arrays), interpret(back, arrays), strict=True):
        assert a.tobytes() == b.tobytes()


def test_the_same_graph_gives_the_same_bytes(graph: Graph, tmp_path: Path) -> None:
    save(tmp_path / "a", graph)
    save(tmp_path / "b", graph)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_defaults_of_inputs_are_kept(tmp_path: Path) -> None:
    x, y = sg.scalar("x"), sg.vector("y", default=[1.0, 2.0])
    save(tmp_path / "g", Graph([x, y], [x + y]))
    back = load(tmp_path / "g")
    assert back.inputs[0].default is None  # type: ignore[attr-defined]
    assert back.inputs[1].default.tolist() == [1.0, 2.0]  # type: ignore[attr-defined]


def test_a_failed_save_leaves_the_old_file(graph: Graph, tmp_path: Path) -> None:
    save(tmp_path / "g", graph)
    before = (tmp_path / "g").read_bytes()
    x, y = sg.scalar("x"), sg.scalar("y")
    with pytest.raises(UnboundVariableError):
        save(tmp_path / "g", Graph([x], [x + y]))
    assert (tmp_path / "g").read_bytes() == before
    assert os.listdir(tmp_path) == ["g"]
    with pytest.raises(OSError):
        load(tmp_path / "missing")


def rewritten(
    source: Path, target: Path, changes: dict[str, bytes | None], method: int = 0
) -> Path:
    """The same zip with members replaced, or left out where None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            data = changes.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def npy(array: Any, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


class Bomb:
    """Unpickling it would be noticed."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("code from a file was executed",)


def test_malformed_files_are_refused(graph: Graph, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    save(good, graph)
    header = json.loads(zipfile.ZipFile(good).read("header.json"))

    def changed(**fields: Any) -> dict[str, bytes | None]:
        return {"header.json": json.dumps({**header, **fields}).encode()}

    data = np.arange(3000.0).reshape(3, 1000)
    cases: list[dict[str, bytes | None]] = [
        {"header.json": None}, {"header.json": b"{"}, {"header.json": b"[]"},
        {"header.json": b"\xff\xfe"}, {"header.json": b"[" * 100_000},
        changed(version=99), changed(format="other"), changed(constants=["%c9"]),
        changed(constants=5), changed(defaults=["99"]), changed(shared=["w", "w2"]),
        {"graph.txt": None}, {"graph.txt": b""}, {"graph.txt": b"\xff"},
        {"graph.txt": b"graph(x: float64) { return x, y }"},
        {"constants/0.npy": None}, {"constants/0.npy": b""}, {"constants/0.npy": npy(data + 1)},
        {"constants/0.npy": npy(data.astype("float32"))}, {"constants/0.npy": npy(data[:, :5])},
        {"constants/0.npy": npy(np.array([Bomb()], object), True)},
        {"constants/0.npy": pickle.dumps(Bomb())}, {"constants/0.npy": npy(np.array("text"))},
        {"shared/0.npy": npy(np.zeros((4, 4)))}, {"shared/0.npy": npy(np.zeros((3, 4), "int8"))},
    ]  # fmt: skip
    for changes in cases:
        with pytest.raises(GraphFileError):
            load(rewritten(good, bad, changes))
    with pytest.raises(GraphFileError, match="compressed"):
        load(rewritten(good, bad, {}, zipfile.ZIP_DEFLATED))
    with pytest.raises(GraphFileError, match="version 99"):
        load(rewritten(good, bad, changed(version=99)))
    for raw in (b"", b"PK\x03\x04", good.read_bytes()[:-30], good.read_bytes()[40:]):
        bad.write_bytes(raw)
        with pytest.raises(GraphFileError):
            load(bad)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(st.data())
def test_a_damaged_byte_never_does_harm(tmp_path: Path, data: st.DataObject) -> None:
    x = sg.vector("x", shape=("n",))
    save(tmp_path / "g", Graph([x], [x * constant(np.arange(20.0))[:1]]))
    raw = bytearray((tmp_path / "g").read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "h").write_bytes(raw)
    try:
        back = load(tmp_path / "h")
    except GraphFileError:
        return
    assert structural_hash(back)  # the byte was one that says nothing


def test_networkx(graph: Graph) -> None:
    found = to_networkx(graph)
    assert networkx.is_directed_acyclic_graph(found)
    kinds = [k for _, k in found.nodes(data="kind")]
    assert kinds.count("input") == 4 and kinds.count("shared") == 1
    assert kinds.count("apply") == len(graph.toposort())
    loss = next(n for n, d in found.nodes(data=True) if d["name"] == "loss")
    assert found.nodes[loss]["op"] == "add" and found.nodes[loss]["output"] == [0]
    assert found.nodes[loss]["type"] == "float64[n, 4]"
    assert "conftest.py" in found.nodes[loss]["origin"]
    x = sg.scalar("x")
    square = to_networkx(Graph([x], [x - x]))
    assert square.edges["v0", "n0"]["positions"] == [(0, 0), (0, 1)]


def test_json(graph: Graph) -> None:
    found = json.loads(json.dumps(to_json(graph)))
    assert (found["schema"], found["version"]) == ("symgraph.graph", 1)
    assert len(found["nodes"]) == len(graph.toposort())
    assert found["outputs"][8] == ["leaf", 0] == found["inputs"][0]
    scan = next(n for n in found["nodes"] if n["op"] == "scan")
    assert scan["parameters"]["length"] == {"size": "n"}
    assert scan["parameters"]["body"]["graph"]["nodes"]
    assert [len(n["outputs"]) for n in found["nodes"] if n["op"] == "scan"] == [2]
