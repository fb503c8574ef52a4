"""Accuracy of the vector mathematics in ulp: `make ulp`, `python -m benchmarks.accuracy`.

float32: `--exhaustive` tries all 2^32 arguments (20 seconds for a function on one core, minutes for
trigonometric ones), else every 1021st and all near special places. float64: `--doubles` arguments
(10 million) and hard cases. Figures are kept in results.json beside this file; `--write` puts them
into docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.accuracy import measure, truth
from symgraph.codegen import vmath
from symgraph.codegen.writer import ModuleWriter

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "accuracy.md"
RESULTS = HERE / "results.json"
LANES = 8  # of the text that is hashed
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("names", nargs="*", help="functions (all)")
    add("--exhaustive", action="store_true", help="all 2^32 arguments of float32")
    add("--doubles", type=int, default=10_000_000, help="arguments of float64 (%(default)s)")
    add("--dtype", choices=("float32", "float64"), help="only this one")
    add("--missing", action="store_true", help="only what was not measured so with this code")
    add("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes (%(default)s)")
    add("--write", action="store_true", help="write docs/accuracy.md")
    return parser.parse_args()


@functools.cache
def digest(name: str, dtype: str) -> str:
    """A hash of a function's code as it is written for any machine: a figure holds as long as the
    code is the one that was measured."""
    module = ModuleWriter()
    vmath.request(module, name, dtype, LANES)
    return hashlib.sha256(module.text().encode()).hexdigest()[:12]


def one(job: tuple[str, str, bool, int]) -> tuple[str, str, dict[str, Any]]:
    """The finding of one function and dtype."""
    name, dtype, exhaustive, count = job
    last = [time.perf_counter()]

    def show(tried: int, worst: float) -> None:
        if time.perf_counter() - last[0] > 10:
            last[0] = time.perf_counter()
            print(f"  {name} {dtype}: {tried / 1e6:.0f} M tried, {worst:.3f} ulp", flush=True)

    if dtype == "float64":
        found = measure.measure(name, dtype, measure.doubles(name, count), show)
    elif name in truth.PAIRS:
        found = measure.measure(name, dtype, _narrow_pairs(name, count), show)
    elif exhaustive:
        found = measure.every_float(name, show)
    else:
        found = measure.measure(name, dtype, measure.some_floats(), show)
    more = {"date": str(datetime.date.today()), "code": digest(name, dtype)}
    return name, dtype, found._asdict() | more


def _narrow_pairs(name: str, count: int) -> Any:
    """Pairs of float32 as float64 has them, within its range."""
    for xs in measure.doubles(name, count):
        small = [abs(x) < 3e38 for x in xs]
        keep = small[0] & small[1]
        yield tuple(x[keep].astype("float32") for x in xs)


def merged(kept: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The finding to keep: the new one, unless the old one saw all arguments of the same code."""
    same = kept.get("code") == new["code"]
    return kept if same and kept.get("exhaustive") and not new["exhaustive"] else new


def is_measured(results: dict[str, Any], job: tuple[str, str, bool, int]) -> bool:
    """Whether there is a figure of this code that saw as many arguments as the job would."""
    name, dtype, exhaustive, count = job
    kept = results.get(name, {}).get(dtype, {})
    every = exhaustive and dtype == "float32" and name not in truth.PAIRS
    least = count if dtype == "float64" else 0
    enough = kept.get("tried", -1) >= least and kept.get("exhaustive", False) >= every
    return enough and kept.get("code") == digest(name, dtype)


def row(name: str, rows: dict[str, Any]) -> str:
    """A line of the table."""
    goal = truth.GOAL[name]
    cells = [f"`{name}`", f"{goal:.0f}"]
    for dtype in ("float32", "float64"):
        found = rows.get(dtype)
        if found is None or found["code"] != digest(name, dtype):
            cells += ["", "", "code changed since" if found else ""]
            continue
        worst = f"{found['ulp']:.3f}"
        at = ", ".join(f"{v:.9g}" if dtype == "float32" else f"{v:.17g}" for v in found["at"])
        tried = "all" if found["exhaustive"] else f"sampled {found['tried'] / 1e6:.1f}M"
        cells += [f"**{worst}**" if found["ulp"] > goal else worst, at, tried]
    wrong = sum(f["wrong"] for d, f in rows.items() if f["code"] == digest(name, d))
    return "| " + " | ".join([*cells, str(wrong) if wrong else ""]) + " |"


def table(results: dict[str, Any]) -> str:
    """All rows, elementary functions first, and which of them miss the goal."""
    head = ("| function | goal | float32 ulp | at | arguments | float64 ulp | at | arguments "
            "| wrong specials |")  # fmt: skip
    lines = [head, "|---|---:|---:|---|---|---:|---|---|---:|"]
    lines += [row(n, results[n]) for n in truth.NAMES if n in results]
    found = [(n, d, f) for n in truth.NAMES for d, f in sorted(results.get(n, {}).items())
             if f["code"] == digest(n, d)]  # fmt: skip
    missed = [f"`{n}` {d} {f['ulp']:.3g}" for n, d, f in found if f["ulp"] > truth.GOAL[n]]
    stale = [f"`{n}` {d}" for n in truth.NAMES for d, f in sorted(results.get(n, {}).items())
             if f["code"] != digest(n, d)]  # fmt: skip
    dates = sorted({f["date"] for _, _, f in found})
    said = f"Measured {dates[0]}" + (f" to {dates[-1]}" if dates[-1] != dates[0] else "")
    return "\n".join([
        f"{said} on {_machine()}. Beyond the goal: {', '.join(missed) or 'none'}. "
        f"Not measured since their code changed: {', '.join(stale) or 'none'}.", "", *lines
    ])  # fmt: skip


def _machine() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if line[:10] == "model name"]
    return f"{names[0] if names else 'this machine'}, vectors of {vmath_bits()} bits"


def vmath_bits() -> int:
    """The width that the figures were taken at; narrower ones compute the same steps."""
    return int(measure.build.__globals__["llvm"].host().vector_bits)


def write(results: dict[str, Any]) -> None:
    """Put the table between the markers of the page."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN, 1)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{rest.split(END, 1)[1]}")


def main() -> int:
    options = arguments()
    names = options.names or list(truth.NAMES)
    unknown = [n for n in names if n not in truth.NAMES]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(truth.NAMES)}", file=sys.stderr)
        return 2
    kinds = [options.dtype] if options.dtype else ["float32", "float64"]
    jobs = [(n, d, options.exhaustive, options.doubles) for n in names for d in kinds]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if options.missing:
        jobs = [j for j in jobs if not is_measured(results, j)]
    with multiprocessing.Pool(max(1, min(options.workers, len(jobs)))) as pool:
        for k, (name, dtype, found) in enumerate(pool.imap_unordered(one, jobs), 1):
            mine = results.setdefault(name, {})
            mine[dtype] = merged(mine.get(dtype, {}), found)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            at = ", ".join(f"{v:.9g}" for v in found["at"])
            print(f"[{k}/{len(jobs)}] {name:9s} {dtype} {found['ulp']:7.3f} at {at:26s} "
                  f"{found['tried']:>10d} tried  {found['wrong']} wrong specials "
                  f"{found['example'] or ''} {found['seconds']:.0f} s", flush=True)  # fmt: skip
    if options.write:
        write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
