"""The machine code that comes with the package: it is what the writers of its text say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from symgraph.codegen.libllvm import library
from symgraph.runtime import elf, shipped
from symgraph.runtime.artifact import Artifact, decode, encode
from tests.runtime.ship import File, content, files

HERE = sys.platform.startswith("linux") and platform.machine() == "x86_64"
FILES = sorted(p.stem for p in Path(shipped.FOLDER).glob("*.sgc"))


def kept(name: str) -> Artifact:
    return decode((Path(shipped.FOLDER) / f"{name}.sgc").read_bytes())


@pytest.fixture(scope="module")
def written() -> dict[str, File]:
    """What the writers say now."""
    return dict(files())


def test_the_files_are_of_these_writers(written: dict[str, File]) -> None:
    """If this fails, `make shipped`."""
    assert sorted(written) == FILES
    for name, file in written.items():
        found = kept(name)
        ingredients = {n: d for n, d in found.key.ingredients.items() if n != shipped.FEATURES}
        assert ingredients == shipped.writers(found.key.kind), name
        assert set(found.sections) == set(file.texts), name
        assert found.meta["texts"] == file.digest, name


@pytest.mark.parametrize("name", ["runtime", "kernels-256", "product-float32-16-8-3-1-0"])
def test_the_objects_are_what_llvm_makes_of_them(written: dict[str, File], name: str) -> None:
    if not HERE or kept(name).meta["llvm"] != library().version():
        pytest.skip("another LLVM may choose other instructions")
    assert kept(name).sections == decode(content(name, written[name])).sections


@pytest.mark.parametrize("name", FILES)
def test_the_objects_need_nothing_from_outside(name: str) -> None:
    for blob in kept(name).sections.values():
        obj = elf._parse(blob)
        assert {obj.name(s) for s in obj.symbols if s.section == 0 and s.name} <= elf.EXTERNALS


@pytest.mark.parametrize("name", FILES)
def test_they_are_used_where_they_fit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    features = kept(name).key.ingredients[shipped.FEATURES].split()
    found = shipped.objects(name.replace("-", " "), features)
    assert found == (kept(name).sections if HERE else {})
    assert shipped.objects(name, [*features, "sse4a"]) == found
    if features:
        assert not shipped.objects(name, features[1:])
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not shipped.objects(name, features)


def test_another_processor_has_none() -> None:
    assert not shipped.objects("product float32 2 6 2 0 0", ["avx2"])


def test_an_edited_writer_or_a_damaged_file_means_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    found = kept("runtime")
    good = encode(found.key, found.meta, found.sections)
    other = {**found.key.ingredients, "codegen/team_ir.py": "0"}
    edited = encode(type(found.key)("runtime", other), found.meta, found.sections)
    monkeypatch.setattr(shipped, "FOLDER", str(tmp_path))
    for bad in (good[:-1], good[:2000] + b"?" + good[2001:], edited, b"", None, good):
        path = tmp_path / "runtime.sgc"
        path.unlink(missing_ok=True)
        if bad is not None:
            path.write_bytes(bad)
        shipped._artifact.cache_clear()
        assert bool(shipped.objects("runtime")) == (bad is good)
    shipped._artifact.cache_clear()


PROGRAM = """
import sys
import numpy as np
from symgraph.codegen import llvm
from symgraph.runtime import shipped
if sys.argv[1] == "compiled":
    shipped.FOLDER = "nowhere"
compile_object, parts = llvm.compile_object, []
def told(text, opt=llvm.KERNELS):
    parts.append("@part(" in text or "@transform(" in text)
    return compile_object(text, opt)
llvm.compile_object = told
import symgraph as sg
from symgraph import executor
from symgraph.runtime.digest import hexdigest
x, y, v = sg.matrix("x"), sg.matrix("y"), sg.vector("v")
f = sg.compile([x, y, v], [x @ y, sg.fft.fft(x), sg.fft.rfft(y, axis=0), sg.exp(v)])
rng = np.random.default_rng(0)
a, b = rng.standard_normal((2, 96, 96))
c = np.linspace(-1, 1, 400_000)
got = f(a, b, c)
wanted = a @ b, np.fft.fft(a), np.fft.rfft(b, axis=0), np.exp(c)
assert all(abs(one - other).max() < 1e-12 for one, other in zip(got, wanted))
assert executor.thread_team().stats()["started"] == 1
assert executor.output_pool() is None or executor.output_pool().stats()["misses"] > 0
print(sum(parts), hexdigest(b"".join(one.tobytes() for one in got)))
"""


def test_programs_do_the_same_with_both(tmp_path: Path) -> None:
    said = {}
    for which in ("shipped", "compiled"):
        cache = {"SYMGRAPH_CACHE_DIR": str(tmp_path / which), "SYMGRAPH_NUM_THREADS": "2"}
        words = [sys.executable, "-c", PROGRAM, which]
        done = subprocess.run(words, env=os.environ | cache, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said[which] = done.stdout.split()
    assert said["shipped"][1] == said["compiled"][1]
    assert int(said["compiled"][0]) > 6
    if HERE:
        assert said["shipped"][0] == "0"
