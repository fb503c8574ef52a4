"""`symgraph doctor`: does everything that symgraph stands on work here?

The checks are in `checks.py` (what is installed and set) and `self_tests.py` (programs with known
answers, and how fast they are). `--bundle FILE` writes all that is found, with what would name the
user or the machine left out, for a report of a problem.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

from symgraph import config
from symgraph.cli.checks import CHECKS, Check
from symgraph.cli.console import fold, json_text, paint, write, write_json
from symgraph.cli.self_tests import SELF_TESTS

_COLOURS = {"good": "32", "note": "33", "bad": "1;31"}
# what other libraries read and a report needs to know
_READ = ("OMP_", "OPENBLAS_", "MKL_", "GOTO_", "BLIS_", "VECLIB_", "CUDA_", "KMP_", "PYTHON")


def run(arguments: argparse.Namespace) -> int:
    """Run every check; the status is 1 when one of them is bad."""
    checks = list(_all(not arguments.quick))
    found = {"checks": [c._asdict() for c in checks]}
    if arguments.bundle:
        with open(arguments.bundle, "w", encoding="utf-8") as file:
            file.write(redacted(json_text("doctor.bundle", {**found, **_surroundings()})) + "\n")
        write(f"wrote {arguments.bundle}: nothing in it names you or this machine; do read it")
    elif arguments.json:
        write_json("doctor", found)
    else:
        _print(checks)
    return 1 if any(c.state == "bad" for c in checks) else 0


def _print(checks: list[Check]) -> None:
    for c in checks:
        state = f"{c.state:<4}"
        text = fold(f"{state}  {c.name}: {c.what}", 6).removeprefix(state)
        write(paint(state, _COLOURS[c.state], sys.stdout) + text)
        if c.fix:
            write(fold(f"      {c.fix}", 6))
    counts = {s: sum(c.state == s for c in checks) for s in _COLOURS}
    write(", ".join(f"{n} {s}" for s, n in counts.items() if n))


def _all(with_self_tests: bool) -> Iterator[Check]:
    for check in (*CHECKS, *(SELF_TESTS if with_self_tests else ())):
        name = check.__name__.strip("_").replace("_", " ")
        try:
            yield check()
        except Exception as error:  # whatever is broken here is what the command is to tell
            first = str(error).splitlines()[0] if str(error) else ""
            yield Check(name, "bad", f"{type(error).__name__}: {first}", "report it with --bundle")


# the bundle ---------------------------------------------------------------------------------------


def _surroundings() -> dict[str, Any]:
    """The settings, the environment that is read, and the machine, in words."""
    settings: dict[str, Any] = {}
    for name in config.SETTINGS:
        try:
            settings[name] = config.get(name)
        except config.ConfigError as error:
            settings[name] = error.what
    read = (*_READ, "SYMGRAPH_")
    environment = {k: v for k, v in sorted(os.environ.items()) if k.startswith(read)}
    machine = {
        "system": platform.system(), "release": platform.release(), "machine": platform.machine(),
        "python": sys.version, "flags": str(sys.flags), "encoding": sys.stdout.encoding,
    }  # fmt: skip
    return {"settings": settings, "environment": environment, "machine": machine}


def redacted(text: str) -> str:
    """The text without the user's home directory and name and the machine's name."""
    names = {
        os.path.expanduser("~"): "~",
        os.getcwd(): ".",
        platform.node(): "HOST",
        _user(): "USER",
    }
    for name, instead in sorted(names.items(), key=lambda pair: -len(pair[0])):
        escaped = json.dumps(name)[1:-1]
        if len(name) > 3 and name not in ("root", "user", "localhost"):
            text = text.replace(escaped, instead)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return ""
