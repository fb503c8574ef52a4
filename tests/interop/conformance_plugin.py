"""A plugin for pytest that makes PyTensor's own tests use symgraph's mode.

    python -m pytest -p tests.interop.conformance_plugin tests/tensor/test_elemwise.py

Tests of a mode of PyTensor's own (NUMBA, JAX) get symgraph's linker in that mode's place; the
warnings that only that mode gives are not asked for there, the rest of such a test is. What
`conformance_skips.txt` lists is left out, and one line of JSON per test is written to the file
that CONFORMANCE_LOG names. With CONFORMANCE_EARLY graphs are taken before PyTensor rewrites them.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import json
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SKIPS = Path(__file__).with_name("conformance_skips.txt")
SECONDS = 240  # for one test
# what the functions that compare two modes ask of the results, which only their own mode has
_NOT_ASKED = {"eval_obj_mode": False, "must_be_device_array": False}


def skips(version: str, path: Path = SKIPS) -> list[tuple[str, str]]:
    """Patterns of test ids with the reason why they say nothing about a linker. A pattern may begin
    with the version of PyTensor that it is for, and a bar."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, reason = line.partition("  ")
            only, _, rest = pattern.rpartition("|")
            if version.startswith(only):
                found.append((rest.strip(), reason.strip()))
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


def _flat(seed: Any) -> Any:
    if not isinstance(seed, tuple | list):
        return seed
    return [n for part in seed for n in (_flat(part) if isinstance(part, tuple | list) else [part])]


def _take_nested_seeds() -> None:
    """Some tests seed a generator by a tuple with tuples in it, which NumPy takes no more."""
    import numpy as np

    make = np.random.default_rng
    np.random.default_rng = lambda seed=None: make(_flat(seed))


def pytest_configure(config: Any) -> None:
    import pytensor
    from pytensor.compile import mode
    from pytensor.link.jax.linker import JAXLinker
    from pytensor.link.numba.linker import NumbaLinker

    import symgraph.interop.pytensor as door

    # tests look at the rewritten graphs of functions
    door.SymgraphLinker.takes_early = bool(os.environ.get("CONFORMANCE_EARLY"))
    _take_nested_seeds()
    pytensor.config.mode = door.mode()
    _instead_of((NumbaLinker, JAXLinker), door.SymgraphLinker)
    if isinstance(mode.VM, tuple):  # a slip of 2.38, for FAST_RUN where there is no C compiler
        mode.VM = mode.VM[0]
    config.addinivalue_line("filterwarnings", "default")
    config.pluginmanager.register(Fixtures())


class Fixtures:
    """What some tests ask of pytest-benchmark: here the function is called, and not timed."""

    @pytest.fixture
    def benchmark(self) -> Any:
        return lambda function, *args, **keywords: function(*args, **keywords)


@contextlib.contextmanager
def _perhaps_warns(*args: Any, **keywords: Any) -> Iterator[list[Any]]:
    """In the place of `pytest.warns`: warnings are caught, and need not come."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    for module in {id(i.module): i.module for i in items if hasattr(i, "module")}.values():
        for name in ("compare_numba_and_py", "compare_jax_and_py"):
            function = getattr(module, name, None)
            for asked, value in _NOT_ASKED.items():
                if asked in (getattr(function, "__kwdefaults__", None) or {}):
                    function.__kwdefaults__[asked] = value  # type: ignore[union-attr]
    if any("link/jax/" in i.nodeid for i in items):
        # sets the precision of JAX, whose functions some tests call
        importlib.import_module("pytensor.link.jax.dispatch.basic")
    patterns = [p for p, _ in skips(importlib.import_module("pytensor").__version__)]
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
    asked = pytest.warns
    if "tests/link/" in item.nodeid:
        pytest.warns = _perhaps_warns  # type: ignore[assignment]
    try:
        return (yield)
    finally:
        pytest.warns = asked
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
