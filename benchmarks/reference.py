"""The reference: docs/reference/, from the public names, their docstrings and the op registry.

    python -m benchmarks.reference            prints the counts
    python -m benchmarks.reference --write    also writes the pages

The examples on the pages are those of the docstrings, which the tests run.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import symgraph as sg
from symgraph import dtypes
from symgraph.errors import SymgraphError
from symgraph.ir.op import OPS
from symgraph.ops.elementwise import Elementwise
from symgraph.passes import pipeline  # noqa: F401  (loads the ops that only rules make)

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
_EDIT = "Written by `python -m benchmarks.reference --write`; do not edit."
_REALISED = {"lower": "fused", "extern": "routine", "inner": "graphs"}
_HOW = {
    "fused": "one scalar expression for each element, joined with its neighbours in one loop",
    "routine": "code of its own: a loop nest, BLAS, LAPACK, FFT, a sort",
    "graphs": "holds graphs: a loop, a branch, a function",
}
_KINDS = {"b": "bool", "i": "integers", "f": "floats", "c": "complex numbers"}
_SAMPLES = {"bool": "b", "int32": "i", "float32": "f", "complex64": "c"}


class Entry(NamedTuple):
    """A public thing: all its names in one namespace, and where it was told of before."""

    names: tuple[str, ...]
    value: Any
    told: str


def namespaces() -> dict[str, ModuleType]:
    """The public namespaces by the names that users write, symgraph's own first."""
    found: dict[str, ModuleType] = {"sg": sg}
    waiting = ["sg"]
    for prefix in waiting:
        for name in dir(found[prefix]):
            value = getattr(found[prefix], name)
            if isinstance(value, ModuleType) and value.__name__.startswith("symgraph."):
                found[f"{prefix}.{name}"] = value
                waiting.append(f"{prefix}.{name}")
    return dict(sorted(found.items()))


def public(module: ModuleType) -> list[str]:
    """The names that a namespace offers, without namespaces inside it."""
    names = (n for n in dir(module) if not n.startswith("__"))
    return sorted(n for n in names if not isinstance(getattr(module, n), ModuleType))


def entries() -> dict[str, list[Entry]]:
    """What each namespace holds. What an earlier one holds too is only pointed to."""
    told: dict[int, str] = {}
    made: dict[str, list[Entry]] = {}
    for space, module in namespaces().items():
        groups: dict[Any, list[str]] = {}
        for name in public(module):
            value = getattr(module, name)
            groups.setdefault(id(value) if callable(value) else name, []).append(name)
        made[space] = []
        for key, names in groups.items():
            names = _own_first(names, getattr(module, names[0]))
            value = getattr(module, names[0])
            made[space].append(Entry(tuple(names), value, told.get(key, "")))
            told.setdefault(key, f"{space}.{names[0]}")
    return made


def _own_first(names: list[str], value: Any) -> list[str]:
    """The name that the thing gives itself before its others."""
    return sorted(names, key=lambda n: (n != getattr(value, "__name__", ""), n))


# one page -----------------------------------------------------------------------------------------


def page(space: str, made: dict[str, list[Entry]]) -> str:
    """The page of a namespace: a list of all names, then each by the module it is from."""
    found = made[space]
    lines = [f"# {space}", "", _EDIT, ""]
    if space != "sg":
        summary = re.sub(r"^sg[.\w]+: ", "", _text(namespaces()[space].__doc__ or ""))
        lines += [*_prose(summary[:1].upper() + summary[1:]), ""]
    sections, anchors = sorted_out(space, found), anchors_of(space, found)
    for title, group in sections.items():
        words = " ".join(f"[`{e.names[0]}`](#{anchors[e.names[0]]})" for e in group)
        lines.append(f"* {title}: {words}" if len(sections) > 1 else words)
    for title, group in sections.items():
        lines += ["", f"## {title}"] if len(sections) > 1 else []
        for entry in group:
            lines += ["", *_entry(space, entry, made)]
    return "\n".join(lines) + "\n"


def sorted_out(space: str, found: list[Entry]) -> dict[str, list[Entry]]:
    """The entries by the module they are from, in the order of the page."""
    sections: dict[str, list[Entry]] = {}
    for entry in sorted(found, key=lambda e: (_section(e), e.names[0].lower(), e.names[0])):
        sections.setdefault(_section(entry), []).append(entry)
    return sections


def anchors_of(space: str, found: list[Entry]) -> dict[str, str]:
    """The place of each entry: headings that differ in capitals alone are numbered by GitHub."""
    sections, seen, places = sorted_out(space, found), {space.replace(".", ""): 1}, {}
    for title, group in sections.items():
        headings = [title] if len(sections) > 1 else []
        for name in [*headings, *(e.names[0] for e in group)]:
            slug = name.lower().replace(" ", "-")
            count = seen.get(slug, 0)
            seen[slug] = count + 1
            places[name] = f"{slug}-{count}" if count else slug
    return places


def _section(entry: Entry) -> str:
    home = str(getattr(entry.value, "home", getattr(entry.value, "__module__", "")))
    if not home.startswith("symgraph."):
        return "Constants"
    if home == "symgraph.api":
        return "Printing"
    return home.rsplit(".", 1)[-1].replace("_", " ").capitalize()


def _entry(space: str, entry: Entry, made: dict[str, list[Entry]]) -> Iterator[str]:
    name, value = entry.names[0], entry.value
    yield f"### {name}"
    yield ""
    if entry.told:
        home, _, word = entry.told.rpartition(".")
        place = anchors_of(home, made[home])[word]
        yield f"The same as [`{entry.told}`]({home}.md#{place})."
    elif not callable(value) and not isinstance(value, type):
        yield f"`{space}.{name}` = `{_shown(value)}`"
        if not isinstance(value, float | int | type(None) | dict) and value.__doc__:
            yield from ("", *_prose(value.__doc__))
    else:
        yield f"`{space}.{name}{signature(value)}`"
        yield ""
        yield from _prose(value.__doc__ or "")
        if isinstance(value, Elementwise):
            yield from ("", facts(value))
        if isinstance(value, type):
            yield from _members(value)
    if entry.names[1:]:
        yield ""
        yield "Also " + ", ".join(f"`{space}.{n}`" for n in entry.names[1:]) + "."


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "None" if value is None else type(value).__name__


def signature(value: Any) -> str:
    """The arguments without their types; of an elementwise operation by the names of its rule."""
    if isinstance(value, Elementwise):
        return f"({', '.join(operand_names(value))})"
    try:
        taken = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    bare = [p.replace(annotation=p.empty, default=_Default.of(p)) for p in taken]
    return str(inspect.Signature(bare))


class _Default:
    """A default value that prints as it is written."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @staticmethod
    def of(parameter: inspect.Parameter) -> Any:
        given = parameter.default
        return given if given is parameter.empty else _Default(given)

    def __repr__(self) -> str:
        plain = isinstance(self.value, str | int | float | complex | tuple | list | dict | None)
        return repr(self.value) if plain else getattr(self.value, "__name__", "...")


def operand_names(row: Elementwise) -> list[str]:
    """What the operands of a row are called."""
    rule = getattr(row, "vjp", None)
    if callable(rule):
        names = [
            p.name
            for p in inspect.signature(rule).parameters.values()
            if p.kind == p.POSITIONAL_OR_KEYWORD
        ]
        if len(names) == row.arity + 2 and not any(n.startswith("_") for n in names[2:]):
            return names[2:]
    return list("xyz"[: row.arity])


def facts(row: Elementwise) -> str:
    """What an elementwise operation takes and gives, and whether it has a derivative."""
    return f"Elementwise. {kinds(row)} {derivative(row)}."


def kinds(row: Elementwise) -> str:
    """The kinds of numbers that a row takes, and what becomes of them."""
    results = {}
    for dtype, kind in _SAMPLES.items():
        types = [sg.TensorType(dtype, ())] * row.arity
        try:
            wanted = row.computes_in(tuple(t.dtype for t in types))
            results[kind] = row.infer(*(sg.TensorType(d, ()) for d in wanted)).dtype
        except SymgraphError:
            continue
    taken = ", ".join(_KINDS[k] for k in results)
    gives = {k: dtypes.kind(d).replace("u", "i") for k, d in results.items()}
    changed = {k: g for k, g in gives.items() if g != k}
    if set(gives.values()) == {"b"}:
        return f"Takes {taken}; gives bool."
    if changed == {"b": "f", "i": "f"}:
        return f"Takes {taken}; integers become floats."
    words = (f"{_KINDS[k]} gives {_KINDS[g]}" for k, g in changed.items())
    return f"Takes {'; '.join([taken, *words])}."


def derivative(op: Any) -> str:
    """Whether an op has a derivative, else why not."""
    return f"No derivative: {op.nondifferentiable}" if op.nondifferentiable else "Differentiable"


def _members(kind: type) -> Iterator[str]:
    """The public methods and properties of a class, in one line."""
    names = [
        n for n in dir(kind)
        if not n.startswith("_") and not hasattr(BaseException, n) and not hasattr(dict, n)
    ]  # fmt: skip
    if names:
        yield ""
        yield "Attributes and methods: " + " ".join(f"`{n}`" for n in names) + "."


# docstrings as Markdown ---------------------------------------------------------------------------


def _text(doc: str) -> str:
    doc = re.sub(r":\w+:`([^`]+)`", r"`\1`", inspect.cleandoc(doc))
    return re.sub(r"``([^`]+)``", r"`\1`", doc)


def _prose(doc: str) -> list[str]:
    """Paragraphs as they are; examples and indented text as code."""
    out: list[str] = []
    blocks = [b for b in re.split(r"\n\s*\n", _text(doc)) if b.strip()]
    for code, group in itertools.groupby(blocks, _is_code):
        for text in ["\n\n".join(group)] if code else group:
            if code:
                kept = [
                    li for li in inspect.cleandoc("\n" + text).splitlines() if li.strip() != _IMPORT
                ]
                out += ["", "```pycon" if ">>>" in text else "```", *kept, "```"]
            else:
                out += ["", *re.sub(r"::$", ":", text).splitlines()]
    return out[1:]


_IMPORT = ">>> import symgraph as sg"


def _is_code(block: str) -> bool:
    first = block.splitlines()[0]
    return first.startswith((">>>", "    ")) or first.lstrip().startswith(">>>")


# all ops ------------------------------------------------------------------------------------------


def ops_page() -> str:
    """Every op of the tensor graph: what functions are made of."""
    lines = [
        "# Ops",
        "",
        _EDIT,
        "",
        "What expressions consist of, as `sg.dprint` and `symgraph dump` show them. An op is",
        "",
    ]
    lines += [f"* {how}: {what}." for how, what in _HOW.items()]
    lines += ["", "| op | realised | takes | derivative | meaning |", "|---|---|---|---|---|"]
    for name, op in our_ops().items():
        takes = kinds(op).removeprefix("Takes ").rstrip(".") if isinstance(op, Elementwise) else ""
        why = op.nondifferentiable
        has = f"no: {why}" if why else "yes"
        cells = [f"`{name}`", realised(op), takes or "-", has, _first_sentence(op)]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def our_ops() -> dict[str, Any]:
    """The registry, without ops that others (tests, examples) have defined."""
    homes = {n: str(getattr(op, "home", None) or op.__module__) for n, op in OPS.items()}
    return {n: OPS[n] for n in sorted(OPS) if homes[n].startswith("symgraph.")}


def realised(op: Any) -> str:
    """fused, routine or graphs."""
    return next(word for r, word in _REALISED.items() if callable(getattr(op, r, None)))


def _first_sentence(op: Any) -> str:
    paragraph = _text(op.__doc__ or "").split("\n\n")[0]
    return re.split(r"(?<=[^.]\.) (?=[A-Z`])", " ".join(paragraph.split()))[0].rstrip(".:")


# the index ----------------------------------------------------------------------------------------


def index(made: dict[str, list[Entry]]) -> str:
    """docs/reference/README.md."""
    ops = our_ops().values()
    ways = [realised(op) for op in ops]
    made_of = ", ".join(f"{ways.count(w)} {w}" for w in _HOW)
    smooth = sum(not op.nondifferentiable for op in ops)
    names = sum(len(e.names) for found in made.values() for e in found)
    things = sum(not e.told for found in made.values() for e in found)
    lines = ["# Reference", "", _EDIT, ""]
    lines.append(f"{names} public names of {things} different things. They are made of")
    lines.append(f"[{len(ops)} ops](ops.md): {made_of}; {smooth} of them have a derivative.")
    lines += ["", "| namespace | names | about |", "|---|---|---|"]
    for space, found in made.items():
        count = sum(len(e.names) for e in found)
        lines.append(f"| [`{space}`]({space}.md) | {count} | {_about(space)} |")
    return "\n".join(lines) + "\n"


def _about(space: str) -> str:
    if space == "sg":
        return "building expressions, derivatives, loops, functions"
    first = " ".join(_text(namespaces()[space].__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", re.sub(r"^sg[.\w]+: ", "", first))[0].rstrip(".")


def pages() -> dict[str, str]:
    """All pages by file name."""
    made = entries()
    found: dict[str, str] = {f"{space}.md": page(space, made) for space in made}
    return {"README.md": index(made), "ops.md": ops_page(), **found}


def main() -> None:
    """Print the counts; write the pages when asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/reference/")
    write = parser.parse_args().write
    for name in [n for n in os.environ if n.startswith("SYMGRAPH_")]:
        del os.environ[name]  # the page of settings shows what holds without them
    made = pages()
    if write:
        FOLDER.mkdir(exist_ok=True)
        for old in FOLDER.glob("*.md"):
            if old.name not in made:
                old.unlink()
        for name, text in made.items():
            (FOLDER / name).write_text(text, "utf-8")
    print(made["README.md"])


if __name__ == "__main__":
    main()
