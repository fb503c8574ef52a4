"""All models in all modes: cold (empty caches), warm (a second process), time per call, memory.

    python -m benchmarks.pymc.run [--quick] [--modes SYMGRAPH,JAX] [--models radon,linear]
                                  [--json FILE] [--from FILES] [--write] [--realtime]

Each figure comes from a process of its own with one thread for BLAS. The table ends with ratios:
the cold compilation against JAX's, the calls against the best of PyTensor's other modes. --quick
measures JAX cold only, NUMBA only for the models whose figures it is known by, and C not at all;
--json writes the rows after each, and --from takes those of such files and measures the others;
--write puts the table into docs/pymc.md; --realtime runs the processes at real-time priority
(`chrt -f 40`), for machines that have other work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pymc.models import MODELS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "pymc.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
OURS = ("SYMGRAPH", "symgraph.pymc")
MODES = (*OURS, "NUMBA", "JAX", "FAST_RUN")
TITLES = {"FAST_RUN": "C"}
BASELINE = ("eight_schools", "radon", "mixture", "gp_marginal", "scan_level")


def once(model: str, mode: str, home: str, args: argparse.Namespace) -> dict[str, Any]:
    """One process with its caches under ``home``."""
    # without a C compiler but for its own mode: PyTensor would fold some constants by it
    linker = {"FAST_RUN": ",linker=cvm"}.get(mode, ",cxx=")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "PYTENSOR_FLAGS": f"base_compiledir={home}/pytensor{linker}",
        "NUMBA_CACHE_DIR": f"{home}/numba",
        "SYMGRAPH_CACHE_DIR": f"{home}/symgraph",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    seconds = "0.4" if args.quick else "1"
    command = [sys.executable, "-m", "benchmarks.pymc.measure", model, mode, seconds]
    if args.realtime:
        command = ["chrt", "-f", "40", *command]
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


def measured(model: str, mode: str, args: argparse.Namespace) -> dict[str, Any]:
    """Cold and warm figures of one model in one mode."""
    with tempfile.TemporaryDirectory() as home:
        cold = once(model, mode, home, args)
        again = "error" not in cold and not (args.quick and mode not in (*OURS, "NUMBA"))
        warm = once(model, mode, home, args) if again else {}
    return {"model": model, "mode": mode, "cold": cold, "warm": warm}


def call_us(row: dict[str, Any] | None) -> float:
    """Microseconds per call of a row, the better of both processes."""
    parts = [row["cold"], row["warm"]] if row else []
    return min((p["call_us"] for p in parts if "call_us" in p), default=float("inf"))


def cell(row: dict[str, Any] | None) -> str:
    """The figures of a row: cold s / warm s / us per call / MB."""
    if row is None:
        return "-"
    cold, warm = row["cold"], row["warm"]
    if "error" in cold:
        return str(cold["error"])[:40]
    second = f"{warm['cpu_s']:.2f}" if "cpu_s" in warm else "-"
    us = call_us(row)
    call = f"{us:.2f}" if us < 10 else f"{us:.1f}" if us < 100 else f"{us:.0f}"
    return f"{cold['cpu_s']:.2f} / {second} / {call} / {cold['peak_mb']:.0f}"


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a table in Markdown, with the ratios that the goals ask for."""
    by = {(r["model"], r["mode"]): r for r in rows}
    modes = [m for m in MODES if any(r["mode"] == m for r in rows)]
    heads = [*(TITLES.get(m, m) for m in modes), "cold / JAX's", "call / best", "by address / best"]
    lines = ["| model | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for model in dict.fromkeys(r["model"] for r in rows):
        cells = [cell(by.get((model, m))) for m in modes]
        cells += [f"{r:.2f}" if r else "-" for r in ratios(by, model)]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(by: dict[tuple[str, str], Any], model: str) -> list[float]:
    """Cold SYMGRAPH against cold JAX, and calls of both our ways against the best mode; 0 where
    unknown."""
    ours, jax = by.get((model, "SYMGRAPH")), by.get((model, "JAX"))
    pair = [r["cold"].get("cpu_s", 0.0) if r else 0.0 for r in (ours, jax)]
    best = min((call_us(by.get((model, m))) for m in MODES if m not in OURS), default=float("inf"))
    found = [pair[0] / pair[1] if all(pair) else 0.0]
    for mode in OURS:
        us = call_us(by.get((model, mode)))
        found.append(us / best if max(us, best) < float("inf") else 0.0)
    return found


def disagreements(rows: list[dict[str, Any]]) -> list[str]:
    """Models whose values at the point differ between modes."""
    found = []
    for model in dict.fromkeys(r["model"] for r in rows):
        values = {r["mode"]: r["cold"]["logp"] for r in rows
                  if r["model"] == model and "logp" in r["cold"]}  # fmt: skip
        if values and max(values.values()) - min(values.values()) > 1e-6:
            found.append(f"{model}: logp differs: {values}")
    return found


def plan(args: argparse.Namespace, known: Mapping[tuple[str, str], Any]) -> list[tuple[str, str]]:
    """The rows of the table, the contenders of one model after one another."""
    modes = args.modes.split(",") if args.modes else [*MODES]
    pairs = [(model, mode) for model in args.models.split(",") for mode in modes]
    left_out = [
        (model, mode)
        for model, mode in pairs
        if args.quick and (mode == "FAST_RUN" or (mode == "NUMBA" and model not in BASELINE))
    ]
    return [p for p in pairs if p not in left_out or p in known]


def write(text: str) -> None:
    """Put the table into the page between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--modes", default="", help=f"default: {','.join(MODES)}")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--json", help="a file for the rows as JSON")
    parser.add_argument("--from", nargs="*", default=[], dest="known", help="files of --json")
    parser.add_argument("--write", action="store_true", help="the table into docs/pymc.md")
    parser.add_argument("--quick", action="store_true", help="about five minutes")
    parser.add_argument("--realtime", action="store_true", help="at real-time priority")
    args = parser.parse_args()
    files = [json.loads(Path(name).read_text(encoding="utf-8")) for name in args.known]
    known = {(row["model"], row["mode"]): row for rows in files for row in rows}
    rows: list[dict[str, Any]] = []
    begin = time.perf_counter()
    for model, mode in plan(args, known):
        if (model, mode) in known:
            rows.append(known[model, mode])
            continue
        rows.append(measured(model, mode, args))
        print(f"{time.perf_counter() - begin:5.0f} s  {model} {mode}: {cell(rows[-1])}",
              file=sys.stderr, flush=True)  # fmt: skip
        if args.json:
            Path(args.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    text = table(rows)
    print(text)
    print("\n".join(disagreements(rows)))
    if args.write:
        write(text)


if __name__ == "__main__":
    main()
