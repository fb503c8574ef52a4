"""Tests without a GPU do not depend on which of NVIDIA's libraries are installed: there are none,
but for those that a test brings along (fake_library.py)."""

from __future__ import annotations

import pytest

from tests.cuda.fake_library import install


@pytest.fixture(autouse=True)
def without_libraries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("gpu") is None:
        install(monkeypatch)
