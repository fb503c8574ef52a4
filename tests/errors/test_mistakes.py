"""Every mistake gives its error: class, code, what, the user's line with a caret, in few lines."""

from __future__ import annotations

import linecache
import re
import warnings
from typing import Any

import pytest

from symgraph.errors import SymgraphError, explain
from tests.errors import building, calling, compiling
from tests.errors.mistakes import MISTAKES

assert building and compiling and calling  # each registers its programs

FILE = r"tests/errors/[a-z]+\.py"
SEEN_AT_A_CALL = {n for n, m in MISTAKES.items() if m.at_call}


def check(name: str, *mode: str) -> None:
    mistake = MISTAKES[name]
    with warnings.catch_warnings(), pytest.raises(SymgraphError) as caught:
        warnings.simplefilter("ignore")
        mistake.program(*mode)
    error = caught.value
    text = re.sub(r"\?\d+", "?", error.report())
    assert type(error) is mistake.kind, text
    what = mistake.interpreted if "interpret" in mode else mistake.what
    assert same_text(text, f"{mistake.kind.__name__} {error.code}: {what}"), text
    lines = text.splitlines()
    assert len(lines) <= 12 and max(map(len, lines)) <= 100
    (place,) = [k for k, line in enumerate(lines) if re.match(rf"  {FILE}:\d+ in {name}$", line)]
    assert lines[place + 1].endswith("# <-") and set(lines[place + 2].strip()) == {"^"}
    assert lines[-1] == f"  more: symgraph explain {error.code}"
    assert not re.search(r"symgraph/[a-z/]+\.py", re.sub(FILE, "", text))
    assert explain(error.code)


def same_text(text: str, wanted: str) -> bool:
    """Whether the report begins with this sentence, broken into lines as it may be."""
    return " ".join(text.split()).startswith(" ".join(wanted.split()))


@pytest.mark.parametrize("name", sorted(set(MISTAKES) - SEEN_AT_A_CALL))
def test_seen_while_building(name: str) -> None:
    check(name)


@pytest.mark.parametrize("mode", ["run", "interpret", "debug", "nan"])
@pytest.mark.parametrize("name", sorted(SEEN_AT_A_CALL))
def test_seen_at_a_call(name: str, mode: str) -> None:
    check(name, mode)


def test_the_traceback_ends_at_the_users_line() -> None:
    """What Python prints begins with the class and shows the whole layout."""
    with pytest.raises(SymgraphError) as caught:
        MISTAKES["sizes_that_never_fit"].program()
    assert str(caught.value).startswith("SG101: ")
    line: Any = caught.value.origin and caught.value.origin.location().line
    assert "x + y" in linecache.getline(building.__file__, line)
