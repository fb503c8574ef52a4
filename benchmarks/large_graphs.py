"""First calls of large graphs beside JAX: `python benchmarks/large_graphs.py`.

Fresh processes, from the formula (with its gradient) to the result of the first step, imports not
counted: cold with an empty cache, cached in another process that finds the artefact; then the least
of three later steps, and the most memory beyond what was held before. Networks of a thousand and
more operations of the user's take a compiler seconds; what grows faster than the graph shows here.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import fresh

COLUMNS = (("cold", 1, "s"), ("cached", 1, "s"), ("later", 1e3, "ms"), ("peak", 1e-6, "MB"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--repeats", type=int, default=3, help="fresh processes per figure (%(default)s)")
    add("--only", default="", help="workloads whose names contain this")
    add("--peers", default="jax", help="beside symgraph (%(default)s); empty for none")
    add("--json", metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args()
    workloads = importlib.import_module("workloads")
    names = ["symgraph", *filter(None, options.peers.split(","))]
    print("| network | " + " | ".join(f"{n}: first | cached | later | MB" for n in names) + " |")
    print("|---|" + "---:|" * (4 * len(names)))
    rows: dict[str, Any] = {}
    for w in workloads.family(workloads.LARGE):
        if options.only not in w.name:
            continue
        found = {n: fresh.first_calls(w.name, n, options.repeats, 600) for n in names}
        rows[w.name] = found
        cells = " | ".join(_cells(f) for f in found.values())
        print(f"| {w.name.partition('.')[2]}: {w.what} | {cells} |", flush=True)
    if options.json:
        machine, peers = (importlib.import_module(m) for m in ("machine", "peers"))
        told = {"machine": machine.describe(), "versions": peers.versions(), "rows": rows}
        Path(options.json).write_text(json.dumps(told, indent=1))
    return 0


def _cells(found: dict[str, Any]) -> str:
    if "failed" in found:
        return f"{found['failed']} | | |"
    return " | ".join(f"{factor * found[k]:.3g} {unit}" for k, factor, unit in COLUMNS)


if __name__ == "__main__":
    raise SystemExit(main())
