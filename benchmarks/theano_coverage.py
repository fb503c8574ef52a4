"""Which of Theano's and PyTensor's public names have an answer in symgraph; writes the table.

python -m benchmarks.theano_coverage            prints the share and what is missing
python -m benchmarks.theano_coverage --write    also writes docs/from-theano.md
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from symgraph.interop.porting import Answer, equivalent
from symgraph.interop.theano_words import KEYWORDS, METHODS

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "from-theano.md"
_HEAD = """\
# From Theano and PyTensor

What Theano 1.0 and PyTensor 3 call a thing, and what to write here. The same answers for a script
of yours, line by line, without running it:

```
symgraph explain --port script.py
```

What is different in kind:

* `theano.function` is `sg.compile`. There is no `floatX`: an input says its dtype, else it is
  `float64`.
* Graphs never change, and equal expressions are one object. Nothing needs to be cloned or copied.
* A shape is a tuple of integers and named sizes, known while the graph is built:
  `sg.matrix("x", shape=("batch", 784))`. Sizes of one name must agree. Broadcasting follows NumPy.
* Random streams are counter-based; their methods advance at each call of a function that draws.
* There are no levels of optimisation: nothing unsafe is done, stabilisation is always on.

"""


def names() -> Iterator[tuple[str, str]]:
    """Module and name, in the order of the list."""
    module = ""
    for line in (HERE / "theano_names.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            module = line.strip("[]")
        elif not line.startswith("#"):
            yield from ((module, name) for name in line.split())


def page() -> str:
    """docs/from-theano.md."""
    rows: dict[str, dict[str, Answer]] = {}
    for module, name in names():
        rows.setdefault(module, {})[name] = equivalent(f"{module}.{name}")
    answers = [a for row in rows.values() for a in row.values()]
    share = sum(a.found for a in answers)
    parts = [_HEAD, f"{share} of {len(answers)} names have an answer.\n"]
    parts += [_section(f"`{module}`", row) for module, row in rows.items()]
    parts.append(
        _section("methods and attributes", {k: Answer(True, *v) for k, v in METHODS.items()})
    )
    for function, words in KEYWORDS.items():
        given = {f"{k}=": Answer(True, *v) for k, v in words.items()}
        parts.append(_section(f"arguments of `{function}`", given))
    return "\n".join(parts)


def _section(title: str, row: dict[str, Answer]) -> str:
    same = [n for n, a in row.items() if a.write.rsplit(".", 1)[-1] == n and not a.remark]
    lines = [f"## {title}\n"]
    for place, listed in _by_place(same, row).items():
        lines.append(f"The same in `{place}`: {' '.join(f'`{n}`' for n in listed)}\n")
    others = {n: a for n, a in row.items() if n not in same and a.found}
    if others:
        lines += ["| there | here | remark |", "|---|---|---|"]
        for n, a in others.items():
            write = f"`{a.write}`" if a.write else "(leave out)"
            lines.append(f"| `{n}` | {write} | {a.remark} |".replace("|  |", "| |"))
        lines.append("")
    missing = [n for n, a in row.items() if not a.found]
    if missing:
        lines.append(f"Nothing of the kind: {' '.join(f'`{n}`' for n in missing)}\n")
    return "\n".join(lines)


def _by_place(same: list[str], row: dict[str, Answer]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for n in same:
        places.setdefault(row[n].write.rsplit(".", 1)[0], []).append(n)
    return places


def main() -> None:
    """Print the share; write the page when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    arguments = parser.parse_args()
    text = page()
    print(re.search(r"\d+ of \d+ names", text).group())  # type: ignore[union-attr]
    for module, name in names():
        if not equivalent(f"{module}.{name}").found:
            print(f"  {module}.{name}")
    if arguments.write:
        PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
