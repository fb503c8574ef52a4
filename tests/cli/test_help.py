"""The command line answers without loading what it does not need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import symgraph
from symgraph.cli.main import FORMATS, STAGES, parser

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = ("numpy", "llvmlite", "scipy", "networkx", "symgraph.api", "symgraph.compiler")


def loaded_by(program: str) -> set[str]:
    """The heavy modules that a program loads in a new process."""
    text = f"{program}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules), sep=',')"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(filter(None, done.stdout.splitlines()[-1].split(","))) if done.stdout else set()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["dump", "--help"], ["--version"], ["explain", "SG101"], ["cache", "ls"]],
)
def test_nothing_heavy_is_loaded(arguments: list[str]) -> None:
    program = (
        "from symgraph.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\nprint()"
    )
    assert loaded_by(program) == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import symgraph; symgraph.config; symgraph.errors") == set()


def test_every_stage_and_format_is_in_the_help(run: Callable) -> None:
    said = run("dump", "--help")
    assert said.status == 0
    for word in (*STAGES, *FORMATS):
        assert word in said.out


def test_every_command_has_a_module() -> None:
    (commands,) = [a for a in parser()._actions if a.dest == "command"]
    folder = ROOT / "symgraph" / "cli"
    assert all((folder / f"{name}.py").exists() for name in commands.choices)


def test_without_a_command(run: Callable) -> None:
    said = run()
    assert said.status == 2 and said.out.startswith("usage: symgraph")


def test_version(run: Callable) -> None:
    assert run("--version").out == f"symgraph {symgraph.__version__}\n"


def test_unknown_command(run: Callable) -> None:
    said = run("dumb")
    assert said.status == 2 and "invalid choice: 'dumb'" in said.err
