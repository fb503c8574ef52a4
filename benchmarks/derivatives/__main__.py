"""The largest relative difference between symgraph's derivatives and JAX's, by family.

    python -m benchmarks.derivatives                 prints the table, and what differs most
    python -m benchmarks.derivatives --write         also writes docs/derivatives.md's table
    python -m benchmarks.derivatives --only LSTM
    python -m benchmarks.derivatives --cost --write  what derivatives cost, and that table

First derivatives by every argument, and second ones along a direction: the derivative of the
gradient, forward over reverse in both libraries.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.derivatives import costs
from benchmarks.derivatives.classics import classics
from benchmarks.derivatives.densities import densities, multivariate
from benchmarks.derivatives.formulas import Case, compositions, elementwise, matrices, structural
from benchmarks.derivatives.words import Jax, Symgraph

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "derivatives.md"
BEGIN, END = "<!-- differences -->\n", "<!-- end -->\n"


class Difference(NamedTuple):
    """Of one case: relative to the largest element of JAX's derivative."""

    case: Case
    first: float
    second: float
    error: str = ""


def cases() -> list[Case]:
    """All of them."""
    made = chain(elementwise(), compositions(), structural(), matrices(), densities(),
                 multivariate(), classics())  # fmt: skip
    return list(made)


def ours(case: Case, words: Symgraph) -> list[np.ndarray]:
    """The gradient and its derivative along fixed directions."""
    sg = words.sg
    inputs = [sg.tensor(f"x{k}", shape=a.shape) for k, a in enumerate(case.arrays)]
    value = case.formula(words, *inputs)
    gradient = sg.grad(value, inputs, disconnected="zero")
    along = [sg.constant(d) for d in directions(case)]
    second = sg.hvp(value, inputs, along)
    f = sg.compile(inputs, [*gradient, *second], on_unused_input="ignore")
    return [np.asarray(v) for v in f(*case.arrays)]


def theirs(case: Case, words: Jax) -> list[np.ndarray]:
    """The same by JAX."""
    jax = words.jax
    places = tuple(range(len(case.arrays)))

    def gradient(*arrays: Any) -> Any:
        return jax.grad(lambda *a: words.jnp.reshape(case.formula(words, *a), ()), places)(*arrays)

    arrays = tuple(map(words.jnp.asarray, case.arrays))
    first, second = jax.jvp(gradient, arrays, tuple(map(words.jnp.asarray, directions(case))))
    return [np.asarray(v) for v in (*first, *second)]


def directions(case: Case) -> list[np.ndarray]:
    """One for each argument."""
    rng = np.random.default_rng(7)
    return [rng.uniform(-1, 1, a.shape) for a in case.arrays]


def difference(case: Case, words: tuple[Symgraph, Jax]) -> Difference:
    """Compare; an exception of either side is reported as one."""
    try:
        wanted = theirs(case, words[1])
        found = ours(case, words[0])
    except Exception as error:  # a table of all cases is wanted, also of those that fail
        return Difference(case, np.inf, np.inf, f"{type(error).__name__}: {str(error)[:200]}")
    n = len(case.arrays)
    return Difference(case, _relative(found[:n], wanted[:n]), _relative(found[n:], wanted[n:]))


def _relative(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    size = max(float(np.abs(w).max(initial=0)) for w in wanted) or 1.0
    return (
        max(float(np.abs(f - w).max(initial=0)) for f, w in zip(found, wanted, strict=True)) / size
    )


def table(found: list[Difference]) -> str:
    """A line for each family."""
    lines = ["| family | functions | first | second |", "|---|---:|---:|---:|"]
    for family in dict.fromkeys(d.case.family for d in found):
        rows = [d for d in found if d.case.family == family]
        first, second = max(d.first for d in rows), max(d.second for d in rows)
        lines.append(f"| {family} | {len(rows)} | {first:.0e} | {second:.0e} |")
    lines.append(f"| all | {len(found)} | {max(d.first for d in found):.0e} | "
                 f"{max(d.second for d in found):.0e} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare all, print, and write the page when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    parser.add_argument("--cost", action="store_true", help="count and time instead of comparing")
    arguments = parser.parse_args()
    if arguments.cost:
        costs.main(arguments.only, PAGE if arguments.write else None)
        return
    words = (Symgraph(), Jax())
    chosen = [c for c in cases() if arguments.only in c.name]
    found = []
    for k, case in enumerate(chosen):
        found.append(difference(case, words))
        if sys.stderr.isatty():
            print(f"\r{k + 1}/{len(chosen)} {case.name:40s}", end="", file=sys.stderr, flush=True)
    print(table(found))
    worst = sorted(found, key=lambda d: -max(d.first, d.second))[:20]
    for d in worst:
        if max(d.first, d.second) > 1e-12:
            print(f"{d.case.family:16s} {d.case.name:30s} {d.first:.1e} {d.second:.1e} {d.error}")
    if arguments.write:
        _write(table(found))


def _write(text: str) -> None:
    jax = importlib.import_module("jax")
    page = PAGE.read_text("utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    note = f"{datetime.date.today()}, jax {jax.__version__}, float64.\n\n"
    PAGE.write_text(head + BEGIN + note + text + END + tail, "utf-8")


if __name__ == "__main__":
    main()
