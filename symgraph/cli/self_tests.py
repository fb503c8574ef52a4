"""Programs with known answers that `symgraph doctor` compiles and runs, and how fast they are.

They are compiled anew, past the disk cache, so that what is tested is this machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import api, config
from symgraph.cli.checks import Check
from symgraph.errors import IndexOutOfRange
from symgraph.ops import linalg, random

SELF_TESTS: list[Callable[[], Check]] = []
MEND = 'compile with mode="interpret", and report it'


def self_test(function: Callable[[], Check]) -> Callable[[], Check]:
    """Decorator: `doctor` runs this, without the disk cache."""

    def run() -> Check:
        with config.change(cache=False):
            return function()

    run.__name__ = function.__name__
    SELF_TESTS.append(run)
    return run


def _compare(name: str, got: Any, wanted: Any, rtol: float = 1e-12, more: str = "") -> Check:
    what = f"self-test {name}"
    if np.allclose(np.asarray(got), wanted, rtol=rtol, atol=0):
        return Check(what, "good", f"right{more}")
    worst = np.max(np.abs(np.asarray(got, float) - wanted))
    return Check(what, "bad", f"compiled code is off by {worst:.3g}", MEND)


@self_test
def self_test_products() -> Check:
    """A loop, a fold and a matrix product in one program."""
    x = api.matrix("x", shape=("n", 3))
    y = api.sum(api.exp(-x @ x.T), axis=1)
    given = np.linspace(-1, 1, 12).reshape(4, 3)
    expected = np.exp(-given @ given.T).sum(axis=1)
    function = api.compile([x], y)
    milliseconds = 1000 * function.statistics["total"]
    return _compare("products", function(given), expected, more=f", in {milliseconds:.0f} ms")


@self_test
def self_test_functions() -> Check:
    """Values from tables (Abramowitz and Stegun, 1964, and the numbers everybody knows)."""
    x = api.vector("x")
    outputs = [api.exp(x), api.log(x + 1), api.sin(x), api.tanh(x), api.erf(x), api.sqrt(x)]
    got = [float(v[0]) for v in api.compile([x], outputs)(np.ones(5))]
    wanted = [2.718281828459045, 0.6931471805599453, 0.8414709848078965, 0.7615941559557649,
              0.8427007929497149, 1.0]  # fmt: skip
    return _compare("functions", got, wanted, 4e-16)


@self_test
def self_test_single_precision() -> Check:
    x = api.vector("x", dtype="float32")
    got = api.compile([x], api.exp(x))(np.array([0, 1, -1, 10], "float32"))
    return _compare("single precision", got, [1, 2.7182817, 0.36787945, 22026.465], 2e-7)


@self_test
def self_test_integers() -> Check:
    """Signs of division, wrapping, comparison and indices."""
    x, i = api.vector("x", dtype="int64"), api.vector("i", dtype="int64")
    got = api.compile([x, i], api.concatenate([x // 3, x % 3, x[i]]))
    values = got(np.array([-7, 7, 2]), np.array([2, -3]))
    return _compare("integers", values, [-3, 2, 0, 2, 1, 2, 2, -7], 0)


@self_test
def self_test_loops() -> Check:
    """Fibonacci's numbers by scan, Euclid's algorithm by while_loop."""
    steps = [api.constant(1), api.constant(1)]
    a, _ = api.scan(lambda a, b: (b, a + b), None, steps, n_steps=10)
    x, y = api.scalar("x", dtype="int64"), api.scalar("y", dtype="int64")
    divisor = api.while_loop(lambda s: s[1] != 0, lambda s: (s[1], s[0] % s[1]), (x, y))[0]
    got = api.compile([x, y], [a[-1], divisor])(np.int64(1071), np.int64(462))
    return _compare("loops", got, [89, 21], 0)


@self_test
def self_test_linear_algebra() -> Check:
    a = api.matrix("a")
    got = api.compile([a], [linalg.cholesky(a), linalg.inv(a)])(np.array([[4.0, 2.0], [2.0, 5.0]]))
    wanted = [[[2, 0], [1, 2]], [[0.3125, -0.125], [-0.125, 0.25]]]
    return _compare("linear algebra", np.stack(got), wanted, 1e-14)


@self_test
def self_test_gradients() -> Check:
    x = api.vector("x")
    slope = api.grad(api.sum(x**3 + api.sin(x)), x)
    given = np.array([0.0, 1.0, -2.0])
    return _compare("gradients", api.compile([x], slope)(given), 3 * given**2 + np.cos(given))


@self_test
def self_test_random() -> Check:
    """The same bits by compiled code and by NumPy."""
    drawn = random.bits(random.key(0), (4,))
    got, again = api.compile([], drawn)(), api.compile([], drawn, mode="interpret")()
    return _compare("random", got.astype(float), again.astype(float), 0)


@self_test
def self_test_threads() -> Check:
    """A sum that is large enough to be shared out over the threads."""
    x = api.vector("x")
    count = 1 << 20
    got = api.compile([x], api.sum(api.sqrt(x)))(np.full(count, 4.0))
    return _compare("threads", got, 2.0 * count, 1e-12, f", with {config.get('num_threads')}")


@self_test
def self_test_errors() -> Check:
    """A failure inside compiled code becomes a Python error."""
    x, i = api.vector("x"), api.scalar("i", dtype="int64")
    function = api.compile([x, i], x[i] * 2)
    try:
        function(np.ones(3), np.array(5))
    except IndexOutOfRange:
        return Check("self-test errors", "good", "an index out of range is refused")
    return Check("self-test errors", "bad", "an index out of range is not seen", MEND)


@self_test
def self_test_interpreter() -> Check:
    x = api.vector("x")
    got = api.compile([x], api.cumsum(x), mode="interpret")(np.ones(4))
    return _compare("interpreter", got, [1, 2, 3, 4], 0)


# speed: about a second in all ---------------------------------------------------------------------


def _seconds(call: Callable[[], Any], least: float = 0.08) -> float:
    """The shortest time of a call, out of as many as fit."""
    call()
    best, end = float("inf"), time.perf_counter() + least
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


@self_test
def speed_of_calls() -> Check:
    x = api.vector("x")
    function = api.compile([x], x + 1)
    given = np.ones(1)

    def thousand() -> None:
        for _ in range(1000):
            function(given)

    nanoseconds = 1e6 * _seconds(thousand)
    what = f"{nanoseconds:.0f} ns for a call that does next to nothing"
    if nanoseconds > 5000:
        return Check("speed of calls", "note", what, "the machine is busy, or a profiler is on")
    return Check("speed of calls", "good", what)


@self_test
def speed_of_memory() -> Check:
    x, y = api.vector("x"), api.vector("y")
    function = api.compile([x, y], 2 * x + y)
    a, b = np.ones(1 << 22), np.ones(1 << 22)
    ours = _seconds(lambda: function(a, b))
    theirs = _seconds(lambda: 2 * a + b)
    what = f"{3 * a.nbytes / ours / 1e9:.1f} GB/s for 2x + y, {theirs / ours:.1f} times NumPy"
    if ours > 1.3 * theirs:
        return Check(
            "speed of memory", "note", what, "symgraph doctor again when nothing else runs"
        )
    return Check("speed of memory", "good", what)


@self_test
def speed_of_arithmetic() -> Check:
    x = api.vector("x")
    function = api.compile([x], api.exp(x))
    a = np.linspace(-1, 1, 1 << 16)
    ours, theirs = _seconds(lambda: function(a)), _seconds(lambda: np.exp(a))
    what = f"{a.size / ours / 1e9:.2f} billion exp/s, {theirs / ours:.1f} times NumPy"
    if ours > 1.5 * theirs:
        return Check(
            "speed of arithmetic", "note", what, "the processor may lack AVX2; see vectors"
        )
    return Check("speed of arithmetic", "good", what)


@self_test
def speed_of_products() -> Check:
    a, b = api.matrix("a"), api.matrix("b")
    function = api.compile([a, b], a @ b)
    m = np.ones((512, 512))
    ours, theirs = _seconds(lambda: function(m, m)), _seconds(lambda: m @ m)
    what = f"{2 * 512**3 / ours / 1e9:.0f} GFLOP/s, {theirs / ours:.1f} times NumPy"
    if ours > 1.5 * theirs:
        return Check("speed of products", "note", what, "threads compete: see BLAS threads")
    return Check("speed of products", "good", what)
