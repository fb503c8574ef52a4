"""Rows for special functions, against SciPy.

NO_SECOND names the operands by which second derivatives are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from symgraph.ir.op import OPS
from symgraph.ops import special_functions as special
from symgraph.scalar.special import SPECIAL
from tests.ops.samples import Sample, array

NAMES = """gamma rgamma erfi dawsn erfcx erfcinv ndtr ndtri ndtri_exp log_ndtr owens_t beta betaln
betainc betaincc betaincinv betainccinv binom poch gammainc gammaincc gammaincinv gammainccinv y0 y1
jv yv iv ive kv kve i0e k0 k1 k0e k1e hyp1f1 hyp2f1 exp1 expi spence ellipk ellipe
wrightomega stdtr stdtrit xlogy xlog1py entr rel_entr logit huber pseudo_huber exprel boxcox
boxcox1p inv_boxcox inv_boxcox1p""".split()


def _float(function: Any) -> Any:
    """A function of SciPy in the dtype of the operands, computed in float64."""

    def call(*operands: Any) -> Any:
        with np.errstate(all="ignore"):
            found = function(*(np.asarray(x, "float64") for x in operands))
            return np.asarray(found).astype(np.result_type(*operands))

    return call


def _at_infinity(function: Any, above: float, below: float) -> Any:
    """SciPy has NaN where these have limits."""
    ends = lambda x: np.where(x > 0, above, below)
    return _float(lambda x: np.where(np.isinf(x), ends(x), function(x)))


def _own(name: str) -> Any:
    """What SciPy does not have: the scalar table's reference, tested against mpmath elsewhere."""
    return SPECIAL[name].reference


def _trials(function: Any) -> Any:
    """SciPy wants whole numbers of trials."""
    return lambda k, n, p: function(k, n.astype("int64"), p)


def _multigammaln(a: Any) -> Any:
    return np.array([scipy.special.multigammaln(v, 3) for v in a])


def _log1mexp(x: Any) -> Any:
    return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def _by_rows(name: str) -> Any:
    """The row's own reference: its values are tested by test_special.py."""
    return lambda *xs: OPS[name].reference(*xs)


ELEMENTWISE: dict[str, Any] = {name: _float(getattr(scipy.special, name)) for name in NAMES}
ELEMENTWISE |= {
    "lgamma": _float(scipy.special.gammaln), "digamma": _float(scipy.special.psi),
    "trigamma": _float(lambda x: scipy.special.zeta(2, x)),
    "zeta": _own("zeta"), "polygamma": _by_rows("polygamma"),
    "erfinv": _float(scipy.special.erfinv), "i1e": _float(scipy.special.i1e),
    "i0": _at_infinity(scipy.special.i0, np.inf, np.inf),
    "i1": _at_infinity(scipy.special.i1, np.inf, -np.inf),
    "j0": _own("j0"), "j1": _own("j1"), "log1mexp": _float(_log1mexp),
    "lambertw": _float(lambda x: np.where(x < -np.exp(-1), np.nan, scipy.special.lambertw(x).real)),
    "hyp2f1_da": _own("hyp2f1_da"), "hyp2f1_dc": _own("hyp2f1_dc"),
    "kl_div": _by_rows("kl_div"),  # SciPy's cancels where x is near y
    "gammainc_da": _by_rows("gammainc_da"), "betainc_da": _by_rows("betainc_da"),
    "betainc_db": _by_rows("betainc_db"),
}  # fmt: skip
NO_SECOND = {
    **dict.fromkeys(("gammainc", "gammaincc", "gammaincinv", "gammainccinv"), (0,)),
    **dict.fromkeys(("betainc", "betaincc", "betaincinv", "betainccinv"), (0, 1)),
    "hyp2f1": (0, 1, 2),
}

X, P = array(2, 3, low=0.3, high=5.0), array(3, seed=1, low=0.1, high=0.9)
N = np.array([0.0, 1.0, 3.0, 6.0])


def _sample(op: str, name: str, reference: Any, *arrays: Any, **options: Any) -> Sample:
    return Sample(op, getattr(special, name), reference, arrays, **options)


_sc = scipy.special
SAMPLES = [
    _sample("lgamma", "gammaln", _sc.gammaln, X),
    _sample("digamma", "psi", _sc.psi, X),
    _sample("trigamma", "tri_gamma", lambda x: _sc.polygamma(1, x), X),
    _sample("sigmoid", "expit", _sc.expit, X - 2),
    _sample("softplus", "log_expit", _sc.log_expit, X - 2),
    _sample("softplus", "log1pexp", lambda x: np.logaddexp(0, x), X - 2),
    _sample("lgamma", "loggamma", lambda x: _sc.loggamma(x), X),
    _sample("floor", "gammasgn", _sc.gammasgn, np.array([0.0, -0.0, 2.0, -0.5, -1.5]), grad=False),
    _sample("gamma", "factorial", lambda n: _sc.factorial(n), N, grad=False),
    _sample("binom", "comb", lambda n, k: _sc.comb(n, k), N, N[::-1] / 2, grad=False),
    _sample("poch", "perm", lambda n, k: _sc.perm(n, k), N, N[::-1] / 2, grad=False),
    _sample("gammaincc", "gammau", lambda a, x: _sc.gammaincc(a, x) * _sc.gamma(a), X[0], X[1]),
    _sample("gammainc", "gammal", lambda a, x: _sc.gammainc(a, x) * _sc.gamma(a), X[0], X[1]),
    _sample("gammainc", "chdtr", _sc.chdtr, X[0], X[1]),
    _sample("gammaincc", "chdtrc", _sc.chdtrc, X[0], X[1]),
    _sample("gammaincc", "chi2sf", lambda x, k: _sc.chdtrc(k, x), X[0], X[1]),
    _sample("gammainc", "gdtr", _sc.gdtr, X[0], X[1], P),
    _sample("gammaincc", "gdtrc", _sc.gdtrc, X[0], X[1], P),
    _sample("gammaincc", "pdtr", _sc.pdtr, N, P[0] + N, grad=False),
    _sample("gammainc", "pdtrc", _sc.pdtrc, N, P[0] + N, grad=False),
    _sample("betaincc", "bdtr", _trials(_sc.bdtr), N, np.full(4, 6.0), P[0] + 0 * N, grad=False),
    _sample("betainc", "bdtrc", _trials(_sc.bdtrc), N, np.full(4, 6.0), P[0] + 0 * N, grad=False),
    _sample("betainc", "fdtr", _sc.fdtr, X[0], X[1], P),
    _sample("betainc", "fdtrc", _sc.fdtrc, X[0], X[1], P),
    Sample("lgamma", lambda a: special.multigammaln(a, 3), _multigammaln, (X[0] + 1,)),
    _sample("zeta", "zeta", _sc.zeta, X[0] + 1, grad=False),
    Sample("polygamma", lambda x: special.polygamma(3, x), lambda x: _sc.polygamma(3, x), (X,)),
    Sample("gamma", special.gamma, _sc.gamma, (np.ones((0, 2)),)),
    Sample("gammainc", special.gammainc, _sc.gammainc, (X, np.ones((1, 1)))),
]  # fmt: skip
