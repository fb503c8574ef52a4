"""root_scalar and minimize_scalar: one unknown number, by Brent's methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph.autodiff.reverse import grad
from symgraph.errors import ArgumentError, GradientError, RankError
from symgraph.ir.graph import Input, Variable
from symgraph.ops.arithmetic import absolute, maximum, minimum, sign
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import isfinite, logical_and, logical_not, logical_or, where
from symgraph.ops.debugging import assert_
from symgraph.ops.looping import while_loop
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import reshape
from symgraph.optimize.implicit import tied
from symgraph.optimize.problem import Flat, Traced, float_dtype, of_expression, scalar_cost, traced
from symgraph.optimize.roots import Root, root
from symgraph.optimize.tied import frozen
from symgraph.records import NamedTuple

Function = Callable[[Variable], Variable]
GOLDEN = 0.3819660112501051  # (3 - sqrt 5) / 2
EXPANSIONS = 60


def _numbers(what: str, values: Any, dtype: str | None) -> list[Variable]:
    """Two numbers as 0-d floats of one dtype."""
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise ArgumentError(f"{what}: a bracket is a pair of numbers (a, b), not {values!r}")
    found = [as_variable(v) for v in values]
    if any(v.ndim for v in found):
        raise RankError(
            f"{what}: a bracket is a pair of scalars", hint="sg.vmap takes many of them"
        )
    kind = dtype or float_dtype(values)
    return frozen([to_dtype(v, kind) for v in found])


def _problem(what: str, fn: Any, x0: Any, args: Sequence[Any], dtype: str) -> tuple[Flat, Traced]:
    """The scalar function over a vector of one element."""
    flat = Flat(what, x0)
    own = Input(flat.type, "x")
    value = scalar_cost(of_expression(fn, x0, what)(flat.nest(own), *args), what)
    return flat, traced([own], [reshape(to_dtype(value, dtype), (1,))])


def _function(problem: Traced) -> Function:
    loose = problem.loose()
    return lambda x: reshape(loose.at([reshape(x, (1,))], loose.outputs)[0], ())


# roots --------------------------------------------------------------------------------------------


def root_scalar(
    fn: Any, args: Sequence[Any] = (), bracket: Any = None, x0: Any = None,
    method: str | None = None, tol: float | None = None, max_steps: int = 200,
    solver: str = "auto",
) -> Root:  # fmt: skip
    """The number x with ``fn(x, *args)`` = 0.

    With ``bracket=(a, b)``, where fn has opposite signs: "brent" (Brent, Algorithms for
    minimization without derivatives, 1973, chapter 4) or "bisect", until x is known to ``tol``
    (four rounding units; relative where |x| > 1). A call whose bracket has no change of sign raises
    AssertionFailed at this line. With ``x0``: "newton", see :func:`root`.

    Derivatives: by the implicit function theorem, of any order and in both directions; the bracket
    has none. Under vmap every example is a search of its own.

    >>> import symgraph as sg
    >>> e, m = sg.scalar("e"), sg.scalar("m")
    >>> found = sg.optimize.root_scalar(lambda x: x - e * sg.sin(x) - m, bracket=(0.0, 4.0))
    >>> f = sg.compile([e, m], [found.x, *sg.grad(found.x, [e, m])])
    >>> [v.round(4).item() for v in f(0.5, 1.0)]
    [1.4987, 1.0347, 1.0374]
    """
    method = method or ("newton" if bracket is None else "brent")
    if method not in ("brent", "brentq", "bisect", "newton"):
        known = "brent, bisect and newton"
        raise ArgumentError(f"root_scalar: unknown method {method!r}", hint=f"known are {known}")
    if (x0 if method == "newton" else bracket) is None:
        needed = "x0" if method == "newton" else "bracket=(a, b)"
        raise ArgumentError(f"root_scalar: {method} needs {needed}")
    if method == "newton":
        if as_variable(x0).ndim:
            raise RankError("root_scalar: x0 is a scalar", hint="sg.optimize.root solves systems")
        return root(fn, x0, args, "newton", tol, max_steps, solver)
    given = None if x0 is None else as_variable(x0).dtype
    a, b = _numbers("root_scalar", bracket, given)
    start = a if x0 is None else as_variable(x0)
    flat, problem = _problem("root_scalar", fn, start, args, a.dtype)
    f = _function(problem)
    fa, fb = f(a), f(b)
    tol = float(np.finfo(a.dtype).eps) * 4 if tol is None else tol
    search = _bisect if method == "bisect" else _brent
    x, steps, done = search(f, (a, fa), (b, fb), tol, max_steps)
    fine = sign(fa) * sign(fb) <= 0
    x = assert_(x, fine, "root_scalar: fn has the same sign (or NaN) at both ends of the bracket")
    (equation,) = problem.outputs
    found = tied("root_scalar", reshape(x, (1,)), equation, problem, solver, True)
    return Root(flat.nest(found), flat.nest(problem.at([found], [equation])[0]), done, steps)


End = tuple[Variable, Variable]


def _bisect(f: Function, a: End, b: End, tol: float, limit: int) -> Any:
    def open_(s: Any) -> Variable:
        return absolute(s[1] - s[0]) > tol * maximum(absolute(s[1]), 1)

    def step(s: Any) -> Any:
        low, high, f_low, k, _ = s
        middle = 0.5 * (low + high)
        value = f(middle)
        same = sign(value) * sign(f_low) > 0
        low, f_low = where(same, middle, low), where(same, value, f_low)
        return low, where(same, high, middle), f_low, k + 1, isfinite(value)

    fine = isfinite(a[1] + b[1])
    # an end where fn is 0 is the whole bracket
    first = where(b[1] == 0, b[0], a[0])
    begin = (first, where(a[1] == 0, a[0], b[0]), a[1], 0, fine)
    low, high, _, k, able = while_loop(
        lambda s: logical_and(logical_and(open_(s), s[3] < limit), s[4]), step, begin
    )
    return 0.5 * (low + high), k, logical_and(logical_not(open_((low, high))), able)


class _Bracket(NamedTuple):
    """Brent's variables: b the best point, c with the other sign, a the best before."""

    a: Variable
    fa: Variable
    b: Variable
    fb: Variable
    c: Variable
    fc: Variable
    d: Variable
    e: Variable


def _ordered(s: _Bracket) -> _Bracket:
    """b and c exchanged where c is better."""
    swap = absolute(s.fc) < absolute(s.fb)
    return s._replace(
        a=where(swap, s.b, s.a), fa=where(swap, s.fb, s.fa), b=where(swap, s.c, s.b),
        fb=where(swap, s.fc, s.fb), c=where(swap, s.b, s.c), fc=where(swap, s.fb, s.fc),
    )  # fmt: skip


def _brent(f: Function, a: End, b: End, tol: float, limit: int) -> Any:
    def open_(s: Any) -> Variable:
        wide = absolute(s.c - s.b) > tol * maximum(absolute(s.b), 1)
        return logical_and(wide, s.fb != 0)

    def step(state: Any) -> Any:
        s, k = state
        least = 0.5 * tol * maximum(absolute(s.b), 1)
        m = 0.5 * (s.c - s.b)
        d, e = _interpolated(s, m, least)
        x = s.b + where(absolute(d) > least, d, where(m > 0, least, -least))
        new = s._replace(a=s.b, fa=s.fb, b=x, fb=f(x), d=d, e=e)
        same = sign(new.fb) * sign(new.fc) > 0
        new = new._replace(
            c=where(same, new.a, new.c), fc=where(same, new.fa, new.fc),
            d=where(same, new.b - new.a, d), e=where(same, new.b - new.a, e),
        )  # fmt: skip
        return _ordered(new), k + 1

    gap = b[0] - a[0]
    begin = _ordered(_Bracket(*a, *b, *a, gap, gap))
    last, k = while_loop(
        lambda s: logical_and(logical_and(open_(s[0]), s[1] < limit), isfinite(s[0].fb)),
        step, (begin, 0),
    )  # fmt: skip
    return last.b, k, logical_and(logical_not(open_(last)), isfinite(last.fb))


def _interpolated(s: _Bracket, m: Variable, least: Variable) -> tuple[Variable, Variable]:
    """Brent's step: by an inverse parabola or a chord where that is safe, else to the middle."""
    r, t, u = s.fb / s.fc, s.fb / s.fa, s.fa / s.fc
    chord = s.a == s.c
    p = where(chord, 2 * m * t, t * (2 * m * u * (u - r) - (s.b - s.a) * (r - 1)))
    q = where(chord, 1 - t, (u - 1) * (r - 1) * (t - 1))
    q = where(p > 0, -q, q)
    p = absolute(p)
    worth = logical_and(absolute(s.e) >= least, absolute(s.fa) > absolute(s.fb))
    inside = 2 * p < minimum(3 * m * q - absolute(least * q), absolute(s.e * q))
    take = logical_and(worth, inside)
    return where(take, p / where(take, q, 1), m), where(take, s.d, m)


# minima -------------------------------------------------------------------------------------------


class ScalarMinimum(NamedTuple):
    """What minimize_scalar returns."""

    x: Variable
    fun: Variable
    converged: Variable
    steps: Variable


def minimize_scalar(
    fn: Any, bracket: Any = None, bounds: Any = None, args: Sequence[Any] = (),
    method: str = "brent", tol: float | None = None, max_steps: int = 500, x0: Any = None,
) -> ScalarMinimum:  # fmt: skip
    """The number x where ``fn(x, *args)`` has a minimum.

    With ``bounds=(a, b)`` between them, ends included; otherwise downhill from ``bracket`` (two
    numbers, (0, 1) if it is not given), with steps that grow until fn rises. ``method``: "brent"
    (parabolas; Brent, Algorithms for minimization without derivatives, 1973, chapter 5) or
    "golden". x is found up to ``tol`` (relative where |x| > 1; the root of the rounding unit, below
    which fn cannot tell points apart, if it is not given). ``converged`` is false when
    ``max_steps`` ran out, or when fn falls without end.

    Derivatives by args and all that fn reads: of the x where the derivative of fn is 0; of a bound
    where the minimum is there. A fn without derivatives gives an x without.

    fn may be an expression, and x0 the variable in it.

    >>> import symgraph as sg
    >>> a = sg.scalar("a")
    >>> found = sg.optimize.minimize_scalar(lambda x: sg.cosh(x - a), bounds=(-1.0, 5.0))
    >>> [v.round(6).item() for v in sg.compile([a], [found.x, sg.grad(found.x, a)])(2.0)]
    [2.0, 1.0]
    """
    if method not in ("brent", "golden", "bounded"):
        known = "brent and golden"
        raise ArgumentError(
            f"minimize_scalar: unknown method {method!r}", hint=f"known are {known}"
        )
    given = None if x0 is None else as_variable(x0).dtype
    ends = bounds if bounds is not None else (0.0, 1.0) if bracket is None else bracket
    if bounds is not None and bracket is not None:
        raise ArgumentError("minimize_scalar: give bracket or bounds, not both")
    a, b = _numbers("minimize_scalar", ends, given)
    start = a if x0 is None else x0
    flat, problem = _problem("minimize_scalar", fn, start, args, a.dtype)
    f = _function(problem)
    tol = float(np.finfo(a.dtype).eps) ** 0.5 if tol is None else tol
    parabolas = method != "golden"
    if bounds is None:
        a, b, x, fine = _downhill(f, a, b)
        x, steps, done = _local(f, a, b, x, tol, max_steps, parabolas)
        done = logical_and(done, fine)
        return _minimum(flat, problem, x, steps, done, None)
    a, b = minimum(a, b), maximum(a, b)
    x, steps, done = _local(f, a, b, a + GOLDEN * (b - a), tol, max_steps, parabolas)
    fx = f(x)
    for end in (a, b):
        value = f(end)
        better = value <= fx
        x, fx = where(better, end, x), where(better, value, fx)
    low, high = (to_dtype(as_variable(v), a.dtype) for v in bounds)
    return _minimum(flat, problem, x, steps, done, (minimum(low, high), maximum(low, high)))


def _minimum(
    flat: Flat, problem: Traced, x: Variable, steps: Variable, done: Variable, bounds: Any
) -> ScalarMinimum:
    """The result, with the derivatives of x where fn has some."""
    (cost,), (own,) = problem.outputs, problem.own
    x = reshape(x, (1,))
    try:
        slope = grad(reshape(cost, ()), own)
    except GradientError:
        (x,) = frozen([x])
    else:
        if bounds is not None:
            low, high = (Input(v.type) for v in bounds)
            slope = where(own <= low, own - low, where(own >= high, own - high, slope))
            problem = Traced(
                problem.own, [*problem.inner, low, high], [cost], [*problem.captured, *bounds]
            )
        x = tied("minimize_scalar", x, slope, problem, "dense", True)
    fun = reshape(problem.at([x], [cost])[0], ())
    return ScalarMinimum(flat.nest(x), fun, logical_and(done, isfinite(fun)), steps)


def _downhill(f: Function, a: Variable, b: Variable) -> tuple[Variable, ...]:
    """Ends around a minimum, a point between them that is lower, and whether they were found."""
    fa, fb = f(a), f(b)
    swap = fb > fa
    a, fa, b, fb = where(swap, b, a), where(swap, fb, fa), where(swap, a, b), where(swap, fa, fb)
    c = b + 1.618 * (b - a)

    def step(s: Any) -> Any:
        _, b, c, _, fc, k = s
        new = c + 1.618 * (c - b)
        return b, c, new, fc, f(new), k + 1

    begin = (a, b, c, fb, f(c), 0)
    a, b, c, fb, fc, _ = while_loop(
        lambda s: logical_and(s[4] < s[3], s[5] < EXPANSIONS), step, begin
    )
    return minimum(a, c), maximum(a, c), b, fc >= fb


class _Search(NamedTuple):
    """Brent's variables: the ends, the three best points and their values, the last two steps."""

    a: Variable
    b: Variable
    x: Variable
    w: Variable
    v: Variable
    fx: Variable
    fw: Variable
    fv: Variable
    d: Variable
    e: Variable


def _local(
    f: Function, a: Variable, b: Variable, x: Variable, tol: float, limit: int, parabolas: bool
) -> tuple[Variable, Variable, Variable]:
    """The minimum between a and b, from x: the point, the number of steps, whether it is found."""

    def least(s: _Search) -> Variable:
        return 0.5 * tol * maximum(absolute(s.x), 1)

    def open_(s: _Search) -> Variable:
        return absolute(s.x - 0.5 * (s.a + s.b)) > 2 * least(s) - 0.5 * (s.b - s.a)

    def step(state: Any) -> Any:
        s, k = state
        small = least(s)
        m = 0.5 * (s.a + s.b)
        longer = where(s.x < m, s.b, s.a) - s.x
        d, e = GOLDEN * longer, longer
        if parabolas:
            p, q, fits = _parabola(s, small)
            step_ = p / where(fits, q, 1)
            at = s.x + step_
            close = logical_or(at - s.a < 2 * small, s.b - at < 2 * small)
            step_ = where(close, where(s.x < m, small, -small), step_)
            d, e = where(fits, step_, d), where(fits, s.d, e)
        u = s.x + where(absolute(d) >= small, d, where(d > 0, small, -small))
        return _Search(*_placed(s, u, f(u)), d, e), k + 1

    fx = f(x)
    zero = fx * 0
    zero = where(zero == 0, zero, 0)
    begin = _Search(a, b, x, x, x, fx, fx, fx, zero, zero)
    last, k = while_loop(
        lambda s: logical_and(open_(s[0]), s[1] < limit), step, (begin, 0)
    )  # fmt: skip
    return last.x, k, logical_not(open_(last))


def _parabola(s: _Search, small: Variable) -> tuple[Variable, Variable, Variable]:
    """The step p / q to the vertex through the three points, and whether it is to be trusted."""
    r = (s.x - s.w) * (s.fx - s.fv)
    q = (s.x - s.v) * (s.fx - s.fw)
    p = (s.x - s.v) * q - (s.x - s.w) * r
    q = 2 * (q - r)
    p = where(q > 0, -p, p)
    q = absolute(q)
    inside = logical_and(p > q * (s.a - s.x), p < q * (s.b - s.x))
    shorter = logical_and(absolute(p) < absolute(0.5 * q * s.e), absolute(s.e) > small)
    return p, q, logical_and(inside, shorter)


def _placed(s: _Search, u: Variable, fu: Variable) -> tuple[Variable, ...]:
    """The ends and the three points when u is known too."""
    down = fu <= s.fx
    right = u >= s.x
    # the worse of u and x becomes an end
    end = where(down, s.x, u)
    left_end = where(down, right, logical_not(right))
    a, b = where(left_end, end, s.a), where(left_end, s.b, end)
    second = logical_or(fu <= s.fw, s.w == s.x)
    third = logical_or(logical_or(fu <= s.fv, s.v == s.x), s.v == s.w)
    v = where(down, s.w, where(second, s.w, where(third, u, s.v)))
    fv = where(down, s.fw, where(second, s.fw, where(third, fu, s.fv)))
    w = where(down, s.x, where(second, u, s.w))
    fw = where(down, s.fx, where(second, fu, s.fw))
    return a, b, where(down, u, s.x), w, v, where(down, fu, s.fx), fw, fv
