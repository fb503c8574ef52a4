"""The examples: they learn what they promise, start from the cache, and draw what they compiled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(name: str, folder: Path) -> str:
    """What an example prints; run in an empty folder with a cache of its own."""
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PROMISES = [("digits_softmax", 0.95), ("digits_mlp", 0.97), ("digits_lenet", 0.97)]


@pytest.mark.parametrize(("name", "promised"), PROMISES)
def test_digits(name: str, promised: float, tmp_path: Path) -> None:
    first = run(name, tmp_path)
    (accuracy,) = re.findall(r"accuracy  ([\d.]+) on the held-out images", first)
    assert float(accuracy) >= promised
    assert re.findall(r"  (?:train|predict) +(\w+)", first) == ["compiled", "compiled"]
    again = run(name, tmp_path)
    assert re.findall(r"  (?:train|predict) +(\w+)", again) == ["read", "read"]
    assert f"accuracy  {accuracy} " in again
    ElementTree.parse(tmp_path / "out" / f"{name}.svg")
    assert (tmp_path / "out" / f"{name}.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_pagerank(tmp_path: Path) -> None:
    printed = run("pagerank", tmp_path)
    (residual,) = re.findall(r"residual  (\S+) by SciPy", printed)
    assert float(residual) < 1e-9
    best, target = (re.findall(p, printed)[0] for p in (r"best pages (\d+):", r"-> (\d+):"))
    assert best == target  # its rank comes by the links to it


def test_numbers(tmp_path: Path) -> None:
    (accuracy,) = re.findall(r"accuracy  ([\d.]+) of what", run("numbers_lstm", tmp_path))
    assert float(accuracy) >= 0.75
