"""Everything that a machine with an NVIDIA GPU is asked for, in less than eight minutes.

    make test-cuda                  or: python -m tests.cuda.hardware

It says what is there, runs the tests marked `gpu`, first those of our own code, then those of
NVIDIA's libraries (cuBLAS, cuSOLVER, cuFFT, cuDNN; with what is installed, and without), those that
run whole programs again under compute-sanitizer where that is installed (memcheck, then racecheck),
and the benchmarks; each part has a part of the time and is ended when that is over. What came out
goes to benchmarks/results/cuda_tests_<device>.json, the benchmarks' figures to files of their own
there.

Without a driver or a GPU it says what is missing and ends with status 2; with --emulated it shows
what it would run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from symgraph.codegen.ptx.assemble import assemblers
from symgraph.errors import TargetError
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.device import device

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
LIMIT = 470.0  # seconds for all parts
_LIBRARIES = "tests/cuda/test_hardware_libraries.py"
_PYTEST = ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/cuda")


class Part(NamedTuple):
    """A command, the seconds that it may take, and the statuses that are no failure."""

    name: str
    command: tuple[str, ...]
    seconds: float


def parts(sanitizer: str | None) -> list[Part]:
    """What is run, in order; the last part may take what the others leave."""
    own = (sys.executable, *_PYTEST, f"--ignore={_LIBRARIES}")
    with_libraries = (sys.executable, *_PYTEST[:-1], _LIBRARIES)
    found = [Part("tests", own, 120), Part("libraries", with_libraries, 75)]
    if sanitizer is not None:
        for tool, most in (("memcheck", 50), ("racecheck", 40)):
            guard = (sanitizer, "--tool", tool, "--error-exitcode", "9",
                     "--target-processes", "all")  # fmt: skip
            tests = (sys.executable, *_PYTEST, "-k", "programs_agree")
            found.append(Part(f"compute-sanitizer {tool}", (*guard, *tests), most))
    found.append(Part("benchmarks", (sys.executable, "-m", "benchmarks.cuda", "--limit"), 0))
    return found


def surroundings() -> dict[str, Any]:
    """What is installed here that plays a part. Raises TargetError without a driver or a GPU."""
    driver = device().driver
    p = driver.properties
    peers = ("pycuda", "cupy", "torch", "jax", "triton")
    return {
        "gpu": p.name, "capability": list(p.capability), "processors": p.processors,
        "memory": p.memory, "driver": driver.kind, "assemblers": assemblers(),
        "compute-sanitizer": shutil.which("compute-sanitizer") or "not installed",
        "libraries": {n: libraries.path(n) or "not installed" for n in libraries.FILES},
        "packages": [n for n in peers if importlib.util.find_spec(n) is not None],
    }  # fmt: skip


def run(part: Part, left: float) -> dict[str, Any]:
    """Run a part for at most its time; how it ended, and the end of what it said."""
    seconds = min(part.seconds or left, left)
    command = [*part.command]
    if command[-1] == "--limit":
        command.append(str(int(max(30, seconds - 40))))  # it ends by itself, with what it has
    print(f"\n== {part.name}: {' '.join(command)}", flush=True)
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=seconds)
            status: int | str = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            status = f"ended after {seconds:.0f} s"
    print(said, flush=True)
    return {
        "status": status, "seconds": round(time.perf_counter() - start, 1),
        "counts": counts(said), "end": said.splitlines()[-12:],
    }  # fmt: skip


def counts(said: str) -> dict[str, int]:
    """The numbers of pytest's last line.

    >>> counts("..\\n3 passed, 1 failed in 2.10s")
    {'passed': 3, 'failed': 1}
    """
    words = r"(passed|failed|errors?|skipped|deselected)"
    lines = [x for x in said.splitlines() if re.search(rf"\d+ {words}.* in [\d.]+s", x)]
    return {k: int(n) for n, k in re.findall(rf"(\d+) {words}", lines[-1])} if lines else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts and write what came out; 0 when all went well, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m tests.cuda.hardware", description=__doc__)
    parser.add_argument("--emulated", action="store_true", help="only show what would be run")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds")
    given = parser.parse_args(arguments)
    sanitizer = shutil.which("compute-sanitizer")
    if given.emulated:
        for part in parts(sanitizer or "compute-sanitizer"):
            print(f"{part.name}: {' '.join(part.command)}")
        return 0
    try:
        about = surroundings()
    except TargetError as error:
        print(f"{error.report()}\n\nNothing was tested: this machine cannot run target=\"cuda\". "
              "The tests that need no GPU are in `make test`.")  # fmt: skip
        return 2
    about["date"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    print(json.dumps(about, indent=2), flush=True)
    end, found = time.monotonic() + given.limit, {}
    for part in parts(sanitizer):
        left = end - time.monotonic()
        found[part.name] = run(part, left) if left > 20 else {"status": "left out: no time"}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"cuda_tests_{about['gpu'].replace(' ', '_')}.json"
    path.write_text(json.dumps({"about": about, "parts": found}, indent=2) + "\n")
    for name, row in found.items():
        print(f"{name}: {row['status']} {row.get('counts', '')}")
    print(path)
    return int(any(row["status"] != 0 for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
