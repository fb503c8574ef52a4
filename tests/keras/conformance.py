"""Keras' own tests on this backend, and a tally of them.

    python -m tests.keras.conformance [FOLDERS OR MODULES ...] [--sample N] [--jax] [--again]

The tests are those of the installed wheel, which has them all. An argument is a folder of
`keras/src` or a module there (``ops``, ``layers/core``, ``trainers/trainer_test``); without one all
folders run, a process for each. What each test did is written to `out/keras/symgraph.jsonl`, and a
run that was cut goes on after the last folder that was done; ``--again`` starts anew. ``--jax``
then runs the tests that did not pass with Keras' JAX backend, which tells those that a backend can
pass, and a full run with it writes `conformance_tally.md`. ``--sample 300`` runs that many
tests in all, chosen by a hash of their names, in one process.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.keras.conformance_report import Outcomes, judged, read, tally

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "out" / "keras"
TALLY = Path(__file__).with_name("conformance_tally.md")
COUNT = 13_500  # tests in all, about
ENOUGH = (0, 1, 5)  # of pytest: all passed, some failed, none there


def groups(source: Path, asked: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Folders with the names of their test modules."""
    for what in asked or sorted({str(f.parent.relative_to(source)) for f in _tests(source)}):
        place = source / what
        files = _tests(place) if asked else sorted(place.glob("*_test.py"))
        found = files if place.is_dir() else [place.with_suffix(".py")]
        parts = [f.relative_to(source.parents[1]).with_suffix("").parts for f in found]
        yield what, [".".join(p) for p in parts]


def _tests(place: Path) -> list[Path]:
    return sorted(place.rglob("*_test.py"))


def _file(module: str) -> str:
    """The file of a module, which pytest takes where the package around it cannot be imported."""
    found = importlib.util.find_spec("keras")
    assert found is not None and found.origin is not None
    return str(Path(found.origin).parents[1].joinpath(*module.split(".")).with_suffix(".py"))


def run(modules: list[str], log: Path, backend: str, share: float, only: Path | None) -> str:
    """Run test modules in a process of their own, which writes to the log; text of a crash."""
    env = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
        "CONFORMANCE_LOG": str(log),
        "CONFORMANCE_SHARE": str(share),
        "CONFORMANCE_ONLY": str(only or ""),
        "OPENBLAS_NUM_THREADS": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # the oracle compiles much and runs it once
    }
    env.pop("PYTEST_CURRENT_TEST", None)  # of a test that runs this, not of the one that will run
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder,
                   "-p", "no:cacheprovider", "-p", "tests.keras.conformance_plugin",
                   "-W", "ignore", "--continue-on-collection-errors",
                   *map(_file, modules)]  # fmt: skip
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
    return "" if done.returncode in ENOUGH else done.stdout[-3000:] + done.stderr[-3000:]


def run_all(
    asked: list[tuple[str, list[str]]], log: Path, backend: str, share: float, only: Path | None
) -> bool:
    """Run all groups that the log has not, with a line for each; whether none crashed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    whole = True
    for what, modules in asked:
        _, done = read(log)
        missing = [m for m in modules if m not in done]
        crash = run(missing, log, backend, share, only) if missing else ""
        outcomes, _ = read(log)
        here = {k: r for k, r in outcomes.items() if k[0] in modules}
        counts = collections.Counter(r["outcome"] for r in here.values())
        text = ", ".join(f"{counts[k]} {k}" for k in ("passed", "failed", "skipped"))
        print(f"{backend} {what}: {text}", flush=True)
        for (module, name), row in here.items():
            if row["outcome"] == "failed" and backend == "symgraph":
                print(f"  {module} {name}: {row['error'][:150]}", flush=True)
        if crash:
            whole = False
            print(f"  pytest ended early:\n{crash}", flush=True)
        elif missing:
            _note(log, {"done": missing})
    return whole


def _note(log: Path, row: dict[str, Any]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _with_jax(asked: list[tuple[str, list[str]]], here: Outcomes) -> Outcomes:
    """What the tests that did not pass here do with Keras' JAX backend."""
    rest = judged(here)
    only = LOGS / "left.txt"
    only.write_text("".join(f"{module}::{name}\n" for module, name in rest))
    log = LOGS / "jax.jsonl"
    modules = {module for module, _ in rest}
    few = [(what, [m for m in ms if m in modules]) for what, ms in asked]
    run_all([(what, ms) for what, ms in few if ms], log, "jax", 1.0, only)
    return read(log)[0]


def main() -> None:
    """Run what is asked for, print a line for each folder and the sum, and write the tally."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--jax", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--log", type=Path, default=LOGS / "symgraph.jsonl")
    args = parser.parse_args()
    found = importlib.util.find_spec("keras")
    if found is None or found.origin is None:
        sys.exit("keras is not installed: pip install 'symgraph-compiler[conformance]'")
    source = Path(found.origin).parent / "src"
    if not (source / "ops" / "core_test.py").exists():
        sys.exit("this Keras was installed without its tests, which the wheel of 3.15.1 has")
    asked = list(groups(source, args.folders))
    if args.sample:  # the imports would take most of the time
        asked = [("a sample", [m for _, ms in asked for m in ms])]
    log = Path(tempfile.mkdtemp()) / "log" if args.sample else args.log
    if args.again:
        for name in (args.log, LOGS / "jax.jsonl"):
            name.unlink(missing_ok=True)
    whole = run_all(asked, log, "symgraph", args.sample / COUNT if args.sample else 1.0, None)
    everything, done = read(log)
    modules = {m for _, ms in asked for m in ms}
    outcomes = {k: r for k, r in everything.items() if k[0] in modules}
    if args.jax:
        text = tally(outcomes, _with_jax(asked, outcomes), done)
        if not args.folders and not args.sample:
            TALLY.write_text(text, encoding="utf-8")
        print(text)
    total = collections.Counter(r["outcome"] for r in outcomes.values())
    judged = total["passed"] + total["failed"]
    print(f"{total['passed']} of {judged} ({100 * total['passed'] / max(judged, 1):.2f} %)")
    sys.exit(bool(total["failed"]) or not whole)


if __name__ == "__main__":
    main()
