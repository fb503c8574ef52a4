"""A plugin for pytest that makes PyTensor's own tests use symgraph's mode.

    python -m pytest -p tests.interop.conformance_plugin tests/tensor/test_elemwise.py

Tests of a mode of PyTensor's own (NUMBA, JAX) get symgraph's linker in that mode's place. What
`conformance_skips.txt` lists is left out, and one line of JSON per test is written to the file
that CONFORMANCE_LOG names.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SKIPS = Path(__file__).with_name("conformance_skips.txt")
SECONDS = 240  # for one test
# what the functions that compare two modes ask of the results, which only their own mode has
_NOT_ASKED = {"eval_obj_mode": False, "must_be_device_array": False}


def skips(path: Path = SKIPS) -> list[tuple[str, str]]:
    """Patterns of test ids with the reason why they say nothing about a linker."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, reason = line.partition("  ")
            found.append((pattern.strip(), reason.strip()))
    return found


def _instead_of(linkers: tuple[type, ...], ours: type) -> None:
    """Every mode with one of these linkers gets ours."""
    from pytensor.compile import mode

    restore = mode.Mode.__setstate__

    def replaced(self: Any, state: Any) -> None:
        linker, optimizer = state
        restore(self, (ours() if isinstance(linker, linkers) else linker, optimizer))

    mode.Mode.__setstate__ = replaced
    for known in mode.predefined_modes.values():
        known.__setstate__(known.__getstate__())
    for name, linker in list(mode.predefined_linkers.items()):
        if isinstance(linker, linkers):
            mode.predefined_linkers[name] = ours()


def pytest_configure(config: Any) -> None:
    import pytensor
    from pytensor.link.jax.linker import JAXLinker
    from pytensor.link.numba.linker import NumbaLinker

    import symgraph.interop.pytensor as door

    door.SymgraphLinker.takes_early = False  # tests look at the rewritten graphs of functions
    pytensor.config.mode = door.mode()
    _instead_of((NumbaLinker, JAXLinker), door.SymgraphLinker)
    config.addinivalue_line("filterwarnings", "default")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    for module in {id(i.module): i.module for i in items if hasattr(i, "module")}.values():
        for name in ("compare_numba_and_py", "compare_jax_and_py"):
            function = getattr(module, name, None)
            for asked, value in _NOT_ASKED.items():
                if asked in (getattr(function, "__kwdefaults__", None) or {}):
                    function.__kwdefaults__[asked] = value  # type: ignore[union-attr]
    patterns = [p for p, _ in skips()]
    gone = [i for i in items if any(fnmatch.fnmatch(i.nodeid, p) for p in patterns)]
    if gone:
        left = set(map(id, gone))
        config.hook.pytest_deselected(items=gone)
        items[:] = [i for i in items if id(i) not in left]
    for item in gone:
        _write({"id": item.nodeid, "outcome": "left out"})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)


def pytest_runtest_logreport(report: Any) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    text = str(report.longrepr).splitlines()[-1] if report.failed and report.longrepr else ""
    crash = getattr(report.longrepr, "reprcrash", None)
    expected = hasattr(report, "wasxfail") and report.skipped
    _write({
        "id": report.nodeid,
        "outcome": "xfailed" if expected else report.outcome,
        "error": str(getattr(crash, "message", text))[:600],
    })  # fmt: skip


def _write(row: dict[str, Any]) -> None:
    path = os.environ.get("CONFORMANCE_LOG")
    if path:
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
