"""Import and compile times in fresh processes: `python benchmarks/compile_time.py [--quick]`.

Cold means an empty cache, cached a new process that finds the artefact on disk. "formula" is the
time from the library's names to a callable (for JAX: almost nothing, it compiles at the first
call), "first call" the call that follows, both without the import.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fresh import environment, prepare

HERE = Path(__file__).resolve()
WORKLOADS = (
    "call.add_one", "elementwise.black_scholes", "training.digits_softmax", "training.mlp",
    "recurrent.lstm_gradient",
)  # fmt: skip
MODULES = {"symgraph": "symgraph", "jax": "jax", "numba": "numba", "pytensor": "pytensor",
           "torch.compile": "torch"}  # fmt: skip
BATCHES = (1, 7, 64, 1000)


# in the child -------------------------------------------------------------------------------------


def child_import(module: str) -> dict[str, float]:
    start = time.perf_counter()
    importlib.import_module("symgraph.api" if module == "symgraph" else module)  # it is lazy
    return {"import": time.perf_counter() - start}


def child_workload(name: str, contender: str) -> dict[str, float]:
    """Build one contender of one workload and call it twice."""
    importlib.import_module("symgraph.api" if contender == "symgraph" else MODULES[contender])
    workload = importlib.import_module("workloads").workload(name)
    args = workload.args()
    clock = [time.perf_counter()]
    timed = workload.contenders[contender](*args)
    clock.append(time.perf_counter())
    for _ in range(2):
        timed.run()
        clock.append(time.perf_counter())
    formula, first, second = (b - a for a, b in itertools.pairwise(clock))
    return {"formula": formula, "first": first, "total": formula + first, "second": second}


def child_batches(contender: str) -> dict[str, Any]:
    """An MLP's training step at several batch sizes: how often it was compiled."""
    training = importlib.import_module("workloads.training")
    if contender == "jax":
        return _jax_batches(training)
    stages = importlib.import_module("symgraph.stages")
    emitted: list[int] = []
    emit = stages.emit
    stages.emit = lambda *a: (emitted.append(1), emit(*a))[1]
    step = training.in_symgraph(training.MLP)(*training.data(64, training.MLP)()).call
    seconds = {}
    for batch in BATCHES:
        x, y = training.data(batch, training.MLP)()
        start = time.perf_counter()
        step(x, y)
        seconds[str(batch)] = time.perf_counter() - start
    return {"compilations": len(emitted), "seconds": seconds}


def _jax_batches(training: Any) -> dict[str, Any]:
    jax = importlib.import_module("peers").jax_module()
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, fun_name="", **__: (
            compiled.append(event) if "backend_compile" in event and "update" in fun_name else None
        )
    )
    timed = training.in_jax(training.MLP)(*training.data(64, training.MLP)())
    seconds = {}
    for batch in BATCHES:
        x, y = (jax.numpy.asarray(a) for a in training.data(batch, training.MLP)())
        start = time.perf_counter()
        jax.block_until_ready(timed.call(x, y))
        seconds[str(batch)] = time.perf_counter() - start
    return {"compilations": len(compiled), "seconds": seconds}


def child_chain(nodes: int) -> dict[str, float]:
    """A chain of ``nodes`` operations: built, differentiated, printed, compiled and run."""
    sg = importlib.import_module("symgraph")
    numpy = importlib.import_module("numpy")
    graph_text = importlib.import_module("symgraph.ir.text").graph_text
    x = sg.vector("x")
    values = numpy.linspace(0, 1, 1000)
    clock, out = [time.perf_counter()], {}

    def stop(what: str) -> None:
        clock.append(time.perf_counter())
        out[what] = clock[-1] - clock[-2]

    y = x
    for k in range(nodes // 4):
        y = sg.tanh(y * 0.99 + 0.01) + 0.001 * k
    y = sg.sum(y)
    stop("build")
    g = sg.grad(y, x)
    stop("gradient")
    graph_text(sg.Graph([x], [y, g]))
    stop("print")
    f = sg.compile([x], y)
    stop("compile")
    f(values)
    stop("run")
    h = sg.compile([x], [y, g])
    stop("compile gradient")
    h(values)
    stop("run gradient")
    return out


# in the parent ------------------------------------------------------------------------------------


def ask(cache: str, *words: str, limit: float = 600) -> dict[str, Any]:
    """The figures of a child in a fresh process; all compilers keep their caches in ``cache``."""
    env = environment(cache)
    command = [sys.executable, str(HERE), "--child", *words]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:160]}
    return json.loads(done.stdout.splitlines()[-1])


def imports(repeats: int, modules: list[str]) -> dict[str, float]:
    """Median seconds to import each module in a new process, in turns."""
    out: dict[str, list[float]] = {m: [] for m in modules}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(repeats):
            for m in modules:
                answer = ask(cache, "import", m)
                if "import" in answer:
                    out[m].append(answer["import"])
    return {m: statistics.median(v) for m, v in out.items() if v}


def cold_and_cached(name: str, contender: str, repeats: int) -> dict[str, Any]:
    """Median figures with an empty cache, then with the filled one, each in new processes."""
    runs: dict[str, list[dict[str, Any]]] = {"cold": [], "cached": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            for kind in runs:
                answer = ask(cache, "workload", name, contender)
                if "failed" in answer:
                    return answer
                runs[kind].append(answer)
    return {
        kind: {k: statistics.median(r[k] for r in rows) for k in rows[0]}
        for kind, rows in runs.items()
    }


def report(options: argparse.Namespace) -> dict[str, Any]:
    prepare()
    peers = importlib.import_module("peers")
    names = ["symgraph", *(n for n in options.peers.split(",") if n and peers.installed(n))]
    repeats = options.repeats or (1 if options.quick else 5)
    out: dict[str, Any] = {
        "machine": importlib.import_module("machine").describe(), "versions": peers.versions()
    }  # fmt: skip
    out["imports"] = imports(2 * repeats + 1, ["numpy", *(MODULES[n] for n in names)])
    base = out["imports"]["numpy"]
    for module, value in out["imports"].items():
        print(f"import {module:12s} {1e3 * value:8.1f} ms  {value / base:5.2f} x numpy", flush=True)
    print(f"\n{'from formula to result':28s}{'contender':>14s}{'cold':>10s}{'cached':>10s}"
          f"{'second call':>14s}")  # fmt: skip
    out["compile"] = {}
    for name in WORKLOADS:
        for contender in names:
            found = _compile_row(name, contender, 1 if contender == "pytensor" else repeats)
            if found:
                out["compile"].setdefault(name, {})[contender] = found
    with tempfile.TemporaryDirectory() as cache:
        for contender in [n for n in names if n in ("symgraph", "jax")]:
            out.setdefault("batches", {})[contender] = answer = ask(cache, "batches", contender)
            print(f"\nbatch sizes {BATCHES} of the MLP step, {contender}: {_plain(answer)}")
        out["chain"] = ask(cache, "chain", str(options.chain))
        print(f"\nchain of {options.chain} nodes, seconds: {_plain(out['chain'])}", flush=True)
    return out


def _compile_row(name: str, contender: str, repeats: int) -> dict[str, Any] | None:
    if contender not in importlib.import_module("workloads").workload(name).contenders:
        return None
    found = cold_and_cached(name, contender, repeats)
    if "failed" in found:
        print(f"{name:28s}{contender:>14s}  failed: {found['failed']}", flush=True)
        return found
    cells = "".join(f"{1e3 * found[kind]['total']:7.1f} ms" for kind in ("cold", "cached"))
    print(
        f"{name:28s}{contender:>14s}{cells}{1e3 * found['cached']['second']:11.3f} ms", flush=True
    )
    return found


def _plain(answer: dict[str, Any]) -> str:
    return json.dumps(answer, default=str) if "failed" in answer else ", ".join(
        f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {_plain(v)}" if isinstance(v, dict)
        else f"{k} {v}" for k, v in answer.items()
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="once instead of five times")
    add("--repeats", type=int, help="fresh processes per figure")
    add("--peers", default="jax,numba,pytensor", help="compilers beside symgraph (%(default)s)")
    add("--chain", type=int, default=50_000, help="nodes of the long chain (%(default)s)")
    add("--json", metavar="FILE", help="write all figures as JSON")
    add("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, *rest = options.child
        answer = {"import": child_import, "workload": child_workload, "batches": child_batches,
                  "chain": lambda nodes: child_chain(int(nodes))}[what](*rest)  # fmt: skip
        print(json.dumps(answer))
        return 0
    figures = report(options)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    return int("failed" in json.dumps(figures["compile"]))


if __name__ == "__main__":
    sys.exit(main())
