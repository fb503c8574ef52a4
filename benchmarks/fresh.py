"""First calls and peak memory in fresh processes.

A child imports its library, makes the workload's arrays, and is then measured: from the formula to
the first result, with an empty cache and again (another process) with the one that was filled, and
the memory that the process took at most beyond what it held before. All compilers keep their caches
in one temporary directory.
"""

from __future__ import annotations

import compileall
import functools
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
MODULES = {"symgraph": "symgraph.api", "torch.compile": "torch", "numpy": "numpy"}
CALLS = 3


def environment(cache: str) -> dict[str, str]:
    """Where the compilers look for what they compiled before, and where symgraph is."""
    path = [str(HERE.parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return os.environ | {
        "PYTHONDONTWRITEBYTECODE": "",  # an installed package is compiled to bytecode
        "PYTHONPATH": os.pathsep.join(p for p in path if p),
        "SYMGRAPH_CACHE_DIR": f"{cache}/symgraph",
        "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "NUMBA_CACHE_DIR": f"{cache}/numba",
        "PYTENSOR_FLAGS": f"base_compiledir={cache}/pytensor",
        "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
    }


def resident() -> int:
    """Bytes of this process in memory now."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_peak() -> bool:
    """Start the kernel's record of the largest memory anew, where it allows that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak() -> int:
    """The most bytes that this process had in memory since :func:`forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(name: str, contender: str) -> dict[str, float]:
    """Build one contender of one workload and call it: seconds and bytes."""
    if contender == "jax":
        importlib.import_module("peers").jax_module().devices()  # starts its backend
    else:
        importlib.import_module(MODULES.get(contender, contender))
    workload = importlib.import_module("workloads").workload(name)
    args = workload.args()
    forget_peak()
    before, start = resident(), time.perf_counter()
    timed = workload.contenders[contender](*args)
    timed.run()
    first = time.perf_counter() - start
    top = peak() - before
    forget_peak()
    later = []
    for _ in range(CALLS):
        start = time.perf_counter()
        timed.run()
        later.append(time.perf_counter() - start)
    return {"first": first, "later": min(later), "peak": top, "running": peak() - before}


def ask(cache: str, name: str, contender: str, limit: float) -> dict[str, Any]:
    """The figures of a child in a fresh process, or {"failed": why}."""
    command = [sys.executable, str(HERE), name, contender]
    try:
        done = subprocess.run(
            command, env=environment(cache), capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:160]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@functools.cache
def prepare() -> None:
    """Bytecode for symgraph, as an installation has it."""
    folder = HERE.parents[1] / "symgraph"
    if folder.is_dir():
        compileall.compile_dir(str(folder), quiet=2)


def first_calls(name: str, contender: str, repeats: int, limit: float = 300) -> dict[str, Any]:
    """Least seconds of the first call, cold and from the cache, of later calls, and least peak
    memory; the least of a few repeats, since a disturbance only adds."""
    prepare()
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            for kind in ("cold", "cached"):
                answer = ask(cache, name, contender, limit)
                if "failed" in answer:
                    return answer
                found.setdefault(kind, []).append(answer["first"])
                for what in ("peak", "running", "later"):
                    found.setdefault(f"{kind}_{what}", []).append(answer[what])
    least = {k: min(v) for k, v in found.items()}
    return {"cold": least["cold"], "cached": least["cached"], "later": least["cached_later"],
            "peak": least["cold_peak"], "cached_peak": least["cached_peak"],
            "running": least["cached_running"]}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(child(*sys.argv[1:])))
