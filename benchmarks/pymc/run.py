"""All models in all modes: cold (empty caches), warm (a second process), time per call.

    python -m benchmarks.pymc.run [--modes SYMGRAPH,NUMBA,JAX] [--models radon,linear] [--write F]

Each figure comes from a process of its own with one thread for BLAS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.pymc.models import MODELS

ROOT = Path(__file__).resolve().parents[2]


def once(model: str, mode: str, home: str) -> dict[str, Any]:
    """One process with its caches under ``home``."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "PYTENSOR_FLAGS": f"base_compiledir={home}/pytensor",
        "NUMBA_CACHE_DIR": f"{home}/numba",
        "SYMGRAPH_CACHE_DIR": f"{home}/symgraph",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    command = [sys.executable, "-m", "benchmarks.pymc.measure", model, mode]
    try:
        done = subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": "more than 15 minutes"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def measured(model: str, mode: str) -> dict[str, Any]:
    """Cold and warm figures of one model in one mode."""
    with tempfile.TemporaryDirectory() as home:
        cold = once(model, mode, home)
        warm = once(model, mode, home) if "error" not in cold else {}
    return {"model": model, "mode": mode, "cold": cold, "warm": warm}


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a table in Markdown: cold s / warm s / us per call."""
    modes = list(dict.fromkeys(r["mode"] for r in rows))
    lines = ["| model | " + " | ".join(modes) + " |", "|---" * (len(modes) + 1) + "|"]
    by = {(r["model"], r["mode"]): r for r in rows}
    for model in dict.fromkeys(r["model"] for r in rows):
        cells = []
        for mode in modes:
            r = by.get((model, mode), {"cold": {"error": "-"}, "warm": {}})
            cold, warm = r["cold"], r["warm"]
            if "error" in cold:
                cells.append(cold["error"][:40])
                continue
            call = min(cold["call_us"], warm.get("call_us", cold["call_us"]))
            cells.append(f"{cold['cpu_s']:.2f} / {warm.get('cpu_s', 0):.2f} / {call:.1f}")
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modes", default="SYMGRAPH,NUMBA,JAX,FAST_RUN")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--write", help="a file for the rows as JSON")
    args = parser.parse_args()
    rows = []
    for model in args.models.split(","):
        for mode in args.modes.split(","):
            rows.append(measured(model, mode))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            if args.write:
                Path(args.write).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
