"""`symgraph dump` with --diff, --after, --only and --redact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
import symgraph as sg
secret_x = sg.vector("secret_x", shape=("secret_n",))
table = sg.constant(np.arange(5, 13) * 0.125)
a = sg.log(1 + sg.exp(secret_x)) + 2
b = sg.log(2 + sg.exp(secret_x)) + 2
same = sg.log(1 + sg.exp(secret_x)) + 2
c = sg.sum(secret_x) * sg.sum(table)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret_file.py"
    path.write_text(PROGRAM)
    return path


def test_diff_shows_what_differs_and_no_more(run: Callable, file: Path) -> None:
    done = run("dump", "--diff", f"{file}:a", f"{file}:b")
    assert done.status == 1
    lines = done.out.splitlines()
    assert lines[0] == "1 nodes only in the first, 1 only in the second, 3 in both"
    assert len(lines) == 3 and "1.0" in lines[1] and "2.0" in lines[2]


@pytest.mark.parametrize("stage", ["graph", "optimized", "program", "scheduled", "llvm"])
def test_equal_programs_have_no_difference(run: Callable, file: Path, stage: str) -> None:
    done = run("dump", "--diff", f"{file}:a", f"{file}:same", "--stage", stage)
    assert done.status == 0 and done.out == f"no difference at stage {stage}\n"


def test_diff_of_kernels(run: Callable, file: Path) -> None:
    done = run("dump", "--diff", f"{file}:a", f"{file}:b", "--stage", "scheduled")
    assert done.status == 1 and any(t.startswith("-") for t in done.out.splitlines())
    row = json.loads(run("dump", "--diff", f"{file}:a", f"{file}:b", "--json").out)
    assert row["schema"] == "symgraph.dump.diff" and not row["equal"]


def test_after_a_rule(run: Callable, file: Path) -> None:
    done = run("dump", f"{file}:a", "--after", "softplus")
    assert done.status == 0 and "softplus" in done.out
    done = run("dump", f"{file}:a", "--after", "nothing like it")
    assert done.status == 2 and "softplus" in done.err  # the hint names those that fired


def test_only_what_matches(run: Callable, file: Path) -> None:
    assert [t.strip() for t in run("dump", f"{file}:a", "--only", r"= log").out.splitlines()] == [
        "%2 = log(%1) : float64[secret_n]"
    ]
    done = run("dump", f"{file}:c", "--stage", "scheduled", "--only", "fold")
    assert done.out.startswith("kernel") and "fold" in done.out
    assert run("dump", f"{file}:a", "--only", "(").status == 2
    assert run("dump", f"{file}:a", "--only", "x", "--format", "svg").status == 2


@pytest.mark.parametrize("stage", ["graph", "optimized", "program", "loops", "scheduled", "llvm"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_redacted(run: Callable, file: Path, stage: str, form: str) -> None:
    for name in ("a", "c"):
        done = run("dump", f"{file}:{name}", "--redact", "--origins", "--stage", stage,
                   "--format", form)  # fmt: skip
        assert done.status == 0
        for word in ("secret", "0.625", "1.125"):
            assert word not in done.out, (stage, form, word)
    again = run("dump", f"{file}:a")
    assert "secret_x" in again.out


def test_redacted_pictures(run: Callable, file: Path) -> None:
    assert "secret" not in run("dump", f"{file}:c", "--redact", "--format", "html").out


def test_a_subject_is_needed(run: Callable) -> None:
    assert run("dump").status == 2
