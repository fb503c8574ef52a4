"""Our own Fourier transforms against sums in extended precision and NumPy: every kind, lengths of
all ways they are taken apart, axes anywhere, registers of two widths."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import callbacks, config, fourier_plans, stages
from symgraph.codegen import llvm
from symgraph.compiler import stage_definition
from symgraph.fourier_plans import radices, roots, split
from symgraph.loops.text import program_text

KINDS = ("fft", "ifft", "rfft", "irfft", "irfft of odd")
PARTS = {"float64": "complex128", "float32": "complex64"}
# lengths of every radix; of primes with and without a pass; of a matrix; of several passes
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 31, 37, 62, 63, 64, 96, 100, 131, 176)


def data(shape: tuple[int, ...], kind: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal(shape)
    if kind == "rfft":
        return x.astype(dtype)
    return (x + 1j * rng.standard_normal(shape)).astype(PARTS[dtype])


def built(kind: str, ndim: int, axis: int, dtype: str, norm: str = "backward") -> Any:
    x = sg.tensor("x", dtype if kind == "rfft" else PARTS[dtype], (None,) * ndim)
    if kind == "irfft of odd":
        y = sg.fft.irfft(x, 2 * (x.shape[axis] - 1) + 1, axis, norm)
    else:
        y = getattr(sg.fft, kind)(x, axis=axis, norm=norm)
    return sg.compile([x], y)


def exact(x: np.ndarray, kind: str, axis: int, norm: str = "backward") -> np.ndarray:
    """By sums of products, in extended precision."""
    x = np.moveaxis(x.astype(np.clongdouble), axis, -1)
    n = x.shape[-1]
    if kind.startswith("irfft"):
        odd = kind.endswith("odd")
        n = 2 * (n - 1) + odd
        middle = x[..., 1:] if odd else x[..., 1:-1]
        x = np.concatenate([x, middle[..., ::-1].conj()], -1)
        x[..., 0] = x[..., 0].real
        if not odd:
            x[..., n // 2] = x[..., n // 2].real
    k = np.arange(n)
    angle = (np.outer(k, k) % n).astype(np.longdouble) * (2 * np.arctan2(np.longdouble(0), -1) / n)
    way = -1 if kind in ("fft", "rfft") else 1
    y = x @ (np.cos(angle) + way * 1j * np.sin(angle))
    power = {"backward": 0 if way < 0 else 1, "forward": 1 if way < 0 else 0, "ortho": 0.5}[norm]
    y = np.moveaxis(y / np.longdouble(n) ** power, -1, axis)
    if kind == "rfft":
        return np.take(y, range(n // 2 + 1), axis)
    return y.real if kind.startswith("irfft") else y


def error(found: np.ndarray, wanted: np.ndarray) -> float:
    """The root of the mean square, in units of the last place of that of the result."""
    off = np.sqrt((np.abs(found - wanted) ** 2).mean())
    size = np.sqrt((np.abs(wanted) ** 2).mean())
    return float(off / size / np.finfo(found.dtype).eps)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_length(kind: str, dtype: str, registers: int) -> None:
    row, column = built(kind, 2, 1, dtype), built(kind, 3, 1, dtype, "ortho")
    for n in LENGTHS:
        if kind == "irfft" and n == 1:
            continue
        inner = {"rfft": n if n % 2 else n // 2, "irfft": n - 1, "irfft of odd": 2 * n - 1}
        most = 3 if radices(inner.get(kind, n)) is None else 1.4
        for shape in ((1, n), (19, n)):
            x = data(shape, kind, dtype)
            assert error(row(x), exact(x, kind, 1)) < most, shape
        for shape in ((2, n, 3), (1, n, 37)):
            x = data(shape, kind, dtype)
            assert error(column(x), exact(x, kind, 1, "ortho")) < most, shape


@pytest.mark.parametrize("kind", KINDS)
def test_long_sequences(kind: str) -> None:
    """Of which threads share one, and bundles that do not stay in cache."""
    row, column = built(kind, 1, 0, "float64"), built(kind, 2, 0, "float64")
    for n in (256, 1000, 1009, 8191, 16384, 20000, 65536 + 1):
        for f, shape in ((row, (n,)), (column, (n, 2))):
            x = data(shape, kind, "float64")
            name, _, odd = kind.partition(" of ")
            more = {"n": 2 * n - 1} if odd else {}
            wanted = getattr(np.fft, name)(x, axis=0, **more)
            assert error(f(x), wanted) < 6, shape


def test_threads_and_neighbours_do_not_change_a_bit() -> None:
    for kind in ("fft", "rfft", "irfft"):
        for shape, axis in (((40, 24), 1), ((40, 24), 0), ((5, 1 << 15), 1), ((30, 300), 1)):
            x = data(shape, kind, "float64")
            found = []
            for threads in (1, 2, 3):
                with config.change(num_threads=threads, parallel_from=0):
                    found.append(built(kind, 2, axis, "float64")(x))
            for other in found[1:]:
                np.testing.assert_array_equal(found[0], other)
            if axis == 1:
                f = built(kind, 2, axis, "float64")
                some = x[1:-1]  # which fill bundles in another way
                np.testing.assert_array_equal(f(some), found[0][1:-1])


def test_what_is_not_finite_stays_in_its_sequence() -> None:
    for shape, axis in (((20, 12), 1), ((12, 20), 0), ((20, 256), 1)):
        x = data(shape, "rfft", "float64")
        f = built("rfft", 2, axis, "float64")
        plain = np.moveaxis(f(x), axis, -1)
        x[(4, 2) if axis == 1 else (2, 4)] = np.nan
        found = np.moveaxis(f(x), axis, -1)
        assert np.isnan(found[4]).all()
        np.testing.assert_array_equal(np.delete(found, 4, 0), np.delete(plain, 4, 0))


def test_several_axes_are_transformed_in_place() -> None:
    x = sg.tensor("x", "complex128", (None, None, None))
    y = sg.fft.ifftn(x, norm="ortho")
    d = stage_definition(y)
    steps = program_text(stages.lower(d, stages.optimized_graph(d))).count("call fourier")
    assert steps == 3
    z = data((6, 5, 8), "fft", "float64")
    np.testing.assert_allclose(sg.compile([x], y)(z), np.fft.ifftn(z, norm="ortho"), atol=1e-14)


def test_what_nobody_is_to_compute() -> None:
    """No sequences are no error, no elements are one, before anything is written."""
    f = built("fft", 2, 1, "float64")
    assert f(np.zeros((0, 5), "complex128")).shape == (0, 5)
    with pytest.raises(sg.errors.ShapeError, match="fft over an axis without elements"):
        f(np.zeros((3, 0), "complex128"))
    with pytest.raises(sg.errors.ShapeError, match="irfft to an axis without elements"):
        built("irfft", 2, 1, "float64")(np.zeros((3, 1), "complex128"))


def test_more_lengths_than_are_found_without_asking() -> None:
    f = built("fft", 1, 0, "float64")
    for n in [*range(1, 150), *range(1, 150)]:
        x = data((n,), "fft", "float64")
        assert np.abs(f(x) - np.fft.fft(x)).max() < 1e-11


def test_threads_of_python_ask_for_plans_at_once() -> None:
    f, failed = built("rfft", 1, 0, "float64"), []

    def work(first: int) -> None:
        for n in range(first, first + 60):
            x = data((n,), "rfft", "float64")
            if np.abs(f(x) - np.fft.rfft(x)).max() > 1e-11:
                failed.append(n)

    workers = [threading.Thread(target=work, args=(200 + 20 * k,)) for k in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not failed


def test_inside_a_loop() -> None:
    xs = sg.tensor("xs", "float64", (None, None))
    spectra = sg.scan(lambda x: sg.fft.rfft(x), [xs])
    total = sg.scan(lambda x, c: c + sg.abs(sg.fft.rfft(x)), [xs], [sg.abs(sg.fft.rfft(xs[0]))])
    x = data((4, 30), "rfft", "float64")
    found = sg.compile([xs], [spectra, total])(x)
    wanted = np.fft.rfft(x)
    np.testing.assert_allclose(found[0], wanted, atol=1e-13)
    sums = np.abs(wanted[0]) + np.cumsum(np.abs(wanted), 0)
    np.testing.assert_allclose(found[1], sums, atol=1e-12)


def test_without_memory_or_a_plan_an_exception_waits() -> None:
    address = fourier_plans.record("float64 8")
    assert fourier_plans._ask(address, -1) is None
    with pytest.raises(MemoryError, match="Fourier"):
        raise callbacks.pending()


def test_too_many_plans_are_forgotten_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    f = built("fft", 1, 0, "float64")
    f(np.ones(64, "complex128"))
    lanes = llvm.host().vector_bits // 64
    plans = fourier_plans._records[f"float64 {lanes}"]
    plans.hide()
    plans.forget()
    monkeypatch.setattr(fourier_plans, "MOST", 100_000)
    for n in (*range(2003, 2100), *range(2003, 2100)):  # some are primes
        x = data((n,), "fft", "float64")
        assert np.abs(f(x) - np.fft.fft(x)).max() < 1e-10
        assert plans.bytes < 1_500_000
    f(np.ones(64, "complex128"))
    most = plans.bytes
    plans.words[1] = 1  # as if a transform were running
    plans.forget()
    assert plans.bytes == most > 0
    plans.words[1] = 0
    plans.hide()
    plans.forget()
    assert not plans.made and not plans.bytes


def test_how_lengths_are_taken_apart() -> None:
    for n in range(1, 3000):
        found = radices(n)
        if found is None:
            assert max(p for p in range(2, n + 1) if n % p == 0 and all(p % q for q in range(2, p))
                       ) > 31  # fmt: skip
        else:
            assert np.prod(found) == n
            assert n % split(n, 8) == 0
    k = np.arange(48)
    np.testing.assert_allclose(roots(k, 48), np.exp(-2j * np.pi * k / 48), atol=3e-16)
    assert set(roots(np.arange(4), 4)) == {1, -1j, -1, 1j}
