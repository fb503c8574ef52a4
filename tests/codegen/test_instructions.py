"""What text depends on is known before LLVM is loaded, and is what LLVM says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import symgraph
from symgraph.codegen import llvm

CODEGEN = Path(symgraph.__file__).parent / "codegen"
# the writers of text for processors; LLVM's own door knows more names
WRITERS = [p for p in sorted(CODEGEN.rglob("*.py")) if "ptx" not in p.parts and p.name != "llvm.py"]


def of_llvm() -> set[str]:
    return {f[1:] for f in llvm.host().features.split(",") if f[:1] == "+"}


def test_the_system_says_what_llvm_says() -> None:
    told = llvm._told_by_system()
    if told is not None:
        assert told == of_llvm() & llvm.FEATURES.keys()
    assert llvm.instructions().features == of_llvm() & llvm.FEATURES.keys()
    assert llvm.instructions().vector_bits == llvm.host().vector_bits
    assert set(llvm.instructions().words.split(",")) == {f"+{f}" for f in of_llvm()} & {
        f"+{f}" for f in llvm.FEATURES
    }


def test_writers_ask_for_no_other_feature() -> None:
    names = {f[1:] for f in llvm.host().features.split(",")} - {"64bit", "fma"}
    asked = set()
    for path in WRITERS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                asked |= names & set(node.value.split())
    assert asked <= llvm.FEATURES.keys()


def test_another_host_has_other_instructions() -> None:
    before = llvm.host()
    try:
        llvm.remember_host(before._replace(features="+avx2,+fma,+bmi2,+adx", vector_bits=256))
        assert llvm.instructions() == (256, frozenset(["avx2", "fma", "bmi2"]))
        assert llvm.instructions().words == "+avx2,+bmi2,+fma"
    finally:
        llvm.remember_host(before)
    assert llvm.instructions().vector_bits == before.vector_bits


def test_where_the_system_does_not_tell_llvm_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = llvm.instructions()
    monkeypatch.setattr(llvm, "_processor", lambda: [])
    monkeypatch.setattr(llvm, "_host", None)
    monkeypatch.setattr(llvm, "_instructions", None)
    assert llvm.instructions() == expected and llvm._host is not None


def test_text_is_written_before_llvm_is_there() -> None:
    program = """
import sys
import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
x = sg.matrix("x", dtype="float32")
d = stage_definition(sg.nn.softmax(x @ x, axis=1))
graph = stages.optimized_graph(d)
low = stages.emit(d, graph, stages.lower(d, graph))
print("symgraph.codegen.libllvm" in sys.modules, len(low.kernels) > 1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    asked = llvm._told_by_system() is None
    assert done.stdout == f"{asked} True\n", done.stdout + done.stderr
