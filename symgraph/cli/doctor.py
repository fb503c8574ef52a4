"""`symgraph doctor`: does everything that symgraph stands on work here?"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import NamedTuple

import numpy as np

from symgraph import api, config
from symgraph.cli.console import paint, write, write_json
from symgraph.codegen import llvm
from symgraph.runtime import abi, blas, elf
from symgraph.runtime.cache import open_cache


class Check(NamedTuple):
    """One line: ``state`` is good, note or bad; ``fix`` says what to do."""

    name: str
    state: str
    what: str
    fix: str = ""


def run(arguments: argparse.Namespace) -> int:
    """Run every check; the status is 1 when one of them is bad."""
    checks = [c for group in _GROUPS for c in _guarded(group)]
    if arguments.json:
        write_json("doctor", {"checks": [c._asdict() for c in checks]})
    else:
        colours = {"good": "32", "note": "33", "bad": "1;31"}
        for c in checks:
            state = paint(f"{c.state:<4}", colours[c.state], sys.stdout)
            write(f"{state}  {c.name}: {c.what}")
            if c.fix:
                write(f"      {c.fix}")
    return 1 if any(c.state == "bad" for c in checks) else 0


def _guarded(group: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from group()
    except Exception as error:  # whatever is broken here is what the command is to tell
        first = str(error).splitlines()[0] if str(error) else ""
        yield Check(group.__name__.strip("_"), "bad", f"{type(error).__name__}: {first}")


def _packages() -> Iterator[Check]:
    yield Check("python", "good", f"{platform.python_version()} on {platform.platform()}")
    for name in ("numpy", "scipy", "llvmlite", "networkx"):
        try:
            yield Check(name, "good", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name, "bad", "is not installed", f"pip install {name}")


def _native() -> Iterator[Check]:
    host = llvm.host()
    yield Check("processor", "good", f"{host.cpu}, vectors of {host.vector_bits} bits")
    if abi.native_entry_usable():
        yield Check("native entry", "good", "arrays are read directly")
    else:
        what = "the layout of NumPy's arrays is not the known one"
        yield Check("native entry", "bad", what, 'compile with mode="interpret", and report it')
    loader = "own" if elf.supported_here() else "LLVM's"
    yield Check("loader", "good", f"{loader}; BLAS: {blas.available()}")


def _cache() -> Iterator[Check]:
    cache = open_cache()
    if cache is None:
        yield Check("cache", "note", "switched off", "unset SYMGRAPH_CACHE to use it")
        return
    refused = cache.refusal()
    if refused:
        yield Check("cache", "bad", refused, "set SYMGRAPH_CACHE_DIR to a directory of your own")
    else:
        yield Check("cache", "good", cache.directory)


def _settings() -> Iterator[Check]:
    for name in config.unknown_environment():
        known = ", ".join(s.env for s in config.SETTINGS.values())
        yield Check("environment", "note", f"nothing reads {name}", f"known are {known}")


def _self_test() -> Iterator[Check]:
    """Compile one program with a loop, a fold and a matrix product, and compare it with NumPy."""
    x = api.matrix("x", shape=("n", 3))
    y = api.sum(api.exp(-x @ x.T), axis=1)
    given = np.linspace(-1, 1, 12).reshape(4, 3)
    expected = np.exp(-given @ given.T).sum(axis=1)
    with config.change(cache=False):
        function = api.compile([x], y)
    if not np.allclose(function(given), expected, rtol=1e-12):
        what = "compiled code differs from NumPy"
        yield Check("self-test", "bad", what, 'compile with mode="interpret", and report it')
        return
    milliseconds = 1000 * function.statistics["total"]
    yield Check("self-test", "good", f"cpu: compiled in {milliseconds:.0f} ms, equal to NumPy")


_GROUPS = (_packages, _native, _cache, _settings, _self_test)
