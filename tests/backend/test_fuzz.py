"""Random graphs: native code, with and without passes and scheduling, means what the graph means.

A failing seed prints its graph; ``python -c "from tests.backend.random_graphs import make; ..."``
makes the same one again, on every machine.
"""

from __future__ import annotations

import pytest

from tests.backend.building import check_case, described
from tests.backend.random_graphs import make

BOTH = ((True, True), (False, True))
ALL_WAYS = ((True, True), (True, False), (False, True), (False, False))


def check(seed: int, steps: int, ways: tuple[tuple[bool, bool], ...]) -> None:
    case = make(seed, steps)
    problem = check_case(case, ways)
    assert not problem, f"{problem}\n{described(case, seed)}"


@pytest.mark.parametrize("tens", range(8))
def test_random_graphs(tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        check(seed, 14, ALL_WAYS if seed % 4 == 0 else BOTH)


@pytest.mark.slow
@pytest.mark.parametrize("hundreds", range(20))
def test_many_random_graphs(hundreds: int) -> None:
    for seed in range(1000 + 100 * hundreds, 1100 + 100 * hundreds):
        check(seed, 14 if seed % 5 else 40, ALL_WAYS)
