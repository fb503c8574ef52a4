"""What README and the pages show of the command line is what it prints now."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = re.compile(r"^```\n\$ symgraph (.*)\n([^`]*)^```$", re.MULTILINE)
SHOWN = SAMPLE.findall((ROOT / "docs" / "looking_inside.md").read_text("utf-8"))
ONE = (ROOT / "docs" / "one-expression.md").read_text("utf-8")
DRAWN = re.findall(
    r"^symgraph (dump .* -o (docs/images/\S+))$",
    (ROOT / "README.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_the_pages_show_something() -> None:
    assert len(SHOWN) == 3 and len(DRAWN) == 1


@pytest.mark.parametrize(("command", "expected"), SHOWN)
def test_output(run: Callable, command: str, expected: str) -> None:
    assert run(*shlex.split(command)).out == expected


def any_lanes(text: str) -> str:
    """A text that is the same for vectors of all lengths."""
    text = re.sub(r"<\d+ x ", "<lanes x ", text)
    return re.sub(r"(_f32_|i64 %v34, )\d+", r"\1lanes", text)


@pytest.mark.parametrize(("command", "expected"), SAMPLE.findall(ONE))
def test_one_expression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, expected: str
) -> None:
    program = re.search(r"^```python\n(.*?)^```$", ONE, re.MULTILINE | re.DOTALL)
    assert program is not None
    (tmp_path / "soft.py").write_text(program[1])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    line = [sys.executable, "-m", "symgraph", *shlex.split(command)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    same = doctest.OutputChecker().check_output
    assert same(any_lanes(expected), any_lanes(done.stdout), doctest.ELLIPSIS), done.stdout


def test_the_one_expression_is_shown_at_all_stages() -> None:
    shown = " ".join(command for command, _ in SAMPLE.findall(ONE))
    for stage in ("optimized", "program", "scheduled", "llvm", "asm"):
        assert f"--stage {stage}" in shown


@pytest.mark.parametrize(("command", "picture"), DRAWN)
def test_picture(
    process: Callable, golden: Callable, request: pytest.FixtureRequest, tmp_path: Path,
    command: str, picture: str,
) -> None:  # fmt: skip
    """`golden` is asked for so that `make golden` runs this test, which then draws anew."""
    update = request.config.getoption("--update-golden")
    target = ROOT / picture if update else tmp_path / "picture.svg"
    # in a process of its own: a node that another test has made keeps the line where it was made
    assert process(*shlex.split(command)[:-1], str(target)).returncode == 0
    drawn = target.read_text("utf-8")
    assert drawn == (ROOT / picture).read_text("utf-8"), "`make golden` draws it anew"
