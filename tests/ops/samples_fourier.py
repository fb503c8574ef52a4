"""Rows for complex numbers, Fourier transforms and the eigenvalues of general matrices.

What is special to complex operands is tested by test_complex.py and test_fourier.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg

from symgraph.ops import fft, linalg
from tests.ops.samples import Sample, array


def _of_complex(function: Any) -> Any:
    """A function that refuses real operands, as our op does below the public function."""

    def checked(x: Any) -> Any:
        if np.asarray(x).dtype.kind != "c":
            raise TypeError("real")
        return function(x)

    return checked


def _pair(x: Any, y: Any) -> Any:
    x, y = np.broadcast_arrays(x, y)
    out = np.empty(x.shape, "complex64" if x.dtype == np.float32 else "complex128")
    out.real, out.imag = x, y
    return out


ELEMENTWISE = {
    "real": _of_complex(np.real), "imag": _of_complex(np.imag), "conj": _of_complex(np.conj),
    "complex": _pair,
}  # fmt: skip

A, B, Z = array(3, 5), array(2, 4, seed=1), array(2, 5, seed=2) + 1j * array(2, 5, seed=3)
M = array(3, 3, seed=4)


def _complex(function: Any) -> Any:
    def run(a: Any) -> Any:
        found = function(a)
        both = found if isinstance(found, tuple) else (found,)
        wide = tuple(np.asarray(v, "complex128") for v in both)
        return wide if isinstance(found, tuple) else wide[0]

    return run


EIG = _complex(lambda a: tuple(np.linalg.eig(a)))


def _row(op: str, name: str, a: Any, **options: Any) -> Sample:
    return Sample(op, lambda x: getattr(fft, name)(x, **options),
                  lambda x: getattr(np.fft, name)(x, **options), (a,))  # fmt: skip


def _cosine(name: str, a: Any, *options: Any, **more: Any) -> Sample:
    return Sample("dct", lambda x: getattr(fft, name)(x, *options, **more),
                  lambda x: getattr(scipy.fft, name)(x, *options, **more), (a,))  # fmt: skip


SAMPLES: list[Sample] = [
    *(_row("fft", name, a) for name in ("fft", "ifft", "fftn", "ifftn") for a in (A, Z)),
    _row("fft", "fft", B, n=6, axis=0, norm="ortho"),
    _row("fft", "fft2", Z, norm="forward"),
    _row("fft", "fft", np.ones((0, 3))),
    _row("fft", "fft", array(1)),
    *(_row("rfft", "rfft", a) for a in (A, B, array(1), np.ones((0, 4)))),
    _row("rfft", "ihfft", A),
    _row("rfft", "rfftn", array(2, 3, 4), norm="ortho"),
    *(_row("irfft", "irfft", a) for a in (Z, A, array(2, 3))),
    _row("irfft", "irfft", Z, n=7, axis=0),
    _row("irfft", "hfft", A),
    _row("irfft", "irfftn", Z),
    *(_cosine(name, A, kind) for name in ("dct", "idct", "dst", "idst") for kind in (2, 3, 4)),
    _cosine("dct", B, 2, axis=0, norm="ortho"),
    _cosine("dct", np.ones((0, 2))),
    Sample("eig", linalg.eig, EIG, (M,), grad=False),
    Sample("eig", linalg.eig, EIG, (M + 1j * M.T,), grad=False),
    Sample("eig", lambda a: linalg.eig(a)[0], lambda a: EIG(a)[0], (M,), grad=False),
    Sample("eigvals", linalg.eigvals, _complex(np.linalg.eigvals), (M,), grad=False),
    Sample("eigvals", linalg.eigvals, _complex(np.linalg.eigvals), (np.stack([M, M.T]),),
           grad=False),
    Sample("eigvals", linalg.eigvals, _complex(np.linalg.eigvals), (np.ones((0, 0)),), grad=False),
    Sample("schur", linalg.schur, lambda a: tuple(scipy.linalg.schur(a)), (M,), grad=False),
    Sample("schur", lambda a: linalg.schur(a, "complex"),
           lambda a: tuple(scipy.linalg.schur(a, "complex")), (M,), grad=False),
    Sample("qz", linalg.qz, lambda a, b: tuple(scipy.linalg.qz(a, b)), (M, M.T), grad=False),
]  # fmt: skip
