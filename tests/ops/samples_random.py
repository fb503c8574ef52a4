"""Rows for the scalar parts of random numbers; see samples.py. Draws are in test_random*.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph.ops import random_counts
from tests.ops.samples import Sample

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    row.name: row.reference
    for row in (
        random_counts.poisson_quantile, random_counts.binomial_quantile,
        random_counts.stirling_tail,
    )
}  # fmt: skip
SAMPLES: list[Sample] = []
