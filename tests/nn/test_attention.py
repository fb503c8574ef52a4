"""Attention against NumPy: masks, causality, groups of heads, chunks; positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import symgraph as sg
from symgraph.errors import ArgumentError, RankError, ShapeError
from tests.nn.agreement import agree, slope, values

nn = sg.nn
RNG = np.random.default_rng(0)
Q, K, V = (
    RNG.normal(size=(2, 4, 5, 6)),
    RNG.normal(size=(2, 4, 7, 6)),
    RNG.normal(size=(2, 4, 7, 3)),
)
MASK = RNG.uniform(size=(2, 1, 5, 7)) < 0.5
MASK[0, 0, 2] = False  # a target that sees nothing
BIAS = RNG.normal(size=(4, 5, 7))


def attention(q: Any, k: Any, v: Any, seen: Any = True, bias: Any = 0.0, scale: Any = None) -> Any:
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale) + bias
    scores = np.where(np.broadcast_to(seen, scores.shape), scores, -np.inf)
    with np.errstate(invalid="ignore"):
        weights = scipy.special.softmax(scores, -1)
    return np.nan_to_num(weights) @ v


CAUSAL = np.arange(5)[:, None] >= np.arange(7)
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "scale": ({"scale": 0.3}, {"scale": 0.3}),
    "mask": ({"mask": MASK}, {"seen": MASK}),
    "mask_of_sources": ({"mask": MASK[0, 0, 0]}, {"seen": MASK[0, 0, 0]}),
    "bias": ({"bias": BIAS}, {"bias": BIAS}),
    "causal": ({"causal": True}, {"seen": CAUSAL}),
    "all": (
        {"mask": MASK, "bias": BIAS, "causal": True}, {"seen": MASK & CAUSAL, "bias": BIAS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 2, 5, 8])
@pytest.mark.parametrize("name", ROWS)
def test_against_numpy(name: str, chunk: int | None) -> None:
    ours, numpys = ROWS[name]
    agree(
        lambda q, k, v: nn.dot_product_attention(q, k, v, chunk=chunk, **ours),
        lambda q, k, v: attention(q, k, v, **numpys), Q, K, V, symbolic=False,
    )  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("name", ["plain", "mask", "bias", "all"])
def test_groups_of_heads(name: str, chunk: int | None) -> None:
    ours, numpys = ROWS[name]
    agree(
        lambda q, k, v: nn.dot_product_attention(q, k, v, grouped=True, chunk=chunk, **ours),
        lambda q, k, v: attention(q, np.repeat(k, 2, 1), np.repeat(v, 2, 1), **numpys),
        Q, K[:, :2].copy(), V[:, :2].copy(), symbolic=False,
    )  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 3])
def test_sizes_by_name(chunk: int | None) -> None:
    sizes = {"q": "targets", "k": "sources", "v": "sources"}
    q, k, v = (sg.tensor(n, shape=("b", "h", s, 6)) for n, s in sizes.items())
    out = nn.dot_product_attention(q, k, v, causal=True, chunk=chunk)
    f = sg.compile([q, k, v], out)
    value = RNG.normal(size=(2, 4, 7, 6))
    np.testing.assert_allclose(f(Q, K, value), attention(Q, K, value, CAUSAL), rtol=1e-12)
    assert f(Q[:, :, :0], K, value).shape == (2, 4, 0, 6)


def test_two_axes_are_enough_and_masks_are_learnt_through() -> None:
    q, k, v = Q[0, 0], K[0, 0], V[0, 0]
    agree(nn.dot_product_attention, attention, q, k, v)
    agree(
        lambda q, b: nn.dot_product_attention(q, k, v, bias=b),
        lambda q, b: attention(q, k, v, bias=b), q, BIAS[0],
    )  # fmt: skip


def test_large_scores() -> None:
    found = nn.dot_product_attention(1e20 * Q, 1e20 * K, V)
    assert np.isfinite(found.eval()).all()
    mask = np.zeros((5, 7), bool)
    nothing = lambda q: nn.dot_product_attention(q, K, V, mask)
    assert (values(nothing, [Q])[0] == 0).all() and (slope(nothing, Q) == 0).all()


def test_dropout() -> None:
    key = sg.random.key(0)
    ones = np.ones((1, 200, 1))
    found = nn.dot_product_attention(
        np.zeros((1, 1000, 1)), np.zeros((1, 200, 1)), ones, dropout=0.5, dropout_key=key
    ).eval()
    assert abs(found.mean() - 1) < 0.01 and 0.05 < found.std() < 0.09
    with pytest.raises(ArgumentError, match="dropout needs a key"):
        nn.dot_product_attention(Q, K, V, dropout=0.5)


# heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_heads", [None, 2])
@pytest.mark.parametrize("biases", [False, True])
def test_multi_head_attention(biases: bool, key_heads: int | None) -> None:
    heads, few, size = 4, key_heads or 4, 3
    x, y = RNG.normal(size=(2, 5, 6)), RNG.normal(size=(2, 7, 8))
    shapes = [(6, heads * size), (8, few * size), (8, few * size), (heads * size, 6)]
    shapes += [s[1:] for s in shapes] * biases
    weights = [RNG.normal(size=s) for s in shapes]

    def reference(x: Any, y: Any, *w: Any) -> Any:
        b = w[4:] or (0.0,) * 4
        parts = []
        for source, k, n in ((x, 0, heads), (y, 1, few), (y, 2, few)):
            z = (source @ w[k] + b[k]).reshape(2, -1, n, size).swapaxes(1, 2)
            parts.append(np.repeat(z, heads // n, 1))
        out = attention(*parts, MASK)
        return out.swapaxes(1, 2).reshape(2, 5, -1) @ w[3] + b[3]

    agree(
        lambda x, y, *w: nn.multi_head_attention(x, y, y, w, heads, MASK, key_heads=key_heads),
        reference, x, y, *weights, symbolic=False,
    )  # fmt: skip


# positions ----------------------------------------------------------------------------------------


def test_sinusoidal_positions() -> None:
    found = nn.sinusoidal_positions(7, 6).eval()
    for p in range(7):
        for k in range(3):
            angle = p / 10000 ** (2 * k / 6)
            np.testing.assert_allclose(found[p, 2 * k : 2 * k + 2], [np.sin(angle), np.cos(angle)])
    assert nn.sinusoidal_positions("n", 4, dtype="float32").type.text() == "float32[n, 4]"


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_embedding(interleaved: bool) -> None:
    def reference(x: Any) -> Any:
        angle = np.arange(5)[:, None] * 10000.0 ** (-np.arange(3) / 3)
        z = x[..., ::2] + 1j * x[..., 1::2] if interleaved else x[..., :3] + 1j * x[..., 3:]
        z = z * np.exp(1j * angle)
        if interleaved:
            return np.stack([z.real, z.imag], -1).reshape(x.shape)
        return np.concatenate([z.real, z.imag], -1)

    agree(lambda x: nn.rotary_embedding(x, interleaved=interleaved), reference, Q, symbolic=False)


def test_rotated_products_depend_on_the_distance() -> None:
    q, k = RNG.normal(size=(2, 1, 8))
    products = []
    for first in (0, 5):
        turned = [nn.rotary_embedding(v, [first + d]) for v, d in ((q, 3), (k, 0))]
        products.append(sg.sum(turned[0] * turned[1]).eval())
    np.testing.assert_allclose(*products, rtol=1e-12)
    rotated = nn.multi_head_attention(Q[0], Q[0], Q[0], [np.eye(6)] * 4, 3, rotary=True)
    plain = nn.multi_head_attention(Q[0], Q[0], Q[0], [np.eye(6)] * 4, 3)
    assert abs(rotated.eval() - plain.eval()).max() > 0.01


def test_mistakes_are_named() -> None:
    with pytest.raises(RankError, match="at least two axes"):
        nn.dot_product_attention(Q[0, 0, 0], K, V)
    with pytest.raises(ShapeError, match="4 heads of the query for 3 of the key"):
        nn.dot_product_attention(Q, K[:, :3], V[:, :3], grouped=True)
    with pytest.raises(ArgumentError, match="chunk is positive"):
        nn.dot_product_attention(Q, K, V, chunk=0)
    with pytest.raises(ArgumentError, match="4 or 8 weights, not 3"):
        nn.multi_head_attention(Q[0], Q[0], Q[0], [np.eye(6)] * 3, 2)
    with pytest.raises(ShapeError, match="6 columns of weights for 4 heads"):
        nn.multi_head_attention(Q[0], Q[0], Q[0], [np.eye(6)] * 4, 4)
    with pytest.raises(RankError, match="three axes"):
        nn.multi_head_attention(Q, Q, Q, [np.eye(6)] * 4, 2)
    with pytest.raises(ArgumentError, match="size 3 is odd"):
        nn.sinusoidal_positions(4, 3)
    with pytest.raises(ShapeError, match="not known to be even"):
        nn.rotary_embedding(np.zeros((4, 3)))
