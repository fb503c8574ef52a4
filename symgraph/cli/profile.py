"""`symgraph profile`: where the time of compiled functions goes, of one subject or of a script."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import runpy
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symgraph import compiler, config, dtypes
from symgraph.cli.console import fold, write, write_json
from symgraph.cli.main import parser
from symgraph.cli.problems import SubjectError
from symgraph.cli.subject import definition
from symgraph.function import Definition
from symgraph.profiling import attach, page, tables, traces
from symgraph.profiling.report import Profile
from symgraph.scalar import Expr, evaluate_size, variables

ELEMENTS = 1_000_000  # of the largest input, where its sizes are free
LARGEST = 1000  # of a free size
EVENTS = 1 << 17  # steps in a trace
LEAST_CALLS = 3


def run(arguments: argparse.Namespace) -> int:
    """Profile a subject or a script, and write what is asked for."""
    old = _read(arguments.compare) if arguments.compare else None
    target = arguments.target
    if target.endswith(".py") and Path(target).is_file():
        status, profiles, wall = _script(arguments)
    else:
        _options_behind(arguments)
        status = 0
        profiles, wall = _subject(arguments)
    data = [p.data() for p in profiles if p.calls]
    _files(arguments, profiles, data)
    if arguments.json:
        write_json("profiles", {"target": target, "wall_seconds": wall, "profiles": data})
    else:
        _print(arguments, data, wall, old)
    return status


def _options_behind(arguments: argparse.Namespace) -> None:
    """What stands behind a SUBJECT are options of ours. Raises SubjectError for anything else."""
    top = parser()
    plain = vars(top.parse_args(["profile", arguments.target]))
    found = vars(top.parse_args(["profile", *arguments.arguments, arguments.target]))
    if found["target"] != arguments.target or found["arguments"]:
        raise SubjectError(
            f"profile: only a script takes arguments, and {arguments.target} is none",
            hint="symgraph profile --help shows the options",
        )
    for name, value in found.items():
        if value != plain[name]:
            setattr(arguments, name, value)


def _print(
    arguments: argparse.Namespace, data: Sequence[Mapping[str, Any]], wall: float, old: Any
) -> None:
    if not data:
        write("no compiled function was called")
    for d in data:
        write(fold(tables.table(d, arguments.by)))
        write("")
        if old is not None:
            before = next((o for o in old if o["function"] == d["function"]), None)
            write(tables.compared(before, d) if before else f"{d['function']} is new")
            write("")
    inside = sum(d["seconds"] for d in data)
    if wall and data:
        share = f"{100 * inside / wall:.1f} %"
        write(f"{tables.time_text(inside)} of {tables.time_text(wall)}, {share}, in these rows")


def _files(
    arguments: argparse.Namespace, profiles: Sequence[Profile], data: Sequence[Mapping[str, Any]]
) -> None:
    if arguments.html:
        Path(arguments.html).write_text(page.html(data), encoding="utf-8")
    if arguments.trace:
        Path(arguments.trace).write_text(json.dumps(traces.document(profiles)), encoding="utf-8")


def _read(path: str) -> list[Any]:
    """The profiles in a file that --json or `f.profile.json()` wrote."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        profiles = [found] if found["schema"] == "symgraph.profile" else found["profiles"]
        return [p for p in profiles if p["version"] == 1]
    except (OSError, ValueError, KeyError, TypeError):
        hint = "symgraph profile --json ... > FILE writes one"
        raise SubjectError(f"{path} holds no profile", hint=hint) from None


# a script -----------------------------------------------------------------------------------------


def _script(arguments: argparse.Namespace) -> tuple[int, list[Profile], float]:
    """Run a script as Python does, with a profile of every function that it compiles."""
    path = Path(arguments.target)
    sys.argv = [arguments.target, *arguments.arguments]
    sys.path.insert(0, str(path.resolve().parent))
    config.profile = True
    first = len(attach.PROFILES)
    output = sys.stderr if arguments.json else sys.stdout
    start = time.perf_counter()
    status = 0
    attach.traced_events = EVENTS if arguments.trace else 0
    with contextlib.redirect_stdout(output):
        try:
            runpy.run_path(arguments.target, run_name="__main__")
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except KeyboardInterrupt:
            status = 130
        except Exception:
            traceback.print_exc()
            status = 1
    wall = time.perf_counter() - start
    del config.profile
    attach.traced_events = 0
    return status, attach.PROFILES[first:], wall


# a subject ----------------------------------------------------------------------------------------


def _subject(arguments: argparse.Namespace) -> tuple[list[Profile], float]:
    """Compile a subject with a profile and call it on random arrays."""
    d, _ = definition(arguments.target)
    d = d._replace(options={**d.options, "mode": "run", "profile": True})
    sizes = _sizes(d, arguments.size)
    arrays = _arguments(d, sizes)
    function = compiler.build_function(d)
    profile = function.profile
    flat = getattr(function, "inner", function)
    start = time.perf_counter()
    flat(*arrays)  # memory and threads are there from now on
    several = max(1, int(1e-3 / (time.perf_counter() - start)))
    profile.reset()
    if arguments.trace:
        profile.trace_calls(EVENTS)
    calls, start = 0, time.perf_counter()
    end = start + arguments.seconds
    while calls < LEAST_CALLS or time.perf_counter() < end:
        for _ in itertools.repeat(None, several):
            flat(*arrays)
        calls += several
    return [profile], time.perf_counter() - start


def _sizes(d: Definition, texts: Sequence[str]) -> dict[str, int]:
    """A value for every free size: as given by NAME=NUMBER, else one that keeps inputs small."""
    given: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not number.isdigit():
            raise SubjectError(f"--size {text}: a size is given as NAME=NUMBER")
        given[name] = int(number)
    most = max((sum(isinstance(s, Expr) for s in v.shape) for v in d.arguments), default=0)
    usual = min(LARGEST, int(math.pow(ELEMENTS, 1 / max(1, most)) + 0.5))
    free = [
        x.attr for v in d.arguments for s in v.shape if isinstance(s, Expr) for x in variables(s)
    ]
    unknown = sorted(set(given) - set(free))
    if unknown:
        known = ", ".join(n for n in dict.fromkeys(free) if not n.startswith("?"))
        raise SubjectError(f"no input has the size {unknown[0]}", hint=f"named sizes: {known}")
    state = {
        x.attr: n
        for s in d.shared
        for x, n in zip(s.shape, s.get_value(borrow=True).shape, strict=True)
        if isinstance(x, Expr) and x.op == "var"
    }  # fmt: skip
    found = {**dict.fromkeys(free, usual), **state, **given}
    for left, right, _ in d.checks:  # sizes that must be equal
        for a, b in ((left, right), (right, left)):
            if isinstance(a, Expr) and a.op == "var" and a.attr in found and a.attr not in given:
                with contextlib.suppress(KeyError):
                    found[a.attr] = int(evaluate_size(b, found))
                    break
    return found


def _arguments(d: Definition, sizes: Mapping[str, int]) -> list[np.ndarray]:
    """Random arrays: floats between 0 and 1, integers 0 and 1."""
    generator = np.random.default_rng(0)
    found = []
    for v in d.arguments:
        shape = tuple(int(evaluate_size(s, sizes)) for s in v.shape)
        kind = dtypes.kind(v.dtype)
        values = generator.random(shape) if kind in "fc" else generator.integers(0, 2, shape)
        found.append(np.asarray(values).astype(dtypes.numpy_dtype(v.dtype)))
    return found
