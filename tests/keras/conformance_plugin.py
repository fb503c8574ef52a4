"""A plugin for pytest that runs Keras' own tests, those in its wheel, on this backend.

    KERAS_BACKEND=symgraph python -m pytest -c /dev/null -p tests.keras.conformance_plugin \
        --pyargs keras.src.ops.core_test

The tests need four things of Keras' repository or of its list of backends: the markers of its
``conftest.py``; a branch for this backend in one test that chooses a trainer; modules that are not
installed (TensorFlow, grain), in whose place stands one that skips the test that uses it; and to be
left alone by what `conformance_skips.txt` lists. With CONFORMANCE_LOG set to a file, a line of JSON
per test is written to it; CONFORMANCE_SHARE is the share of tests that run.
"""

from __future__ import annotations

import fnmatch
import json
import os
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

    assert backend() == "symgraph", "set KERAS_BACKEND=symgraph"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: Any) -> Any:
    yield
    forget()


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    share = float(os.environ.get("CONFORMANCE_SHARE", "1"))
    if share < 1:
        chosen = [item for item in items if zlib.crc32(item.nodeid.encode()) < share * 2**32]
        left = set(map(id, chosen))
        config.hook.pytest_deselected(items=[i for i in items if id(i) not in left])
        items[:] = chosen
    patterns = skips()
    one_device = pytest.mark.skip(reason="needs several devices")
    for item in items:
        place = f"{item.module.__name__}::{item.nodeid.partition('::')[2]}"
        if "multi_device" in item.keywords:
            item.add_marker(one_device)
        for pattern, reason in patterns:
            if fnmatch.fnmatch(place, pattern):
                item.add_marker(pytest.mark.skip(reason=f"excluded: {reason}"))
        if item.module.__name__.endswith("trainers.trainer_test"):
            _know_device(item.module)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    """A test that needs a package which is not installed is skipped, and says which."""
    outcome = yield
    report = outcome.get_result()
    report.home = item.module.__name__
    error = call.excinfo.value if call.excinfo is not None else None
    if report.failed and isinstance(error, ImportError):
        name = next((n for n in ABSENT if n in str(error).lower()), None)
        if name is not None:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: needs {name}")


def _know_device(module: Any) -> None:
    """One data set of that test looks the name of the processor up by the name of the backend."""
    from keras.src import ops

    def item_of(self: Any, idx: int) -> Any:
        return ops.ones((5, 4)), ops.zeros((5, 3))

    module.TestPyDataset.__getitem__ = item_of


def pytest_runtest_logreport(report: Any) -> None:
    path = os.environ.get("CONFORMANCE_LOG")
    if not path or (report.when != "call" and report.outcome == "passed"):
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "")) or str(report.longrepr or "")
    row = {
        "id": report.nodeid,
        "module": getattr(report, "home", ""),
        "outcome": report.outcome,
        "when": report.when,
        "seconds": round(report.duration, 2),
        "error": " ".join(text.split("\n")[:2])[:300],
    }
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
