"""`symgraph explain`, `ops` and `doctor`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from symgraph import config
from symgraph.errors import CODES
from symgraph.ir.op import OPS
from symgraph.runtime import abi, blas, elf


def test_a_page(run: Callable) -> None:
    said = run("explain", "sg104")
    assert said.out.startswith("AxisError SG104\n\nAn axis does not exist, or is named twice.")
    assert run("explain", "AxisError").out == said.out
    found = json.loads(run("explain", "SG104", "--json").out)
    assert (found["code"], found["name"], found["page"]) == ("SG104", "AxisError", said.out)


def test_all_codes(run: Callable) -> None:
    lines = run("explain").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(CODES)
    assert len(json.loads(run("explain", "--json").out)["codes"]) == len(CODES)


def test_every_page_can_be_shown(run: Callable) -> None:
    for code in CODES:
        assert run("explain", code).status == 0


def test_an_unknown_code(run: Callable) -> None:
    said = run("explain", "SG10")
    assert said.status == 2
    assert said.err.startswith("SubjectError SG901: explain: there is no error code 'SG10'\n")
    assert "  hint: did you mean SG10" in said.err


def test_ops_are_all_listed(run: Callable) -> None:
    found = json.loads(run("ops", "--json").out)
    assert [o["name"] for o in found["ops"]] == sorted(OPS)
    rows = {o["name"]: o for o in found["ops"]}
    assert rows["matmul"]["realised"] == "routine" and rows["matmul"]["parameters"] == ["ta", "tb"]
    assert rows["scan"]["realised"] == "graphs" and rows["exp"]["elementwise"]
    assert not rows["less"]["differentiable"] and rows["less"]["nondifferentiable"]


def test_ops_by_a_part_of_the_name(run: Callable) -> None:
    lines = run("ops", "tanh").out.splitlines()
    assert [line.split()[0] for line in lines] == ["op", "atanh", "tanh"]
    assert run("ops", "no_such_op").status == 1


def test_doctor_finds_this_machine_in_order(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("doctor")
    assert said.status == 0, said.out
    assert "self-test products: right" in said.out and "speed of calls: " in said.out
    monkeypatch.setitem(os.environ, "SYMGRAPH_THREADS", "2")
    checks = json.loads(run("doctor", "--json", "--quick").out)["checks"]
    assert len(checks) >= 35 and len({c["name"] for c in checks}) == len(checks)
    notes = {c["name"]: c for c in checks if c["state"] == "note"}
    assert notes["environment"]["what"] == "nothing reads SYMGRAPH_THREADS"
    assert all(c["fix"] and "\n" not in c["what"] + c["fix"] for c in notes.values())


def test_doctor_tells_what_is_wrong(
    run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each of these is broken on purpose, and has its mend."""
    monkeypatch.setenv("SYMGRAPH_NUM_THREADS", "many")
    monkeypatch.setenv("OMP_NUM_THREADS", "none")
    monkeypatch.setattr(elf, "supported_here", lambda: False)
    monkeypatch.setattr(abi, "native_entry_usable", lambda: False)
    monkeypatch.setattr(config, "usable_cpus", lambda: 1)
    monkeypatch.setattr(blas, "get_blas_threads", lambda: 64)
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("SYMGRAPH_CACHE_DIR", str(tmp_path / "open"))
    monkeypatch.setattr(metadata, "version", lambda name: "0.1")
    said = run("doctor", "--json", "--quick")
    checks = {c["name"]: c for c in json.loads(said.out)["checks"]}
    assert said.status == 1
    wrong = {n for n, c in checks.items() if c["state"] != "good"}
    expected = {"numpy", "llvmlite", "settings", "threads", "thread variables", "loader",
                "native entry", "BLAS threads", "cache directory", "symgraph"}  # fmt: skip
    assert expected <= wrong, expected - wrong
    assert all(checks[n]["fix"] for n in wrong)


def test_a_bundle_names_nobody(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/alice-liddell")
    monkeypatch.setenv("USER", "alice-liddell")
    monkeypatch.setenv("LOGNAME", "alice-liddell")
    monkeypatch.setenv("SYMGRAPH_CACHE_SIZE", "1G")
    monkeypatch.setenv("SECRET_TOKEN", "looking-glass")
    monkeypatch.setenv("OMP_PLACES", "/home/alice-liddell/places")
    monkeypatch.setattr(platform, "node", lambda: "wonderland")
    file = tmp_path / "bundle.json"
    assert run("doctor", "--quick", "--bundle", str(file)).status in (0, 1)
    text = file.read_text()
    found = json.loads(text)
    assert found["schema"] == "symgraph.doctor.bundle" and len(found["checks"]) >= 35
    assert found["environment"]["SYMGRAPH_CACHE_SIZE"] == "1G"
    assert found["environment"]["OMP_PLACES"] == "~/places"
    for name in ("alice", "wonderland", "looking-glass"):
        assert name not in text


def test_rules_by_a_word(run: Callable) -> None:
    lines = run("explain", "--rules", "log1p(x)").out.splitlines()
    assert any("log(1 + x) -> log1p(x)" in line and "stabilize.py:" in line for line in lines)
    found = json.loads(run("explain", "--rules", "specialize", "--json").out)["rules"]
    assert {r["pass"] for r in found} == {"specialize"}
    assert run("explain", "--rules", "no such word").status == 1
