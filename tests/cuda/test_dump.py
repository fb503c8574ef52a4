"""`symgraph dump --target cuda:sm_90`."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest

from symgraph.cli.main import main
from symgraph.codegen.ptx import assemble

SUBJECT = "tests/cli/subjects.py:total"


def dump(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status: Any = main(["dump", SUBJECT, *words])
    return status, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("stage", "word"),
    [("loops", "fold "), ("scheduled", " grid {"), ("llvm", "ptx_kernel"), ("ptx", ".entry")],
)
def test_stages(stage: str, word: str) -> None:
    status, out, _ = dump("--target", "cuda:sm_90", "--stage", stage)
    assert status == 0 and word in out


@pytest.mark.parametrize("stage", ["scheduled", "llvm", "ptx"])
def test_json(stage: str) -> None:
    status, out, _ = dump("--target", "cuda:sm_80", "--stage", stage, "--json")
    found = json.loads(out)
    assert status == 0 and found["target"] == "cuda:sm_80" and found["stage"] == stage


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--stage", "ptx"), "the target cpu has no stage ptx"),
        (("--target", "cuda", "--stage", "asm"), "the target cuda has no stage asm"),
        (("--target", "cuda:sm_1", "--stage", "ptx"), "unknown CUDA architecture"),
        (("--target", "tpu", "--stage", "ptx"), "unknown target"),
        (("--target", "cuda", "--stage", "scheduled", "--format", "svg"), "no format svg"),
    ],
)
def test_what_cannot_be_shown(words: tuple[str, ...], what: str) -> None:
    status, out, err = dump(*words)
    assert status != 0 and not out and what in err


def test_without_a_disassembler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "_program", lambda name: None)
    monkeypatch.setattr(assemble, "disassembler", lambda: None)
    with pytest.raises(Exception, match="no disassembler"):
        assemble.sass(b"")
