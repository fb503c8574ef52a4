"""A sample of Keras' own tests, those in its wheel."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("keras", "jax", "pandas", "sklearn", "absl")  # jax is the oracle of Keras' tests


@pytest.mark.slow
def test_sample_of_the_tests_of_keras() -> None:
    missing = [n for n in NEEDED if importlib.util.find_spec(n) is None]
    if missing:
        pytest.skip(
            f"needs {', '.join(missing)}, which could not be installed: "
            "pip install 'symgraph-compiler[conformance]'"
        )
    found = importlib.util.find_spec("keras")
    assert found is not None and found.origin is not None
    if not (Path(found.origin).parent / "src" / "ops" / "core_test.py").exists():
        pytest.skip("this Keras was installed without its tests, which the wheel of 3.15.1 has")
    command = [sys.executable, "-m", "tests.keras.conformance", "--sample", "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    passed = int(last.split()[0]) if last[:1].isdigit() else 0
    assert done.returncode == 0 and passed > 150, done.stdout + done.stderr
