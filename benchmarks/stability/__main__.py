"""Bits of error of textbook formulas in every installed library.

python -m benchmarks.stability            prints the table
python -m benchmarks.stability --write    also writes it into docs/stability.md
python -m benchmarks.stability --only cos --json
python -m benchmarks.stability --fpcore FILE...    FPBench's format, as Herbie's suites are written
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stability.exact import bits_wrong, true_values
from benchmarks.stability.expressions import CASES, Case
from benchmarks.stability.libraries import MAKERS, installed
from benchmarks.stability.suites import report

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "stability.md"
SAMPLES = 200
_HEAD = """\
# Formulas written as in a textbook

The compiler repairs mathematics that loses digits: rules whose class is STABLE are equal over the
reals and at least as accurate. Each is evaluated on both sides against mpmath by the tests; what
they do together is measured here. A cell is the worst error over the samples in bits, the mean in
parentheses: 0 is the nearest float64, 1 its neighbour, 53 no correct digit, 62 not even the size.
Arguments are spread over many orders of magnitude and about the places where digits cancel.

    python -m benchmarks.stability --write

What is left: the normal distribution's logarithm is as good as its rounded argument; the norm of a
vector overflows when the squares do, since sums of three sizes would cost every norm more than they
are worth.
"""
END = "<!-- end -->\n"  # of what is written; the rest of the page is by hand
GOOD = 4.0  # bits that a repaired formula may lose at its worst sample


def measured(case: Case, libraries: list[str], samples: int) -> dict[str, Any]:
    """The worst and the mean error in bits, for each library."""
    rng = np.random.default_rng(sum(map(ord, case.name)))
    shape = (samples, case.rows) if case.rows else (samples,)
    arguments = [near.sample(rng, shape) for near in case.arguments]
    true = true_values(case.formula, arguments)
    out: dict[str, Any] = {}
    for name in libraries:
        with np.errstate(all="ignore"):
            started = time.perf_counter()
            found = MAKERS[name](case.formula, arguments)()
        bits = bits_wrong(found, true)[~np.isnan(np.broadcast_to(true, np.shape(found)))]
        out[name] = {"worst": float(bits.max()), "mean": float(bits.mean()),
                     "seconds": time.perf_counter() - started}  # fmt: skip
    return out


def main() -> None:
    """Measure, print, and write the page when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--libraries", nargs="*", choices=list(MAKERS), default=None)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--fpcore", nargs="+", type=Path, metavar="FILE", help="FPCore benchmarks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    arguments = parser.parse_args()
    libraries = arguments.libraries or installed()
    if arguments.fpcore:
        names = list(dict.fromkeys([*libraries, "numpy"]))
        print(report(arguments.fpcore, names, arguments.samples))
        return
    found = {}
    for case in CASES:
        if arguments.only in case.name:
            found[case.name] = measured(case, libraries, arguments.samples)
            if not arguments.json:
                _print(case.name, found[case.name])
    if arguments.json:
        print(json.dumps({"schema": "symgraph.stability", "version": 1, "cases": found}, indent=2))
        return
    if arguments.write:
        _, mark, tail = PAGE.read_text("utf-8").partition(END)
        PAGE.write_text(page(found, libraries) + END + tail * bool(mark), "utf-8")
    good = {n: sum(row[n]["worst"] <= GOOD for row in found.values()) for n in libraries}
    print(f"\nwithin {GOOD:g} bits at the worst sample, of {len(found)}: "
          + ", ".join(f"{n} {k}" for n, k in good.items()))  # fmt: skip


def page(found: dict[str, Any], libraries: list[str]) -> str:
    """docs/stability.md."""
    versions = ", ".join(f"{n} {_version(n)}" for n in libraries)
    lines = [_HEAD, f"{datetime.date.today()}, {versions}, {SAMPLES} samples each.\n"]
    lines.append("| formula | " + " | ".join(libraries) + " |")
    lines.append("|---|" + "---:|" * len(libraries))
    for name, row in found.items():
        cells = " | ".join(f"{row[n]['worst']:.1f} ({row[n]['mean']:.1f})" for n in libraries)
        lines.append(f"| `{name}` | {cells} |")
    good = [str(sum(r[n]["worst"] <= GOOD for r in found.values())) for n in libraries]
    lines.append(f"| within {GOOD:g} bits, of {len(found)} | " + " | ".join(good) + " |")
    return "\n".join(lines) + "\n"


def _version(name: str) -> str:
    return str(getattr(importlib.import_module(name), "__version__", "?"))


def _print(name: str, row: dict[str, Any]) -> None:
    cells = "  ".join(f"{n} {v['worst']:5.1f} ({v['mean']:4.1f})" for n, v in row.items())
    print(f"{name:28s} {cells}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
