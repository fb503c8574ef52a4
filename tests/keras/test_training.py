"""Models of Keras trained on this backend, against the same arithmetic written in NumPy, and the
promises about compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_symgraph
from keras_symgraph import boot

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

if keras.backend.backend() != "symgraph":
    pytest.skip("Keras is in use with another backend", allow_module_level=True)

X = np.random.default_rng(0).normal(size=(70, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 70)
T = np.random.default_rng(2).normal(size=(70, 3)).astype("float32")
CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(*layers: Any) -> Any:
    """A small network whose weights are given numbers."""
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(3)])
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape).astype(w.dtype) * 0.3 for w in model.weights])
    return model


def programs(function: Any) -> list[Any]:
    """The compiled programs behind one of a model's functions."""
    cells = [c.cell_contents for c in function.__closure__]
    (traced,) = (c for c in cells if hasattr(c, "programs"))
    return list(traced.programs.values())


def test_sgd_is_the_formula() -> None:
    model = dense()
    w, b = model.get_weights()
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    history = model.fit(X, T, batch_size=32, epochs=2, shuffle=False, verbose=0).history["loss"]
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    expected = []
    for _ in range(2):
        losses = []
        for k in range(0, 70, 32):
            x, t = X[k : k + 32], T[k : k + 32]
            error = x @ w + b - t
            losses.append((np.mean(error**2), len(x)))
            g = 2 * error / error.size
            vw, vb = 0.9 * vw - 0.1 * (x.T @ g), 0.9 * vb - 0.1 * g.sum(0)
            w, b = w + vw, b + vb
        expected.append(np.average([v for v, _ in losses], weights=[n for _, n in losses]))
    np.testing.assert_allclose(history, expected, rtol=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-5, atol=1e-6)


def test_adam_is_the_formula() -> None:
    model = dense()
    w, b = model.get_weights()
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse")
    model.fit(X, T, batch_size=70, epochs=3, verbose=0)
    state = [np.zeros_like(p) for p in (w, b, w, b)]
    for t in range(1, 4):
        error = X @ w + b - T
        g = 2 * error / error.size
        new = []
        for p, d, k in ((w, X.T @ g, 0), (b, g.sum(0), 1)):
            state[k] = 0.9 * state[k] + 0.1 * d
            state[k + 2] = 0.999 * state[k + 2] + 0.001 * d * d
            rate = 1e-2 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            new.append(p - rate * state[k] / (np.sqrt(state[k + 2]) + 1e-7))
        w, b = new
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-4, atol=1e-6)


def test_one_program_serves_all_sizes_of_batch() -> None:
    model = dense(keras.layers.Dense(6, "relu"), keras.layers.BatchNormalization())
    model.compile(optimizer="adam", loss=CE, metrics=["accuracy"])
    model.fit(X, Y, batch_size=32, epochs=2, verbose=0, validation_split=0.3)
    model.evaluate(X, Y, batch_size=17, verbose=0)
    model.predict(X, batch_size=9, verbose=0)
    model.fit(X[:1], Y[:1], verbose=0)
    counts = [programs(getattr(model, f"{n}_function")) for n in ("train", "test", "predict")]
    assert [len(c) for c in counts] == [1, 1, 1]


def test_eager_steps_do_the_same() -> None:
    weights = []
    for eager in (False, True):
        model = dense(keras.layers.Dense(6, "tanh", kernel_regularizer="l2"))
        model.compile(optimizer="adam", loss=CE, run_eagerly=eager)
        model.fit(X, Y, batch_size=32, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_variables_are_live_between_steps() -> None:
    """What a callback sees and assigns is what the next step works on."""
    model = dense()
    seen = []

    class Watch(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.get_weights()[1].copy())
            self.model.layers[-1].bias.assign(np.full(3, 7.0))

    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    model.fit(X, T, batch_size=35, verbose=0, callbacks=[Watch()])
    assert len(seen) == 2 and np.abs(seen[1] - 7).max() < 1
    np.testing.assert_array_equal(model.get_weights()[1], np.full(3, 7.0, "float32"))


def test_values_that_were_read_stay() -> None:
    model = dense()
    before, lazy = model.layers[-1].bias.value, model.layers[-1].bias + 1.0
    copy = np.array(before)
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, T, verbose=0)
    np.testing.assert_array_equal(before, copy)
    np.testing.assert_array_equal(lazy, copy + 1)
    assert not np.array_equal(model.layers[-1].bias, copy)


def test_custom_step_with_branches_that_change_state() -> None:
    """`ops.cond` inside a step: only the chosen branch changes variables."""

    class Counting(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(3)
            self.large = self.add_weight(shape=(), trainable=False, initializer="zeros")
            self.calls = self.add_weight(shape=(), trainable=False, initializer="zeros")

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            self.calls.assign_add(1.0)
            keras.ops.cond(
                keras.ops.sum(x) > 0, lambda: self.large.assign_add(1.0), lambda: self.large.value
            )
            grads = keras_symgraph.gradients(loss, self.trainable_weights)
            self.optimizer.apply(grads, self.trainable_weights)
            return {"loss": loss}

    model = Counting()
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, T, batch_size=10, shuffle=False, verbose=0)
    positive = sum(float(X[k : k + 10].sum()) > 0 for k in range(0, 70, 10))
    assert (float(model.calls), float(model.large)) == (7, positive) and 0 < positive < 7


def test_dropout_draws_anew_in_each_step_and_repeats_with_the_seed() -> None:
    def losses() -> list[float]:
        keras.utils.set_random_seed(5)
        model = dense(keras.layers.Dropout(0.5))
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
        return [float(model.train_on_batch(X, T)) for _ in range(3)]

    first, second = losses(), losses()
    assert first == second and len(set(first)) == 3


@pytest.mark.parametrize("wrapped", [False, True])
def test_accumulated_gradients(wrapped: bool) -> None:
    """Accumulating over three batches of ten moves as one batch of thirty does."""
    one = dense()
    one.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    one.fit(X[:30], T[:30], batch_size=30, verbose=0)
    optimizer: Any = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    if wrapped:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    three = dense()
    three.compile(optimizer=optimizer, loss="mse")
    three.fit(X[:30], T[:30], batch_size=10, shuffle=False, verbose=0)
    for a, b in zip(one.get_weights(), three.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_value_needed_while_tracing_names_op_and_line() -> None:
    class Peeking(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, x: Any) -> Any:
            return x if float(keras.ops.sum(x)) > 0 else -x

    model = keras.Sequential([keras.Input((8,)), Peeking()])
    model.compile(loss="mse")
    with pytest.raises(keras_symgraph.TracingError, match=r"'sum'.*keras.ops"):
        model.evaluate(X, X, verbose=0)
    model.compile(loss="mse", run_eagerly=True)
    assert model.evaluate(X, X, verbose=0) >= 0


def test_saved_model_predicts_the_same(tmp_path: Path) -> None:
    model = dense(keras.layers.Dense(5, "relu"))
    model.compile(optimizer="adam", loss=CE)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))
    again.fit(X, Y, verbose=0)


def test_backend_of_another_name_is_left_alone() -> None:
    code = "import keras_symgraph, keras; print(keras.backend.backend())"
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "numpy", done.stderr


def test_start_up_file_makes_the_import_needless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boot, "place", lambda: tmp_path / boot.NAME)
    boot.main([])
    code = (
        f"import site; site.addsitedir({str(tmp_path)!r}); import keras; print(keras.ops.ones(2))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["KERAS_BACKEND"] = "symgraph"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("<Tensor shape=(2,), dtype=float32"), done.stderr
    boot.main(["--remove"])
    assert not list(tmp_path.iterdir()) and "removed" in capsys.readouterr().out
