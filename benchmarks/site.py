"""The documentation as a site that works offline: README, docs/ and the reference as HTML.

    python -m benchmarks.site [FOLDER]      writes it, to out/site if nothing is said

Pages are CommonMark with tables (markdown-it-py), code is coloured by Pygments. Nothing on a page
asks the network for anything. A link or a heading that leads nowhere is an error with its place.
"""

from __future__ import annotations

import html
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
FILES = Path(__file__).resolve().parent / "site_files"

# What a reader may want, and the pages that serve it, in the order of reading.
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Begin", ("README.md", "docs/tutorial.md", "docs/looking_inside.md")),
    ("How to", (
        "docs/derivatives.md", "docs/sizes.md", "docs/random.md", "docs/optimize.md",
        "docs/sparse.md", "docs/complex.md", "docs/special.md", "docs/custom-ops.md",
        "docs/threads.md", "docs/cuda.md", "docs/debugging.md", "docs/profile.md", "docs/view.md",
    )),
    ("Coming from", (
        "docs/from-*.md", "docs/pytensor.md", "docs/pymc.md", "docs/keras.md", "docs/numpy.md",
    )),
    ("How it works", (
        "docs/architecture.md", "docs/one-expression.md", "docs/stability.md", "docs/accuracy.md",
        "docs/performance.md", "docs/performance-history.md", "CONTRIBUTING.md",
    )),
    ("Reference", (
        "docs/command-line.md", "docs/errors.md", "docs/dtypes.md", "docs/features.md",
        "docs/reference/*.md",
    )),
    ("More", ("docs/*.md",)),
)  # fmt: skip
OTHERS = "files"  # folder of what pages link to that is no page


class Page(NamedTuple):
    """A page: its source below the root, its place in the site, headings and body."""

    source: str
    target: str
    title: str
    headings: list[tuple[int, str, str]]  # level, anchor, text
    body: str


class BrokenLinks(Exception):
    """Links that lead nowhere, each with its page and line."""


def build(folder: Path) -> list[Page]:
    """Write the site to a folder, which is made anew; returns its pages.

    Raises BrokenLinks.
    """
    sources = [s for _, names in sections() for s in names]
    targets = {s: _target(s) for s in sources}
    pages = [_page(s, targets) for s in sources]
    _check_anchors(pages)
    shutil.rmtree(folder, ignore_errors=True)
    for page in pages:
        path = folder / page.target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_whole(page, pages), "utf-8")
    for name in {n for p in pages for n in re.findall(rf'"(?:\.\./)*{OTHERS}/(.+?)\.txt"', p.body)}:
        (folder / OTHERS / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / OTHERS / f"{name}.txt")
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    (folder / "site.css").write_text((FILES / "site.css").read_text("utf-8") + _colours(), "utf-8")
    index = [[p.target, p.title, [[a, t] for _, a, t in p.headings[1:]]] for p in pages]
    script = (FILES / "site.js").read_text("utf-8")
    (folder / "site.js").write_text(f"const pages = {json.dumps(index)};\n{script}", "utf-8")
    return pages


def sections() -> list[tuple[str, list[str]]]:
    """The sections with the files that exist, each file in the first section that names it, those
    of a pattern sorted by name."""
    found, seen = [], set[str]()
    for title, names in SECTIONS:
        files: dict[str, None] = {}
        for name in names:
            paths = sorted(ROOT.glob(name), key=lambda p: (p.name != "README.md", p.name))
            files.update(dict.fromkeys(str(p.relative_to(ROOT)) for p in paths))
        new = [f for f in files if f not in seen]
        seen.update(new)
        if new:
            found.append((title, new))
    return found


def _target(source: str) -> str:
    if source == "README.md":
        return "index.html"
    path = Path(source.removeprefix("docs/"))
    name = "index" if path.stem == "README" else path.stem.lower()
    return str(path.with_name(f"{name}.html"))


# one page -----------------------------------------------------------------------------------------


def _page(source: str, targets: dict[str, str]) -> Page:
    from markdown_it import MarkdownIt

    text = (ROOT / source).read_text("utf-8")
    parser = MarkdownIt("commonmark", {"highlight": _highlighted}).enable("table")
    tokens = parser.parse(text)
    headings = _number_headings(tokens)
    broken = [f"{source}:{line}: {link}" for line, link in _relink(tokens, source, targets)]
    if broken:
        raise BrokenLinks("\n".join(broken))
    body = parser.renderer.render(tokens, parser.options, {})
    body = re.sub(r"<table>.*?</table>", r'<div class="wide">\g<0></div>', body, flags=re.DOTALL)
    title = headings[0][2] if headings else source
    return Page(source, targets[source], title, headings, body)


def _number_headings(tokens: Sequence[Any]) -> list[tuple[int, str, str]]:
    """Give each heading an anchor as GitHub makes it."""
    found: list[tuple[int, str, str]] = []
    seen: dict[str, int] = {}
    for head, inline in itertools.pairwise(tokens):
        if head.type != "heading_open":
            continue
        text = "".join(t.content for t in inline.children if t.type in ("text", "code_inline"))
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        anchor += f"-{count}" if count else ""
        head.attrSet("id", anchor)
        found.append((int(head.tag[1]), anchor, text))
    return found


def _relink(
    tokens: Sequence[Any], source: str, targets: dict[str, str]
) -> Iterator[tuple[int, str]]:
    """Turn links between files into links between pages; yields those that lead nowhere."""
    for block in tokens:
        lost: list[str] = []

        def to(link: str, lost: list[str] = lost) -> str:
            new = _resolved(link, source, targets)
            lost += [link] * (new is None)
            return new or link

        for token in block.children or (block,):
            name = {"link_open": "href", "image": "src"}.get(token.type)
            if name:
                token.attrSet(name, to(str(token.attrGet(name))))
            elif token.type in ("html_inline", "html_block"):
                token.content = re.sub(
                    r'(src|href)="([^"]*)"', lambda m: f'{m[1]}="{to(m[2])}"', token.content
                )
        yield from (((block.map or [0])[0] + 1, link) for link in lost)


def _resolved(link: str, source: str, targets: dict[str, str]) -> str | None:
    """The address on the site of what a file links to; None where there is nothing."""
    if re.match(r"[a-z]+:|#", link):
        return link
    file, _, anchor = unquote(link).partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(source), file))
    if path in targets:
        target = targets[path]
    elif path.startswith("..") or not (ROOT / path).is_file():
        return None
    elif path.startswith("docs/images/"):
        target = path.removeprefix("docs/")
    else:
        target = f"{OTHERS}/{path}.txt"
    here = os.path.dirname(targets[source]) or "."
    return os.path.relpath(target, here) + (f"#{anchor}" if anchor else "")


def _check_anchors(pages: Sequence[Page]) -> None:
    """Raises BrokenLinks for a link to a heading that is not there."""
    known = {p.target: {a for _, a, _ in p.headings} for p in pages}
    broken = []
    for page in pages:
        for file, anchor in re.findall(r'href="([^":#]*)#([^"]+)"', page.body):
            at = os.path.normpath(os.path.join(os.path.dirname(page.target), file))
            if unquote(anchor) not in known[at if file else page.target]:
                broken.append(f"{page.source}: {file}#{anchor}")
    if broken:
        raise BrokenLinks("\n".join(broken))


def _highlighted(code: str, language: str, _: str) -> str:
    """A block of code in colours; "" leaves it to the renderer."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    names = {"python": "pycon" if code.lstrip().startswith(">>>") else "python", "sh": "bash"}
    if language not in names:
        return ""
    return str(highlight(code, get_lexer_by_name(names[language]), HtmlFormatter(nowrap=True)))


def _colours() -> str:
    from pygments.formatters import HtmlFormatter

    light, dark = (
        "\n".join(line for line in HtmlFormatter(style=style).get_style_defs("pre").splitlines()
                  if line.startswith("pre .") and "border" not in line)
        for style in ("friendly", "github-dark")
    )  # fmt: skip
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


# around it ----------------------------------------------------------------------------------------


def _whole(page: Page, pages: Sequence[Page]) -> str:
    up = "../" * page.target.count("/")
    k = pages.index(page)
    around = [("prev", pages[k - 1])] if k else []
    around += [("next", pages[k + 1])] if k + 1 < len(pages) else []
    links = "".join(f'<a class="{c}" href="{up}{p.target}">{_esc(p.title)}</a>' for c, p in around)
    template = (FILES / "page.html").read_text("utf-8")
    parts = {
        "title": _esc(page.title), "up": up, "nav": _navigation(page, pages, up),
        "toc": _contents(page), "body": page.body, "around": links,
    }  # fmt: skip
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], template)


def _navigation(page: Page, pages: Sequence[Page], up: str) -> str:
    by_source = {p.source: p for p in pages}
    out = []
    for title, names in sections():
        rows = []
        for p in (by_source[n] for n in names):
            here = ' aria-current="page"' if p is page else ""
            rows.append(f'<li><a href="{up}{p.target}"{here}>{_esc(p.title)}</a></li>')
        out.append(f"<h2>{_esc(title)}</h2><ul>{''.join(rows)}</ul>")
    return "".join(out)


def _contents(page: Page) -> str:
    rows = [f'<li class="h{n}"><a href="#{a}">{_esc(t)}</a></li>'
            for n, a, t in page.headings[1:] if n <= 3]  # fmt: skip
    return f"<ul>{''.join(rows[:60])}</ul>" if len(rows) > 1 else ""


def _esc(text: str) -> str:
    return html.escape(text)


if __name__ == "__main__":
    goal = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "site"
    try:
        made = build(goal)
    except BrokenLinks as error:
        sys.exit(f"links that lead nowhere:\n{error}")
    print(f"{goal / 'index.html'}  {len(made)} pages")
