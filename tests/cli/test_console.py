"""What commands print on terminals of any width."""

from __future__ import annotations

import sys

import pytest

from symgraph.cli import console


class Terminal:
    """A standard output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_only_a_terminal_folds_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "word " * 40
    assert console.fold(line) == line
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "30")
    folded = console.fold(line).split("\n")
    assert len(folded) > 5 and all(len(x) <= 30 for x in folded)


@pytest.mark.parametrize("width", [20, 33, 80])
def test_folding_changes_spaces_only(width: int) -> None:
    text = "graph {\n    %1 = add(%2, %3) : float32[batch, 16]  # a line\n" + "x" * 90 + "  y z\n\n"
    folded = console.folded(text, width)
    assert folded.split() == text.split()
    for line in folded.split("\n"):
        assert len(line) <= width or " " not in line.strip()


def test_folded_lines_begin_further_to_the_right() -> None:
    text = "code  name   meaning of it all\nSG1   Short  a tale that is long"
    assert console.folded(text, 24, text.index("meaning")).split("\n") == [
        "code  name   meaning of",
        "            it all",
        "SG1   Short  a tale that",
        "            is long",
    ]
