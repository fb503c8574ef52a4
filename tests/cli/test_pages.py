"""What README and the pages show of the command line is what it prints now."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "looking_inside.md"
SHOWN = re.findall(r"^```\n\$ symgraph (.*)\n([^`]*)^```$", PAGE.read_text("utf-8"), re.MULTILINE)
DRAWN = re.findall(
    r"^symgraph (dump .* -o (docs/images/\S+))$",
    (ROOT / "README.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_the_pages_show_something() -> None:
    assert len(SHOWN) == 2 and len(DRAWN) == 1


@pytest.mark.parametrize(("command", "expected"), SHOWN)
def test_output(run: Callable, command: str, expected: str) -> None:
    assert run(*shlex.split(command)).out == expected


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
