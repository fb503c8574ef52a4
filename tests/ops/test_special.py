"""Special functions beyond their registry rows: parameter derivatives against mpmath, wide ranges,
what is refused, calls of SciPy's C functions from kernels, and when SciPy is imported."""

from __future__ import annotations

import subprocess
import sys

import mpmath
import numpy as np
import pytest
import scipy.special

import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
from symgraph.ops import special_functions
from symgraph.runtime.special_functions import special_function
from symgraph.scalar.slopes import LARGEST
from symgraph.scalar.special import LIBRARY

RNG = np.random.default_rng(4)


def _compiled(function, *arrays):
    inputs = [sg.vector(f"x{k}", dtype=a.dtype) for k, a in enumerate(arrays)]
    return sg.compile(inputs, function(*inputs))(*arrays)


def _slopes(function, wrt, *arrays):
    """The derivative by one operand, compiled."""
    return _compiled(lambda *xs: sg.grad(sg.sum(function(*xs)), xs[wrt]), *arrays)


def _check(got, exact, rtol):
    with mpmath.workdps(30):
        wanted = [float(exact(k)) for k in range(len(got))]
    np.testing.assert_allclose(got, wanted, rtol=rtol)


# derivatives by parameters ------------------------------------------------------------------------


def test_gammainc_by_its_parameter():
    a = np.exp(RNG.uniform(-4, 6, 30))
    x = a * np.exp(RNG.normal(size=30))
    got = _slopes(sg.special.gammainc, 0, a, x)

    def exact(k):
        return mpmath.diff(lambda t: mpmath.gammainc(t, 0, x[k], regularized=True), a[k])

    keep = abs(got) > 1e-25  # mpmath's difference quotients lose the far tails
    _check(got[keep], lambda k: exact(np.flatnonzero(keep)[k]), 2e-11)


@pytest.mark.parametrize("place", [0, 1])
def test_betainc_by_its_parameters(place):
    a, b = np.exp(RNG.uniform(-2, 5, 25)), np.exp(RNG.uniform(-2, 5, 25))
    x = np.clip(RNG.beta(a, b), 1e-6, 1 - 1e-9)
    got = _slopes(sg.special.betainc, place, a, b, x)

    def exact(k):
        p = [mpmath.mpf(float(a[k])), mpmath.mpf(float(b[k]))]

        def f(t):
            p[place] = t
            return mpmath.betainc(p[0], p[1], 0, mpmath.mpf(float(x[k])), regularized=True)

        return mpmath.diff(f, p[place])

    _check(got, exact, 1e-10)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_hyp2f1_by_its_parameters(place):
    arrays = [RNG.uniform(0.3, 3, 20) for _ in range(3)] + [np.tanh(RNG.normal(size=20)) * 0.95]
    got = _slopes(sg.special.hyp2f1, place, *arrays)

    def exact(k):
        p = [mpmath.mpf(float(v[k])) for v in arrays]

        def f(t):
            p[place] = t
            return mpmath.hyp2f1(*p)

        return mpmath.diff(f, p[place])

    _check(got, exact, 1e-11)


def test_slopes_at_the_ends_of_the_range():
    assert _slopes(
        sg.special.gammainc, 0, np.array([2.0, 2.0]), np.array([0.0, np.inf])
    ).tolist() == [0, 0]
    ends = np.array([0.0, 1.0])
    for place in (0, 1):
        got = _slopes(sg.special.betainc, place, np.full(2, 2.0), np.full(2, 3.0), ends)
        assert abs(got).tolist() == [0, 0]
    far = np.array([LARGEST * 2])
    assert np.isnan(_slopes(sg.special.gammainc, 0, far, far)).all()


def test_inverses_by_their_parameters():
    a, p = RNG.uniform(0.5, 9, 20), RNG.uniform(0.05, 0.95, 20)
    step = 1e-5

    def difference(f, *rest):
        return (f(a + step, *rest) - f(a - step, *rest)) / (2 * step)

    got = _slopes(sg.special.gammaincinv, 0, a, p)
    np.testing.assert_allclose(got, difference(scipy.special.gammaincinv, p), rtol=1e-7)
    b = RNG.uniform(0.5, 9, 20)
    got = _slopes(sg.special.betaincinv, 0, a, b, p)
    np.testing.assert_allclose(got, difference(scipy.special.betaincinv, b, p), rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["kv", "kve", "iv", "ive", "jv", "yv", "zeta", "stdtr", "polygamma"]
)
def test_the_order_has_no_derivative(name):
    order, x = sg.vector("order"), sg.vector("x")
    y = sg.sum(getattr(sg.special, name)(order, x))
    with pytest.raises(ValueError, match=f"{name}: no derivative by operand 0"):
        sg.grad(y, order)
    assert sg.grad(y, x) is not None
    fixed = getattr(sg.special, name)(sg.stop_gradient(order), x)
    assert sg.grad(sg.sum(fixed), x) is not None


def test_second_derivatives_by_parameters_are_refused():
    a, x = sg.vector("a"), sg.vector("x")
    slope = sg.grad(sg.sum(sg.special.gammainc(a, x)), a)
    with pytest.raises(ValueError, match="gammainc_da: no derivative by operand 0"):
        sg.grad(sg.sum(slope), a)
    mixed = sg.compile([a, x], sg.grad(sg.sum(slope), x))
    h = 1e-4
    got = mixed([2.5], [1.5])

    def density(a):
        return np.exp(0.0 - 1.5 + (a - 1) * np.log(1.5) - scipy.special.gammaln(a))

    np.testing.assert_allclose(got, (density(2.5 + h) - density(2.5 - h)) / (2 * h), rtol=1e-6)


# values -------------------------------------------------------------------------------------------

WIDE = {
    "gammainc": (("log", 1e-3, 1e4), ("log", 1e-3, 1e4)),
    "gammaincc": (("log", 1e-3, 1e4), ("log", 1e-3, 1e4)),
    "betainc": (("log", 1e-2, 1e3), ("log", 1e-2, 1e3), (0, 1)),
    "iv": ((0, 30), ("log", 1e-2, 1e2)),
    "kv": ((0, 30), ("log", 1e-2, 1e2)),
    "jv": ((0, 30), ("log", 1e-2, 1e2)),
    "hyp2f1": ((0.1, 5), (0.1, 5), (0.1, 5), (-3, 0.9)),
    "owens_t": ((-5, 5), (-5, 5)),
    "lambertw": (("log", 1e-10, 1e300),),
    "logit": ((0, 1),),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_wide_ranges(name, dtype):
    arrays = []
    for low, high, *more in WIDE[name]:
        if low == "log":
            top = min(more[0], 1e30) if dtype == "float32" else more[0]
            arrays.append(np.exp(RNG.uniform(np.log(high), np.log(top), 101)).astype(dtype))
        else:
            arrays.append(RNG.uniform(low, high, 101).astype(dtype))
    got = _compiled(getattr(sg.special, name), *arrays)
    wanted = np.real(getattr(scipy.special, name)(*(a.astype("float64") for a in arrays)))
    rtol = 1e-14 if dtype == "float64" else 2e-7
    assert got.dtype == dtype
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, wanted.astype(dtype), rtol=rtol, atol=1e-37)


def test_lambertw_around_its_branch_point():
    x = np.array([-np.exp(-1), -0.3678, -0.35, -0.2, -1e-9, -0.0, np.inf, -0.4, np.nan])
    got = _compiled(sg.special.lambertw, x)
    wanted = [-1, -0.9793607149578304, -0.7166388164560738, -0.2591711018190738,
              -1.000000001e-9, 0, np.inf, np.nan, np.nan]  # fmt: skip
    np.testing.assert_allclose(got[1:], wanted[1:], rtol=1e-11)
    assert abs(got[0] + 1) < 1e-7
    with pytest.raises(TypeError, match="principal branch"):
        sg.special.lambertw(x, -1)


def test_stable_forms_keep_what_the_naive_ones_lose():
    x = np.array([30.0, 100.0, -1e-20, 0.0])
    np.testing.assert_allclose(
        _compiled(lambda x: sg.log(sg.erfc(x)), x),
        [-903.9741171106439, -10005.177585122665, 1.1283791670955127e-20, 0.0], rtol=1e-14,
    )  # fmt: skip
    np.testing.assert_allclose(
        _compiled(lambda x: sg.log(sg.special.ndtr(-x)), x[:2]),
        scipy.special.log_ndtr(-x[:2]), rtol=1e-14,
    )  # fmt: skip
    big = np.array([200.0, 1e6])
    np.testing.assert_allclose(
        _compiled(lambda x: sg.log(sg.special.gamma(x)), big),
        scipy.special.gammaln(big),
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        _compiled(lambda x: sg.log1p(-sg.exp(x)), np.array([-1e-20])), [-46.051701859880914]
    )


def test_kl_div_of_near_numbers():
    x, y = np.array([1.0, 1e-5]), np.array([1 + 1e-7, 1e-5 * (1 + 1e-9)])
    got = _compiled(sg.special.rel_entr, x, y)
    with mpmath.workdps(40):
        pairs = [(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(x, y, strict=True)]
        wanted = [float(a * mpmath.log(a / b)) for a, b in pairs]
    np.testing.assert_allclose(got, wanted, rtol=1e-14)


# names and shapes ---------------------------------------------------------------------------------


def test_every_name_is_there():
    for name in special_functions.__all__:
        assert (getattr(sg.special, name).__doc__ or "").strip(), name


def test_shapes_broadcast_and_batch():
    a, x = RNG.uniform(0.5, 3, (4, 1)), RNG.uniform(0.5, 3, 5)
    va, vx = sg.matrix("a", shape=("n", 1)), sg.vector("x")
    got = sg.compile([va, vx], sg.special.gammainc(va, vx))(a, x)
    np.testing.assert_allclose(got, scipy.special.gammainc(a, x), rtol=1e-13)
    rows = sg.compile([va, vx], sg.vmap(lambda r: sg.special.betainc(r, 2.0, vx * 0.1))(va))
    np.testing.assert_allclose(rows(a, x), scipy.special.betainc(a, 2.0, x * 0.1), rtol=1e-13)
    empty = sg.compile([vx], sg.special.kv(1.5, vx))(np.empty(0))
    assert empty.shape == (0,)


def test_integers_become_floats_and_complex_numbers_are_refused():
    assert sg.special.gammainc(sg.vector("n", dtype="int64"), 1).dtype == "float64"
    with pytest.raises(TypeError):
        sg.special.gamma(sg.vector("z", dtype="complex128"))
    for call in (lambda: sg.special.multigammaln(1.0, 0), lambda: sg.special.polygamma(-1, 1.0)):
        with pytest.raises(TypeError):
            call()


# calls of SciPy's functions -----------------------------------------------------------------------


@pytest.mark.parametrize("name", LIBRARY)
def test_scipy_exports_it(name):
    assert special_function(name, LIBRARY[name].arity) > 0


def test_unknown_functions_are_refused():
    with pytest.raises(KeyError, match="no gammainc of 3 doubles"):
        special_function("gammainc", 3)


def test_kernels_hold_no_address():
    x = sg.vector("x")
    y = sg.special.kv(1.5, x) + sg.special.gammainc(2.0, x) * sg.special.i0(x)
    d = stage_definition([y])
    graph = stages.optimized_graph(d)
    lowered = stages.emit(d, graph, stages.lower(d, graph))
    words = [key for kind, key in lowered.layout if kind == "special"]
    assert sorted(words) == ["gammainc", "kv"]
    assert "inttoptr" not in lowered.text
    for text in lowered.kernels.values():
        outside = [line for line in text.splitlines() if line.startswith("declare")]
        assert all("@llvm." in line for line in outside)


def test_they_work_inside_loops_and_branches():
    x = sg.vector("x")
    (total, _) = (
        sg.scan(
            lambda v, s: s + sg.special.gammaincc(2.0, v),
            sequences=[x],
            outputs_info=[sg.zeros(())],
        ),
        None,
    )
    y = sg.cond(sg.sum(x) > 0, lambda: sg.special.kv(0.5, x), lambda: sg.special.jv(0.5, x))
    f = sg.compile([x], [total, y])
    values = np.array([0.5, 1.5, 2.5])
    sums, branch = f(values)
    np.testing.assert_allclose(sums, np.cumsum(scipy.special.gammaincc(2.0, values)), rtol=1e-13)
    np.testing.assert_allclose(branch, scipy.special.kv(0.5, values), rtol=1e-13)


def test_scipy_is_imported_when_it_is_needed():
    code = (
        "import sys, symgraph as sg, numpy as np\n"
        "x = sg.vector('x')\n"
        "sg.compile([x], sg.special.lgamma(x) + sg.special.i0(x))(np.ones(3))\n"
        "assert 'scipy.special' not in sys.modules\n"
        "sg.compile([x], sg.special.kv(1.5, x))(np.ones(3))\n"
        "assert 'scipy.special' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
