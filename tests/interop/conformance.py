"""PyTensor's own tests with symgraph's mode: a tally.

    python -m tests.interop.conformance PYTENSOR_CHECKOUT [FILES ...] [--write] [--early]

The checkout is PyTensor's source at the installed version's tag; only its tests are used. They run
in a folder of their own, so that the installed package is what they import. The outcomes are kept
in out/conformance_pytensor_VERSION.json, file by file: files that are named run again, others count
as they were. ``--write`` puts the tallies of all kept versions into docs/pytensor.md. With
``--early`` each file runs twice with graphs taken before PyTensor rewrites them, first to fill the
cache; these outcomes are kept apart.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import fcntl
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.interop.conformance_plugin import skips

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).with_name("conformance_plugin.py")
PAGE = ROOT / "docs" / "pytensor.md"
BEGIN, END = "<!-- tally: begin -->", "<!-- tally: end -->"
# name of the suite -> what pytest is given; each entry runs in a process of its own
SUITES = {
    "link/numba": "tests/link/numba/*.py tests/link/numba/*/*.py tests/link/numba/*/*/*.py",
    "link/jax": "tests/link/jax/*.py tests/link/jax/*/*.py tests/link/jax/*/*/*.py",
    "tensor": "tests/tensor/test_*.py tests/tensor/signal/*.py",
    "linalg": "tests/tensor/linalg/*.py tests/tensor/linalg/*/*.py tests/tensor/test_*linalg.py",
    "random": "tests/tensor/random/test_*.py",
    "scan": "tests/scan/test_*.py",
    "gradient": "tests/test_gradient.py tests/test_rop.py",
    "control": "tests/test_ifelse.py tests/test_raise_op.py tests/compile/test_builders.py",
    "sparse": "tests/sparse/test_*.py",
    "scalar": "tests/scalar/test_*.py tests/typed_list/test_*.py",
}
# no test of these says anything about a linker: names of files with the reason
LEFT_OUT = {
    "test_cython_support.py": "inside numba",
    "test_vectorize_codegen.py": "inside numba",
    "test_fused_elemwise.py": "a fused op that only numba's rewrites make",
    "test_performance.py": "times of numba",
    "test_blas.py": "of a PyTensor older than the one installed, imports what is gone",
    "test_blas_c.py": "C code",
    "test_doc_api.py": "pages of the documentation",
    "test_gc.py": "memory of the C virtual machine",
    "test_merge.py": "rewrites alone",
    "test_printing.py": "printed graphs",
    "test_rewriting.py": "rewrites alone",
    "test_type.py": "types alone",
    "test_type_other.py": "types alone",
    "test_utils.py": "helpers",
}
# what PyTensor's conftest.py sets, which comes too late for a plugin that imports PyTensor
FLAGS = "on_opt_error=raise,on_shape_error=raise,cmodule__warn_no_version=True"
LOADER = """
import importlib.util
spec = importlib.util.spec_from_file_location("conformance_plugin", {path!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
globals().update({{k: v for k, v in vars(module).items() if k.startswith("pytest_")}})
"""


def files_of(checkout: Path) -> dict[str, str]:
    """The files of all suites that the checkout has, with the name of their suite."""
    found: dict[str, str] = {}
    for suite, patterns in SUITES.items():
        for pattern in patterns.split():
            for path in sorted(checkout.glob(pattern)):
                if path.name.startswith("test_") and path.name not in LEFT_OUT:
                    found.setdefault(str(path.relative_to(checkout)), suite)
    return found


def run(file: str, folder: Path, early: bool = False) -> dict[str, list[str]]:
    """What became of each test of one file: its id -> outcome and message."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT))),
        "CONFORMANCE_LOG": str(log),
        "CONFORMANCE_EARLY": "1" if early else "",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTENSOR_FLAGS": f"{os.environ.get('PYTENSOR_FLAGS', '')},{FLAGS}",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "symgraph_conformance",
               "-p", "no:cacheprovider", file]  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False, text=True)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    found: dict[str, list[str]] = {}
    for row in rows:
        if found.get(row["id"], [""])[0] != "failed":
            found[row["id"]] = [row["outcome"], row.get("error", "")]
    if not found or done.returncode not in (0, 1, 5):
        end = (done.stdout + done.stderr).strip().splitlines()[-3:]
        found[f"{file}::whole file"] = ["failed", " | ".join(end)[-600:]]
    return found


def prepared(checkout: Path, folder: Path) -> None:
    """The folder in which the tests run."""
    shutil.copytree(checkout / "tests", folder / "tests")
    for extra in ("conftest.py", "pyproject.toml"):
        shutil.copy(checkout / extra, folder)
    (folder / "symgraph_conformance.py").write_text(LOADER.format(path=str(PLUGIN)))


def tally(record: dict[str, Any]) -> dict[str, collections.Counter[str]]:
    """Outcomes counted by suite."""
    counts: dict[str, collections.Counter[str]] = {suite: collections.Counter() for suite in SUITES}
    patterns = [pattern for pattern, _ in skips(record["version"])]
    for file, entry in record["files"].items():
        if Path(file).name in LEFT_OUT:
            continue
        for test, (outcome, _) in entry["tests"].items():
            listed = any(fnmatch.fnmatch(test, p) for p in patterns)
            counts[entry["suite"]]["left out" if listed else outcome] += 1
    return counts


def line(name: str, found: collections.Counter[str]) -> str:
    """A row of the table: all that were judged, and which of them pass."""
    judged = found["passed"] + found["failed"]
    share = f"{100 * found['passed'] / judged:.1f} %" if judged else "-"
    skipped = found["skipped"] + found["xfailed"]
    return f"| {name} | {judged} | {found['passed']} | {share} | {skipped} | {found['left out']} |"


def table(record: dict[str, Any]) -> str:
    """The tally of a version."""
    counts = tally(record)
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    early = ", graphs taken early" if record.get("early") else ""
    title = (f"PyTensor {record['version']} (tests of tag {record['tag']}), Python "
             f"{record['python']}, {record['date']}{early}:")  # fmt: skip
    return "\n".join([
        title, "",
        "| suite | judged | passed | share | skipped by PyTensor itself | left out by the list |",
        "|---|---|---|---|---|---|",
        *(line(suite, c) for suite, c in counts.items() if c), line("all", total), "",
    ])  # fmt: skip


def write(kept: list[Path]) -> None:
    """Put the tallies between their marks in the page."""
    records = [json.loads(p.read_text()) for p in sorted(kept)]
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    middle = "\n".join(table(r) for r in records)
    PAGE.write_text(f"{head}{BEGIN}\n\n{middle}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def tag_of(checkout: Path) -> str:
    """What the checkout calls itself: its folder's name where it is no repository."""
    command = ["git", "-C", str(checkout), "describe", "--tags"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return told.removeprefix("rel-") or checkout.name


def keep(record: dict[str, Any], kept: Path, file: str, entry: dict[str, Any]) -> None:
    """Put a file's outcomes beside the others, among them those of a run at the same time."""
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            record["files"] |= json.loads(kept.read_text())["files"]
        record["files"][file] = entry
        record["date"] = datetime.date.today().isoformat()
        kept.write_text(json.dumps(record, indent=1))


def run_all(args: argparse.Namespace, record: dict[str, Any], kept: Path) -> None:
    """Run the files that are named, or all, and keep what became of them."""
    suites = files_of(args.checkout)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared(args.checkout, folder)
        for file in args.files or suites:
            found = run(file, folder, args.early)
            if args.early:
                found = run(file, folder, True)
            keep(record, kept, file, {"suite": suites[file], "tests": found})
            print(line(file, collections.Counter(o for o, _ in found.values())), flush=True)
            for test, (outcome, error) in found.items():
                if outcome == "failed":
                    print(f"    {test}: {error[:150]}", flush=True)


def main() -> None:
    """Run files, print a line for each, and the tally of all that are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--write", action="store_true", help="the tally into docs/pytensor.md")
    parser.add_argument("--tally", action="store_true", help="run nothing")
    parser.add_argument("--early", action="store_true", help="graphs before PyTensor rewrites them")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="where outcomes are kept")
    parser.add_argument("--tag", help="the tag of the checkout, when git does not tell it")
    args = parser.parse_intermixed_args()
    import pytensor

    args.out.mkdir(exist_ok=True)
    ending = "_early" if args.early else ""
    kept = args.out / f"conformance_pytensor_{pytensor.__version__}{ending}.json"
    record = json.loads(kept.read_text()) if kept.exists() else {"files": {}}
    tag = args.tag or record.get("tag") or tag_of(args.checkout)
    record["version"], record["tag"], record["early"] = pytensor.__version__, tag, args.early
    record["python"] = ".".join(map(str, sys.version_info[:2]))
    if not args.tally:
        run_all(args, record, kept)
    print(table(record))
    if args.write:
        write(list(args.out.glob("conformance_pytensor_*.json")))


if __name__ == "__main__":
    main()
