"""symgraph beside its peers: `python benchmarks/bench.py [--only REGEX] [--quick] [--json FILE]`.

Each workload is run by every contender that is installed; results must agree before anything is
timed. The table gives the median of interleaved rounds, the ratio to the best peer (above 1:
symgraph is faster) and the seconds from the formula to the first result.
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

import peers
import report
from machine import describe, use_cores
from measure import Result, Timed, compare, disagreement, first_call
from workloads import Workload, all_workloads


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--only", default="", metavar="REGEX", help="workloads whose name matches")
    add(
        "--peers",
        default=",".join(peers.PEERS),
        help="contenders beside symgraph (default: %(default)s)",
    )
    add("--quick", action="store_true", help="few and short rounds")
    add("--rounds", type=int, help="rounds per workload (default 15, quick 3)")
    add("--cores", type=int, help="use only so many cores, all contenders alike")
    add("--json", metavar="FILE", help="write all figures as JSON")
    add("--html", metavar="FILE", default="out/benchmarks.html", help="page of bars (%(default)s)")
    add("--markdown", metavar="FILE", help="write the table of the documentation")
    add("--list", action="store_true", help="name the workloads and stop")
    return parser.parse_args()


def run(workload: Workload, wanted: list[str], rounds: int, block: float) -> dict[str, Any]:
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
            timed[name], result, first[name] = first_call(workload.contenders[name], args)
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
    cached = _from_cache(workload, args) if "symgraph" in timed else None
    return _row(workload, results, failed, cached)


def _reason(error: Exception) -> str:
    if os.environ.get("BENCH_TRACEBACK"):
        traceback.print_exc()
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}"


def _from_cache(workload: Workload, args: Any) -> float:
    """Seconds from the formula to the first result with the artefact on disk."""
    return min(first_call(workload.contenders["symgraph"], args)[2] for _ in range(3))


def _row(
    workload: Workload, results: dict[str, Result], failed: dict[str, str], cached: float | None
) -> dict[str, Any]:
    others = {n: r.median for n, r in results.items() if n != "symgraph"}
    best = min(others, key=lambda n: others[n]) if others else None
    ours = results.get("symgraph")
    ratio = others[best] / ours.median if best is not None and ours is not None else None
    return {
        "name": workload.name, "what": workload.what, "best_peer": best, "ratio": ratio,
        "cached": cached, "failed": failed,
        "contenders": {n: r._asdict() for n, r in results.items()},
    }  # fmt: skip


def main() -> int:
    options = arguments()
    use_cores(options.cores)
    chosen = [w for w in all_workloads() if re.search(options.only, w.name)]
    if options.list:
        print("\n".join(f"{w.name:28s} {w.what}" for w in chosen))
        return 0
    rounds = options.rounds or (3 if options.quick else 15)
    block = 0.005 if options.quick else 0.03
    wanted = ["symgraph", *options.peers.split(",")]
    rows = []
    with tempfile.TemporaryDirectory() as empty:
        os.environ["SYMGRAPH_CACHE_DIR"] = empty  # the first call is a cold one
        for workload in chosen:
            rows.append(run(workload, wanted, rounds, block))
            print(report.text_row(rows[-1], header=len(rows) == 1), flush=True)
    ratios = [r["ratio"] for r in rows if r["ratio"]]
    summary = {"machine": describe(), "versions": peers.versions(), "rounds": rounds, "rows": rows}
    if ratios:
        summary["mean"] = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"geometric mean of the ratios to the best peer: {summary['mean']:.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(summary, indent=1))
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(rows))
    if options.html:
        report.write_page(Path(options.html), summary)
    return int(any("symgraph" in r["failed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
