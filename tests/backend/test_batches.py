"""Batches of matrices: shared out to threads they are the same to the bit, and the library's own
threads are as they were."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.executor import thread_team
from symgraph.runtime import blas


@pytest.fixture(autouse=True)
def every_batch_is_split() -> Iterator[None]:
    config.parallel_from = 0
    yield
    config.reset("parallel_from", "num_threads")


def _system(a: Any) -> Any:
    n = a.shape[-2]  # numbers of its own on the diagonal: no value comes twice
    return a @ sg.transpose(sg.conj(a), (0, 2, 1)) + sg.eye(n) * (3 + sg.arange(n))


def _lower(a: Any) -> Any:
    return sg.linalg.cholesky(_system(a))


CASES: dict[str, Callable[[Any], Any]] = {
    "svd": lambda a: sg.linalg.svd(a, full_matrices=False),
    "svd whole": lambda a: sg.linalg.svd(a),
    "svd values": lambda a: sg.linalg.svd(a, compute_uv=False),
    "qr": lambda a: sg.linalg.qr(a),
    "qr complete": lambda a: sg.linalg.qr(a, mode="complete"),
    "eigh": lambda a: sg.linalg.eigh(_system(a)),
    "eigvalsh": lambda a: sg.linalg.eigvalsh(_system(a)),
    "cholesky": _lower,
    "cholesky's gradient": lambda a: sg.grad(sg.sum(sg.sin(_lower(a))), a),
    "cholesky's tangent": lambda a: sg.jvp(_lower(a), a, sg.cos(a)),
    "solve": lambda a: sg.linalg.solve(_system(a), a),
    "determinant": lambda a: sg.linalg.slogdet(_system(a)),
    "determinant's gradient": lambda a: sg.grad(sg.sum(sg.linalg.slogdet(_system(a))[1]), a),
    "triangular": lambda a: sg.linalg.solve_triangular(_lower(a), a, lower=True),
}
SHAPES = [(9, 40, 5), (5, 33, 36), (4, 70, 3), (1, 3, 3), (6, 2, 2), (0, 3, 3), (5, 40, 0)]


def _leaves(value: Any) -> list[Any]:
    return [v for x in value for v in _leaves(x)] if isinstance(value, tuple | list) else [value]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("name", CASES)
def test_any_number_of_threads_gives_the_same_bits(name: str, known: bool, dtype: str) -> None:
    if dtype == "complex128" and name not in ("svd", "qr", "eigh", "cholesky"):
        return
    rng = np.random.default_rng(3)
    for shape in SHAPES[: 3 if known else None]:
        a = sg.tensor("a", dtype=dtype, shape=shape if known else (None, None, None))
        outputs = _leaves(CASES[name](a))
        x = rng.standard_normal(shape)
        x = (x + 1j * rng.standard_normal(shape)).astype(dtype) if dtype[0] == "c" else x
        found = []
        for threads in (1, 2, 3):
            with config.change(num_threads=threads):
                found.append(sg.compile([a], outputs)(x.astype(dtype)))
        want = sg.compile([a], outputs, mode="interpret")(x.astype(dtype))
        tolerance = 3e-3 if dtype == "float32" else 1e-8
        for one, two, three, oracle in zip(*map(_leaves, found), _leaves(want), strict=True):
            assert one.tobytes() == two.tobytes() == three.tobytes()
            one, oracle = (_unique(v, min(shape[1:])) for v in (one, oracle))
            np.testing.assert_allclose(one, oracle, rtol=tolerance, atol=tolerance)


def _unique(value: np.ndarray, k: int) -> np.ndarray:
    """Of factors what does not depend on signs, and no vectors behind the k-th."""
    return np.abs(value[..., :k, :k]) if value.ndim == 3 else value


def test_threads_take_part() -> None:
    a = sg.tensor("a", shape=(None, None, None))
    f = sg.compile([a], sg.linalg.svd(a, compute_uv=False))
    x = np.random.default_rng(0).standard_normal((300, 20, 20))
    f(x)
    with config.change(num_threads=2):
        before = thread_team().stats()["runs"]
        f(x)
        assert thread_team().stats()["runs"] > before


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bad", [0, 7, 11])
def test_one_matrix_that_fails_fails_the_call(bad: int, threads: int) -> None:
    a = sg.tensor("a", shape=(None, None, None))
    x = np.random.default_rng(0).standard_normal((12, 40, 40))
    x[bad] = np.nan
    values = sg.compile([a], sg.linalg.svd(a, compute_uv=False))
    factor = sg.compile([a], sg.linalg.cholesky(a))
    with config.change(num_threads=threads):
        with pytest.raises(sg.errors.LinAlgError, match="did not converge"):
            values(x)
        y = x @ x.transpose(0, 2, 1) + np.eye(40)
        y[bad] = -np.eye(40)
        with pytest.raises(sg.errors.LinAlgError, match="positive definite"):
            factor(y)
        y[bad] = np.eye(40)
        np.testing.assert_allclose(factor(y), np.linalg.cholesky(y))


# the library's threads ----------------------------------------------------------------------------


@pytest.fixture
def library_threads() -> Iterator[int]:
    before = blas.get_blas_threads()
    if before is None:
        pytest.skip("the BLAS cannot be asked for its threads")
    blas.set_blas_threads(3)
    yield 3
    blas.set_blas_threads(before)


def test_calls_at_once_leave_the_librarys_threads_as_they_were(library_threads: int) -> None:
    a = sg.tensor("a", shape=(None, None, None))
    f = sg.compile([a], sg.linalg.eigvalsh(a))
    x = np.random.default_rng(0).standard_normal((20, 24, 24))
    x = x + x.transpose(0, 2, 1)
    want, wrong = np.linalg.eigvalsh(x), []

    def calls() -> None:
        for _ in range(20):
            if not np.allclose(f(x), want):
                wrong.append(1)

    workers = [threading.Thread(target=calls) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong and blas.get_blas_threads() == library_threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_of_a_quiet_moment_has_the_threads_from_before(library_threads: int) -> None:
    record = blas.quiet_record()
    users = ctypes.c_int32.from_address(record + blas.QUIET["users"])
    ctypes.c_int64.from_address(record + blas.QUIET["before"]).value = library_threads
    users.value = 1  # as while a thread of the parent is in the middle of a batch
    blas.set_blas_threads(1)
    try:
        child = os.fork()
        if child == 0:
            os._exit(0 if users.value == 0 and blas.get_blas_threads() == library_threads else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert users.value == 1
    finally:
        users.value = 0


def test_a_library_that_cannot_be_told_is_called_by_one_thread() -> None:
    record = blas.quiet_record()
    get = ctypes.c_int64.from_address(record + blas.QUIET["get"])
    before, get.value = get.value, 0
    try:
        a = sg.tensor("a", shape=(None, None, None))
        x = np.random.default_rng(0).standard_normal((300, 8, 8))
        f = sg.compile([a], sg.linalg.svd(a, compute_uv=False))
        np.testing.assert_allclose(f(x), np.linalg.svd(x, compute_uv=False))
    finally:
        get.value = before
