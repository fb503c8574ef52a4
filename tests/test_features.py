"""The generated pages: what they name exists, and they name all there is."""

from __future__ import annotations

import re

import pytest

import symgraph as sg
from benchmarks import features, reference
from symgraph.interop import theano_words
from symgraph.ir.op import OPS

SPACES = reference.namespaces()


def test_rows_name_what_exists() -> None:
    assert features.problems() == []


def test_the_page_of_features_is_up_to_date() -> None:
    written = features.PAGE.read_text("utf-8")
    assert written == features.page(), "python -m benchmarks.features --write"


def test_wrong_rows_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        "`sg.no_such`", "`sg.nn.Any`", "`sg.sum(x, no_such=)`", "`x.no_such`", "`symgraph paint`",
        "`symgraph dump --no-such`", "`x.at[i].no_such(v)`", "`symgraph/no_such.py`",
        "`sg.config.change(no_such=)`", "[a page](no_such.md)",
    ]  # fmt: skip
    tests = ("tests/no_such.py::test_it", "tests/test_features.py::test_no_such")
    rows = [features.Row("s", "f", "H", here, "", ("tests/test_features.py",)) for here in wrong]
    rows += [features.Row("s", "f", "H", "always", "", (t,)) for t in tests]
    rows += [
        features.Row("s", "f", "?", "-", "", ()),
        features.Row("s", "f", "H", "always", "", ()),
    ]
    monkeypatch.setattr(features, "data", lambda: (rows, []))
    assert len(features.problems()) == len(rows)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_reference_pages_hold_every_name(space: str) -> None:
    made = reference.page(space, reference.entries())
    for text in (made, (reference.FOLDER / f"{space}.md").read_text("utf-8")):
        told = set(
            re.findall(r"^### (\w+)$|`" + re.escape(space) + r"\.(\w+)`", text, re.MULTILINE)
        )
        missing = set(reference.public(SPACES[space])) - {n for pair in told for n in pair}
        assert not missing, "make reference"


def test_the_page_of_ops_holds_every_op() -> None:
    ours = reference.our_ops()
    assert len(ours) > 250
    for text in (reference.ops_page(), (reference.FOLDER / "ops.md").read_text("utf-8")):
        assert set(ours) <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)), "make reference"


def test_links_between_reference_pages_lead_somewhere() -> None:
    pages = reference.pages()
    for name, text in pages.items():
        for page, place in re.findall(r"\]\(([\w.]*\.md)?#([\w-]+)\)", text):
            assert place in headings(pages[page or name]), (name, page, place)


def headings(text: str) -> set[str]:
    """The places of a page as GitHub numbers them."""
    seen: dict[str, int] = {}
    for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-")
        seen[slug] = seen.get(slug, 0) + 1
    return {s if k == 0 else f"{s}-{k}" for s, n in seen.items() for k in range(n)}


def words() -> list[str]:
    """Every name of symgraph that the table of Theano's words points to."""
    rows = [*theano_words.WORDS.values(), theano_words.METHODS, *theano_words.KEYWORDS.values()]
    texts = " ".join(f"{write} {remark}" for table in rows for write, remark in table.values())
    return sorted(set(re.findall(r"\bsg\.(\w+(?:\.\w+)*)", texts)))


@pytest.mark.parametrize("word", words())
def test_theanos_words_point_to_what_exists(word: str) -> None:
    features.lookup(word)


# what modules import for themselves
IMPORTED = {
    "Any",
    "Callable",
    "ModuleType",
    "annotations",
    "as_variable",
    "dtypes",
    "np",
    "os",
    "sys",
}


@pytest.mark.parametrize("space", sorted(SPACES))
def test_completion_shows_public_names_only(space: str) -> None:
    module = SPACES[space]
    offered = set(dir(module))
    assert all(hasattr(module, name) for name in offered)
    assert offered >= set(getattr(module, "__all__", ()))
    if module is not sg:  # whose as_variable is for users
        assert not offered & IMPORTED


def test_every_op_is_told_how_it_is_done() -> None:
    assert {reference.realised(op) for op in OPS.values()} == {"fused", "routine", "graphs"}
