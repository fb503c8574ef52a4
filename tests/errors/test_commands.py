"""Mistakes at the command line: an error, its code and a hint; exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from symgraph.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = "tests/cli/subjects.py"
MISTAKES = [
    (["dump", "no_such_file.py:loss"], "there is no file no_such_file.py", ""),
    (["dump", SUBJECTS], "lacks a name", "subjects.py has"),
    (["dump", f"{SUBJECTS}:totl"], "has no name 'totl'", "did you mean total?"),
    (["dump", f"{SUBJECTS}:number"], "is an int, which cannot be shown", "subjects.py has"),
    (["dump", f"{SUBJECTS}:function"], "is a Python function or class", "subjects.py has"),
    (["dump", "no_such_module:x"], "there is no module no_such_module", "working directory"),
    (["dump", "a b:x"], "neither a Python file nor the name of a module", "a subject is"),
    (["dump", "tests"], "tests is a directory", ""),
    (["dump", ""], "no subject is given", ""),
    (["explain", "SG10"], "there is no error code 'SG10'", "did you mean SG10"),
    (["explain", "ShapeEror"], "there is no error code 'ShapeEror'", "did you mean SG101?"),
    (["explain", f"{SUBJECTS}:total", "--node", "99"], "there is no node 99", "numbered from 0 to"),
    (["explain", f"{SUBJECTS}:total", "--node", "x"], "there is no node x", "numbered from 0 to"),
    (["explain", f"{SUBJECTS}:totl", "--node", "0"], "has no name 'totl'", "did you mean total?"),
    (["cache", "why", "zzzz"], "zzzz", ""),
    (["dump"], "no subject is given", "--diff"),
]


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [n for n in sys.modules if n.split(" ")[0] == "subjects"]:
        del sys.modules[name]


@pytest.mark.parametrize(("command", "what", "hint"), MISTAKES)
def test_a_wrong_subject(
    capsys: pytest.CaptureFixture[str], command: list[str], what: str, hint: str
) -> None:
    assert main(command) == 2
    text = " ".join(capsys.readouterr().err.removeprefix("printed while importing\n").split())
    assert text.startswith("SubjectError SG901: ") and what in text
    assert not hint or hint in text.partition("hint: ")[2]
    assert text.endswith("more: symgraph explain SG901")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["dumb"], "invalid choice: 'dumb'"),
        (["dump", "x:y", "--stage", "fused"], "invalid choice: 'fused'"),
        (["dump", "x:y", "--format", "pdf"], "invalid choice: 'pdf'"),
        (["cache"], "the following arguments are required: VERB"),
        (["doctor", "--fix"], "unrecognized arguments: --fix"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], command: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 2 and said in capsys.readouterr().err
