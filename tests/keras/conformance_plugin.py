"""A plugin for pytest that runs Keras' own tests, those in its wheel, on this backend.

    KERAS_BACKEND=symgraph python -m pytest -c /dev/null -p tests.keras.conformance_plugin \
        .../site-packages/keras/src/ops/core_test.py

The tests need four things of Keras' repository or of its list of backends: the markers and the
function of its ``conftest.py``; a branch for this backend in one test that chooses a trainer;
modules that are not installed (TensorFlow, grain), in whose place stands one that skips the test
that uses it; and to be left alone by what `conformance_skips.txt` lists. With KERAS_BACKEND=jax the
same tests run on that backend. With CONFORMANCE_LOG set to a file, a line of JSON per test is
written to it; CONFORMANCE_SHARE is the share of tests that run, and the file CONFORMANCE_ONLY names
those that do.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import sys
import zlib
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import keras_symgraph
from keras_symgraph import hook

SKIPS = Path(__file__).with_name("conformance_skips.txt")
ABSENT = ("tensorflow", "grain", "onnxruntime", "orbax", "tf2onnx", "torch")
BRANCH = "from keras_symgraph.src.trainer import Trainer"


class Absent(ModuleType):
    """A module that is not installed: tests may import it, and are skipped when they use it."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}")


class Missing:
    """A name of an absent module, good for decorators and annotations that are never used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if os.environ.get("PYTEST_CURRENT_TEST"):
            pytest.skip(f"{self._name} is not installed")
        return args[0] if len(args) == 1 and callable(args[0]) else Missing(self._name)

    def __instancecheck__(self, x: Any) -> bool:
        return False

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (object,)


class AbsentFinder:
    """Finds the absent modules for files of tests, after all other finders have not."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in ABSENT or not _asked_by_test():
            return None
        return ModuleSpec(name, AbsentFinder)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return Absent(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Nothing is in it."""


def _asked_by_test() -> bool:
    """Whether a file of tests is importing, and not Keras looking for what is installed."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<frozen") and file != __file__:
            return file.endswith("_test.py")
        frame = frame.f_back
    return False


def forget() -> None:
    for name in [n for n, m in sys.modules.items() if isinstance(m, Absent)]:
        del sys.modules[name]


def skips() -> list[tuple[str, str]]:
    """Patterns of test ids with the reason why they say nothing about this backend."""
    found = []
    lines = SKIPS.read_text(encoding="utf-8").splitlines() if SKIPS.exists() else []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            pattern, _, reason = line.partition("  ")
            found.append((pattern.strip(), reason.strip()))
    return found


def pytest_configure(config: Any) -> None:
    assert keras_symgraph.__name__  # its import armed the hook
    hook.BRANCHES["keras.src.trainers.trainer_test"] = BRANCH
    sys.meta_path.append(AbsentFinder)  # type: ignore[arg-type]
    config.addinivalue_line("markers", "requires_trainable_backend: for backends that train")
    config.addinivalue_line("markers", "multi_device: needs several devices")
    from keras.src.backend import backend

    assert backend() in (hook.NAME, "jax"), "set KERAS_BACKEND=symgraph"
    conftest: Any = ModuleType("conftest")
    conftest.skip_if_backend = lambda name, reason: pytest.mark.skipif(
        backend() == name, reason=reason
    )
    sys.modules["conftest"] = conftest


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: Any) -> Any:
    outcome = yield
    forget()
    report = outcome.get_result()
    if report.outcome != "passed" and isinstance(collector, pytest.Module):
        report.home = _module(collector)
        lines = [line for line in str(report.longrepr).split("\n") if line.startswith("E ")]
        _excuse(report, lines[-1] if lines else "")
        _log(report, "collect", f"{report.home}::collection")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    share = float(os.environ.get("CONFORMANCE_SHARE", "1"))
    if share < 1:
        chosen = [item for item in items if zlib.crc32(item.nodeid.encode()) < share * 2**32]
        left = set(map(id, chosen))
        config.hook.pytest_deselected(items=[i for i in items if id(i) not in left])
        items[:] = chosen
    if only := os.environ.get("CONFORMANCE_ONLY"):
        names = set(Path(only).read_text().splitlines())
        items[:] = [item for item in items if _place(item) in names]
    patterns = skips() if os.environ["KERAS_BACKEND"] == hook.NAME else []
    one_device = pytest.mark.skip(reason="needs several devices")
    for item in items:
        place = _place(item)
        if "multi_device" in item.keywords:
            item.add_marker(one_device)
        for pattern, reason in patterns:
            if fnmatch.fnmatch(place, pattern):
                item.add_marker(pytest.mark.skip(reason=f"excluded: {reason}"))
        if patterns and place.startswith("keras.src.trainers.trainer_test::"):
            _know_device(item.module)


def _module(item: Any) -> str:
    """The module of a test, by its file: a folder of Keras' tests is no package."""
    parts = Path(item.path).with_suffix("").parts
    return ".".join(parts[len(parts) - parts[::-1].index("keras") - 1 :])


def _place(item: Any) -> str:
    return f"{_module(item)}::{steady(item.nodeid).partition('::')[2]}"


def steady(name: str) -> str:
    """A test's name without the addresses of objects in it, which another process has elsewhere.

    >>> steady("test[<f at 0x7f5c>]")
    'test[<f at 0x>]'
    """
    return re.sub(r"0x[0-9a-f]+", "0x", name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    """A test that needs a package which is not installed, or a file of the network where there is
    none, is skipped, and says so."""
    outcome = yield
    report = outcome.get_result()
    report.home = _module(item)
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, ImportError):
        _excuse(report, str(error))
    if report.failed and "URL fetch failure" in str(error):
        report.outcome = "skipped"
        report.longrepr = (report.home, 0, "Skipped: no network to fetch a file from")


def _excuse(report: Any, error: str) -> None:
    """A failure for want of a package that is not installed is none."""
    name = next((n for n in ABSENT if n in error.lower()), None)
    if report.outcome == "failed" and name is not None:
        report.outcome = "skipped"
        report.longrepr = (report.home, 0, f"Skipped: needs {name}")


def _know_device(module: Any) -> None:
    """One data set of that test looks the name of the processor up by the name of the backend."""
    from keras.src import ops

    def item_of(self: Any, idx: int) -> Any:
        return ops.ones((5, 4)), ops.zeros((5, 3))

    module.TestPyDataset.__getitem__ = item_of


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        _log(report, report.when, steady(report.nodeid))


def _log(report: Any, when: str, name: str) -> None:
    """A line for what a test, or the import of its module, did."""
    path = os.environ.get("CONFORMANCE_LOG")
    if not path:
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "")) or str(report.longrepr or "")
    row = {
        "id": name,
        "module": getattr(report, "home", ""),
        "outcome": report.outcome,
        "when": when,
        "seconds": round(getattr(report, "duration", 0.0), 2),
        "error": " ".join(text.split("\n")[:2])[:300],
    }
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
