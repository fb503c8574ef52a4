"""Recurrent layers against loops in NumPy, and figures of PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import symgraph as sg
from symgraph.errors import ArgumentError, RankError, ShapeError
from tests.nn.agreement import agree, values

nn = sg.nn
RNG = np.random.default_rng(0)
T, B, F, H = 5, 3, 4, 2
X = RNG.normal(size=(T, B, F))
LENGTHS = np.array([5, 2, 3])
MASK = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [1, 1, 1], [0, 0, 1]], bool)


def weights(gates: int, features: int = F, units: int = H, seed: int = 1) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    shapes = [(features, gates * units), (units, gates * units), (gates * units,)]
    return tuple(rng.normal(size=s) for s in shapes)


# cells in NumPy -----------------------------------------------------------------------------------


def lstm_step(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any, p: Any = None, r: Any = None) -> Any:
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=1)
    if p is not None:
        i, f = i + p[0] * c, f + p[1] * c
    c = expit(f) * c + expit(i) * np.tanh(g)
    o = o if p is None else o + p[2] * c
    h = expit(o) * np.tanh(c)
    return (h if r is None else h @ r), c


def gru_step(x: Any, h: Any, w: Any, u: Any, b: Any, d: Any = 0.0, after: bool = True) -> Any:
    n = h.shape[1]
    z = x @ w + b
    own = h @ u + d
    gates = expit(z[:, : 2 * n] + own[:, : 2 * n])
    r, s = gates[:, :n], gates[:, n:]
    if after:
        new = np.tanh(z[:, 2 * n :] + r * own[:, 2 * n :])
    else:
        shift = d[2 * n :] if np.ndim(d) else d
        new = np.tanh(z[:, 2 * n :] + (r * h) @ u[:, 2 * n :] + shift)
    return (1 - s) * new + s * h


def rnn_step(x: Any, h: Any, w: Any, u: Any, b: Any) -> Any:
    return np.tanh(x @ w + h @ u + b)


def loop(
    step: Any, x: Any, states: Sequence[Any], present: Any = None, reverse: bool = False
) -> Any:
    """Outputs and last states, sequence by sequence."""
    time, batch = x.shape[:2]
    present = np.ones((time, batch), bool) if present is None else present
    finals = [np.array(s, float) for s in states]
    outputs = np.zeros((time, batch, finals[0].shape[1]))
    for b in range(batch):
        for t in range(time)[:: -1 if reverse else 1]:
            if present[t, b]:
                new = step(x[t, b : b + 1], *(s[b : b + 1] for s in finals))
                new = new if isinstance(new, tuple) else (new,)
                for s, n in zip(finals, new, strict=True):
                    s[b] = n[0]
                outputs[t, b] = new[0][0]
    return [outputs, *finals]


# one step -----------------------------------------------------------------------------------------

STATES = RNG.normal(size=(2, B, H))


def test_lstm_cell() -> None:
    agree(nn.lstm_cell, lstm_step, X[0], *STATES, *weights(4))
    w, u, b = weights(4)
    peephole, projection = RNG.normal(size=(3, H)), RNG.normal(size=(H, 3))
    u = RNG.normal(size=(3, 4 * H))
    h = RNG.normal(size=(B, 3))
    agree(nn.lstm_cell, lstm_step, X[0], h, STATES[1], w, u, b, peephole, projection)


@pytest.mark.parametrize("after", [True, False])
def test_gru_cell(after: bool) -> None:
    b_state = RNG.normal(size=3 * H)
    agree(
        lambda *a: nn.gru_cell(*a, reset_after=after),
        lambda *a: gru_step(*a, after=after),
        X[0], STATES[0], *weights(3), b_state,
    )  # fmt: skip
    agree(
        lambda x, h, w, u: nn.gru_cell(x, h, w, u, reset_after=after),
        lambda x, h, w, u: gru_step(x, h, w, u, 0.0, after=after),
        X[0], STATES[0], *weights(3)[:2],
    )  # fmt: skip


def test_simple_rnn_cell() -> None:
    agree(nn.simple_rnn_cell, rnn_step, X[0], STATES[0], *weights(1))
    (found,) = values(
        lambda x, w: nn.simple_rnn_cell(x, np.ones((B, 2)), w, np.eye(2), activation=nn.relu),
        [X[0], weights(1)[0]],
    )
    np.testing.assert_allclose(found, np.maximum(X[0] @ weights(1)[0] + 1, 0))


# sequences ----------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Any, Any, int, int]] = {
    "lstm": (nn.lstm, lstm_step, 4, 2),
    "gru": (nn.gru, gru_step, 3, 1),
    "rnn": (nn.rnn, rnn_step, 1, 1),
}


def lengths_mask(lengths: Any) -> Any:
    return np.arange(T)[:, None] < lengths[None, :]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("which", ["all", "lengths", "mask"])
@pytest.mark.parametrize("kind", KINDS)
def test_sequences(kind: str, which: str, reverse: bool) -> None:
    build, step, gates, states = KINDS[kind]
    options: dict[str, Any] = {"reverse": reverse}
    present = None
    if which == "lengths":
        options["lengths"], present = LENGTHS, lengths_mask(LENGTHS)
    if which == "mask":
        options["mask"], present = MASK, MASK

    def reference(x: Any, w: Any, u: Any, b: Any) -> Any:
        begin = [np.zeros((B, H))] * states
        return loop(lambda *a: step(*a, w, u, b), x, begin, present, reverse)

    agree(
        lambda x, w, u, b: build(x, (w, u, b), **options), reference, X, *weights(gates),
        symbolic=which == "all",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_initial_states_and_batch_first(kind: str) -> None:
    build, step, gates, states = KINDS[kind]
    w, u, b = weights(gates)

    def given(x: Any, *begin: Any) -> Any:
        initial = begin if states == 2 else begin[0]
        return build(x, (w, u, b), initial, batch_first=True, lengths=LENGTHS)

    def reference(x: Any, *begin: Any) -> Any:
        x = x.swapaxes(0, 1)
        out = loop(lambda *a: step(*a, w, u, b), x, begin, lengths_mask(LENGTHS))
        return [out[0].swapaxes(0, 1), *out[1:]]

    agree(given, reference, X.swapaxes(0, 1).copy(), *STATES[:states], symbolic=False)
    mask = lengths_mask(LENGTHS).T
    (by_mask, *_) = values(
        lambda x: build(x, (w, u, b), mask=mask, batch_first=True), [X.swapaxes(0, 1).copy()]
    )
    (by_length, *_) = values(lambda x: build(x, (w, u, b), lengths=LENGTHS), [X])
    np.testing.assert_allclose(by_mask, by_length.swapaxes(0, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_and_directions(kind: str) -> None:
    build, step, gates, states = KINDS[kind]
    first = [weights(gates, F, H, k) for k in (1, 2)]
    second = [weights(gates, 2 * H, H, k) for k in (3, 4)]
    begin = RNG.normal(size=(states, 4, B, H))
    present = lengths_mask(LENGTHS)

    def reference(x: Any) -> Any:
        finals = []
        for layer in (first, second):
            halves = []
            for side, own in enumerate(layer):
                start = [s[len(finals)] for s in begin]
                out = loop(lambda *a, w=own: step(*a, *w), x, start, present, bool(side))
                halves.append(out[0])
                finals.append(out[1:])
            x = np.concatenate(halves, 2)
        return [x, *(np.stack(column) for column in zip(*finals, strict=True))]

    initial = tuple(begin) if states == 2 else begin[0]
    layers = [tuple(first), tuple(second)]
    agree(lambda x: build(x, layers, initial, lengths=LENGTHS), reference, X, symbolic=False)
    outputs, last = build(X, tuple(first))
    last = last[0] if states == 2 else last
    assert outputs.shape == (T, B, 2 * H) and last.shape == (2, B, H)
    outputs, last = build(X, [first[0]])
    assert (last[0] if states == 2 else last).shape == (1, B, H)


def test_peepholes_and_projection() -> None:
    w, _, b = weights(4)
    u, peephole = RNG.normal(size=(3, 4 * H)), RNG.normal(size=(3, H))
    projection = RNG.normal(size=(H, 3))

    def reference(x: Any, *parts: Any) -> Any:
        begin = [np.zeros((B, 3)), np.zeros((B, H))]
        return loop(lambda *a: lstm_step(*a, *parts), x, begin)

    agree(lambda x, *parts: nn.lstm(x, parts), reference, X, w, u, b, peephole, projection)


@pytest.mark.parametrize("after", [True, False])
def test_gru_of_both_conventions(after: bool) -> None:
    parts = (*weights(3), RNG.normal(size=3 * H))

    def reference(x: Any, *parts: Any) -> Any:
        return loop(lambda *a: gru_step(*a, *parts, after=after), x, [np.zeros((B, H))])

    agree(lambda x, *parts: nn.gru(x, parts, reset_after=after), reference, X, *parts)


def test_no_steps() -> None:
    outputs, (h, c) = nn.lstm(sg.tensor("x", shape=("time", B, F)), weights(4), tuple(STATES))
    x = [v for v in sg.Graph((), [h]).leaves() if v.name == "x"]
    found = sg.compile(x, [outputs, h, c])(np.zeros((0, B, F)))
    assert found[0].shape == (0, B, H)
    np.testing.assert_array_equal(found[1:], STATES)


# options ------------------------------------------------------------------------------------------


def gradient_of(build: Any, **options: Any) -> Any:
    w, u, b = (sg.constant(v) for v in weights(4))
    u = sg.matrix("u", shape=(H, 4 * H))
    outputs, _ = build(X, (w, u, b), **options)
    return sg.compile([u], sg.grad(sg.sum(outputs**2), u))(weights(4)[1])


def test_checkpoints_change_nothing() -> None:
    wanted = gradient_of(nn.lstm)
    np.testing.assert_allclose(gradient_of(nn.lstm, checkpoint=2), wanted, rtol=1e-12)


def test_truncated_gradients() -> None:
    wanted = gradient_of(nn.lstm)
    np.testing.assert_allclose(gradient_of(nn.lstm, truncate_gradient=T), wanted, rtol=1e-12)
    assert abs(gradient_of(nn.lstm, truncate_gradient=2) - wanted).max() > 1e-3


def test_dropout_between_layers() -> None:
    layers = [weights(1, F, H, 1), weights(1, H, H, 2), weights(1, H, H, 3)]
    plain, _ = nn.rnn(X, layers)
    dropped, _ = nn.rnn(X, layers, dropout=0.5, key=sg.random.key(0))
    assert abs(plain.eval() - dropped.eval()).max() > 0.01
    stream = sg.random.Stream(0)
    f = sg.compile([], nn.rnn(X, layers, dropout=0.5, key=stream)[0])
    assert abs(f() - f()).max() > 0.01
    with pytest.raises(ArgumentError, match="dropout needs a key"):
        nn.rnn(X, layers, dropout=0.5)


def test_second_derivatives() -> None:
    w, u, b = weights(4)

    def slopes(u: Any) -> Any:
        outputs, (_, c) = nn.lstm(X, (w, u, b), lengths=LENGTHS)
        return sg.grad(sg.sum(outputs**2) + sg.sum(c), u)

    sg.verify_grad(slopes, [u], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_models(kind: str) -> None:
    build, _, gates, _ = KINDS[kind]
    stacks = [np.stack([weights(gates, seed=k)[n] for k in (1, 2)]) for n in range(3)]
    several = sg.vmap(lambda w, u, b: build(X, (w, u, b))[0])(*map(sg.constant, stacks))
    each = [build(X, weights(gates, seed=k))[0].eval() for k in (1, 2)]
    np.testing.assert_allclose(several.eval(), np.stack(each), rtol=1e-12)


def test_figures_of_pytorch() -> None:
    # torch.nn.LSTM(3, 2) and GRU(3, 2) of PyTorch 2 with these weights: sums of the outputs
    x = np.sin(np.arange(24.0)).reshape(4, 2, 3)
    for build, gates, wanted in ((nn.lstm, 4, LSTM_SUMS), (nn.gru, 3, GRU_SUMS)):
        w = np.cos(np.arange(gates * 6.0)).reshape(gates * 2, 3).T
        u = np.sin(np.arange(gates * 4.0) + 1).reshape(gates * 2, 2).T
        b = np.linspace(-0.5, 0.5, gates * 2)
        outputs, _ = build(x, (w, u, b) if gates == 4 else (w, u, b, 2 * b))
        np.testing.assert_allclose(outputs.eval().sum((1, 2)), wanted, rtol=1e-12)


LSTM_SUMS = [0.37154732615541486, 0.20799405602490129, 0.003120452189710937, 0.19164489487640657]
GRU_SUMS = [0.31571143523829603, 1.0079869833641417, 1.3325761572077015, 1.1646561737064416]


# mistakes -----------------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    w, u, b = weights(4)
    with pytest.raises(RankError, match="lstm: x has three axes"):
        nn.lstm(X[0], (w, u, b))
    with pytest.raises(RankError, match="w and u are matrices"):
        nn.lstm(X, (w, b))
    with pytest.raises(ArgumentError, match="2 to 4 weights, not 5"):
        nn.gru(X, (w, u, b, b, b))
    with pytest.raises(ShapeError, match="gru: 8 columns of u for 3 gates"):
        nn.gru(X, (w, u))
    with pytest.raises(ArgumentError, match="lengths and mask exclude"):
        nn.lstm(X, (w, u), lengths=LENGTHS, mask=MASK)
    with pytest.raises(RankError, match="lengths are a vector"):
        nn.lstm(X, (w, u), lengths=5)
    with pytest.raises(RankError, match=r"a mask is \[time, batch\]"):
        nn.lstm(X, (w, u), mask=LENGTHS)
    with pytest.raises(ArgumentError, match="2 initial states, got 1"):
        nn.lstm(X, (w, u), [STATES[0]])
    with pytest.raises(ShapeError):
        nn.lstm(X, (w[:2], u))
