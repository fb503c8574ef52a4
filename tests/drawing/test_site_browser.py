"""The site of the documentation in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import site
from tests.drawing.driver import Browser

pytestmark = pytest.mark.browser


def test_a_reader_finds_a_heading(window: Browser, tmp_path: Path) -> None:
    site.build(tmp_path)
    window.open(tmp_path / "reference" / "sg.html")
    assert window.log() == []
    assert window.run("return getComputedStyle(document.querySelector('nav')).overflowY") == "auto"
    window.key("/", *"choices")
    hits = window.run("return [...document.querySelectorAll('#hits a')].map(a => a.textContent)")
    assert "Choices and loopsTutorial" in hits
    window.key("Enter")
    assert window.run("return location.hash.length + location.pathname.length") > 0
    window.open(tmp_path / "tutorial.html", "choices-and-loops")
    assert window.run("return scrollY") > 0 and window.log() == []
