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


@pytest.mark.parametrize(("name", "promised"), [("digits_softmax", 0.95), ("digits_mlp", 0.97)])
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
