"""Tests in a browser run where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.drawing.driver import Browser

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DRIVER = shutil.which("chromedriver") or ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a browser the tests that need one are not part of the run."""
    if not (BROWSER and DRIVER):
        away = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=away)
        items[:] = [item for item in items if item not in away]


@pytest.fixture
def browser() -> str:
    """The path of a browser that runs without a window."""
    return BROWSER


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A browser's window that tests can drive."""
    made = Browser(DRIVER, BROWSER)
    try:
        yield made
    finally:
        made.close()
