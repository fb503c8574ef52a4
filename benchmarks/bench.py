"""symgraph beside its peers: `python benchmarks/bench.py [--only REGEX] [--quick] [--json FILE]`.

Each workload is run by every contender that is installed; results must agree before anything is
timed. A line gives the medians of interleaved rounds, the ratio to the best peer (above 1: symgraph
is faster), the share of the machine's limit, and from fresh processes the seconds from the formula
to the first result, cold and from the disk cache, and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import changes
import limits
import page
import peers
import report
from fresh import first_calls
from machine import describe, use_cores
from measure import Result, Timed, compare, disagreement, first_call
from workloads import Workload, all_workloads

SCHEMA = "symgraph-benchmarks/2"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--only", default="", metavar="REGEX", help="workloads whose name matches")
    add(
        "--peers",
        default=",".join(peers.PEERS),
        help="contenders beside symgraph (default: %(default)s)",
    )
    add("--quick", action="store_true", help="few and short rounds, no fresh processes")
    add("--rounds", type=int, help="rounds per workload (default 15, quick 3)")
    add(
        "--patience", type=float, default=120, metavar="S",
        help="seconds to wait for a contender's first result (default %(default)g)"
    )  # fmt: skip
    add("--cores", type=int, help="use only so many cores, all contenders alike")
    add(
        "--fresh", metavar="NAMES", help="whose first calls and memory to measure in processes of "
        "their own: names, all, or none (default symgraph,jax, quick none)"
    )  # fmt: skip
    add("--json", metavar="FILE", help="write all figures as JSON, after each workload")
    add("--resume", action="store_true", help="keep the workloads that the JSON file has already")
    add("--compare", metavar="FILE", help="name what got slower since that JSON file")
    add("--html", metavar="FILE", default="out/benchmarks.html", help="page of bars (%(default)s)")
    add("--write", action="store_true", help="put the table into docs/performance.md")
    add("--from", dest="source", metavar="FILE", help="take the figures from JSON, run nothing")
    add("--list", action="store_true", help="name the workloads and stop")
    return parser.parse_args()


def run(
    workload: Workload, wanted: list[str], rounds: int, block: float, patience: float
) -> dict[str, Any]:
    """Build, compare the results of, and time all contenders of a workload."""
    args = workload.args()
    timed: dict[str, Timed] = {}
    first: dict[str, float] = {}
    failed: dict[str, str] = {}
    reference: tuple[str, Any] | None = None
    for name in sorted(workload.contenders, key=lambda n: n != "numpy"):
        if name not in wanted or not (name == "symgraph" or peers.installed(name)):
            continue
        try:
            timed[name], result, first[name] = first_call(workload.contenders[name], args, patience)
        except Exception as error:
            failed[name] = _reason(error)
            continue
        if reference is None:
            reference = name, result
        wrong = disagreement(result, reference[1])
        if wrong:
            failed[name] = f"disagrees with {reference[0]}: {wrong}"
            del timed[name]
    results = compare(timed, first, rounds, block)
    return _row(workload, results, failed, args, reference[1] if reference else [])


def _reason(error: Exception) -> str:
    if os.environ.get("BENCH_TRACEBACK"):
        traceback.print_exc()
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}"


def _row(
    workload: Workload, results: dict[str, Result], failed: dict[str, str], args: Any, result: Any
) -> dict[str, Any]:
    others = {n: r.median for n, r in results.items() if n != "symgraph"}
    best = min(others, key=lambda n: others[n]) if others else None
    ours = results.get("symgraph")
    ratio = others[best] / ours.median if best is not None and ours is not None else None
    arrays = [*args, *result]
    floats = [str(a.dtype) for a in arrays if a.dtype.kind == "f"]
    moved = workload.moved
    return {
        "name": workload.name, "what": workload.what, "best_peer": best, "ratio": ratio,
        "moved": float(sum(a.nbytes for a in arrays)) if moved is None else moved,
        "flops": workload.flops, "dtype": "float64" if "float64" in floats else "float32",
        "failed": failed, "fresh": {}, "contenders": {n: r._asdict() for n, r in results.items()},
    }  # fmt: skip


def add_fresh(row: dict[str, Any], names: list[str], repeats: int) -> None:
    """First calls and memory of the contenders that ran, in processes of their own."""
    for name in names:
        if name in row["contenders"]:
            row["fresh"][name] = first_calls(row["name"], name, repeats)


def add_share(row: dict[str, Any], machine: dict[str, Any]) -> None:
    """How much of the machine's limit each contender reaches."""
    least = limits.least_seconds(machine, row["moved"], row["flops"], row["dtype"])
    row["limit"] = least
    for figures in row["contenders"].values():
        figures["share"] = least / figures["median"]


def summarize(summary: dict[str, Any]) -> None:
    """The geometric means over all workloads: to the best peer, and to each peer alone."""
    rows = summary["rows"]
    summary["mean"] = _geometric([r["ratio"] for r in rows if r["ratio"]])
    summary["means"] = {
        name: mean
        for name in peers.PEERS
        if (mean := _geometric([
            r["contenders"][name]["median"] / r["contenders"]["symgraph"]["median"]
            for r in rows if name in r["contenders"] and "symgraph" in r["contenders"]
        ]))
    }  # fmt: skip


def _geometric(values: list[float]) -> float | None:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def measure_all(options: argparse.Namespace, chosen: list[Workload]) -> dict[str, Any]:
    """Every chosen workload; the JSON file is written after each."""
    rounds = options.rounds or (3 if options.quick else 15)
    block = 0.005 if options.quick else 0.03
    wanted = ["symgraph", *options.peers.split(",")]
    fresh = options.fresh or ("none" if options.quick else "symgraph,jax")
    names = wanted if fresh == "all" else [] if fresh == "none" else fresh.split(",")
    kept = _kept(options)
    machine = limits.measure(int(describe()["cores"]), options.quick)
    print(limits.text(machine) + "\n")
    summary = {"schema": SCHEMA, "machine": describe(), "versions": peers.versions(),
               "limits": machine, "rounds": rounds, "rows": []}  # fmt: skip
    for workload in chosen:
        row = kept.get(workload.name)
        if row is None:
            row = run(workload, wanted, rounds, block, options.patience)
            add_fresh(row, names, 1 if options.quick else 3)
        add_share(row, machine)
        summary["rows"].append(row)
        print(report.text_row(row, header=len(summary["rows"]) == 1), flush=True)
        summarize(summary)
        if options.json:
            Path(options.json).write_text(json.dumps(summary, indent=1))
    return summary


def _kept(options: argparse.Namespace) -> dict[str, Any]:
    if not (options.resume and options.json and Path(options.json).exists()):
        return {}
    return {r["name"]: r for r in read(options.json)["rows"]}


def read(path: str) -> dict[str, Any]:
    """The figures of an earlier run; refuses files of another form."""
    found: dict[str, Any] = json.loads(Path(path).read_text())
    if found.get("schema") != SCHEMA:
        raise SystemExit(f"{path}: not {SCHEMA} but {found.get('schema')}")
    return found


def main() -> int:
    options = arguments()
    use_cores(options.cores)
    chosen = [w for w in all_workloads() if re.search(options.only, w.name)]
    if options.list:
        print("\n".join(f"{w.name:32s} {w.what}" for w in chosen))
        return 0
    if options.source:
        summary = read(options.source)
    else:
        with tempfile.TemporaryDirectory() as empty:
            os.environ["SYMGRAPH_CACHE_DIR"] = empty  # the first call is a cold one
            summary = measure_all(options, chosen)
    print(report.closing(summary))
    if options.html:
        page.write(Path(options.html), summary)
    if options.write:
        report.write_table(summary)
    slower = False
    if options.compare:
        found = changes.changes(read(options.compare), summary)
        print(changes.text(found, report.seconds))
        slower = any(c.slower for c in found)
    return int(slower or any("symgraph" in r["failed"] for r in summary["rows"]))


if __name__ == "__main__":
    sys.exit(main())
