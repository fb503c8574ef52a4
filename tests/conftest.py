"""What every test gets: a cache directory of its session, verifiers on, golden text."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files under tests/golden from the present output",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--update-golden` only the tests run that have a golden text."""
    if config.getoption("--update-golden"):
        kept = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session", autouse=True)
def session_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the user's cache out of the tests and the tests out of the user's cache. Set in the
    environment, so that processes started by a test inherit it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMGRAPH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SYMGRAPH_VERIFY", "1")
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("loops/softmax", text)` compares text with tests/golden/loops/softmax.txt; with
    `--update-golden` it writes the file instead. A file that is missing is a failure.
    """
    update = bool(request.config.getoption("--update-golden"))

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        text = text.rstrip("\n") + "\n"
        if update:
            write_if_changed(path, text)
            return
        if not path.exists():
            pytest.fail(f"{path} is missing; `make golden` writes it", pytrace=False)
        expected = path.read_text(encoding="utf-8")
        if text != expected:
            pytest.fail(f"{difference(expected, text, name)}\n`make golden` accepts it", False)

    return check


def write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def difference(expected: str, text: str, name: str) -> str:
    lines = difflib.unified_diff(
        expected.splitlines(), text.splitlines(), f"golden/{name}.txt", "now", lineterm=""
    )
    return os.linesep.join(lines)
