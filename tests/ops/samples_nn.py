"""Rows of sg.nn; its functions that are made of other operations are tested in tests/nn."""

from __future__ import annotations

import numpy as np

from tests.ops.samples import Sample

ELEMENTWISE = {"softsign": lambda x: x / (1 + np.abs(x))}
SAMPLES: list[Sample] = []
