"""Greatest common divisors in lanes beside NumPy's, for every dtype and where words end."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.loops.verify import verify_program

DTYPES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


def numbers(dtype: str, shape: tuple[int, ...], most: int) -> np.ndarray:
    """With 0, the least and the greatest number and powers of 2 among them."""
    info, rng = np.iinfo(dtype), np.random.default_rng(most % 1000)
    found = rng.integers(max(info.min, -most), most, shape, dtype, endpoint=True)
    special = np.array([0, info.min, info.max, info.max // 2 + 1, 64, 1], dtype)
    return np.where(rng.random(shape) < 0.2, rng.choice(special, shape), found)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_divisors(dtype: str, known: bool) -> None:
    for most in (6, 100, int(np.iinfo(dtype).max)):
        for shape in ((0, 3), (1, 1), (3, 5), (2, 255), (2, 257), (40, 33)):
            a, b = numbers(dtype, shape, most), numbers(dtype, shape, most)[::-1].copy()
            c = numbers(dtype, shape[1:], 50)
            x, y, z = (
                sg.tensor(n, dtype=dtype, shape=v.shape if known else (None,) * v.ndim)
                for n, v in zip("xyz", (a, b, c), strict=True)
            )
            with config.change(parallel_from=0, num_threads=3):
                f = sg.compile([x, y, z], [sg.gcd(x, y), sg.gcd(x, z), sg.gcd(x.T, 6)])
                got = f(a, b, c)
            wanted = np.gcd(a, b), np.gcd(a, c), np.gcd(a.T, np.array(6, dtype))
            for found, right in zip(got, wanted, strict=True):
                assert found.dtype == right.dtype
                np.testing.assert_array_equal(found, right)


def test_numbers_that_take_most_turns() -> None:
    """Neighbours of Fibonacci, and powers of two beside what is next to them."""
    fibonacci = [1, 1]
    while fibonacci[-1] < 2**62:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    a = np.array([*fibonacci[1:], *(2**k for k in range(62)), 3**39], "int64")
    b = np.array([*fibonacci[:-1], *(2**k - 1 for k in range(62)), 2**62], "int64")
    x, y = sg.vector("x", dtype="int64"), sg.vector("y", dtype="int64")
    f = sg.compile([x, y], [sg.gcd(x, y), sg.lcm(x // 2**40, y // 2**40)])
    divisors, multiples = f(a, b)
    np.testing.assert_array_equal(divisors, np.gcd(a, b))
    np.testing.assert_array_equal(multiples, np.lcm(a // 2**40, b // 2**40))
    verify_program(stages.lower(f.definition, stages.optimized_graph(f.definition)))


def test_of_single_numbers() -> None:
    x = sg.scalar("x", dtype="int64")
    assert sg.compile(x, sg.gcd(x, 18))(-12) == 6
