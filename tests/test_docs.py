"""The examples in the README, the pages under docs/ and the docstrings run and print what they say.

The `python` blocks of a page share one namespace and run in order, in an empty directory; a block
that shows its output is written as a session with `>>>`.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOR_GUESTS = {"symgraph.interop.pymc": "pymc"}  # packages that are imported by those who have more
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path) -> list[tuple[int, str]]:
    """The line of each block's first line of code, and the block."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start(1)) + 1, m.group(1)) for m in FENCE.finditer(text)]


def pages() -> list[Path]:
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [p for p in found if p.exists() and blocks(p)]


def modules() -> list[str]:
    """Modules of the package whose docstrings hold an example."""
    names = []
    for file in sorted((ROOT / "symgraph").rglob("*.py")):
        if re.search(r"^ *>>> ", file.read_text(encoding="utf-8"), re.MULTILINE):
            parts = file.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(parts).removesuffix(".__init__"))
    missing = tuple(f"{name}." for name, guest in FOR_GUESTS.items() if not find_spec(guest))
    return [name for name in names if not name.startswith(missing)]


def run_block(page: Path, line: int, source: str, namespace: dict[str, Any]) -> None:
    if source.lstrip().startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(source, namespace, page.name, str(page), line)
        test.globs = namespace
        run_doctest(test)
        return
    tree = ast.parse(source, str(page))
    ast.increment_lineno(tree, line - 1)
    exec(compile(tree, str(page), "exec"), namespace)


def run_doctest(test: doctest.DocTest) -> None:
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=output.append, clear_globs=False)
    assert not output, "".join(output)


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.name)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")  # pickling and dataclasses look a function's module up by name
    monkeypatch.setitem(sys.modules, "page", module)
    for line, source in blocks(page):
        run_block(page, line, source, module.__dict__)


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    tests = [t for t in doctest.DocTestFinder(exclude_empty=True).find(module) if t.examples]
    assert tests, f"{name} shows an example where doctest does not find it"
    for test in tests:
        run_doctest(test)
