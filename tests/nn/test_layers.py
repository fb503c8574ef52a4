"""Dropout, embeddings and layer_norm."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, IndexOutOfRange, RankError
from tests.nn.agreement import agree, values

nn = sg.nn
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(5, 3))
INDICES = np.array([[0, 2, 2], [4, -1, 2]])


def test_dropout_keeps_the_mean() -> None:
    x = np.ones((100, 1000))
    found = nn.dropout(sg.random.key(0), x, 0.3).eval()
    assert set(found.ravel().tolist()) == {0.0, 1 / 0.7}
    assert abs(found.mean() - 1) < 0.01
    assert nn.dropout(sg.random.key(0), x.astype("float32"), 0.5).dtype == "float32"


def test_dropout_passes_derivatives_where_it_kept() -> None:
    x = sg.vector("x", shape=(50,))
    y = nn.dropout(sg.random.key(3), x, 0.5)
    f = sg.compile([x], [y, sg.grad(sg.sum(y), x)])
    kept, gradient = f(np.ones(50))
    np.testing.assert_array_equal(kept, gradient)


def test_streams_drop_others_at_every_call() -> None:
    f = sg.compile([], nn.dropout(sg.random.Stream(0), np.ones(100), 0.5))
    assert (f() != f()).any()


def test_shared_axes() -> None:
    x = np.ones((6, 5, 4, 3))
    rows = nn.dropout(sg.random.key(0), x, 0.5, shared_axes=1).eval()
    assert (rows == rows[:, :1]).all() and len(np.unique(rows[:, 0])) == 2
    first = nn.spatial_dropout(sg.random.key(0), x, 0.5).eval()
    assert (first == first[:, :, :1, :1]).all() and len(np.unique(first)) == 2
    last = nn.spatial_dropout(sg.random.key(0), x, 0.5, channel_axis=-1).eval()
    assert (last == last[:, :1, :1]).all() and len(np.unique(last)) == 2


def test_embedding() -> None:
    agree(nn.embedding, lambda i, t: t[i], INDICES, TABLE)
    agree(nn.embedding, lambda i, t: t[i], INDICES, np.arange(5.0))
    t = sg.matrix("t", shape=(5, 3))
    for padding in (2, -3):
        y = nn.embedding(INDICES, t, padding)
        found, gradient = sg.compile([t], [y, sg.grad(sg.sum(y), t)])(TABLE)
        np.testing.assert_array_equal(found, TABLE[INDICES])
        assert gradient[:, 0].tolist() == [1, 0, 0, 0, 2]


def test_several_tables_at_once() -> None:
    tables = np.stack([TABLE, 2 * TABLE])
    found = sg.vmap(lambda t: nn.embedding(INDICES, t))(sg.constant(tables)).eval()
    np.testing.assert_array_equal(found, tables[:, INDICES])


def test_layer_norm() -> None:
    def reference(x: object) -> object:
        return (TABLE - TABLE.mean(0)) / np.sqrt(TABLE.var(0) + 0.1)

    (found,) = values(lambda x: nn.layer_norm(x, 0, 0.1), [TABLE])
    np.testing.assert_allclose(found, reference(TABLE), rtol=1e-12)


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match=r"rate 1.0 is not in \[0, 1\)"):
        nn.dropout(sg.random.key(0), TABLE, 1.0)
    with pytest.raises(DTypeError, match="embedding: labels are integers"):
        nn.embedding([0.5], TABLE)
    with pytest.raises(RankError, match="the table is a scalar"):
        nn.embedding([0], 1.0)
    with pytest.raises(IndexOutOfRange):
        nn.embedding([5], TABLE)
    i = sg.vector("i", dtype="int64")
    with pytest.raises(IndexOutOfRange):
        sg.compile([i], nn.embedding(i, TABLE))([5])
