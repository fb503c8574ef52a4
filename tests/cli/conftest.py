"""Running commands: in this process, or as a user does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from symgraph.cli.main import main

ROOT = Path(__file__).resolve().parent.parent.parent


class Said(NamedTuple):
    """What a command said and how it ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`run("dump", "tests/cli/subjects.py:total")` in this process, from the project's root."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        known = set(sys.modules)
        try:
            status = main(arguments)
        except SystemExit as stop:  # argparse
            status = stop.code if isinstance(stop.code, int) else 1
        for name in set(sys.modules) - known:
            if name.split(" ")[0] in ("subjects", "broken"):
                del sys.modules[name]
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command as a process of its own, from the project's root."""

    def call(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "symgraph", *arguments]
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            command, cwd=ROOT, capture_output=True, text=True, timeout=120, **options
        )

    return call
