"""Every mistake gives its error: class, code, what, the user's line with a caret, operands, a hint,
in few lines; at every level of optimization, and wherever the program stands."""

from __future__ import annotations

import ast
import importlib
import linecache
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import symgraph as sg
from symgraph.errors import SymgraphError, explain
from symgraph.passes.pipeline import PIPELINE
from tests.errors import building
from tests.errors.mistakes import MISTAKES

HERE = Path(__file__).parent
for file in sorted(HERE.glob("*.py")):  # each registers its programs
    if not file.name.startswith(("test_", "mistakes", "__")):
        importlib.import_module(f"tests.errors.{file.stem}")

FILE = r"tests/errors/[a-z_]+\.py"
SEEN_AT_A_CALL = {n for n, m in MISTAKES.items() if m.at_call}
# "plain" is compiled code without any rewriting
MODES = ("run", "plain", "interpret", "debug", "nan")


def raised(name: str, *mode: str) -> SymgraphError:
    with warnings.catch_warnings(), pytest.raises(SymgraphError) as caught:
        warnings.simplefilter("ignore")
        MISTAKES[name].program(*mode)
    return caught.value


def check(name: str, *mode: str) -> None:
    mistake, error = MISTAKES[name], raised(name, *mode)
    text = unnamed(error.report())
    assert type(error) is mistake.kind, text
    what = mistake.interpreted if "interpret" in mode else mistake.what
    assert same_text(text, f"{mistake.kind.__name__} {error.code}: {what}"), text
    lines = text.splitlines()
    assert len(lines) <= 12 and max(map(len, lines)) <= 100, text
    assert lines[-1] == f"  more: symgraph explain {error.code}"
    assert not re.search(r"symgraph/[a-z/]+\.py", re.sub(FILE, "", text)), text
    assert explain(error.code)
    check_place(error, lines, mistake.caret)
    if mistake.hint:
        assert unnamed(error.hint).startswith(mistake.hint), error.hint
    if mistake.operands:
        shown = ", ".join(f"{n}: {t}" if n else t for n, t, _ in error.operands)
        assert unnamed(shown).startswith(mistake.operands), shown
    assert all(o is None or "/symgraph/" not in o.location().file for _, _, o in error.operands)


def check_place(error: SymgraphError, lines: list[str], caret: str) -> None:
    """The report shows the marked line, and underlines what it should."""
    assert error.origin is not None
    place = error.origin.location()
    shown = f"  {error.origin.text()}"
    assert re.match(rf"  {FILE}:\d+ in ", shown) and shown in lines, lines
    at = lines.index(shown)
    source = linecache.getlines(place.file)[place.line - 1 : place.end_line]
    assert any(line.rstrip().endswith("# <-") for line in source), source
    assert set(lines[at + 2].strip()) == {"^"}
    if caret:
        assert place.col is not None and place.end_col is not None
        source[-1] = source[-1][: place.end_col]
        source[0] = source[0][place.col :]
        assert normal("".join(source)) == normal(caret)


def normal(expression: str) -> str:
    """Python's spelling of an expression, whatever its line breaks."""
    return ast.unparse(ast.parse(f"({expression}\n)"))


def unnamed(text: str) -> str:
    return re.sub(r"\?\d+", "?", text)


def same_text(text: str, wanted: str) -> bool:
    """Whether the report begins with this sentence, broken into lines as it may be."""
    return " ".join(text.split()).startswith(" ".join(wanted.split()))


def test_there_are_many() -> None:
    assert len(MISTAKES) >= 300


@pytest.mark.parametrize("name", sorted(set(MISTAKES) - SEEN_AT_A_CALL))
def test_seen_while_building(name: str) -> None:
    check(name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", sorted(SEEN_AT_A_CALL))
def test_seen_at_a_call(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mode == "plain":
        leave_out = [step.name for step in PIPELINE]
        compile = sg.compile

        def plainly(*arguments: Any, mode: str, **options: Any) -> Any:
            return compile(*arguments, exclude=leave_out, **options)

        monkeypatch.setattr(sg, "compile", plainly)
    check(name, mode)


def test_the_traceback_ends_at_the_users_line() -> None:
    """What Python prints begins with the class and shows the whole layout."""
    error = raised("sizes_that_never_fit")
    assert str(error).startswith("SG101: ")
    line: Any = error.origin and error.origin.location().line
    assert "x + y" in linecache.getline(building.__file__, line)
