"""Finished functions in the disk cache: a fresh process needs no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.cuda.loading import ready
from symgraph.runtime.cuda.device import using
from tests.cuda.fake_driver import FakeDriver

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import sys
import numpy as np
import symgraph as sg
from symgraph.runtime.cuda.device import using
from tests.cuda.fake_driver import FakeDriver

x, i = sg.matrix("x", dtype="float32"), sg.vector("i", dtype="int64")
s = sg.shared(np.zeros((), "float32"), "s")
y = sg.linalg.solve(x @ x.T + sg.eye(x.shape[0], dtype="float32"), x[:, 0])
y = sg.cond(sg.sum(x) > 0, lambda: y[i] * 2, lambda: -y[i])
with using(FakeDriver()) as gpu:
    f = sg.compile([x, i], y, updates={s: s + sg.sum(y)}, target="cuda")
    loaded = sorted(m for m in sys.modules if m in (
        "llvmlite", "symgraph.stages", "symgraph.cuda_stages", "symgraph.lower.build",
        "symgraph.passes.pipeline"))
    found = f(np.arange(6, dtype="float32").reshape(2, 3), np.array([1, 0, 1]))
    try:
        f(np.ones((2, 3), "float32"), np.array([2]))
    except sg.errors.IndexOutOfRange as error:
        line = error.origin.location()
print(f.statistics["cached"], found.tolist(), float(s.get_value()), line.line)
print(loaded)
"""


def test_a_fresh_process_needs_no_compiler(tmp_path: Path) -> None:
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT),
           "SYMGRAPH_CACHE": "1"}  # fmt: skip
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    said = [subprocess.run([sys.executable, str(script)], env=env, cwd=ROOT, text=True, check=True,
                           capture_output=True).stdout.splitlines() for _ in range(2)]  # fmt: skip
    cold, warm = said
    assert cold[0].startswith("False ") and warm[0].startswith("True ")
    assert cold[0].split(" ", 1)[1] == warm[0].split(" ", 1)[1]
    assert warm[1] == "[]"


def _function() -> Any:
    x = sg.vector("x", dtype="float32")
    return sg.compile([x], sg.tanh(x) * 3, target="cuda")


def test_the_key_names_the_architecture(tmp_path: Path) -> None:
    with config.change(cache_dir=str(tmp_path / "cache"), cache=True):
        cached = []
        for capability in ((9, 0), (8, 0), (9, 0), (8, 0)):
            with using(FakeDriver(capability=capability)):
                cached.append(_function().statistics["cached"])
    assert cached == [False, False, True, True]


def test_python_functions_are_not_kept(tmp_path: Path) -> None:
    triple = sg.python_op(infer="float32[n] -> float32[n]")(lambda v: v * 3)
    with config.change(cache_dir=str(tmp_path / "cache"), cache=True), using(FakeDriver()):
        for _ in range(2):
            x = sg.vector("x", dtype="float32")
            f = sg.compile([x], triple(x) + 1, target="cuda")
            assert not f.statistics["cached"] and f(np.ones(2, "float32")).tolist() == [4, 4]


def test_without_a_cache_it_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with config.change(cache=False), using(FakeDriver()):
        f = _function()
        assert not f.statistics["cached"] and f(np.zeros(2, "float32")).tolist() == [0, 0]
    assert callable(ready)
