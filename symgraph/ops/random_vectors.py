"""Distributions of vectors and matrices, made of normal, gamma and beta numbers.

All are differentiable in their parameters by construction.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.types import same_size
from symgraph.ops.arithmetic import abs as absolute
from symgraph.ops.arithmetic import maximum, sqrt
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, less, where
from symgraph.ops.creation import iota
from symgraph.ops.cumulative import cumprod
from symgraph.ops.decompositions import cholesky, qr
from symgraph.ops.exponential import exp, log
from symgraph.ops.matrix import diagonal, matmul
from symgraph.ops.operands import as_variable
from symgraph.ops.random_bits import two_keys
from symgraph.ops.random_continuous import exponential, normal
from symgraph.ops.random_draws import POSITIVE, drawn_shape, parameter
from symgraph.ops.random_gamma import chisquare, loggamma
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.shape import as_shape, broadcast_to, expand_dims, swapaxes
from symgraph.ops.spectral import eigh, svd
from symgraph.ops.trigonometric import cosh, tanh

__all__ = [
    "ball", "bartlett", "generalized_normal", "lkj_cholesky", "multivariate_normal", "orthogonal",
    "wishart",
]  # fmt: skip

METHODS = ("cholesky", "eigh", "svd")


def _shaped(name: str, shape: Any, size: Any, *batches: Variable) -> tuple[Any, ...]:
    """The shape of the batch of a draw whose parameters have these leading axes."""
    own = tuple(broadcast_to(0.0, v) for v in batches)
    return drawn_shape(name, shape, size, (), own)


def _float(name: str, dtype: Any) -> str:
    kind = dtypes.as_dtype(dtype)
    if not dtypes.is_float(kind):
        raise DTypeError(f"random.{name} draws floats, not {kind}")
    return kind


def _times(root: Variable, z: Variable) -> Variable:
    """root z for the vectors along the last axis of z."""
    if root.ndim == 2 and z.ndim > 1:
        return matmul(z, swapaxes(root, -1, -2))
    return matmul(root, expand_dims(z, -1))[..., 0]


# vectors ------------------------------------------------------------------------------------------


def multivariate_normal(
    key: Any, mean: Any, cov: Any, shape: Any = None, dtype: Any = "float64",
    method: str = "cholesky", *, size: Any = None,
) -> Variable:  # fmt: skip
    """Normal vectors of the given mean [..., n] and covariance [..., n, n]: mean + l z, where
    l l^T = cov by ``method``: "cholesky" (needs a positive definite cov and raises LinAlgError when
    the function runs otherwise), "eigh" or "svd" (also for a singular cov; negative eigenvalues
    count as 0). ``shape`` is without the last axis. Differentiable in mean and cov.

    Raises ArgumentError, RankError, ShapeError.

    >>> import symgraph as sg
    >>> sg.random.multivariate_normal(sg.random.key(0), [0.0, 1.0], sg.eye(2), 5).type.text()
    'float64[5, 2]'
    """
    kind = _float("multivariate_normal", dtype)
    if method not in METHODS:
        raise ArgumentError(
            f"random.multivariate_normal: method is one of {', '.join(METHODS)}, not {method!r}"
        )
    work = "float64" if kind == "float64" else "float32"
    mean, cov = cast(as_variable(mean), work), cast(as_variable(cov), work)
    if mean.ndim < 1 or cov.ndim < 2:
        raise RankError(
            "random.multivariate_normal: mean has at least one axis and cov two, got "
            f"{mean.type.text()} and {cov.type.text()}"
        )
    n = mean.shape[-1]
    for k in (-2, -1):
        n = same_size(n, cov.shape[k], "random.multivariate_normal: sizes of mean and cov differ")
    batch = _shaped("multivariate_normal", shape, size, mean.shape[:-1], cov.shape[:-2])
    z = normal(key, (*batch, n), work)
    return cast(mean + _times(_root(cov, method), z), kind)


def _root(cov: Variable, method: str) -> Variable:
    """l with l l^T = cov."""
    if method == "cholesky":
        return cholesky(cov)
    if method == "eigh":
        values, vectors = eigh(cov)
    else:
        vectors, values, _ = svd(cov)
    positive = values > 0
    return vectors * expand_dims(where(positive, sqrt(where(positive, values, 1.0)), 0.0), -2)


def generalized_normal(
    key: Any, p: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """Floats of density proportional to exp(-abs(x)**p), p > 0: the magnitude is a gamma number of
    shape 1/p to the power 1/p. Differentiable in p.

    >>> import symgraph as sg
    >>> sg.random.generalized_normal(sg.random.key(0), 2.0, 3).type.text()
    'float64[3]'
    """
    kind = _float("generalized_normal", dtype)
    p = as_variable(parameter("generalized_normal", "p", p, POSITIVE, "float64"))
    full = drawn_shape("generalized_normal", shape, size, (), (p,))
    magnitudes, signs = two_keys(key)
    y = loggamma(magnitudes, 1 / p, full)
    side = 1 - 2 * cast(less(0.0, normal(signs, full)), "float64")
    return cast(side * exp(y / p), kind)


def ball(
    key: Any, n: Any, p: float = 2.0, shape: Any = (), dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """Points uniform in the unit ball of ``n`` axes in the p-norm: [*shape, n]. Source: Barthe,
    Guedon, Mendelson and Naor, "A probabilistic approach to the geometry of the l_p^n-ball", 2005.

    >>> import symgraph as sg
    >>> sg.random.ball(sg.random.key(0), 3, shape=5).type.text()
    'float64[5, 3]'
    """
    batch = drawn_shape("ball", shape if size is None else None, size)
    (n,) = as_shape(n, "random.ball: the number of axes")
    points, rest = two_keys(key)
    x = generalized_normal(points, p, (*batch, n))
    e = exponential(rest, batch)
    norm = sum_of(exp(p * log(maximum(absolute(x), 1e-300))), -1) + e
    return cast(x / expand_dims(exp(log(norm) / p), -1), _float("ball", dtype))


# matrices -----------------------------------------------------------------------------------------


def orthogonal(
    key: Any, n: Any, shape: Any = (), dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """Orthogonal n x n matrices, uniform by the Haar measure: [*shape, n, n], the factor q of a
    normal matrix with the signs of r's diagonal (Mezzadri, "How to generate random matrices from
    the classical compact groups", Notices of the AMS 54, 2007).

    >>> import symgraph as sg
    >>> q = sg.random.orthogonal(sg.random.key(0), 3)
    >>> bool((abs(q @ q.T - sg.eye(3)) < 1e-12).all().eval())
    True
    """
    batch = drawn_shape("orthogonal", shape if size is None else None, size)
    kind = _float("orthogonal", dtype)
    (n,) = as_shape(n, "random.orthogonal: the size")
    q, r = qr(normal(key, (*batch, n, n), "float64" if kind == "float64" else "float32"))
    d = diagonal(r, 0, -2, -1)
    return cast(q * expand_dims(where(less(d, 0.0), -1.0, 1.0), -2), kind)


def bartlett(
    key: Any, df: Any, n: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The lower triangular factor a of Bartlett's decomposition: a a^T is a Wishart matrix of
    ``df`` > n - 1 degrees of freedom and scale identity: roots of chi-square numbers of df,
    df - 1, ... degrees on the diagonal, normal numbers below (Bartlett, 1933); [..., n, n].
    Differentiable in df; NaN where df is too small.

    >>> import symgraph as sg
    >>> sg.random.bartlett(sg.random.key(0), 5.0, 3).type.text()
    'float64[3, 3]'
    """
    kind = _float("bartlett", dtype)
    (n,) = as_shape(n, "random.bartlett: the size")
    df = as_variable(parameter("bartlett", "df", df, POSITIVE, "float64"))
    batch = drawn_shape("bartlett", shape, size, (), (df,))
    on, below = two_keys(key)
    row, column = iota(n, 2, 0), iota(n, 2, 1)
    chi = sqrt(chisquare(on, _enough(expand_dims(df, -1) - iota(n)), (*batch, n)))
    lower = where(less(column, row), normal(below, (*batch, n, n)), 0.0)
    return cast(where(equal(column, row), expand_dims(chi, -1), lower), kind)


def _enough(df: Variable) -> Variable:
    return where(df > 0, df, float("nan"))


def wishart(
    key: Any, df: Any, scale: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """Wishart matrices of ``df`` > n - 1 degrees of freedom and positive definite scale matrix
    [..., n, n]: (l a) (l a)^T with l l^T = scale and a of :func:`bartlett`. Differentiable in both.

    >>> import symgraph as sg
    >>> sg.random.wishart(sg.random.key(0), 5.0, sg.eye(3), 4).type.text()
    'float64[4, 3, 3]'
    """
    scale = cast(as_variable(scale), "float64")
    if scale.ndim < 2:
        raise RankError(f"random.wishart: scale is a matrix, not {scale.type.text()}")
    df = as_variable(parameter("wishart", "df", df, POSITIVE, "float64"))
    batch = _shaped("wishart", shape, size, scale.shape[:-2], df.shape)
    a = bartlett(key, broadcast_to(df, batch), scale.shape[-1])
    root = matmul(cholesky(scale), a)
    return cast(matmul(root, swapaxes(root, -1, -2)), _float("wishart", dtype))


def lkj_cholesky(
    key: Any, n: Any, eta: Any = 1.0, shape: Any = None, dtype: Any = "float64", *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """Lower triangular factors of n x n correlation matrices of density proportional to
    det(r)**(eta - 1): [..., n, n], from beta distributed partial correlations (Lewandowski,
    Kurowicka and Joe, "Generating random correlation matrices based on vines and extended onion
    method", Journal of Multivariate Analysis 100, 2009). Differentiable in eta.

    >>> import symgraph as sg
    >>> sg.random.lkj_cholesky(sg.random.key(0), 3, 2.0).type.text()
    'float64[3, 3]'
    """
    kind = _float("lkj_cholesky", dtype)
    (n,) = as_shape(n, "random.lkj_cholesky: the size")
    eta = as_variable(parameter("lkj_cholesky", "eta", eta, POSITIVE, "float64"))
    batch = drawn_shape("lkj_cholesky", shape, size, (), (eta,))
    row, column = iota(n, 2, 0), iota(n, 2, 1)
    below = less(column, row)
    # column j of the vine: beta numbers of shape eta + (n - 2 - j) / 2 on (-1, 1)
    rise = where(below, (n - 2 - column) * 0.5, 0.0)
    b = expand_dims(eta, (-2, -1)) + rise
    first, second = two_keys(key)
    whole = (*batch, n, n)
    gap = (loggamma(first, b, whole) - loggamma(second, b, whole)) * 0.5
    partial = where(below, tanh(gap), cast(equal(column, row), "float64"))
    rest = where(below, 1 / cosh(where(below, gap, 0.0)), 1.0)
    left = cumprod(rest, -1) / rest
    return cast(partial * left, kind)
