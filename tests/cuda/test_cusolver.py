"""Linear algebra by cuSOLVER and cuBLAS: whole programs, over libraries that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.errors import LinAlgError
from symgraph.runtime.cuda import cublas, cusolver
from symgraph.runtime.cuda.device import using
from symgraph.runtime.cuda.protocol import DeviceError
from tests.cuda.fake_cusolver import FakeCublas, FakeCusolver
from tests.cuda.fake_driver import FakeDriver
from tests.cuda.fake_library import install

RNG = np.random.default_rng(97)


class Setting:
    def __init__(self, gpu: Any, solver: FakeCusolver, blas: FakeCublas) -> None:
        self.gpu, self.solver, self.blas = gpu, solver, blas

    @property
    def called(self) -> dict[str, int]:
        """How often each routine was called, without the letter of its dtype."""
        names = {n.removeprefix("cusolverDn").removeprefix("cublas")[1:]: c
                 for n, c in (self.solver.calls + self.blas.calls).items()}  # fmt: skip
        return {n.removesuffix("_v2"): c for n, c in names.items()}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    driver = FakeDriver()
    solver, blas = FakeCusolver(driver), FakeCublas(driver)
    install(monkeypatch, cusolver=solver, cublas=blas)
    for name in ("LEAST", "WIDE", "SURE"):
        monkeypatch.setattr(cublas, name, 1)
    monkeypatch.setattr(cusolver, "ITERATED", 1)
    with using(driver) as gpu, config.change(cache=False):
        yield Setting(gpu, solver, blas)


def normal(*shape: int, dtype: str = "float64") -> np.ndarray:
    x = RNG.standard_normal(shape)
    return (x + 1j * RNG.standard_normal(shape) if dtype.startswith("c") else x).astype(dtype)


def positive(*batch: int, n: int = 5, dtype: str = "float64") -> np.ndarray:
    a = normal(*batch, n, n, dtype=dtype)
    return (a @ np.swapaxes(a, -1, -2).conj() + n * np.eye(n)).astype(dtype)


def tensor(name: str, array: np.ndarray) -> Any:
    return sg.tensor(name, dtype=str(array.dtype), shape=(None,) * array.ndim)


def both(make: Callable[..., Any], *arrays: np.ndarray) -> tuple[list[Any], list[Any]]:
    """The outputs on the GPU and on the CPU."""
    inputs = [tensor(f"x{k}", a) for k, a in enumerate(arrays)]
    outputs = list(make(*inputs))
    f = sg.compile(inputs, outputs, target="cuda")
    return f(*arrays), sg.compile(inputs, outputs)(*arrays)


def close(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        rtol = 2e-4 if a.dtype in (np.float32, np.complex64) else 1e-10
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(
    ("batch", "dtype"), [((), "float32"), ((3,), "complex64"), ((2, 2), "float64")]
)
def test_cholesky(there: Setting, batch: tuple[int, ...], dtype: str) -> None:
    close(*both(lambda a: [sg.linalg.cholesky(a)], positive(*batch, dtype=dtype)))
    assert there.called == {"potrf": int(np.prod(batch))}


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_triangular_systems(there: Setting, dtype: str) -> None:
    a, b = normal(2, 4, 4, dtype=dtype) + 4 * np.eye(4, dtype=dtype), normal(2, 4, 3, dtype=dtype)

    def make(x: Any, y: Any) -> list[Any]:
        flags = [(True, 0, False), (True, 1, True), (False, 1, False), (False, 0, True)]
        return [sg.linalg.solve_triangular(x, y, lower=i, trans=j, unit_diagonal=k)
                for i, j, k in flags]  # fmt: skip

    close(*both(make, a, b))
    assert there.called == {"trsm": 2 * 4}


@pytest.mark.parametrize(("batch", "dtype"), [((), "complex64"), ((3,), "float64")])
def test_systems_and_determinants(there: Setting, batch: tuple[int, ...], dtype: str) -> None:
    a, b = normal(*batch, 6, 6, dtype=dtype), normal(*batch, 6, 2, dtype=dtype)
    a[..., 0, 0] = 0  # the first pivot is another row's
    close(*both(lambda x, y: [sg.linalg.solve(x, y), sg.linalg.det(x)], a, b))
    assert there.called["getrf"] and there.called["trsm"]


@pytest.mark.parametrize(
    ("shape", "dtype"), [((5, 3), "float32"), ((3, 5), "float64"), ((2, 4, 4), "complex128")]
)
def test_qr(there: Setting, shape: tuple[int, ...], dtype: str) -> None:
    def make(a: Any) -> list[Any]:
        return [*sg.linalg.qr(a), *sg.linalg.qr(a, mode="complete"), sg.linalg.qr(a, mode="r")]

    close(*both(make, normal(*shape, dtype=dtype)))
    assert set(there.called) == {"geqrf", "orgqr" if dtype.startswith("f") else "ungqr"}


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((5, 3), "float32"), ((3, 5), "complex128"), ((2, 2, 5), "float64"), ((4, 3), "complex64")],
)
def test_singular_values(there: Setting, shape: tuple[int, ...], dtype: str) -> None:
    array = normal(*shape, dtype=dtype)
    rtol = 1e-12 if dtype in ("float64", "complex128") else 2e-5
    for full in (True, False):
        (u, s, v), wanted = both(lambda a, full=full: sg.linalg.svd(a, full_matrices=full), array)
        assert [x.shape for x in (u, s, v)] == [x.shape for x in wanted]
        np.testing.assert_allclose(s, wanted[1], rtol=rtol)
        k = s.shape[-1]
        back = (u[..., :k] * s[..., None, :]) @ v[..., :k, :]
        np.testing.assert_allclose(back, array, rtol=10 * rtol, atol=10 * rtol)
        for q in (np.swapaxes(u, -1, -2).conj() @ u, v @ np.swapaxes(v, -1, -2).conj()):
            np.testing.assert_allclose(q, np.broadcast_to(np.eye(q.shape[-1]), q.shape),
                                       atol=10 * rtol)  # fmt: skip
    close(*both(lambda a: [sg.linalg.svdvals(a)], array))
    wide = shape[-1] > shape[-2]
    assert set(there.called) == {"gesvd", *(["geam"] if wide else [])}


@pytest.mark.parametrize(
    ("batch", "dtype"),
    [((), "float32"), ((3,), "float64"), ((2,), "complex64"), ((), "complex128")],
)
def test_eigenvalues(there: Setting, batch: tuple[int, ...], dtype: str) -> None:
    array = positive(*batch, n=4, dtype=dtype)
    rtol = 1e-12 if dtype in ("float64", "complex128") else 2e-5
    (w, v, alone), wanted = both(lambda a: [*sg.linalg.eigh(a), sg.linalg.eigvalsh(a)], array)
    np.testing.assert_allclose(w, wanted[0], rtol=rtol)
    np.testing.assert_allclose(alone, wanted[0], rtol=rtol)
    np.testing.assert_allclose(array @ v, v * w[..., None, :], rtol=rtol, atol=20 * rtol)
    lower = np.tril(normal(4, 4, dtype=dtype))
    close(*both(lambda a: [sg.linalg.eigvalsh(a, symmetrize=False)], lower))
    assert set(there.called) == {"heevd" if dtype.startswith("c") else "syevd"}


# failures -----------------------------------------------------------------------------------------


def test_matrices_that_are_not_positive_definite(there: Setting) -> None:
    good, bad = positive(n=4), positive(n=4)
    bad[2, 2] = -9.0
    with pytest.raises(LinAlgError, match="not positive definite"):
        both(lambda a: [sg.linalg.cholesky(a)], bad)
    for dtype in ("float64", "complex64"):
        stacked = np.stack([good, bad]).astype(dtype)
        found, wanted = both(lambda a: [sg.linalg.cholesky(a, on_failure="nan")], stacked)
        close([found[0].real], [wanted[0].real])
        close([found[0][0]], [wanted[0][0]])
        assert np.isnan(found[0][1].real).all()


def test_singular_systems(there: Setting) -> None:
    for dtype in ("float32", "complex128"):
        a, b = np.eye(3, dtype=dtype), np.ones((3, 1), dtype)
        close(*both(lambda x, y: [sg.linalg.solve_triangular(x, y, lower=True)], a, b))
        a[1, 1] = 0
        with pytest.raises(LinAlgError, match="singular"):
            both(lambda x, y: [sg.linalg.solve_triangular(x, y, lower=True)], a, b)


def test_iterations_that_do_not_converge(there: Setting) -> None:
    there.solver.stuck = True
    a = positive(n=3)
    for make in (lambda x: sg.linalg.eigh(x), lambda x: [sg.linalg.svdvals(x)]):
        x = tensor("x", a)
        with pytest.raises(LinAlgError, match="did not converge"):
            sg.compile([x], list(make(x)), target="cuda")(a)


def test_state_is_kept_when_a_factorization_fails(there: Setting) -> None:
    a, total = sg.matrix("a"), sg.shared(np.zeros((3, 3)), "total")
    f = sg.compile([a], total * 1, updates={total: total + sg.linalg.cholesky(a)}, target="cuda")
    f(np.eye(3))
    with pytest.raises(LinAlgError):
        f(-np.eye(3))
    np.testing.assert_array_equal(total.get_value(), np.eye(3))


def test_out_of_the_disk_cache(there: Setting, tmp_path: Path) -> None:
    a = sg.matrix("a")
    array = positive(n=4)
    with config.change(cache=True, cache_dir=tmp_path):
        for _ in range(2):
            f = sg.compile([a], sg.linalg.svdvals(a), target="cuda")
            found = f(array)
            np.testing.assert_allclose(found, np.linalg.svd(array, compute_uv=False), rtol=1e-10)
        assert f.statistics["cached"]
        there.solver.stuck = True
        with pytest.raises(LinAlgError, match="did not converge"):
            f(array)
    assert there.called == {"gesvd": 3}


# who does it --------------------------------------------------------------------------------------


def test_what_is_not_worth_a_call(there: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LEAST", 6), ("WIDE", 6), ("SURE", 9)):
        monkeypatch.setattr(cublas, name, value)
    a = sg.tensor("a", shape=(None, None, None))
    f = sg.compile([a], [sg.linalg.cholesky(a), sg.linalg.svdvals(a)], target="cuda")
    for n, batch, expected in ((5, 1, {}), (6, 1, {"gesvd": 1}), (9, 3, {"potrf": 3, "gesvd": 4})):
        array = positive(batch, n=n)
        found = f(array)
        np.testing.assert_allclose(found[0], np.linalg.cholesky(array), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found[1], np.linalg.svd(array, compute_uv=False), rtol=1e-10)
        assert there.called == expected
    monkeypatch.setattr(cublas, "MOST_CALLS", 2)
    f(positive(3, n=10))
    assert there.called == {"potrf": 3, "gesvd": 4}


def test_without_libraries_and_with_ones_that_do_not_start(
    there: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = positive(), normal(5, 2)

    def make(x: Any, y: Any) -> list[Any]:
        return [sg.linalg.solve(x, y), sg.linalg.eigvalsh(x)]

    with config.change(libraries=False):
        close(*both(make, a, b))
    for library in (there.solver, there.blas):
        monkeypatch.setattr(library, "create", lambda place: 1)  # no handle
    close(*both(make, a, b))
    assert not there.called


def test_graphs_are_made_of_what_never_waits(there: Setting) -> None:
    a, b = tensor("a", np.eye(3)), tensor("b", np.eye(3))
    solve = sg.compile([a, b], sg.linalg.solve_triangular(a, b, unit_diagonal=True), target="cuda")
    factor = sg.compile([a], sg.linalg.cholesky(a), target="cuda")
    for _ in range(4):
        solve(np.eye(3), np.ones((3, 3)))
    for _ in range(4):
        factor(np.eye(3))
    assert [f.replays for f in solve.frames.values()] == [2]
    assert [f.replays for f in factor.frames.values()] == [0]
    assert there.gpu.driver.calls["capture"] == 1


def test_inside_a_scan(there: Setting) -> None:
    xs = positive(3, n=4)
    x = sg.tensor("x", shape=(None, 4, 4))
    y = sg.scan(lambda row, total: total + sg.linalg.cholesky(row), [x], [np.zeros((4, 4))])
    f = sg.compile([x], y, target="cuda")
    np.testing.assert_allclose(f(xs), sg.compile([x], y)(xs), rtol=1e-10, atol=1e-12)
    assert there.called == {"potrf": 3}


# faults -------------------------------------------------------------------------------------------


def _wide(x: Any) -> list[Any]:
    u, s, v = sg.linalg.svd(x[:3], full_matrices=False)
    return [(u * s) @ v]


FAULTS: dict[str, tuple[Any, str, int, Callable[..., list[Any]]]] = {
    "triangle of a factor": (cusolver, "UPPER", 0, lambda x: [sg.linalg.cholesky(x)]),
    "triangle of values": (
        cusolver, "LOWER", 1, lambda x: [sg.linalg.eigvalsh(x, symmetrize=False)]
    ),
    "side": (cublas, "RIGHT", 0, lambda x: [sg.linalg.solve_triangular(x, x[:, :2])]),
    "triangle": (cublas, "UPPER", 0, lambda x: [sg.linalg.solve_triangular(x, x, lower=True)]),
    "turned system": (cublas, "TURNED", 0, lambda x: [sg.linalg.solve_triangular(x, x, trans=1)]),
    "turned matrix": (cublas, "TURNED", 0, _wide),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_number_is_noticed(
    there: Setting, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    module, name, value, make = FAULTS[fault]
    monkeypatch.setattr(module, name, value)
    array = positive() + np.triu(np.ones((5, 5)), 1)
    x = tensor("x", array)
    wrong = False
    try:
        found = sg.compile([x], make(x), target="cuda")(array)
        close(found, sg.compile([x], make(x))(array))
    except (AssertionError, DeviceError):
        wrong = True
    assert wrong
