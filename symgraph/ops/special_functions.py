"""sg.special: special functions under SciPy's names, and those of Theano and PyTensor.

All are elementwise and broadcast (but logsumexp, softmax and log_softmax), take floats (integers
become floats) and run inside kernels. float32 is computed in float64 and rounded. What their rows
say of derivatives holds for the compositions here.
"""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ops import (
    special_bessel,
    special_entropy,
    special_gamma,
    special_hypergeometric,
    special_normal,
)
from symgraph.ops.activations import log_sigmoid, log_softmax, softmax  # noqa: F401
from symgraph.ops.arithmetic import copysign, floor
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import equal, greater, greater_equal, less, logical_or, where
from symgraph.ops.elementwise import to_float64
from symgraph.ops.exponential import exp2, expm1, log1p  # noqa: F401  (offered here too)
from symgraph.ops.numbers import sinc  # noqa: F401
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import logsumexp  # noqa: F401
from symgraph.ops.special import erf, erfc, sigmoid, softplus  # noqa: F401
from symgraph.ops.special_bessel import *  # noqa: F403
from symgraph.ops.special_bessel import kv
from symgraph.ops.special_entropy import *  # noqa: F403
from symgraph.ops.special_gamma import *  # noqa: F403
from symgraph.ops.special_gamma import (
    betainc,
    betaincc,
    binom,
    digamma,
    gamma,
    gammainc,
    gammaincc,
    lgamma,
    poch,
    trigamma,
)
from symgraph.ops.special_hypergeometric import *  # noqa: F403
from symgraph.ops.special_normal import *  # noqa: F403

_ALIASES = """expit exp2 expm1 erf erfc gammaln kn log1p log1pexp log_expit log_sigmoid log_softmax
logsumexp psi sigmoid sinc softmax softplus tri_gamma""".split()
_COMPOSED = """bdtr bdtrc chdtr chdtrc chi2sf comb factorial fdtr fdtrc gammal gammasgn gammau gdtr
gdtrc loggamma pdtr pdtrc perm""".split()
__all__ = sorted([
    *special_bessel.__all__, *special_entropy.__all__, *special_gamma.__all__,
    *special_hypergeometric.__all__, *special_normal.__all__, *_ALIASES, *_COMPOSED,
])  # fmt: skip


def __dir__() -> list[str]:
    return __all__


expit, log1pexp = sigmoid, softplus
gammaln, psi, tri_gamma = lgamma, digamma, trigamma
log_expit = log_sigmoid
kn = kv


def _floats(*operands: Any) -> list[Variable]:
    found = [as_variable(x) for x in operands]
    return [to_dtype(x, to_float64(x.dtype)) for x in found]


# gamma --------------------------------------------------------------------------------------------


def loggamma(x: Any) -> Variable:
    """The logarithm of gamma(x) on the real line, NaN for negative x (where it is complex).

    >>> import symgraph as sg
    >>> sg.special.loggamma([1.0, -0.5]).eval().tolist()
    [0.0, nan]
    """
    (x,) = _floats(x)
    return where(less(x, 0), float("nan"), lgamma(x))


def gammasgn(x: Any) -> Variable:
    """The sign of gamma(x), 1 or -1; NaN at negative integers and for NaN.

    >>> import symgraph as sg
    >>> sg.special.gammasgn([2.5, -0.5, -1.5]).eval().tolist()
    [1.0, -1.0, 1.0]
    """
    (x,) = _floats(x)
    whole = floor(x)
    below = where(equal(whole, x), float("nan"), 1 - 2 * (whole % 2))
    return where(greater(x, 0), 1.0, where(equal(x, 0), copysign(1.0, x), below))


def gammau(a: Any, x: Any) -> Variable:
    """The upper incomplete gamma function gamma(a) gammaincc(a, x) (Theano's name).

    >>> import symgraph as sg
    >>> sg.special.gammau(2.0, 0.0).eval().item()
    1.0
    """
    return gammaincc(a, x) * gamma(a)


def gammal(a: Any, x: Any) -> Variable:
    """The lower incomplete gamma function gamma(a) gammainc(a, x) (Theano's name).

    >>> import symgraph as sg
    >>> sg.special.gammal(2.0, 0.0).eval().item()
    0.0
    """
    return gammainc(a, x) * gamma(a)


def factorial(n: Any) -> Variable:
    """n! as a float, gamma(n + 1) for fractions, 0 for negative n.

    >>> import symgraph as sg
    >>> sg.special.factorial([0, 3, -1]).eval().tolist()
    [1.0, 6.0, 0.0]
    """
    (n,) = _floats(n)
    inside = greater_equal(n, 0)
    return where(less(n, 0), 0.0, gamma(where(inside, n, 0) + 1) + (n - n))


def comb(n: Any, k: Any) -> Variable:
    """The number of ways to choose k of n, as a float: binom(n, k), 0 unless 0 <= k <= n.

    >>> import symgraph as sg
    >>> sg.special.comb([5, 2], [2, 5]).eval().tolist()
    [10.0, 0.0]
    """
    n, k = _floats(n, k)
    return where(logical_or(less(k, 0), less(n, k)), 0.0, binom(n, k))


def perm(n: Any, k: Any) -> Variable:
    """The number of ordered choices of k of n, as a float: n! / (n - k)!, 0 unless 0 <= k <= n.

    >>> import symgraph as sg
    >>> sg.special.perm([5], [2]).eval().tolist()
    [20.0]
    """
    n, k = _floats(n, k)
    outside = logical_or(less(k, 0), less(n, k))
    return where(outside, 0.0, poch(where(outside, 1, n - k + 1), k))


# distributions ------------------------------------------------------------------------------------


def chdtr(v: Any, x: Any) -> Variable:
    """The probability that chi squared with v degrees of freedom is at most x.

    >>> import symgraph as sg
    >>> sg.special.chdtr(2.0, 0.0).eval().item()
    0.0
    """
    v, x = _floats(v, x)
    return gammainc(v / 2, x / 2)


def chdtrc(v: Any, x: Any) -> Variable:
    """The probability that chi squared with v degrees of freedom exceeds x.

    >>> import symgraph as sg
    >>> sg.special.chdtrc(2.0, 0.0).eval().item()
    1.0
    """
    v, x = _floats(v, x)
    return gammaincc(v / 2, x / 2)


def chi2sf(x: Any, k: Any) -> Variable:
    """chdtrc(k, x), the survival function of chi squared (Theano's name and order).

    >>> import symgraph as sg
    >>> sg.special.chi2sf(0.0, 2.0).eval().item()
    1.0
    """
    return chdtrc(k, x)


def gdtr(a: Any, b: Any, x: Any) -> Variable:
    """The distribution function of gamma with rate a and shape b.

    >>> import symgraph as sg
    >>> sg.special.gdtr(1.0, 2.0, 0.0).eval().item()
    0.0
    """
    a, b, x = _floats(a, b, x)
    return gammainc(b, a * x)


def gdtrc(a: Any, b: Any, x: Any) -> Variable:
    """1 - gdtr(a, b, x), accurate where that is small.

    >>> import symgraph as sg
    >>> sg.special.gdtrc(1.0, 2.0, 0.0).eval().item()
    1.0
    """
    a, b, x = _floats(a, b, x)
    return gammaincc(b, a * x)


def pdtr(k: Any, m: Any) -> Variable:
    """The probability that a Poisson number of mean m is at most k.

    >>> import symgraph as sg
    >>> sg.special.pdtr(3.0, 0.0).eval().item()
    1.0
    """
    k, m = _floats(k, m)
    return gammaincc(floor(k) + 1, m)


def pdtrc(k: Any, m: Any) -> Variable:
    """1 - pdtr(k, m), accurate where that is small.

    >>> import symgraph as sg
    >>> sg.special.pdtrc(3.0, 0.0).eval().item()
    0.0
    """
    k, m = _floats(k, m)
    return gammainc(floor(k) + 1, m)


def bdtr(k: Any, n: Any, p: Any) -> Variable:
    """The probability of at most k successes in n trials of probability p, for 0 <= k <= n.

    >>> import symgraph as sg
    >>> sg.special.bdtr([0.0, 2.0], 2.0, 0.5).eval().tolist()
    [0.25, 1.0]
    """
    k, n, p = _floats(k, n, p)
    whole = floor(k)
    all_ = equal(whole, n)
    return where(all_, 1.0, betaincc(whole + 1, where(all_, 1, n - whole), p))


def bdtrc(k: Any, n: Any, p: Any) -> Variable:
    """1 - bdtr(k, n, p), accurate where that is small.

    >>> import symgraph as sg
    >>> sg.special.bdtrc([0.0, 2.0], 2.0, 0.5).eval().tolist()
    [0.75, 0.0]
    """
    k, n, p = _floats(k, n, p)
    whole = floor(k)
    all_ = equal(whole, n)
    return where(all_, 0.0, betainc(whole + 1, where(all_, 1, n - whole), p))


def fdtr(dfn: Any, dfd: Any, x: Any) -> Variable:
    """The distribution function of Snedecor's F with dfn and dfd degrees of freedom.

    >>> import symgraph as sg
    >>> sg.special.fdtr(2.0, 2.0, 1.0).eval().item()
    0.5
    """
    dfn, dfd, x = _floats(dfn, dfd, x)
    return betainc(dfn / 2, dfd / 2, dfn * x / (dfd + dfn * x))


def fdtrc(dfn: Any, dfd: Any, x: Any) -> Variable:
    """1 - fdtr(dfn, dfd, x), accurate where that is small.

    >>> import symgraph as sg
    >>> sg.special.fdtrc(2.0, 2.0, 1.0).eval().item()
    0.5
    """
    dfn, dfd, x = _floats(dfn, dfd, x)
    return betainc(dfd / 2, dfn / 2, dfd / (dfd + dfn * x))
