"""python -m tests.fuzz: random graphs by the thousand.

    --seed S              one seed: its graph and what is wrong with it
    --seed S --reduce     and the smallest graph that fails in the same way, as Python to paste
    --count N             N seeds in a row from --start on, by --workers processes
    --save FOLDER         what is found is reduced and written there, a program for each
    --json                the summary as JSON

A worker that crashes or hangs is a finding too: another one goes on behind the seed that ended it.
Exit status 1 when something was found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from typing import Any

from symgraph.ir.graph import Graph
from tests.fuzz.case import Case, described
from tests.fuzz.python_text import python_text
from tests.fuzz.reducer import isolated, reduced
from tests.fuzz.running import checked, made

QUIET_SECONDS = 400  # without a word from a worker


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--reduce", action="store_true", help="shrink the graph of --seed")
    parser.add_argument("--count", type=int, default=500, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--steps", type=int, default=0, help="operations in a graph (0: by seed)")
    parser.add_argument(
        "--effort",
        choices=("all", "turns", "quick"),
        default="all",
        help="all comparisons, the dear ones by turns, or two of them",
    )
    parser.add_argument("--save", default="", help="a folder for reduced programs")
    parser.add_argument("--case", default="", help="a file that a crash left in FOLDER")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ["SYMGRAPH_VERIFY"] = "1"
    if args.worker:
        return work(args)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYMGRAPH_CACHE_DIR"] = folder
        return one(args) if args.seed is not None or args.case else many(args)


def one(args: Any) -> int:
    """Show one case: of a seed, or of a file that a crash left."""
    seed = args.seed or 0
    case = read(args.case) if args.case else made(seed, args.steps)

    def check(c: Any) -> str:
        return checked(c, seed, args.effort)

    problem = isolated(check, case)
    print(described(case, seed))
    print(f"\n{problem or 'agrees in every way'}", flush=True)
    if problem and args.reduce:
        smaller, problem = reduced(case, check)
        print(f"\n{program(smaller, problem)}")
    return int(bool(problem))


def program(case: Any, problem: str) -> str:
    """The problem as a comment over the program that shows it."""
    comment = "# " + problem.replace("\n", "\n# ")
    return f"{comment}\n{python_text(case)}"


def work(args: Any) -> int:
    """A worker: a line of JSON for every seed, before it and after it."""
    for seed in range(args.start, args.start + args.count):
        print(json.dumps({"begins": seed}), flush=True)
        row = {"seed": seed, **verdict(args, seed)}
        print(json.dumps(row), flush=True)
    return 0


def verdict(args: Any, seed: int) -> dict[str, Any]:
    """What is found in a seed; with --save its case is kept while it runs, and reduced."""
    try:
        case = made(seed, args.steps)
    except Exception as error:
        text = "".join(traceback.format_exception(error)[-3:])
        return {"problem": f"making: {text}", "nodes": 0}
    if args.save:
        write(os.path.join(args.save, f"seed{seed}.case"), case)
    problem = checked(case, seed, args.effort)
    if problem and args.save:
        smaller, problem = reduced(case, lambda c: checked(c, seed, args.effort), 300)
        with open(os.path.join(args.save, f"seed{seed}.py"), "w") as file:
            file.write(program(smaller, problem))
    elif args.save:
        os.unlink(os.path.join(args.save, f"seed{seed}.case"))
    nodes = len(Graph(case.inputs, case.outputs).toposort())
    return {"problem": problem, "nodes": nodes}


def write(path: str, case: Case) -> None:
    """Keep a case for another process, which has the same ops but may draw other graphs."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    graph = Graph(case.inputs, [*case.outputs, *(v for _, v in case.updates)])
    with open(path, "wb") as file, contextlib.suppress(pickle.PicklingError):  # a lambda in an op
        pickle.dump((graph, [s for s, _ in case.updates], case.calls, case.special), file)


def read(path: str) -> Case:
    """What :func:`write` kept."""
    with open(path, "rb") as file:
        graph, states, calls, special = pickle.load(file)
    count = len(graph.outputs) - len(states)
    updates = list(zip(states, graph.outputs[count:], strict=True))
    return Case(list(graph.inputs), list(graph.outputs[:count]), updates, calls, special)


class Worker(threading.Thread):
    """Reads what one process says about its share of the seeds; starts it again after a crash."""

    def __init__(self, args: Any, start: int, count: int, said: queue.Queue[Any]) -> None:
        super().__init__(daemon=True)
        self.args, self.first, self.last, self.said = args, start, start + count, said

    def run(self) -> None:
        seed = self.first
        while seed < self.last:
            seed = self.share(seed)
        self.said.put(None)

    def share(self, start: int) -> int:
        """Run a process until it ends; the seed to go on with."""
        command = [sys.executable, "-m", "tests.fuzz", "--worker", f"--start={start}",
                   f"--count={self.last - start}", f"--steps={self.args.steps}"]  # fmt: skip
        command += [f"--effort={self.args.effort}"]
        command += [f"--save={self.args.save}"] if self.args.save else []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)  # fmt: skip
        watch = threading.Timer(QUIET_SECONDS, process.kill)
        watch.start()
        current, done = start, False
        assert process.stdout is not None and process.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
        reader.start()
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            watch.cancel()
            watch = threading.Timer(QUIET_SECONDS, process.kill)
            watch.start()
            row = json.loads(line)
            done = "begins" not in row
            current = row["seed"] if done else row["begins"]
            if done:
                self.said.put(row)
        watch.cancel()
        code = process.wait()
        reader.join(5)
        if code and not (done and current + 1 == self.last):
            what = f"the process ended with status {code}: {''.join(errors)[-800:]}"
            self.said.put({"seed": current, "problem": what + self.reduced(current)})
        return current + 1

    def reduced(self, seed: int) -> str:
        """The program that shows a crash, from the case that was kept."""
        kept = os.path.join(self.args.save, f"seed{seed}.case")
        if not self.args.save or not os.path.exists(kept):
            return ""
        command = [sys.executable, "-m", "tests.fuzz", f"--seed={seed}", f"--case={kept}"]
        done = subprocess.run([*command, "--reduce"], capture_output=True, text=True, check=False)
        with open(os.path.join(self.args.save, f"seed{seed}.py"), "w") as file:
            file.write(done.stdout)
        return f" (see {file.name})"


def many(args: Any) -> int:
    """Seeds by the thousand; a summary at the end."""
    said: queue.Queue[Any] = queue.Queue()
    each = -(-args.count // args.workers)
    starts = range(args.start, args.start + args.count, each)
    workers = [Worker(args, s, min(each, args.start + args.count - s), said) for s in starts]
    for w in workers:
        w.start()
    began, done, nodes, alive = time.time(), 0, 0, len(workers)
    found: list[dict[str, Any]] = []
    live = sys.stderr.isatty()
    while alive:
        row = said.get()
        if row is None:
            alive -= 1
            continue
        done, nodes = done + 1, nodes + row.get("nodes", 0)
        if row.get("problem"):
            found.append(row)
            if not args.json:
                clear = "\r\x1b[K" if live else ""
                print(f"{clear}seed {row['seed']}: {row['problem'][:300]}", flush=True)
        if live:
            rate = done / (time.time() - began)
            text = f"\r{done} of {args.count} graphs, {len(found)} found, {rate:.1f} a second "
            print(text, end="", file=sys.stderr, flush=True)
    seconds = time.time() - began
    if args.json:
        print(json.dumps({"graphs": done, "nodes": nodes, "seconds": seconds, "found": found}))
    else:
        print(f"{done} graphs of {nodes} nodes in {seconds:.0f} s, {len(found)} found")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
