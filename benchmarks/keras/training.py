"""Training in Keras: the first call of `fit`, a steady step and the memory, beside other backends.

    python benchmarks/keras/training.py                  # those of jax and torch that are installed
    python benchmarks/keras/training.py --write          # and puts the table into docs/keras.md
    python benchmarks/keras/training.py mlp lstm --rounds 5 --out keras.json

Each figure comes from a process of its own. The processes of the contenders take turns, and of the
rounds the medians are kept. "symgraph" starts with an empty disk cache, "symgraph, cached" finds
what the process before has compiled there; "jax, cached" likewise, with its persistent cache turned
on and no lower limit. `first` is a call of `fit` with a single batch of 32, `step` a batch in
the fastest of some epochs without a progress bar, `memory` the most that the process ever held.
Wall time tells of the machine's load too, CPU time of all threads does not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
from networks import NETWORKS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "keras.md"
BATCH, EPOCHS = 32, 8
FIGURES = ("first_wall", "first_cpu", "step_wall", "step_cpu", "memory")
CONTENDERS = ("symgraph", "symgraph, cached", "jax", "jax, cached", "torch")
Rows = dict[str, dict[str, float]]


def timed(work: Any) -> tuple[float, float]:
    """Seconds on the wall and of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(name: str) -> dict[str, float]:
    """The figures of one network, with the backend of this process."""
    import keras_symgraph  # isort: skip  # noqa: F401  Keras learns of the backend by it
    import keras  # isort: skip

    network = NETWORKS[name]
    rng = np.random.default_rng(0)
    count = BATCH * network.batches
    if network.words:
        inputs = keras.Input(network.shape, dtype="int32")
        x = rng.integers(0, network.words, (count, *network.shape)).astype("int32")
    else:
        inputs = keras.Input(network.shape)
        x = rng.normal(size=(count, *network.shape)).astype("float32")
    y = rng.integers(0, 10, count)
    model = keras.Model(inputs, network.build(keras, inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)

    def fit(count: int) -> None:
        model.fit(x[:count], y[:count], batch_size=BATCH, shuffle=False, verbose=0)

    first = timed(lambda: fit(BATCH))
    fit(count)
    steps = [timed(lambda: fit(count)) for _ in range(EPOCHS)]
    step = [min(s[k] for s in steps) / network.batches for k in range(2)]
    peak = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return dict(zip(FIGURES, (*first, *step, peak), strict=True))


def in_process(contender: str, name: str, cache: str) -> dict[str, float]:
    """The figures of one network, out of a new process."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    backend, _, cached = contender.partition(", ")
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths, "SYMGRAPH_CACHE_DIR": cache}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode
    if backend == "jax" and cached:
        env["JAX_COMPILATION_CACHE_DIR"] = str(Path(cache) / "jax")
        env["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        env["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
    command = [sys.executable, __file__, "--child", name]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} on {contender}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def compare(name: str, contenders: list[str], rounds: int) -> Rows:
    """Medians of some rounds, by contender."""
    found: dict[str, list[dict[str, float]]] = {who: [] for who in contenders}
    with tempfile.TemporaryDirectory() as kept:
        if "jax, cached" in contenders:
            in_process("jax, cached", name, kept)  # fills its cache
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as fresh:
                for who in contenders:
                    found[who].append(in_process(who, name, kept if who[0] == "j" else fresh))
    return {
        who: {f: statistics.median(row[f] for row in rows) for f in FIGURES}
        for who, rows in found.items()
    }


def show(name: str, rows: Rows) -> None:
    """One line for each contender, with the ratios of symgraph to it."""
    for who, row in rows.items():
        own = rows["symgraph, cached" if who.endswith("cached") else "symgraph"]
        cells = [
            f"{f.replace('_', ' ')} {1e3 * row[f]:8.2f} ms ({own[f] / row[f]:4.2f})"
            for f in FIGURES[:-1]
        ]
        print(f"{name:12}{who:17}{'  '.join(cells)}  {row['memory'] / 2**20:6.0f} MiB", flush=True)


def versions() -> str:
    """What took part, with versions."""
    names = ["keras", "jax", "torch", "numpy", "llvmlite"]
    names = [n for n in names if importlib.util.find_spec(n) is not None]
    return ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)


def table(found: dict[str, Rows]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| network | | first `fit`, s | of CPU time | a step, ms | of CPU time | memory, MiB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, rows in found.items():
        title = NETWORKS[name].title
        for who, row in rows.items():
            cells = [f"{row[f]:.2f}" for f in FIGURES[:2]]
            cells += [f"{1e3 * row[f]:.2f}" for f in FIGURES[2:4]]
            cells.append(f"{row['memory'] / 2**20:.0f}")
            lines.append(f"| {title} | {who} | {' | '.join(cells)} |")
            title = ""
    return "\n".join(lines)


def write(found: dict[str, Rows], machine: dict[str, Any], rounds: int) -> None:
    """Put the table in the place of the one on the page."""
    text = PAGE.read_text("utf-8")
    head, mark, _ = text.partition("\n## Speed\n")
    if not mark:
        raise SystemExit(f"{PAGE} has no section on speed")
    about = (
        f"`python benchmarks/keras/training.py --write` ({machine['date']}, {machine['cores']} "
        f"cores of an {machine['cpu']}, load {machine['load']} at the end; Python "
        f"{machine['python']}, {versions()}; {rounds} round{'s' if rounds > 1 else ''}, batches of "
        f"{BATCH}). "
        "Every figure is from a process of its own; memory is the most that the process held, "
        "with Keras and the data."
    )
    about = "\n".join(textwrap.wrap(about, 118, break_on_hyphens=False))
    PAGE.write_text(f"{head}{mark}\n{about}\n\n{table(found)}\n", "utf-8")


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="training in Keras on symgraph, jax and torch")
    parser.add_argument("names", nargs="*", help=f"networks, of {', '.join(NETWORKS)}")
    parser.add_argument("--child", help="measure one network in this process")
    parser.add_argument("--only", help="contenders, separated by semicolons")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help=f"put a table into {PAGE.name}")
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(measure(asked.child)))
        return
    wanted = asked.only.split(";") if asked.only else CONTENDERS
    contenders = [c for c in wanted if c[:3] == "sym" or importlib.util.find_spec(c.split(",")[0])]
    found = {}
    for name in asked.names or NETWORKS:
        found[name] = compare(name, contenders, asked.rounds)
        show(name, found[name])
    sys.path.append(str(ROOT / "benchmarks"))
    from machine import describe

    machine = {**describe(), "versions": versions()}
    if asked.out:
        asked.out.write_text(json.dumps({**machine, "figures": found}, indent=1) + "\n", "utf-8")
    if asked.write:
        write(found, machine, asked.rounds)


if __name__ == "__main__":
    main()
