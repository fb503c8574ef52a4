"""The checklist of features: docs/features.md from the rows of features.toml.

    python -m benchmarks.features            prints the shares and what is open
    python -m benchmarks.features --write    also writes docs/features.md

Before anything is written every name in a row is looked up: functions of symgraph and their
arguments, methods, commands and their options, files and test functions.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import symgraph as sg
from symgraph.cli.main import parser

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "features.md"
_CODE = re.compile(r"`([^`]+)`")
_NAME = re.compile(r"\bsg((?:\.\w+)+)(\()?")
_METHOD = re.compile(r"\b(x|w|f)\.(\w+)")
_PLACES = re.compile(r"\.at\[\w+\]\.(\w+)")
_PATH = re.compile(r"symgraph/\w[\w/.]*")
_LINK = re.compile(r"\]\(([\w./-]+)\)")
# what the letters of the examples stand for
_CLASSES = {"x": sg.Variable, "w": sg.Shared, "f": sg.Function}
_HEAD = """\
# What is there, and what is not

What people valued in Theano and PyTensor (H by most, M by some, L by few, - no longer), and what
of it symgraph has. Tests stand below `tests/`. Every name and every test is looked up before this
page is written, by `python -m benchmarks.features --write` from `benchmarks/features.toml`; do not
edit.
"""


class Row(NamedTuple):
    """One feature: its section, what it is, who valued it, what there is, what lacks, tests."""

    section: str
    feature: str
    valued: str
    here: str
    lacks: str
    tests: tuple[str, ...]

    @property
    def state(self) -> str:
        """done, partly or open."""
        return "open" if self.here == "-" else "partly" if self.lacks else "done"


class Pain(NamedTuple):
    """What hurts, what is done about it, and tests of that."""

    pain: str
    here: str
    tests: tuple[str, ...]


@functools.cache
def data() -> tuple[list[Row], list[Pain]]:
    """The rows of features.toml."""
    read = tomllib.loads((ROOT / "benchmarks" / "features.toml").read_text("utf-8"))
    rows = [
        Row(section["title"], r["feature"], r["valued"], r["here"], r.get("lacks", ""),
            tuple(r["tests"]))
        for section in read["section"]
        for r in section["row"]
    ]  # fmt: skip
    return rows, [Pain(p["pain"], p["here"], tuple(p["tests"])) for p in read["pain"]]


def problems() -> list[str]:
    """What the rows name that does not exist, and done rows that no test shows."""
    rows, pains = data()
    found = [
        f"{r.feature}: valued {r.valued}?" for r in rows if r.valued not in ("H", "M", "L", "-")
    ]
    for title, here, tests in [
        *((r.feature, r.here, r.tests) for r in rows), *((p.pain, p.here, p.tests) for p in pains)
    ]:  # fmt: skip
        found += [f"{title}: {what}" for what in (*_unknown_names(here), *_unknown_tests(tests))]
        if here != "-" and not tests:
            found.append(f"{title}: no test")
    return found


def _unknown_names(here: str) -> Iterator[str]:
    for page in _LINK.findall(here):
        if not (PAGE.parent / page).exists():
            yield f"no page {page}"
    for code in _CODE.findall(here):
        if code.startswith("symgraph "):
            yield from _unknown_options(code.split()[1:])
        for path in _PATH.findall(code):
            if not (ROOT / path).exists():
                yield f"no file {path}"
        for path, called in _NAME.findall(code):
            yield from _unknown_path(path[1:], code if called else "")
        for letter, name in _METHOD.findall(code):
            owner = _CLASSES[letter]
            known = {
                *dir(owner),
                *(n for c in owner.__mro__ for n in vars(c).get("__annotations__", ())),
            }
            if name not in known:
                yield f"{letter}.{name} is no attribute of {owner.__name__}"
        for name in _PLACES.findall(code):
            if not hasattr(type(sg.vector("x").at[0]), name):
                yield f"x.at[i].{name} does not exist"


def lookup(path: str) -> Any:
    """The public object of a dotted path below symgraph; AttributeError when there is none."""
    value: Any = sg
    for word in path.split("."):
        if inspect.ismodule(value) and value is not sg and word not in _offered(value):
            raise AttributeError(f"{value.__name__} does not offer {word}")
        value = getattr(value, word)
    return value


def _offered(module: Any) -> Any:
    return getattr(module, "__all__", None) or dir(module)


def _unknown_path(path: str, call: str) -> Iterator[str]:
    try:
        value = lookup(path)
    except AttributeError:
        yield f"sg.{path} does not exist"
        return
    if call and path != "config.change":
        given = set(re.findall(r"\b(\w+)=", call.split(f"sg.{path}(", 1)[1]))
        lost = given - set(inspect.signature(value).parameters)
        if lost:
            yield f"sg.{path} takes no {', '.join(sorted(lost))}"
    elif call:
        for name in re.findall(r"(\w+)=", call):
            if name not in importlib.import_module("symgraph.config").SETTINGS:
                yield f"no setting {name}"


def _unknown_options(words: list[str]) -> Iterator[str]:
    actions = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    command = actions.choices.get(words[0])
    if command is None:
        yield f"no command symgraph {words[0]}"
        return
    known = command._option_string_actions
    yield from (f"symgraph {words[0]} has no {w}" for w in words if w[0] == "-" and w not in known)


def _unknown_tests(tests: tuple[str, ...]) -> Iterator[str]:
    for test in tests:
        file, _, function = test.partition("::")
        if not (ROOT / file).is_file():
            yield f"no file {file}"
        elif function and function not in _functions(file):
            yield f"no test {test}"


@functools.cache
def _functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef))


def counts(rows: list[Row], valued: str) -> tuple[int, int, int, int]:
    """How many rows of this value are done, partly done, open, and all."""
    states = [r.state for r in rows if r.valued == valued]
    return states.count("done"), states.count("partly"), states.count("open"), len(states)


def page() -> str:
    """docs/features.md."""
    rows, pains = data()
    lines = [_HEAD, "| valued | features | done | partly | not yet | share done |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for valued in ("H", "M", "L"):
        done, partly, none, count = counts(rows, valued)
        lines.append(f"| {valued} | {count} | {done} | {partly} | {none} | {done / count:.0%} |")
    for title in dict.fromkeys(r.section for r in rows):
        lines += [
            "",
            f"## {title}",
            "",
            "| feature | valued | symgraph | test |",
            "|---|---|---|---|",
        ]
        for r in rows:
            if r.section == title:
                here = f"{r.here}; **missing:** {r.lacks}" if r.lacks else r.here
                lines.append(_cells(r.feature, r.valued, here, _tests(r.tests)))
    title = "What users of such compilers suffer from, and what is done about it here"
    lines += ["", f"## {title}", "", "| pain | here | test |", "|---|---|---|"]
    lines += [_cells(p.pain, p.here, _tests(p.tests)) for p in pains]
    return "\n".join(lines) + "\n"


def _tests(tests: tuple[str, ...]) -> str:
    return "<br>".join(f"`{t.removeprefix('tests/')}`" for t in tests) or "-"


def _cells(*cells: str) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def main() -> None:
    """Print the shares and what is open; write the page when asked and nothing is wrong."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--write", action="store_true", help="write docs/features.md")
    write = arguments.parse_args().write
    wrong = problems()
    rows, _ = data()
    for valued in ("H", "M", "L"):
        print("{}: {} done, {} partly, {} open, of {}".format(valued, *counts(rows, valued)))
    for r in rows:
        if r.state != "done" and r.valued != "-":
            print(f"  {r.valued} {r.state}: {r.feature} {r.lacks and f'(missing: {r.lacks})'}")
    if wrong:
        raise SystemExit("\n".join(wrong))
    if write:
        PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
