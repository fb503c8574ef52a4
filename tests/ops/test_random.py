"""Philox against the vectors of Random123; draws against their distributions; keys and streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from symgraph.errors import ArgumentError, DTypeError, ShapeError
from symgraph.ir.graph import constant
from symgraph.ops import random
from symgraph.ops.creation import scalar, tensor
from tests.ops import evaluation

# kat_vectors of Random123: counter and key words, then the block.
VECTORS = [
    ((0,) * 6, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def values(*outputs: Any, lowered: bool = False) -> list[Any]:
    return evaluation.run(list(outputs), {}, lowered)


@pytest.mark.parametrize("lowered", [False, True])
@pytest.mark.parametrize("operands, block", VECTORS)
def test_known_answers(operands: tuple[int, ...], block: tuple[int, ...], lowered: bool) -> None:
    words = [w(*(constant(o, "uint32") for o in operands)) for w in random._WORDS]
    assert [int(v) for v in values(*words, lowered=lowered)] == list(block)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_is_uniform(dtype: str) -> None:
    (u,) = values(random.uniform(random.key(1), 20000, dtype))
    assert u.dtype == dtype and u.min() >= 0 and u.max() < 1
    assert scipy.stats.kstest(u, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.03
    (v,) = values(random.uniform(random.key(1), 20000, dtype, -1, 3))
    np.testing.assert_allclose(v, 4 * u - 1, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_is_normal(dtype: str) -> None:
    (z,) = values(random.normal(random.key(2), (100, 200), dtype))
    assert z.dtype == dtype and np.isfinite(z).all()
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    (w,) = values(random.normal(random.key(2), (100, 200), dtype, 5, 2))
    np.testing.assert_allclose(w, 2 * z + 5, rtol=1e-5)


def test_lowering_gives_the_same_bits() -> None:
    key = random.fold_in(random.key(2**40 + 7), 3)
    draws = [
        random.bits(key, (2, 3), "uint64"),
        random.split(key, 2),
        random.uniform(key, 3, "float32"),
    ]
    for a, b in zip(values(*draws), values(*draws, lowered=True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bits_and_integers_cover_their_range() -> None:
    (b,) = values(random.bits(random.key(3), 4000, "uint64"))
    ones = np.unpackbits(b.view("uint8")).mean()
    assert abs(ones - 0.5) < 0.01 and len(np.unique(b)) == 4000
    (i,) = values(random.randint(random.key(3), 3000, -2, 3))
    assert i.dtype == "int64" and sorted(set(i.tolist())) == [-2, -1, 0, 1, 2]
    assert scipy.stats.chisquare(np.bincount(i + 2)).pvalue > 1e-3
    (p,) = values(random.bernoulli(random.key(4), 0.3, 5000))
    assert p.dtype == "bool" and abs(p.mean() - 0.3) < 0.03


def test_an_element_does_not_depend_on_the_size() -> None:
    n = tensor("x", shape=("n",))
    draw = random.uniform(random.key(5), n.shape)
    short, long = (evaluation.run([draw], {n: np.zeros(k)})[0] for k in (3, 7))
    np.testing.assert_array_equal(short, long[:3])
    np.testing.assert_array_equal(values(random.uniform(random.key(5), 7))[0], long)


def test_keys_differ() -> None:
    key, seed = random.key(0), scalar("seed", "int64")
    children = values(random.split(key, 50))[0]
    folded = [values(random.fold_in(key, k))[0] for k in range(50)]
    assert len({tuple(k) for k in [*children, *folded, [0, 0]]}) == 101
    for s in (7, -1, 2**63 - 1):
        (found,) = evaluation.run([random.key(seed)], {seed: np.int64(s)})
        np.testing.assert_array_equal(found, values(random.key(s))[0])


def test_stream_advances_and_starts_again() -> None:
    stream = random.Stream(1)
    draws = [stream.uniform(3), stream.normal((2, 2))]

    def step() -> list[Any]:
        shared = {s: s.get_value() for pair in stream.states for s in pair}
        found = evaluation.run(draws, shared)
        for _, counter in stream.states:
            assert counter.default_update is not None
            counter.set_value(evaluation.run([counter.default_update], shared)[0])
        return found

    first, second = step(), step()
    assert not (first[0] == second[0]).any() and first[1].shape == (2, 2)
    stream.seed(1)
    np.testing.assert_array_equal(step()[0], first[0])
    stream.seed(2)
    assert not (step()[0] == first[0]).any()


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"a key is uint32\[2\], not float64"):
        random.uniform(3.0)
    with pytest.raises(DTypeError, match="draws floats"):
        random.normal(random.key(0), 3, "int64")
    with pytest.raises(DTypeError, match="unsigned integers"):
        random.bits(random.key(0), 3, "int8")
    with pytest.raises(ArgumentError, match="no integers"):
        random.randint(random.key(0), 3, 5, 5)
    with pytest.raises(ArgumentError, match="64 bits"):
        random.key(1 << 64)
    with pytest.raises(DTypeError, match="0-d integer"):
        random.fold_in(random.key(0), 1.5)
