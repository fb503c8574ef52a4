"""Functions of arrays beside NumPy, JAX and torch: `python benchmarks/arrays.py`.

Many small formulas, one function each, for what the workloads of `bench.py` do not name: pieces of
arrays put together, taken, ordered, folded along every axis, of other element types, and linear
algebra. All sizes but 1 are unknown to symgraph.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from measure import REST, Timed, compare, disagreement, leaves, summary

Formula = Callable[..., Any]
RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def doubles(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def integers(high: int, *shape: int, dtype: str = "int64") -> np.ndarray:
    return RNG.integers(0, high, shape).astype(dtype)


A, B, S = floats(1000, 1000), floats(1000, 1000), floats(64, 100, 120)
ROW, COLUMN, V, K = floats(1000), floats(1000, 1), doubles(100_000), integers(50, 100_000)
THIRD, I = floats(1000, 300), integers(1000, 500)  # noqa: E741
CHANNELS = floats(8, 3, 4160)
SIGNED = integers(2000, 1000, 1000) - 1000
COMPLEX = (A + 1j * B).astype("complex64")
MATRICES = doubles(1000, 3, 3) + 4 * np.eye(3)


class Case(NamedTuple):
    """A formula of a library ``m`` with NumPy's names, and of torch where it has another."""

    name: str
    arrays: tuple[np.ndarray, ...]
    formula: Formula
    in_torch: Formula | None = None


def put_together() -> Iterator[Case]:
    yield Case("two below each other", (A, B), lambda m, a, b: m.concatenate([a, b], 0))
    yield Case("three below each other", (THIRD,) * 3, lambda m, *x: m.concatenate(x, 0))
    yield Case("three side by side", (THIRD, A, THIRD), lambda m, *x: m.concatenate(x, 1))
    yield Case("stacked in a new last axis", (A, B), lambda m, a, b: m.stack([a, b], -1))
    yield Case("padded", (A,), lambda m, a: m.pad(a, ((3, 5), (7, 2))),
               lambda t, a: t.nn.functional.pad(a, (7, 2, 3, 5)))  # fmt: skip
    yield Case(
        "padded by reflection", (A,), lambda m, a: m.pad(a, ((3, 5), (7, 2)), mode="reflect")
    )
    yield Case("rolled along both axes", (A,), lambda m, a: m.roll(a, (3, 5), (0, 1)),
               lambda t, a: t.roll(a, (3, 5), (0, 1)))  # fmt: skip
    yield Case("turned by a quarter", (A,), lambda m, a: _dense(m, m.rot90(a)) + 0,
               lambda t, a: t.rot90(a).contiguous())  # fmt: skip
    yield Case("transposed", (A,), lambda m, a: _dense(m, a.T) * 2,
               lambda t, a: a.T.contiguous() * 2)  # fmt: skip
    yield Case("plus its transpose", (A,), lambda m, a: a + a.T)
    yield Case("channels last", (S,), lambda m, a: _dense(m, m.transpose(a, (0, 2, 1))) + 1,
               lambda t, a: a.permute(0, 2, 1).contiguous() + 1)  # fmt: skip
    yield Case("few channels last", (CHANNELS,), lambda m, a: _dense(m, m.transpose(a, (0, 2, 1))),
               lambda t, a: a.permute(0, 2, 1).contiguous())  # fmt: skip
    yield Case("every third element", (V,), lambda m, a: _dense(m, a[::3]) + 0)
    yield Case("every second column", (A,), lambda m, a: a[:, ::2] * 2)
    yield Case("repeated rows", (THIRD,), lambda m, a: m.repeat(a, 3, 0),
               lambda t, a: t.repeat_interleave(a, 3, 0))  # fmt: skip
    yield Case("lower triangle", (A,), lambda m, a: m.tril(a))
    yield Case("differences along rows", (A,), lambda m, a: m.diff(a, axis=1),
               lambda t, a: t.diff(a, dim=1))  # fmt: skip
    yield Case("gradient down columns", (A,), lambda m, a: m.gradient(a, axis=0),
               lambda t, a: t.gradient(a, dim=0)[0])  # fmt: skip


def _dense(m: Any, a: Any) -> Any:
    """NumPy would give results the layout of what they are computed from."""
    return np.ascontiguousarray(a) if m is np else a


def taken() -> Iterator[Case]:
    yield Case("rows taken", (A, I), lambda m, a, i: a[i])
    yield Case("columns taken", (A, I), lambda m, a, i: a[:, i])
    yield Case("pairs taken", (A, I, I[::-1].copy()), lambda m, a, i, j: a[i, j])
    yield Case("one of each row", (A, integers(1000, 1000, 1)),
               lambda m, a, i: m.take_along_axis(a, i, 1),
               lambda t, a, i: t.take_along_dim(a, i, 1))  # fmt: skip
    yield Case("bytes taken", (integers(256, 10**6, dtype="uint8"), integers(10**6, 10**6)),
               lambda m, a, i: a[i])  # fmt: skip
    yield Case("chosen of two", (A, B), lambda m, a, b: m.where(a > b, a, b * 2))
    yield Case("chosen of four", (A,), lambda m, a: m.select(
        [a < -1, a < 0, a < 1], [a * 2, a * 3, a * 4], 0.0),
        lambda t, a: t.where(
            a < -1, a * 2, t.where(a < 0, a * 3, t.where(a < 1, a * 4, 0.0))))  # fmt: skip
    yield Case("searched in order", (np.sort(V[:10_000]), V), lambda m, a, v: m.searchsorted(a, v))
    yield Case("interpolated", (V, np.linspace(-3, 3, 100), V[:100]),
               lambda m, x, a, b: m.interp(x, a, b))  # fmt: skip


def ordered() -> Iterator[Case]:
    yield Case("sorted rows", (THIRD,), lambda m, a: m.sort(a, 1), lambda t, a: t.sort(a, 1)[0])
    yield Case("sorted rows of int16", (SIGNED[:300, :316].astype("int16"),),
               lambda m, a: m.sort(a, 1), lambda t, a: t.sort(a, 1)[0])  # fmt: skip
    yield Case("sorted windows of bytes", (integers(256, 5000, 25, dtype="uint8"),),
               lambda m, a: m.sort(a, 1), lambda t, a: t.sort(a, 1)[0])  # fmt: skip
    yield Case("order of a vector", (V,), lambda m, a: m.argsort(a))
    yield Case("median", (V,), lambda m, a: m.median(a), lambda t, a: t.quantile(a, 0.5))
    yield Case("running sums down columns", (A,), lambda m, a: m.cumsum(a, 0))
    yield Case("running product", (1 + V / 1000,), lambda m, a: m.cumprod(a),
               lambda t, a: t.cumprod(a, 0))  # fmt: skip
    yield Case("counted in 50 bins", (V,), lambda m, a: m.histogram(a, 50, (-4, 4))[0],
               lambda t, a: t.histc(a, 50, -4, 4))  # fmt: skip
    yield Case("positions of maxima", (A,), lambda m, a: m.argmax(a, 0))


def folded() -> Iterator[Case]:
    yield Case("mean of what is positive", (A,),
               lambda m, a: m.where(a > 0, a, 0).mean(0))  # fmt: skip
    yield Case("weighted sums of columns", (A, COLUMN), lambda m, a, w: (m.exp(a) * w).sum(0))
    yield Case("sums over a middle axis", (S,), lambda m, a: a.sum(1))
    yield Case("variances over outer axes", (S,), lambda m, a: a.var((0, 2)),
               lambda t, a: a.var((0, 2), correction=0))  # fmt: skip
    yield Case("softmax over a middle axis", (S,), lambda m, a: _softmax(m, a, 1),
               lambda t, a: t.softmax(a, 1))  # fmt: skip
    yield Case("softmax of the transpose", (A,), lambda m, a: _softmax(m, a.T, 1),
               lambda t, a: t.softmax(a.T, 1))  # fmt: skip
    yield Case("standardized columns", (A,), lambda m, a: (a - a.mean(0)) / a.std(0),
               lambda t, a: (a - a.mean(0)) / a.std(0, correction=0))  # fmt: skip
    yield Case("lengths of rows", (A,), lambda m, a: m.sqrt((a * a).sum(1)))
    yield Case("largest of sums of pairs", (A[:200, :200].copy(), B[:200, :200].copy()),
               lambda m, a, b: (a[:, :, None] + b[None]).max(1),
               lambda t, a, b: (a[:, :, None] + b[None]).amax(1))  # fmt: skip
    yield Case("distances of points", (floats(500, 3), floats(400, 3)),
               lambda m, a, b: m.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)))  # fmt: skip
    yield Case("covariances", (doubles(50, 2000),), lambda m, a: m.cov(a))
    yield Case("trapezoids", (V,), lambda m, a: m.trapezoid(a))
    yield Case("convolved with 25", (V, V[:25]), lambda m, a, b: m.convolve(a, b, mode="valid"),
               lambda t, a, b: t.nn.functional.conv1d(
                   a[None, None], b.flip(0)[None, None])[0, 0])  # fmt: skip


def _softmax(m: Any, a: Any, axis: int) -> Any:
    e = m.exp(a - a.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def of_other_types() -> Iterator[Case]:
    small = integers(100, 300, 300, dtype="int32")
    yield Case("product of int32", (small, small), lambda m, a, b: a @ b)
    yield Case("product of int64", (SIGNED[:200, :200].copy(),) * 2, lambda m, a, b: a @ b)
    yield Case("remainders of int64", (SIGNED,), lambda m, a: a % 7)
    yield Case("sevenths of bytes", (integers(256, 1000, 1000, dtype="uint8"),),
               lambda m, a: a // 7)  # fmt: skip
    yield Case("quotients of int16", (SIGNED.astype("int16"), 1 + abs(SIGNED.astype("int16"))),
               lambda m, a, b: a // b)  # fmt: skip
    yield Case("doubles to int32", (1000 * V,), lambda m, a: a.astype("int32"),
               lambda t, a: a.to(t.int32))  # fmt: skip
    yield Case("bits of int64", (SIGNED,), lambda m, a: (a ^ (a >> 7)) & 255)
    yield Case("bytes to floats", (integers(256, 1000, 1000, dtype="uint8"),),
               lambda m, a: a / np.float32(255) if m is not np else a.astype("float32") / 255,
               lambda t, a: a.float() / 255)  # fmt: skip
    yield Case("true elements of rows", (A > 0,), lambda m, a: m.sum(a, axis=1))
    yield Case("complex squares", (COMPLEX,), lambda m, a: a * a + 1)
    yield Case("sizes of complex", (COMPLEX,), lambda m, a: m.abs(a))
    yield Case("complex, backwards", (COMPLEX[0],), lambda m, a: m.flip(a, 0) * 1,
               lambda t, a: a.flip(0))  # fmt: skip
    yield Case("complex, conjugated and transposed", (COMPLEX[:300],),
               lambda m, a: _dense(m, m.conj(a).T) + 0,
               lambda t, a: a.conj().T.contiguous())  # fmt: skip
    yield Case("complex matrix by vector", (COMPLEX, COMPLEX[0]), lambda m, a, b: a @ b)
    yield Case("its conjugate transpose", (COMPLEX, COMPLEX[0]), lambda m, a, b: m.conj(a).T @ b)
    yield Case("complex sums of rows", (COMPLEX,), lambda m, a: a.sum(1))
    yield Case("spectra of rows", (A,), lambda m, a: m.abs(m.fft.rfft(a)))


def linear() -> Iterator[Case]:
    square, small = doubles(300, 300) + 20 * np.eye(300), doubles(50, 50)
    yield Case("inverses of 1000 of 3x3", (MATRICES,), lambda m, a: m.linalg.inv(a))
    yield Case("determinants of 1000 of 3x3", (MATRICES,), lambda m, a: m.linalg.det(a))
    yield Case("solved, 300", (square, square[0]), lambda m, a, b: m.linalg.solve(a, b))
    yield Case("eigenvalues, 50", (small @ small.T,), lambda m, a: m.linalg.eigvalsh(a))
    yield Case("singular values, 50", (small,), lambda m, a: m.linalg.svdvals(a))
    yield Case("Gram matrix", (floats(300, 20),), lambda m, a: a.T @ a)
    yield Case("three operands", (doubles(20, 30, 40), doubles(40, 50), doubles(30, 10)),
               lambda m, a, b, c: m.einsum("abc,cd,be->ade", a, b, c))  # fmt: skip
    yield Case("quadratic forms", (doubles(300, 20), doubles(20, 20)),
               lambda m, a, s: m.einsum("ni,ij,nj->n", a, s, a))  # fmt: skip


GROUPS = (put_together, taken, ordered, folded, of_other_types, linear)


def cases() -> Iterator[Case]:
    for group in GROUPS:
        yield from group()


# contenders ---------------------------------------------------------------------------------------


def contenders(case: Case) -> dict[str, Timed]:
    """The calls to time, each on arrays of its own library; torch where it knows the names."""
    sg, jax, jnp, torch = map(importlib.import_module, ("symgraph", "jax", "jax.numpy", "torch"))
    shapes = [tuple(1 if n == 1 else None for n in a.shape) for a in case.arrays]
    inputs = [sg.tensor(f"x{k}", dtype=str(a.dtype), shape=shape)
              for k, (a, shape) in enumerate(zip(case.arrays, shapes, strict=True))]  # fmt: skip
    compiled = sg.compile(inputs, case.formula(sg, *inputs))
    in_jax = jax.jit(lambda *x: case.formula(jnp, *x))
    given = tuple(jnp.asarray(a) for a in case.arrays)
    found = {
        "symgraph": Timed(compiled, case.arrays),
        "NumPy": Timed(lambda *x: case.formula(np, *x), case.arrays),
        "JAX": Timed(in_jax, given, jax.block_until_ready),
    }
    formula, held = case.in_torch or case.formula, tuple(map(torch.tensor, case.arrays))
    try:
        formula(torch, *held)
    except (AttributeError, TypeError, RuntimeError):
        return found
    return found | {"torch": Timed(lambda *x: formula(torch, *x), held)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="blocks of each contender (%(default)s)")
    add("--only", default="", help="functions whose names contain this")
    options = parser.parse_args()
    importlib.import_module("jax").config.update("jax_enable_x64", True)
    importlib.import_module("torch").set_num_threads(len(os.sched_getaffinity(0)))
    columns = "symgraph", "NumPy", "JAX", "torch"
    print(f"| function | {', us | '.join(columns)}, us | ratio |\n|---|" + "---:|" * 5)
    ratios: list[float] = []
    for case in cases():
        if options.only not in case.name:
            continue
        timed = contenders(case)
        results = {n: leaves(t.run()) for n, t in timed.items()}
        wrong = disagreement(results["symgraph"], results["NumPy"])
        if wrong:
            raise SystemExit(f"{case.name}: {wrong}")
        found = compare(timed, dict.fromkeys(timed, 0.0), options.rounds, REST / 4)
        best = min(found[n].median for n in found if n != "symgraph")
        ratios.append(best / found["symgraph"].median)
        cells = [f"{1e6 * found[n].median:.3g}" if n in found else "" for n in columns]
        print(f"| {case.name} | {' | '.join(cells)} | {ratios[-1]:.2f} |", flush=True)
    print(f"\n{summary(ratios)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
