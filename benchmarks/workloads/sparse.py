"""Products of a sparse matrix with dense ones; what stands under NumPy is SciPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Timed
from peers import jax_module, numba_formula

from workloads import Workload

ROWS, EACH = 100_000, 10


def matrix_and(columns: int) -> Callable[[], tuple[np.ndarray, ...]]:
    """The parts of a random square matrix of EACH elements in a row, and a dense right-hand side;
    ``columns`` is 0 for a vector."""

    def make() -> tuple[np.ndarray, ...]:
        sparse = importlib.import_module("scipy.sparse")
        rng = np.random.default_rng(0)
        m = sparse.random_array((ROWS, ROWS), density=EACH / ROWS, format="csr", rng=rng)
        b = rng.normal(size=(ROWS, columns) if columns else ROWS)
        return m.data, m.indices, m.indptr, b

    return make


def scipy_product(turned: bool = False) -> Any:
    def build(data: Any, indices: Any, indptr: Any, b: Any) -> Timed:
        sparse = importlib.import_module("scipy.sparse")
        m = sparse.csr_array((data, indices, indptr), shape=(ROWS, ROWS))
        m = m.T if turned else m
        return Timed(lambda x: m @ x, (b,))

    return build


def symgraph_product(turned: bool = False) -> Any:
    def build(data: Any, indices: Any, indptr: Any, b: Any) -> Timed:
        sg = importlib.import_module("symgraph")
        sparse = importlib.import_module("scipy.sparse")
        m = sg.sparse.shared(sparse.csr_array((data, indices, indptr), shape=(ROWS, ROWS)))
        x = sg.tensor("x", shape=(ROWS, None)[: b.ndim])
        return Timed(sg.compile([x], (m.T if turned else m) @ x), (b,))

    return build


def jax_product(turned: bool = False) -> Any:
    def build(data: Any, indices: Any, indptr: Any, b: Any) -> Timed:
        jax = jax_module()
        bcsr = importlib.import_module("jax.experimental.sparse")
        m = bcsr.BCSR((data, indices, indptr), shape=(ROWS, ROWS)).to_bcoo()
        m = m.T if turned else m
        given = jax.numpy.asarray(b)
        return Timed(jax.jit(lambda m, x: m @ x), (m, given), jax.block_until_ready)

    return build


def torch_product(turned: bool = False) -> Any:
    def build(data: Any, indices: Any, indptr: Any, b: Any) -> Timed:
        torch = importlib.import_module("torch")
        parts = [torch.from_numpy(np.array(a)) for a in (indptr, indices, data)]
        m = torch.sparse_csr_tensor(*parts, size=(ROWS, ROWS))
        m = m.t().to_sparse_csr() if turned else m
        return Timed(lambda x: m @ x, (torch.from_numpy(b),))

    return build


def loop(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
    """By hand, for a dense matrix of columns."""
    out = np.zeros_like(b)
    for i in range(indptr.size - 1):
        for k in range(indptr[i], indptr[i + 1]):
            out[i] += data[k] * b[indices[k]]
    return out


def _workload(name: str, what: str, columns: int, turned: bool = False) -> Workload:
    contenders = {
        "symgraph": symgraph_product(turned), "numpy": scipy_product(turned),
        "jax": jax_product(turned), "torch": torch_product(turned),
    }  # fmt: skip
    if not turned:
        contenders["numba"] = numba_formula(loop)
    flops = 2.0 * ROWS * EACH * max(1, columns)
    return Workload(f"sparse.{name}", what, matrix_and(columns), contenders, flops=flops)


WORKLOADS = [
    _workload("vector", f"A @ x, A [{ROWS}, {ROWS}] with {EACH} elements a row", 0),
    _workload("matrix", "A @ X, X with 32 columns", 32),
    _workload("transposed", "A.T @ X, X with 32 columns", 32, turned=True),
]
