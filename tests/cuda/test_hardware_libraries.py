"""What NVIDIA's libraries do on a GPU, with them and without: `make test-cuda`.

Where a library is not installed the first of each pair shows that nothing needs it.
"""

from __future__ import annotations

import pytest

from symgraph import config
from symgraph.runtime.cuda import libraries
from tests.cuda.library_programs import CASES, check

pytestmark = pytest.mark.gpu

SIZE = 300  # rows, of which the libraries are asked for all


@pytest.mark.parametrize("name", CASES)
def test_with_what_is_installed(name: str) -> None:
    needed = {"cusolver": ("cusolver", "cublas")}.get(CASES[name].library, (CASES[name].library,))
    there = all(libraries.library(n) is not None for n in needed)
    assert (check(name, SIZE) > 0) == there


@pytest.mark.parametrize("name", CASES)
def test_without_libraries(name: str) -> None:
    with config.change(libraries=False):
        assert check(name, SIZE) == 0
