"""Expressions by the interpreter and by compiled code, which must agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph.compiler import compile
from symgraph.ir.graph import Variable


def both(outputs: Sequence[Variable], given: Mapping[Any, Any]) -> list[np.ndarray]:
    """The outputs, computed both ways."""
    inputs, arrays = list(given), [np.asarray(a, v.dtype) for v, a in given.items()]
    found = []
    for mode in ("run", "interpret"):
        function = compile(inputs, list(outputs), mode=mode, on_unused_input="ignore")
        found.append(function(*arrays))
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    return found[0]  # type: ignore[no-any-return]
