import ctypes

import numpy as np
import pytest

from symgraph.runtime import blas


@pytest.fixture
def only_scipy(monkeypatch):
    monkeypatch.setattr(blas, "_numpy_libraries", lambda: ())
    blas.blas_routine.cache_clear()
    blas._thread_function.cache_clear()
    yield
    blas.blas_routine.cache_clear()
    blas._thread_function.cache_clear()


def product(routine, a, b):
    integer = ctypes.c_int64 if routine.int_bits == 64 else ctypes.c_int32
    (m, k), n = a.shape, b.shape[1]
    c = np.empty((m, n), a.dtype)
    real = ctypes.c_float if a.dtype == np.float32 else ctypes.c_double
    sizes = [integer(v) for v in (n, m, k)]
    option, one, zero = ctypes.c_char(b"N"), real(1), real(0)
    at = [ctypes.addressof(v) for v in (option, *sizes, one, zero)]
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(routine.address)(
        at[0], at[0], at[1], at[2], at[3], at[4], b.ctypes.data, at[1], a.ctypes.data, at[3], at[5],
        c.ctypes.data, at[1],
    )  # fmt: skip
    return c


@pytest.mark.parametrize("name", ["sgemm", "dgemm"])
def test_gemm(name):
    rng = np.random.default_rng(1)
    dtype = np.float32 if name[0] == "s" else np.float64
    a, b = (rng.standard_normal(s).astype(dtype) for s in ((5, 7), (7, 3)))
    np.testing.assert_allclose(product(blas.blas_routine(name), a, b), a @ b, rtol=1e-5)


def test_scipys_routines_serve_where_numpys_are_missing(only_scipy):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((4, 6)), rng.standard_normal((6, 5))
    routine = blas.blas_routine("dgemm")
    assert routine.source.startswith("SciPy's") and routine.int_bits == 32
    np.testing.assert_allclose(product(routine, a, b), a @ b, rtol=1e-12)
    assert blas.blas_routine("dpotrf").address
    assert blas.get_blas_threads() is None and blas.set_blas_threads(1) is False
    assert "SciPy" in blas.available()


def test_lapack_comes_the_same_way():
    assert blas.blas_routine("dpotrf").address != blas.blas_routine("spotrf").address


@pytest.mark.parametrize("name", ["nonsense", "DGEMM", "d gemm", "", "../x"])
def test_unknown_names(name):
    with pytest.raises(KeyError):
        blas.blas_routine(name)


def test_a_routine_that_computes_wrongly_is_not_taken(monkeypatch, only_scipy):
    monkeypatch.undo()
    monkeypatch.setitem(blas._CHECKS, "dgemm", lambda routine: False)
    blas.blas_routine.cache_clear()
    assert blas.blas_routine("dgemm").source.startswith("SciPy's")
    blas.blas_routine.cache_clear()


def test_threads_can_be_set_and_read_back():
    before = blas.get_blas_threads()
    if before is None:
        assert blas.set_blas_threads(1) is False
    else:
        assert blas.set_blas_threads(1) and blas.get_blas_threads() == 1
        assert "1 thread)" in blas.available()
        blas.set_blas_threads(before)
    with pytest.raises(ValueError):
        blas.set_blas_threads(0)
