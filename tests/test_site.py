"""The documentation as a site: complete, without a link that leads nowhere, and offline."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks import site

ROOT = Path(__file__).resolve().parent.parent


class Links(HTMLParser):
    """What a page points at: (tag, address); and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.found.append((tag, value))
            elif name == "id" and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.build(folder)
    return folder


def test_every_page_has_its_place() -> None:
    shown = [name for _, names in site.sections() for name in names]
    there = {str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")}
    assert sorted(shown) == sorted(there | {"README.md", "CONTRIBUTING.md"})


def test_every_link_leads_somewhere_and_nothing_needs_the_network(folder: Path) -> None:
    pages = {p: Links(p.read_text("utf-8")) for p in folder.rglob("*.html")}
    assert len(pages) > 40
    for page, links in pages.items():
        assert len(links.found) > 40
        for tag, link in links.found:
            if re.match(r"https?:", link):
                assert tag == "a", f"{page.name} loads {link}"
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.is_file(), f"{page.name}: {link}"
            if anchor:
                assert anchor in pages[target].anchors, f"{page.name}: {link}"
    for file in ("site.css", "site.js"):
        assert "http" not in (folder / file).read_text("utf-8")


@pytest.mark.parametrize(
    "link", ["nowhere.md", "tutorial.md#nowhere", "../nothing.cfg", "../../out"]
)
def test_a_link_that_leads_nowhere_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    for name in ("docs/images", "docs/reference"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("README.md", "LICENSE", "CONTRIBUTING.md", "docs/tutorial.md"):
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / "docs" / "sizes.md").write_text(f"# Sizes\n\nSee\n[this]({link}).\n")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    told = re.escape(link.replace("md#", "html#"))
    with pytest.raises(site.BrokenLinks, match=r"docs/sizes\.md:(3:)? " + told):
        site.build(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_code_is_coloured(folder: Path) -> None:
    text = (folder / "tutorial.html").read_text("utf-8")
    for part in ('<span class="kn">import</span>', '<span class="gp">&gt;&gt;&gt; </span>'):
        assert part in text
