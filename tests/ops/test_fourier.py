"""Fourier transforms, convolution, eigenvalues of general matrices, complex linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

import symgraph as sg
from symgraph.errors import ArgumentError, AxisError, DTypeError, ShapeError

RNG = np.random.default_rng(7)


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def z(*shape: int) -> np.ndarray:
    return real(*shape) + 1j * real(*shape)


def check(function: Callable[..., Any], expected: Callable[..., Any], *arrays: Any) -> None:
    """Compiled with known and with symbolic sizes, in both precisions, as the library's."""
    narrow = {"complex128": "complex64", "float64": "float32"}
    for symbolic in (False, True):
        for low in (False, True):
            given = [a.astype(narrow[str(a.dtype)]) if low else a for a in arrays]
            shapes = [tuple(f"n{k}{j}" for j in range(a.ndim)) if symbolic else a.shape
                      for k, a in enumerate(given)]  # fmt: skip
            inputs = [sg.tensor(f"x{k}", str(a.dtype), shape=s)
                      for k, (a, s) in enumerate(zip(given, shapes, strict=True))]  # fmt: skip
            built = function(*inputs)
            outputs = list(built) if isinstance(built, tuple) else [built]
            wanted = expected(*given)
            found = sg.compile(inputs, outputs)(*given)
            for f, w in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
                assert f.dtype == np.asarray(w).dtype and f.shape == np.shape(w)
                near = 2e-3 if low else 1e-9
                np.testing.assert_allclose(f, w, rtol=near, atol=near)


# transforms ---------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {}, {"norm": "ortho"}, {"norm": "forward"}, {"n": 4}, {"n": 9}, {"axis": 0},
]  # fmt: skip
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ONE)
def test_one_axis(name: str, options: dict[str, Any]) -> None:
    x = real(3, 6) if name in ("rfft", "ihfft") else z(3, 6)
    check(lambda a: getattr(sg.fft, name)(a, **options),
          lambda a: getattr(np.fft, name)(a, **options), x)  # fmt: skip
    sg.verify_grad(lambda a: getattr(sg.fft, name)(a, **options), [x])


@pytest.mark.parametrize("options", [{}, {"norm": "ortho"}, {"s": (5, 4), "axes": (0, 2)}], ids=str)
@pytest.mark.parametrize("name", "fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn".split())
def test_several_axes(name: str, options: dict[str, Any]) -> None:
    x = real(3, 4, 6) if name.startswith("r") else z(3, 4, 6)
    check(lambda a: getattr(sg.fft, name)(a, **options),
          lambda a: getattr(np.fft, name)(a, **options), x)  # fmt: skip


def test_second_derivatives() -> None:
    for name in ONE:
        x = real(5) if name in ("rfft", "ihfft") else z(5)

        def slope(a: Any, name: str = name) -> Any:
            return sg.grad(sg.sum(sg.abs(getattr(sg.fft, name)(a)) ** 3), a)

        sg.verify_grad(slope, [x])


@pytest.mark.parametrize("kind", [2, 3, 4])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
def test_cosine_and_sine(name: str, norm: str | None, kind: int) -> None:
    from scipy import fft

    check(lambda a: getattr(sg.fft, name)(a, kind, norm=norm),
          lambda a: getattr(fft, name)(a, kind, norm=norm), real(3, 5))  # fmt: skip
    sg.verify_grad(lambda a: getattr(sg.fft, name)(a, kind, norm=norm), [real(5)])


def test_frequencies_and_shifts() -> None:
    for n in (1, 4, 5):
        np.testing.assert_allclose(sg.fft.fftfreq(n, 0.3).eval(), np.fft.fftfreq(n, 0.3))
        np.testing.assert_allclose(sg.fft.rfftfreq(n, 0.3).eval(), np.fft.rfftfreq(n, 0.3))
    for x in (real(5), real(4, 3)):
        check(sg.fft.fftshift, np.fft.fftshift, x)
        check(sg.fft.ifftshift, np.fft.ifftshift, x)
        check(lambda a: sg.fft.fftshift(a, 0), lambda a: np.fft.fftshift(a, 0), x)


def test_integers_and_reals_become_complex() -> None:
    assert sg.fft.fft([1, 2, 3]).dtype == "complex128"
    assert sg.fft.fft(sg.constant([1.0], "float32")).dtype == "complex64"
    assert sg.fft.rfft(sg.constant([1.0], "float32")).dtype == "complex64"
    assert sg.fft.irfft(sg.constant([1j, 2], "complex64")).dtype == "float32"


def test_an_inverse_undoes_its_transform() -> None:
    x, r = sg.tensor("x", "complex128", shape=(4, 6)), sg.tensor("r", shape=(4, 6))
    same = [
        sg.fft.ifft(sg.fft.fft(x)), sg.fft.fft(sg.fft.ifft(x, norm="ortho"), norm="ortho"),
        sg.fft.irfft(sg.fft.rfft(r)), sg.fft.idct(sg.fft.dct(r, norm="ortho"), norm="ortho"),
    ]  # fmt: skip
    f = sg.compile([x, r], same)
    a, b = z(4, 6), real(4, 6)
    for found, wanted in zip(f(a, b), (a, a, b, b), strict=True):
        assert np.array_equal(found, wanted)
    other = sg.compile([r], sg.fft.irfft(sg.fft.rfft(r), n=5))(b)
    np.testing.assert_allclose(other, np.fft.irfft(np.fft.rfft(b), n=5))


def test_batches() -> None:
    x, m = sg.tensor("x", "complex128", shape=(4, 5, 6)), sg.tensor("m", shape=(3, 4, 4))
    a, b = z(4, 5, 6), real(3, 4, 4)
    found = sg.compile([x], sg.vmap(lambda v: sg.fft.fft(v, axis=0))(x))(a)
    np.testing.assert_allclose(found, np.fft.fft(a, axis=1), rtol=1e-12, atol=1e-12)
    found = sg.compile([x], sg.vmap(lambda v: sg.fft.irfft(v, 7, 0))(x))(a)
    np.testing.assert_allclose(found, np.fft.irfft(a, 7, 1), rtol=1e-12, atol=1e-12)
    found = sg.compile([m], sg.vmap(sg.linalg.eigvals)(m))(b)
    np.testing.assert_allclose(found, np.linalg.eigvals(b), rtol=1e-12)


def test_refusals() -> None:
    x = sg.tensor("x", "complex128", shape=(4,))
    with pytest.raises(DTypeError, match="rfft"):
        sg.fft.rfft(x)
    with pytest.raises(ArgumentError, match="norm"):
        sg.fft.fft(x, norm="none")
    with pytest.raises(ShapeError):
        sg.fft.fft(x, n=0)
    with pytest.raises(ShapeError):
        sg.fft.fft(np.zeros(0))
    with pytest.raises(AxisError):
        sg.fft.fft(x, axis=1)
    n = sg.tensor("n", shape=("n",))
    with pytest.raises(ShapeError):
        sg.compile([n], sg.fft.fft(n))(np.zeros(0))


# convolution --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "same"])
def test_convolution(mode: str) -> None:
    signal: Any = scipy.signal
    for name in ("fftconvolve", "convolve", "correlate"):
        for pair in ((real(8, 7), real(3, 4)), (z(8), z(3)), (real(3), real(8))):
            check(lambda a, b, name=name: getattr(sg.signal, name)(a, b, mode),
                  lambda a, b, name=name: getattr(signal, name)(a, b, mode), *pair)  # fmt: skip
    sg.verify_grad(lambda a, b: sg.signal.fftconvolve(a, b, mode), [real(5, 4), real(2, 3)])


def test_valid_convolution_and_integers() -> None:
    a, b = real(8, 7), real(3, 4)
    found = sg.signal.fftconvolve(a, b, "valid").eval()
    np.testing.assert_allclose(found, scipy.signal.fftconvolve(a, b, "valid"), atol=1e-12)
    assert sg.signal.convolve([1, 2], [3, 4]).eval().tolist() == [3, 10, 8]


# eigenvalues --------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [real(4, 4), z(4, 4)], ids=["real", "complex"])
def test_eigenvalues(a: np.ndarray) -> None:
    x = sg.tensor("x", str(a.dtype), shape=a.shape)
    w, v = sg.compile([x], list(sg.linalg.eig(x)))(a)
    np.testing.assert_allclose(a @ v, v * w, atol=1e-12)
    np.testing.assert_allclose(sg.linalg.eigvals(a).eval(), w, rtol=1e-12)
    sg.verify_grad(lambda m: sg.sum(sg.exp(sg.abs(sg.linalg.eigvals(m)))), [a], rtol=1e-5)
    sg.verify_grad(lambda m: sg.linalg.eigvals(m) ** 2, [a], rtol=1e-5)

    def lengths(m: Any) -> Any:
        values, vectors = sg.linalg.eig(m)
        return sg.abs(vectors) ** 2 * sg.abs(values)

    def again(m: Any) -> Any:
        values, vectors = sg.linalg.eig(m)
        return sg.matmul(vectors * sg.exp(values * 0.1), sg.linalg.inv(vectors))

    sg.verify_grad(lengths, [a], rtol=1e-5)
    sg.verify_grad(again, [a], rtol=1e-5)


def test_schur_and_qz() -> None:
    a, b = real(4, 4), real(4, 4)
    t, u = (v.eval() for v in sg.linalg.schur(a, "complex"))
    np.testing.assert_allclose(u @ t @ u.conj().T, a, atol=1e-12)
    aa, bb, q, w = (v.eval() for v in sg.linalg.qz(a, b))
    np.testing.assert_allclose(q @ aa @ w.T, a, atol=1e-12)
    np.testing.assert_allclose(q @ bb @ w.T, b, atol=1e-12)


def test_roots() -> None:
    for p in ([1.0, 2.0, 3.0, 4.0], [2.0, -3.0], [5.0], [1, 0, -1]):
        found = np.sort_complex(sg.roots(p).eval())
        np.testing.assert_allclose(found, np.sort_complex(np.roots(p)), atol=1e-12)
    sg.verify_grad(lambda p: sg.sum(sg.roots(p) ** 3), [[1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(ShapeError):
        sg.roots(sg.tensor("p", shape=("n",)))


# complex matrices ---------------------------------------------------------------------------------

A, TALL, WIDE, COLUMNS = z(4, 4), z(5, 3), z(3, 5), z(4, 2)
POSITIVE = A @ A.conj().T + np.eye(4)
L: Any = sg.linalg
N = np.linalg
MATRICES: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "cholesky": (L.cholesky, N.cholesky, (POSITIVE,)),
    "upper": (lambda a: L.cholesky(a, False), lambda a: N.cholesky(a).conj().T, (POSITIVE,)),
    "solve": (L.solve, N.solve, (A, COLUMNS)),
    "one triangle": (lambda a: L.cholesky(a, symmetrize=False), N.cholesky, (POSITIVE,)),
    "positive": (lambda a, b: L.solve(a, b, assume_a="pos"), N.solve, (POSITIVE, COLUMNS)),
    "inv": (L.inv, N.inv, (z(2, 4, 4),)),
    "det": (L.det, N.det, (A,)),
    "log det": (lambda a: tuple(L.slogdet(a)), lambda a: tuple(N.slogdet(a)), (A,)),
    "qr": (L.qr, lambda a: tuple(N.qr(a)), (TALL,)),
    "wide qr": (L.qr, lambda a: tuple(N.qr(a)), (WIDE,)),
    "complete qr": (lambda a: L.qr(a, "complete"), lambda a: tuple(N.qr(a, "complete")), (TALL,)),
    "lu": (L.lu, lambda a: tuple(scipy.linalg.lu(a)), (A,)),
    "pinv": (L.pinv, N.pinv, (TALL,)),
    "svdvals": (L.svdvals, lambda a: N.svd(a, compute_uv=False), (TALL,)),
    "eigvalsh": (L.eigvalsh, N.eigvalsh, (POSITIVE,)),
    "lower": (lambda a, b: L.solve_triangular(a, b, lower=True),
              lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), (POSITIVE, COLUMNS)),
    "adjoint": (lambda a, b: L.solve_triangular(a, b, "C"),
                lambda a, b: scipy.linalg.solve_triangular(a, b, "C"), (POSITIVE, COLUMNS)),
    "expm": (L.expm, scipy.linalg.expm, (A * 0.2,)),
    "sylvester": (L.solve_sylvester, scipy.linalg.solve_sylvester, (A, POSITIVE, A)),
    "lyapunov": (L.solve_continuous_lyapunov, scipy.linalg.solve_continuous_lyapunov,
                 (POSITIVE, A)),
    "norm": (L.norm, N.norm, (A,)),
    "spectral norm": (lambda a: L.norm(a, 2), lambda a: N.norm(a, 2), (A,)),
    "lstsq": (lambda a, b: L.lstsq(a, b)[0], lambda a, b: N.lstsq(a, b)[0], (TALL, z(5, 2))),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_complex_matrices(name: str) -> None:
    function, expected, arrays = MATRICES[name]
    check(function, expected, *arrays)
    if name not in ("complete qr", "lu"):
        sg.verify_grad(function, arrays, rtol=1e-5)


def test_vectors_without_their_phases() -> None:
    def of_svd(a: Any) -> Any:
        u, s, vh = L.svd(a, full_matrices=False)
        return sg.abs(u) ** 2 * s, sg.matmul(u * s**2, vh), sg.abs(vh) ** 3

    def of_eigh(a: Any) -> Any:
        w, v = L.eigh(a)
        return sg.abs(v) ** 2 * w, sg.matmul(v * sg.exp(w * 0.1), v.conj().T)

    for a in (A, TALL, WIDE):
        sg.verify_grad(of_svd, [a], rtol=1e-5)
    sg.verify_grad(of_eigh, [POSITIVE], rtol=1e-5)
