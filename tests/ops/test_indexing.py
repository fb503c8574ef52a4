"""Brackets against NumPy's, on known and on symbolic sizes; errors for bad indices."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import (
    ArgumentError,
    DTypeError,
    IndexOutOfRange,
    OutOfRangeError,
    RankError,
    ShapeError,
)
from symgraph.ir.graph import Input
from symgraph.ir.types import TensorType
from symgraph.ops import indexing, joining, protocol, reductions, shape
from symgraph.ops.debugging import AssertionFailed
from symgraph.ops.gathering import Gather
from symgraph.ops.operands import as_variable
from symgraph.scalar import var
from tests.autodiff.values import value, variable
from tests.ops import evaluation

X = np.random.default_rng(0).uniform(-1, 1, (4, 3, 5))


def random_key(rng: random.Random) -> tuple[Any, ...]:
    """A valid key for X: slices, ints, None, an ellipsis, index arrays that broadcast."""
    sides = [(3,), (2, 1), (1, 3), ()]
    key: list[Any] = []
    axes = list(range(rng.randint(0, 3)))
    if rng.random() < 0.3 and len(axes) < 3:
        cut = rng.randint(0, len(axes))
        axes = axes[:cut] + [k + 3 - len(axes) for k in axes[cut:]]
    for place, axis in enumerate(axes):
        if axis != place and Ellipsis not in [k for k in key if k is Ellipsis]:
            key.append(Ellipsis)
        n = X.shape[axis]
        kind = rng.choice("sssiaan")
        if kind == "n":
            key.append(None)
            kind = "s"
        if kind == "s":
            bounds = [rng.choice([None, *range(-n - 2, n + 3)]) for _ in range(2)]
            key.append(slice(*bounds, rng.choice([None, 1, 2, -1, -2, 3])))
        elif kind == "i":
            key.append(rng.randrange(-n, n))
        else:
            draw = np.random.default_rng(rng.randrange(99))
            key.append(draw.integers(-n, n, rng.choice(sides)))
    return tuple(key)


@pytest.mark.parametrize("seed", range(150))
def test_reading_agrees_with_numpy(seed: int) -> None:
    key = random_key(random.Random(seed))
    wanted = X[key]
    for x in evaluation.inputs_for([X]) + evaluation.inputs_for([X], symbolic=True):
        for lowered in (False, True):
            (found,) = evaluation.run([x[key]], {x: X}, lowered)
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("seed", range(60))
def test_writing_agrees_with_numpy(seed: int) -> None:
    key = random_key(random.Random(1000 + seed))
    v = np.random.default_rng(seed).uniform(size=X[key].shape)
    added, replaced = X.copy(), X.copy()
    np.add.at(added, key, v)
    replaced[key] = v
    for x in evaluation.inputs_for([X]) + evaluation.inputs_for([X], symbolic=True):
        found = evaluation.run([x.at[key].add(v), x.at[key].set(v), x.at[key].get()], {x: X})
        np.testing.assert_allclose(found[0], added, rtol=1e-14)
        np.testing.assert_array_equal(found[1], replaced)
        np.testing.assert_array_equal(found[2], X[key])


def test_index_tensors_take_the_place_of_their_axes() -> None:
    x, i = variable("x", 4, 3, 5), variable("i", 2, dtype="int64")
    assert x[:, i].shape == (4, 2, 5)
    assert x[i, :, i].shape == (2, 3)
    assert x[0, :, i].shape == (2, 3)
    assert x[:, 0, i].shape == (4, 2)
    assert x[..., i, None].shape == (4, 3, 2, 1)


def test_sizes_of_slices_are_simple() -> None:
    n = var("n")
    x = Input(TensorType("float64", (n, n * 2)), "x")
    assert str(x[1:].shape[0]) == "maximum(n - 1, 0)"
    assert x[1:].shape == x[:-1].shape
    assert x[1:][1:].shape == x[2:].shape
    assert x[-3:].shape == x[:3].shape
    assert x[::-1].shape == x.shape
    assert x[:, :n].shape == x[:, n:].shape == (n, n)
    assert x[:] is x
    assert str(x[::2].shape[0]) == "(n + 1)//2"


def test_a_mask_sets_scalars() -> None:
    x = variable("x", 4, 3)
    given = X[:, :, 0]
    out = x.at[x < 0].set(0)
    np.testing.assert_array_equal(value(out, {x: given}), np.where(given < 0, 0, given))
    rows = np.array([True, False, True, False])
    out = x.at[as_variable(rows)].add(1.0)
    np.testing.assert_array_equal(value(out, {x: given}), given + rows[:, None])


def test_iteration_and_take() -> None:
    assert protocol.length(variable("x", 4, 3)) == 4
    x = variable("x", 2, 3)
    a, b = x
    np.testing.assert_array_equal(value(b - a, {x: X[0, :2, :3]}), X[0, 1, :3] - X[0, 0, :3])
    with pytest.raises(RankError):
        indexing.take_along_axis(x, [0], 0)
    with pytest.raises(DTypeError):
        indexing.take(x, [True, False])


def test_repeated_writes_keep_the_last_and_its_derivative() -> None:
    x, v = variable("x", 3), variable("v", 4)
    out = x.at[[0, 2, 0, 2]].set(v)
    given = {x: np.zeros(3), v: np.arange(1.0, 5)}
    assert value(out, given).tolist() == [3, 0, 4]
    gx, gv = evaluation.gradients(reductions.sum(out * out), [x, v])
    assert value(gx, given).tolist() == [0, 0, 0]
    assert value(gv, given).tolist() == [0, 0, 6, 8]


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (4, IndexOutOfRange), (-5, IndexOutOfRange), ((0, 0, 0, 0), RankError),
        ((Ellipsis, Ellipsis), ArgumentError), (1.0, DTypeError), (True, DTypeError),
        ([0, 4], IndexOutOfRange), (slice(None, None, 0), ArgumentError), ("a", DTypeError),
        (slice(0, 1.5), ArgumentError),
    ],
)  # fmt: skip
def test_bad_keys(key: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        variable("x", 4, 3, 5)[key]


def test_tensors_as_bounds_or_masks_of_another_kind_are_refused() -> None:
    x, i = variable("x", 4), variable("i", 2, dtype="int64")
    with pytest.raises(DTypeError, match="bound"):
        x[i:]
    with pytest.raises(DTypeError, match="bound"):
        x[: x[0]]
    with pytest.raises(RankError, match="mask"):
        x[variable("m", 4, 4, dtype="bool")]
    with pytest.raises(ShapeError, match="sizes differ on axis 0"):
        x[variable("m", 3, dtype="bool")]


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_tensors_as_steps(mode: str) -> None:
    x, (a, b, k) = variable("x", "n", 3, 5), (variable(n, dtype="int64") for n in "abk")
    whole = sg.compile([x, k], [x[::k], x[None, 1, ..., ::k], x[::k, :, ::-2]], mode=mode)
    bounded = sg.compile([x, a, b, k], x[a:b:k], mode=mode)
    for step in (-100, -4, -1, 1, 3, 100):
        for f, w in zip(whole(X, step), (X[::step], X[None, 1, ..., ::step], X[::step, :, ::-2]),
                        strict=True):  # fmt: skip
            np.testing.assert_array_equal(f, w)
        for start, stop in [(-9, 9), (3, -9), (1, 3), (-1, 0), (5, 5)]:
            np.testing.assert_array_equal(bounded(X, start, stop, step), X[start:stop:step])
    assert sg.compile([x, k], x[::k], mode=mode)(X[:0], -2).shape == (0, 3, 5)
    slope = sg.compile([x, k], sg.grad((x[::k] ** 2).sum(), x), mode=mode)(X, -3)
    np.testing.assert_array_equal(slope, np.where(np.arange(4)[:, None, None] % 3 == 0, 2 * X, 0))
    with pytest.raises(AssertionFailed, match="slice step cannot be zero"):
        whole(X, 0)


def test_tensors_as_steps_that_are_refused() -> None:
    x, k = variable("x", 4), variable("k", dtype="int64")
    assert x[:: sg.constant(2)].shape == (2,)
    with pytest.raises(DTypeError, match="a slice step is a 0-d integer, not float64"):
        x[:: x[0]]
    with pytest.raises(ArgumentError, match=r"(?s)step.*not a tensor.*sg.arange"):
        x.at[::k].set(0.0)


def test_values_that_do_not_fit() -> None:
    x = variable("x", 4, dtype="int8")
    with pytest.raises(DTypeError):
        x.at[0].set(0.5)
    with pytest.raises(OutOfRangeError):
        x.at[0].set(300)
    with pytest.raises(ShapeError):
        x.at[:3].set(as_variable(np.zeros(2, "int8")))
    assert x.at[0].set(3).dtype == "int8"


def test_index_out_of_range_at_run_time() -> None:
    x, i = variable("x", "n"), variable("i", 2, dtype="int64")
    with pytest.raises(IndexOutOfRange):
        value(x[i], {x: np.zeros(3), i: [0, 3]})
    ((flag, code, what, _),) = Gather((0,)).requires(x, i)
    assert code == "SG301" and "axis 0" in what
    assert value(flag, {x: np.zeros(3), i: [-3, 2]})
    assert not value(flag, {x: np.zeros(3), i: [-4, 2]})


def test_counting_indices_need_no_check() -> None:
    x = variable("x", 3, 4)
    assert Gather((0,)).requires(x, as_variable([0, -3])) == []
    out = indexing.take_along_axis(x, variable("i", 3, 2, dtype="int64"), 1)
    (g,) = evaluation.gradients(reductions.sum(out), [x])
    scatter = g.owner
    assert scatter is not None and scatter.op.name == "scatter"
    assert len(scatter.op.requires(*scatter.inputs)) == 1  # type: ignore[attr-defined]


def test_shape_mistakes() -> None:
    x = variable("x", 2, 3)
    for mistake in (
        lambda: x.reshape(4, 2), lambda: x.reshape(-1, -1), lambda: x.squeeze(0),
        lambda: shape.broadcast_to(x, (2, 4)), lambda: joining.concatenate([x, x[:, :2]]),
        lambda: joining.split(x, 2, 1), lambda: shape.transpose(x, (0, 0)),
        lambda: shape.expand_dims(x, 5), lambda: joining.stack([x, x[0]]), lambda: x.reshape(-5, 1),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            mistake()
    with pytest.raises(TypeError):
        joining.concatenate([])


def test_flip_of_nothing_and_empty_axes() -> None:
    x = variable("x", "n", 3)
    empty = np.zeros((0, 3))
    assert value(shape.flip(x), {x: empty}).shape == (0, 3)
    assert value(x[1:, ::-1], {x: empty}).shape == (0, 3)
    assert value(joining.concatenate([x, x]), {x: empty}).shape == (0, 3)
    assert value(shape.tile(x, (2, 1)), {x: empty}).shape == (0, 3)


@pytest.mark.parametrize("mode", ["clip", "wrap"])
def test_changed_copies_with_indices_beyond_their_axes(mode: str) -> None:
    x = sg.tensor("x", shape=("n", 3, 4))
    i, j = sg.vector("i", dtype="int64"), sg.vector("j", dtype="int64")
    f = sg.compile(
        [x, i, j],
        [
            x.at[i].add(1.0, mode=mode),
            x.at[..., j].set(2.0, mode=mode),
            x.at[i, None, 1:, j].add(3.0, mode=mode),
            x.at[1, :, j].get(mode=mode),
            x.at[7].multiply(2.0, mode=mode),
        ],
    )
    a, p, q = np.arange(24.0).reshape(2, 3, 4), np.array([-3, 5, 1]), np.array([4, -1, 9])

    def into(index: np.ndarray, size: int) -> np.ndarray:
        return np.clip(index, 0, size - 1) if mode == "clip" else index % size

    want = [a.copy() for _ in range(4)]
    np.add.at(want[0], into(p, 2), 1.0)
    want[1][..., into(q, 4)] = 2.0
    np.add.at(want[2], (into(p, 2), None, slice(1, None), into(q, 4)), 3.0)
    want[3] = a[1][:, into(q, 4)].T
    doubled = a.copy()
    doubled[into(np.array(7), 2)] *= 2
    for found, wanted in zip(f(a, p, q), [*want, doubled], strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_an_unknown_mode_of_changes() -> None:
    x = sg.vector("x", shape=(3,))
    with pytest.raises(sg.errors.ArgumentError, match="unknown mode 'bounce'"):
        x.at[sg.vector("i", dtype="int64")].add(1.0, mode="bounce")
