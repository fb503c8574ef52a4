"""`symgraph explain`, `ops` and `doctor`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from symgraph.errors import CODES
from symgraph.ir.op import OPS


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
    assert said.status == 0 and "self-test: cpu: compiled in" in said.out
    monkeypatch.setitem(os.environ, "SYMGRAPH_THREADS", "2")
    found = json.loads(run("doctor", "--json").out)
    notes = [c["what"] for c in found["checks"] if c["state"] == "note"]
    assert notes == ["nothing reads SYMGRAPH_THREADS"]


def test_rules_by_a_word(run: Callable) -> None:
    lines = run("explain", "--rules", "log1p(x)").out.splitlines()
    assert any("log(1 + x) -> log1p(x)" in line and "stabilize.py:" in line for line in lines)
    found = json.loads(run("explain", "--rules", "specialize", "--json").out)["rules"]
    assert {r["pass"] for r in found} == {"specialize"}
    assert run("explain", "--rules", "no such word").status == 1
