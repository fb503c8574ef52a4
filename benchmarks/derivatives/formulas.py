"""Functions of one to four arrays with a scalar value, by family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Formula = Callable[..., Any]


class Case(NamedTuple):
    """A formula over a namespace `m` and arrays, and the arrays at which it is differentiated."""

    family: str
    name: str
    formula: Formula
    arrays: tuple[np.ndarray, ...]


def numbers(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """The same random numbers each time."""
    return np.random.default_rng(seed).uniform(low, high, shape)


X, Y = numbers(7, seed=1), numbers(7, seed=2, low=0.3, high=1.7)
WEIGHTS = numbers(7, seed=3, low=0.5, high=1.5)
PLACES = np.arange(7)
A, B = numbers(4, 4, seed=4), numbers(4, 4, seed=5)
SPD = A @ A.T + 3 * np.eye(4)

# name -> range of the operand
UNARY: dict[str, tuple[float, float]] = {
    **dict.fromkeys("""exp expm1 sin cos tan tanh sinh cosh arctan arcsinh square negative
        sinc exp2 abs reciprocal""".split(), (0.1, 1.2)),
    **dict.fromkeys("sqrt log log1p log2 log10 cbrt".split(), (0.2, 3.0)),
    **dict.fromkeys("arcsin arccos arctanh".split(), (-0.8, 0.8)),
    "arccosh": (1.2, 3.0),
}  # fmt: skip
SPECIAL: dict[str, tuple[float, float]] = {
    **dict.fromkeys("""erf erfc expit ndtr log_ndtr i0 i1 i0e i1e""".split(), (-2.0, 2.0)),
    **dict.fromkeys("gammaln digamma entr xlogx".split(), (0.3, 4.0)),
    **dict.fromkeys("erfinv logit ndtri".split(), (0.1, 0.9)),
}
SPECIAL.pop("xlogx")
ACTIVATIONS = """relu sigmoid softplus silu elu selu celu gelu log_sigmoid soft_sign hard_tanh
    leaky_relu relu6 mish""".split()
BINARY: dict[str, Formula] = {
    "add": lambda m, x, y: x + y, "subtract": lambda m, x, y: x - y,
    "multiply": lambda m, x, y: x * y, "divide": lambda m, x, y: x / y,
    "power": lambda m, x, y: m.abs(x) ** y, "arctan2": lambda m, x, y: m.arctan2(x, y),
    "hypot": lambda m, x, y: m.hypot(x, y), "maximum": lambda m, x, y: m.maximum(x, y),
    "minimum": lambda m, x, y: m.minimum(x, y), "logaddexp": lambda m, x, y: m.logaddexp(x, y),
    "where": lambda m, x, y: m.where(x > 0, x * y, y / 2),
}  # fmt: skip


def _weighted(fn: Callable[[Any, Any], Any]) -> Formula:
    return lambda m, x: m.sum(fn(m, x) * WEIGHTS)


def _named(place: str, name: str) -> Callable[[Any, Any], Any]:
    if not place:
        return lambda m, x: getattr(m, name)(x)
    return lambda m, x: getattr(getattr(m, place), name)(x)


def elementwise() -> Iterator[Case]:
    """Every elementary and special function, and every activation."""
    for name, (low, high) in UNARY.items():
        yield Case(
            "elementary", name, _weighted(_named("", name)), (numbers(7, low=low, high=high),)
        )
    for name, (low, high) in SPECIAL.items():
        arrays = (numbers(7, low=low, high=high),)
        yield Case("special", name, _weighted(_named("special", name)), arrays)
    spelled = {"soft_sign": "softsign"}
    for name in ACTIVATIONS:

        def fn(m: Any, x: Any, name: str = name) -> Any:
            words = m.nn
            return getattr(words, name if hasattr(words, name) else spelled.get(name, name))(x)

        yield Case("activations", name, _weighted(fn), (2 * X,))
    for name, formula in BINARY.items():
        yield Case(
            "elementary", name, lambda m, x, y, f=formula: m.sum(f(m, x, y) * WEIGHTS), (X, Y)
        )


def compositions(count: int = 150) -> Iterator[Case]:
    """Random expressions of three to six functions, smooth and of moderate size."""
    safe: list[Formula] = [
        lambda m, x: m.sin(x), lambda m, x: m.tanh(x), lambda m, x: m.exp(m.tanh(x)),
        lambda m, x: m.log1p(x * x), lambda m, x: m.sqrt(1 + x * x), lambda m, x: m.arctan(x),
        lambda m, x: 1 / (2 + m.cos(x)), lambda m, x: m.nn.softplus(x), lambda m, x: m.erf(x),
        lambda m, x: x**3 / (1 + x * x), lambda m, x: m.cumsum(x) / 3,
        lambda m, x: m.exp(x - m.max(x)), lambda m, x: x[::-1] * 2, lambda m, x: m.nn.softmax(x),
        lambda m, x: m.log(m.sum(m.exp(x))) * m.cos(x), lambda m, x: m.roll(x, 2) - x / 2,
        lambda m, x: m.special.expit(x), lambda m, x: m.arcsinh(x), lambda m, x: x - m.mean(x),
        lambda m, x: m.special.gammaln(2 + m.tanh(x)), lambda m, x: m.outer(x, x).sum(0) / 4,
    ]  # fmt: skip
    pairs: list[Formula] = [
        lambda m, x, y: x * y, lambda m, x, y: x + y, lambda m, x, y: x / (2 + y * y),
        lambda m, x, y: m.logaddexp(x, y), lambda m, x, y: x - m.sin(y),
    ]  # fmt: skip
    for k in range(count):
        rng = np.random.default_rng(k)
        chosen = [safe[i] for i in rng.integers(0, len(safe), rng.integers(3, 7))]
        joined = [pairs[i] for i in rng.integers(0, len(pairs), len(chosen))]

        def formula(m: Any, x: Any, chosen: Any = chosen, joined: Any = joined) -> Any:
            value = x
            for f, pair in zip(chosen, joined, strict=True):
                value = pair(m, f(m, value), x)
            return m.sum(value * WEIGHTS)

        yield Case("compositions", f"composition {k}", formula, (numbers(7, seed=k),))


def structural() -> Iterator[Case]:
    """Reductions, shapes, indexing, sorting."""
    i = np.array([0, 3, 3, 6, 1])
    vector: dict[str, Formula] = {
        "sum of squares": lambda m, x: m.sum(x * x),
        "product": lambda m, x: m.prod(x + 2),
        "product with a zero": lambda m, x: m.prod(x - X * (PLACES == 2)),
        "product with two zeros": lambda m, x: m.prod(x - X * (PLACES % 5 == 1)),
        "product with three zeros": lambda m, x: m.prod(x - X * (PLACES > 3)),
        "variance": lambda m, x: m.var(x),
        "deviation": lambda m, x: m.std(x),
        "maximum": lambda m, x: m.max(x) * m.min(x),
        "norm": lambda m, x: m.linalg.norm(x),
        "cumulative sum": lambda m, x: m.sum(m.cumsum(x) ** 2),
        "cumulative product": lambda m, x: m.sum(m.cumprod(x + 2) * WEIGHTS),
        "gather": lambda m, x: m.sum(x[i] ** 2 * WEIGHTS[:5]),
        "scatter": lambda m, x: m.sum(m.add_at(x * x, i, x[:5]) ** 2),
        "set": lambda m, x: m.sum(m.put(x * x, i[:2], x[:2]) ** 3),
        "slices": lambda m, x: m.sum(x[1:] * x[:-1] ** 2),
        "steps": lambda m, x: m.sum(x[::-2] ** 3),
        "sort": lambda m, x: m.sum(m.sort(x) ** 2 * WEIGHTS),
        "concatenate": lambda m, x: m.sum(m.concatenate([x, x * x]) ** 3),
        "stack": lambda m, x: m.sum(m.prod(m.stack([x, x + 1, x * x]), 0)),
        "pad": lambda m, x: m.sum(m.pad(x, 2) ** 2 + m.pad(x * x, (1, 3))),
        "tile": lambda m, x: m.sum(m.tile(x, 3) ** 2),
        "repeat": lambda m, x: m.sum(m.repeat(x, 2) ** 3),
        "reshape": lambda m, x: m.sum(m.reshape(x[:6], (2, 3)) @ m.reshape(x[1:], (3, 2))),
        "broadcast": lambda m, x: m.sum(x[:, None] * x[None, :] ** 2),
        "outer": lambda m, x: m.sum(m.outer(x, x * x)),
        "dot": lambda m, x: m.dot(x, m.sin(x)),
        "diff": lambda m, x: m.sum(m.diff(x) ** 2),
        "roll": lambda m, x: m.sum(x * m.roll(x, 3)),
        "clip": lambda m, x: m.sum(m.clip(x, -0.5, 0.5) ** 2),
        "flip": lambda m, x: m.sum(m.flip(x) * x),
        "median": lambda m, x: m.median(x) ** 2,
        "mean": lambda m, x: m.mean(x) ** 3,
        "logsumexp": lambda m, x: m.special.logsumexp(x),
        "ptp": lambda m, x: m.ptp(x) ** 2,
        "take along": lambda m, x: m.sum(m.take(x, i) ** 3),
        "polynomial": lambda m, x: m.sum(m.polyval(x[:3], x)),
    }
    for name, formula in vector.items():
        yield Case("structure", name, formula, (X,))


def matrices() -> Iterator[Case]:
    """Linear algebra."""
    square: dict[str, Formula] = {
        "matmul": lambda m, a: m.sum((a @ a) ** 2),
        "transpose": lambda m, a: m.sum(a.T @ a * B),
        "trace": lambda m, a: m.trace(a @ a @ B),
        "inv": lambda m, a: m.sum(m.linalg.inv(a) * B),
        "inverse times vector": lambda m, a: m.sum((m.linalg.inv(a) @ B[0]) ** 2),
        "det": lambda m, a: m.linalg.det(a),
        "slogdet": lambda m, a: m.linalg.slogdet(a)[1],
        "solve": lambda m, a: m.sum(m.linalg.solve(a, a[:, 0] ** 2) ** 2),
        "solve matrix": lambda m, a: m.sum(m.linalg.solve(a, a * B) * B),
        "einsum": lambda m, a: m.einsum("ij,jk,ki->", a, a, B + a),
        "tensordot": lambda m, a: m.sum(m.tensordot(a, a, 1) ** 2),
        "kron": lambda m, a: m.sum(m.kron(a, B) ** 2),
        "pinv": lambda m, a: m.sum(m.linalg.pinv(a) * B),
        "matrix power": lambda m, a: m.sum(m.linalg.matrix_power(a, 3) * B),
        "expm": lambda m, a: m.sum(m.linalg.expm(a / 4) * B),
        "frobenius": lambda m, a: m.linalg.norm(a),
        "svd values": lambda m, a: m.sum(m.linalg.svd(a, compute_uv=False) ** 3),
        "qr": lambda m, a: m.sum(m.abs(m.linalg.qr(a)[1])),
        "diagonal": lambda m, a: m.sum(m.diagonal(a) ** 3),
        "triangle": lambda m, a: m.sum(m.tril(a) @ m.triu(a, 1) * B),
    }
    for name, formula in square.items():
        yield Case("linear algebra", name, formula, (A + 2 * np.eye(4),))
    positive: dict[str, Formula] = {
        "cholesky": lambda m, a: m.sum(m.linalg.cholesky(_sym(a)) * B),
        "log det by cholesky": lambda m, a: (
            2 * m.sum(m.log(m.diagonal(m.linalg.cholesky(_sym(a)))))
        ),
        "eigenvalues": lambda m, a: m.sum(m.linalg.eigvalsh(_sym(a)) ** 2 * WEIGHTS[:4]),
        "eigenvectors": lambda m, a: m.sum(m.linalg.eigh(_sym(a))[1] ** 2 * B),
        "triangular solve": lambda m, a: m.sum(
            m.linalg.solve_triangular(m.linalg.cholesky(_sym(a)), a[0], lower=True) ** 2
        ),
    }
    for name, formula in positive.items():
        yield Case("linear algebra", name, formula, (SPD,))


def _sym(a: Any) -> Any:
    return (a + a.T) / 2
