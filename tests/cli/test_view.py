"""`symgraph view`: the page of a subject, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def data_of(page: Path) -> dict[str, Any]:
    """The data block of a page."""
    found = re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_page_is_written(run: Callable, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run(
        "view",
        "tests/cli/subjects.py:total",
        "-o",
        str(page),
        "--until",
        "scheduled",
        "--size",
        "n=7",
    )
    assert done.status == 0 and done.out.startswith(str(page))
    data = data_of(page)
    assert data["units"] and not data["modules"]
    assert data["sizes"].get("n", 7) == 7


def test_json_tells_where(run: Callable, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    row = json.loads(
        run(
            "view", "tests/cli/subjects.py:total", "-o", str(page), "--until", "graph", "--json"
        ).out
    )
    assert row["schema"] == "symgraph.view" and row["bytes"] == page.stat().st_size


def test_a_profile_is_read(run: Callable, tmp_path: Path) -> None:
    page, profile = tmp_path / "page.html", tmp_path / "profile.json"
    rows = [{"name": "kernel0", "seconds": 0.5, "calls": 2}]
    profile.write_text(json.dumps({"profiles": [{"function": "total", "rows": rows, "lines": []}]}))
    assert (
        run(
            "view", "tests/cli/subjects.py:total", "-o", str(page), "--profile", str(profile)
        ).status
        == 0
    )
    assert data_of(page)["heat"]


@pytest.mark.parametrize(
    "more", [("--size", "n"), ("--size", "n=x"), ("--profile", "nowhere.json")]
)
def test_what_cannot_be_read_is_said(run: Callable, tmp_path: Path, more: tuple[str, str]) -> None:
    done = run("view", "tests/cli/subjects.py:total", "-o", str(tmp_path / "page.html"), *more)
    assert done.status == 2 and "view:" in done.err


def test_a_page_for_a_gpu(run: Callable, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    given = ("view", "tests/cli/subjects.py:total", "-o", str(page), "--target", "cuda:sm_80")
    assert run(*given).status == 0 and run(*given, "--until", "ptx").status == 0
    assert all(".target sm_80" in m["asm"] for m in data_of(page)["modules"])
    said = run(*given, "--until", "asm")
    assert said.status == 2 and "cuda:sm_80 has no stage asm" in said.err
    said = run(*given[:4], "--until", "ptx")
    assert said.status == 2 and "the target cpu has no stage ptx" in said.err
    said = run(*given[:4], "--target", "cuda:sm_91")
    assert said.status == 1 and "unknown CUDA architecture" in said.err
