"""The machine code that comes with the package: it is what the writers of its text say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from symgraph.codegen.libllvm import library
from symgraph.executor import thread_team
from symgraph.runtime import elf, shipped
from symgraph.runtime.artifact import decode, encode
from tests.runtime.ship import content

HERE = sys.platform.startswith("linux") and platform.machine() == "x86_64"


def test_the_file_is_of_these_writers() -> None:
    """If this fails, `make shipped`."""
    kept = decode(Path(shipped.PATH).read_bytes())
    assert kept.key.ingredients == shipped.writers()
    assert set(kept.sections) == set(shipped.NAMES)
    if HERE and kept.meta["llvm"] == library().version():  # another may choose other instructions
        assert kept.sections == decode(content()).sections


def test_its_objects_need_nothing_from_outside() -> None:
    for blob in decode(Path(shipped.PATH).read_bytes()).sections.values():
        obj = elf._parse(blob)
        assert [obj.name(s) for s in obj.symbols if s.section == 0 and s.name] == []


def test_it_is_used_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in shipped.NAMES:
        found = shipped.shipped_object(name)
        assert (found is not None) == HERE
        assert found in (None, decode(Path(shipped.PATH).read_bytes()).sections[name])
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert shipped.shipped_object("team") is None


def test_an_edited_writer_or_a_damaged_file_means_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    good = Path(shipped.PATH).read_bytes()
    kept = decode(good)
    edited = encode(
        type(kept.key)("runtime", {**kept.key.ingredients, "team": "0"}), kept.meta, kept.sections
    )
    for bad in (good[:-1], good[:2000] + b"?" + good[2001:], edited, b"", None):
        path = tmp_path / "code.sgc"
        path.unlink(missing_ok=True)
        if bad is not None:
            path.write_bytes(bad)
        monkeypatch.setattr(shipped, "PATH", str(path))
        shipped._artifact.cache_clear()
        assert shipped.shipped_object("pool") is None
    shipped._artifact.cache_clear()


PROGRAM = """
import sys
import numpy as np
from symgraph.runtime import shipped
if sys.argv[1] == "compiled":
    shipped.PATH = "nowhere"
import symgraph as sg
from symgraph import executor
x = sg.vector("x")
f = sg.compile([x], sg.exp(x))
a = np.linspace(-1, 1, 400_000)
got = f(a)
assert abs(got - np.exp(a)).max() < 1e-15
assert executor.thread_team().stats()["started"] == 1
assert executor.output_pool() is None or executor.output_pool().stats()["misses"] > 0
"""


@pytest.mark.parametrize("which", ["shipped", "compiled"])
def test_programs_run_with_either(which: str, tmp_path: Path) -> None:
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(tmp_path), "SYMGRAPH_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, which], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert thread_team().run  # this process has its own
