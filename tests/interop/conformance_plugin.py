"""A plugin for pytest that makes PyTensor's own tests use symgraph's mode.

    python -m pytest -p tests.interop.conformance_plugin tests/tensor/test_elemwise.py

It leaves out what `conformance_skips.txt` lists, and writes one line of JSON per test to the file
that CONFORMANCE_LOG names.
"""

from __future__ import annotations

import fnmatch
import json
import os
from pathlib import Path
from typing import Any

SKIPS = Path(__file__).with_name("conformance_skips.txt")


def skips() -> list[tuple[str, str]]:
    """Patterns of test ids with the reason why they say nothing about a linker."""
    found = []
    for line in SKIPS.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, reason = line.partition("  ")
            found.append((pattern.strip(), reason.strip()))
    return found


def pytest_configure(config: Any) -> None:
    import pytensor

    import symgraph.interop.pytensor as door

    pytensor.config.mode = door.mode()
    config.addinivalue_line("filterwarnings", "default")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    patterns = [p for p, _ in skips()]
    gone = [i for i in items if any(fnmatch.fnmatch(i.nodeid, p) for p in patterns)]
    if gone:
        left = set(map(id, gone))
        config.hook.pytest_deselected(items=gone)
        items[:] = [i for i in items if id(i) not in left]


def pytest_runtest_logreport(report: Any) -> None:
    path = os.environ.get("CONFORMANCE_LOG")
    if not path or (report.when != "call" and report.outcome == "passed"):
        return
    text = str(report.longrepr).splitlines()[-1] if report.failed and report.longrepr else ""
    crash = getattr(report.longrepr, "reprcrash", None)
    row = {
        "id": report.nodeid,
        "outcome": "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome,
        "when": report.when,
        "error": str(getattr(crash, "message", text)).split("\n")[0][:300],
    }
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
