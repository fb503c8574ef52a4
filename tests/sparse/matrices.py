"""Sparse matrices to try things on, and expressions compiled and interpreted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse

import symgraph as sg


def matrix(
    n: int, m: int, density: float = 0.4, seed: int = 0, format: str = "csr",
    dtype: str = "float64",
) -> Any:  # fmt: skip
    """A random SciPy matrix of small integers and a half, so that sums are exact."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-4, 5, (n, m)) * (rng.random((n, m)) < density)
    found = scipy.sparse.csr_array(dense.astype(dtype) / (2 if dtype[0] in "fc" else 1))
    return found.astype(dtype).asformat(format)


def like(value: Any, name: str, symbolic: bool = True) -> Any:
    """An input for a value: of SciPy or of NumPy."""
    shape = (None,) * value.ndim if symbolic else value.shape
    if scipy.sparse.issparse(value):
        make = sg.sparse.csr_matrix if value.format == "csr" else sg.sparse.csc_matrix
        return make(name, value.dtype, shape)
    return sg.tensor(name, value.dtype, shape)


def dense(value: Any) -> Any:
    return value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)


def both(outputs: Any, given: Mapping[Any, Any]) -> Any:
    """The value of an expression, compiled and interpreted, which must agree."""
    found = []
    for mode in ("run", "interpret"):
        f = sg.compile(list(given), outputs, mode=mode, on_unused_input="ignore")
        found.append(f(*given.values()))
    a, b = map(dense, found)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    return found[0]


def agrees(function: Any, reference: Any, *values: Any, symbolic: bool = True) -> Any:
    """Check that a function of variables means the reference on values."""
    inputs = [like(v, f"x{k}", symbolic) for k, v in enumerate(values)]
    found = both(function(*inputs), dict(zip(inputs, values, strict=True)))
    wanted = dense(reference(*values))
    assert dense(found).shape == wanted.shape
    np.testing.assert_allclose(dense(found), wanted, rtol=1e-12, atol=1e-12)
    if scipy.sparse.issparse(found):
        assert found.has_canonical_format
    return found
