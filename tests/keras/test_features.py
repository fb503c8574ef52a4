"""What Keras offers around a step: weights, precision, callbacks, files, several outputs, state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_symgraph

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

if keras.backend.backend() != "symgraph":
    pytest.skip("Keras is in use with another backend", allow_module_level=True)

from keras import layers, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6)).astype("float32")
Y = RNG.integers(0, 3, 70)
FIT: dict[str, Any] = {"batch_size": 16, "shuffle": False, "verbose": 0}  # the last has six rows


def entropy() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def with_weights(model: Any) -> Any:
    """The model with the same weights each time."""
    rng = np.random.default_rng(0)
    drawn = [rng.normal(0, 0.3, w.shape) if w.ndim == 2 else w for w in model.get_weights()]
    model.set_weights(drawn)
    return model


def mlp(optimizer: Any, **options: Any) -> Any:
    rows = [keras.Input((6,)), layers.Dense(8, "tanh"), layers.BatchNormalization()]
    model = with_weights(keras.Sequential([*rows, layers.Dense(3, dtype="float32")]))
    model.compile(optimizer, entropy(), **options)
    return model


def losses(model: Any, *data: Any, **options: Any) -> list[float]:
    return list(model.fit(*(data or (X, Y)), **{**FIT, **options}).history["loss"])


def test_classes_may_weigh() -> None:
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    found = losses(mlp("adam"), class_weight=weights, epochs=2)
    by_row = np.array([weights[k] for k in Y])
    np.testing.assert_allclose(found, losses(mlp("adam"), sample_weight=by_row, epochs=2), 1e-6)
    assert abs(found[0] - losses(mlp("adam"))[0]) > 1e-2


def test_losses_of_single_outputs_count_rows() -> None:
    """A short last batch counts less, as in the loss of all outputs."""
    given = keras.Input((6,))
    outputs = {name: layers.Dense(n, name=name)(given) for name, n in (("a", 3), ("b", 1))}
    model = with_weights(keras.Model(given, outputs))
    parts = {"a": entropy(), "b": "mse"}
    model.compile(keras.optimizers.SGD(0.0), parts, loss_weights={"a": 1.0, "b": 0.3})
    y = {"a": Y, "b": X[:, :1]}
    whole = model.evaluate(X, y, batch_size=70, verbose=0, return_dict=True)
    for eager in (False, True):
        model.run_eagerly = eager
        model.make_train_function(force=True)
        history = model.fit(X, y, **FIT).history
        for name in ("loss", "a_loss", "b_loss"):
            np.testing.assert_allclose(history[name][0], whole[name], rtol=1e-5)
    assert "update_state" not in vars(model._compile_loss.metrics[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision(dtype: str) -> None:
    """Close to what float32 gives, with weights of float32; float16 scales its loss."""
    expected = losses(mlp(keras.optimizers.SGD(0.05)), epochs=3)
    keras.mixed_precision.set_global_policy(f"mixed_{dtype}")
    try:
        model = mlp(keras.optimizers.SGD(0.05))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    found = losses(model, epochs=3)
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    assert found != expected
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (dtype == "float16")


def test_saved_in_the_middle_goes_on_as_if_it_was_not(tmp_path: Path) -> None:
    model = mlp(keras.optimizers.Adam(0.02))
    losses(model, epochs=2)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(losses(loaded, epochs=2), losses(model, epochs=2), rtol=1e-6)


class Cut(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
    """Ends a training by an error."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_cut_training_is_taken_up(tmp_path: Path) -> None:
    expected = losses(mlp(keras.optimizers.Adam(0.02)), epochs=4)
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        losses(mlp(keras.optimizers.Adam(0.02)), epochs=4, callbacks=[backup, Cut()])
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    found = losses(mlp(keras.optimizers.Adam(0.02)), epochs=4, callbacks=[backup])
    np.testing.assert_allclose(found, expected[2:], rtol=1e-6)


def test_callbacks_see_and_change_the_model(tmp_path: Path) -> None:
    model = mlp(keras.optimizers.SGD(0.5))
    rates: list[float] = []
    file = str(tmp_path / "c.weights.h5")
    told = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        keras.callbacks.ModelCheckpoint(file, save_weights_only=True),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: rates.append(float(model.optimizer.learning_rate))
        ),
        keras.callbacks.EarlyStopping("loss", patience=1, min_delta=1.0),
    ]
    found = losses(model, epochs=9, callbacks=told)
    assert rates == [0.25, 0.125] and len(found) == 2  # the second was no better by 1
    other = mlp("sgd")
    other.load_weights(file)
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_averaged_weights_are_swapped_for_validation() -> None:
    model = mlp(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=[swap], **FIT).history
    plain = mlp(keras.optimizers.SGD(0.1))
    expected = plain.fit(X, Y, epochs=2, validation_data=(X, Y), **FIT).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)
    assert abs(history["val_loss"][0] - expected["val_loss"][0]) > 1e-5


def test_frozen_layers_stay() -> None:
    model = mlp("sgd")
    losses(model)
    first = model.layers[0]
    first.trainable = False
    model.compile("sgd", entropy())
    before = first.get_weights()
    last = model.layers[-1].get_weights()[0]
    losses(model)
    np.testing.assert_array_equal(first.get_weights()[0], before[0])
    assert np.any(model.layers[-1].get_weights()[0] != last)


def test_several_steps_at_once_and_data_sets() -> None:
    class Rows(keras.utils.PyDataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return 5

        def __getitem__(self, k: int) -> Any:
            return X[k * 16 : k * 16 + 16], Y[k * 16 : k * 16 + 16]

    expected = losses(mlp("sgd"), epochs=2)
    found = losses(mlp("sgd", steps_per_execution=3), epochs=2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    history = mlp("sgd").fit(Rows(), epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(history, expected, rtol=1e-6)


class Adding(layers.Layer):  # type: ignore[misc,name-defined]
    """Adds to the loss of the model."""

    def call(self, x: Any) -> Any:
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        return x


class Largest(keras.metrics.Metric):  # type: ignore[misc,name-defined]
    """A metric that returns its own variable."""

    def __init__(self) -> None:
        super().__init__(name="largest")
        self.top = self.add_variable((), "zeros", name="top")

    def update_state(self, y: Any, p: Any, sample_weight: Any = None) -> None:
        self.top.assign(ops.maximum(self.top, ops.max(ops.abs(p))))

    def result(self) -> Any:
        return self.top


def test_losses_of_layers_and_metrics_of_ones_own() -> None:
    rows = [keras.Input((6,)), Adding(), layers.Dense(3, kernel_regularizer="l2")]
    model = with_weights(keras.Sequential(rows))
    model.compile(keras.optimizers.SGD(0.0), entropy(), metrics=[Largest()])
    history = model.fit(X[:64], Y[:64], **FIT).history
    kernel = model.get_weights()[0]
    scores = X[:64] @ kernel
    shifted = scores - scores.max(axis=1, keepdims=True)
    cross = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(64), Y[:64]]
    total = cross.mean() + 0.01 * np.sum(kernel**2) + 0.1 * np.mean(X[:64] ** 2)
    np.testing.assert_allclose(history["loss"][0], total, rtol=1e-5)
    np.testing.assert_allclose(history["largest"][0], np.abs(scores).max(), rtol=1e-6)


def test_stateful_layers_go_on_from_batch_to_batch() -> None:
    """Two batches of half a series each are one batch of the whole series."""
    series = RNG.normal(size=(4, 10, 2)).astype("float32")
    found = []
    for parts, stateful in (([series[:, :5], series[:, 5:]], True), ([series], False)):
        given = keras.Input(batch_shape=(4, None, 2))
        last = layers.GRU(3, stateful=stateful)(given)
        model = with_weights(keras.Model(given, last))
        found.append([model.predict(p, batch_size=4, verbose=0) for p in parts][-1])
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)
    assert keras_symgraph.hook.NAME == keras.backend.backend()


def test_quantized_values_pass_gradients_in_their_range() -> None:
    """What Keras tests for three backends by name: its `custom_gradient` in a traced function."""
    from keras.src.quantizers.quantizers import fake_quant_with_min_max_vars as quantize

    x = np.array([-0.5, 0.1, 3.0, 126.9, 127.2, 140.0], "float32")
    v = keras.Variable(x)

    class Step(keras.Model):  # type: ignore[misc,name-defined]
        def train_step(self, data: Any) -> Any:
            y = quantize(v, 0.0, 127.5, 8)
            loss = ops.sum(y * ops.arange(1, 7, dtype="float32"))
            (slope,) = keras_symgraph.gradients(loss, [v])
            return {"y": y, "slope": slope}

    model = Step()
    model.compile("sgd", "mse")
    found = model.make_train_function()([(x[:, None], x)])
    np.testing.assert_array_equal(found["y"], [0.0, 0.0, 3.0, 127.0, 127.0, 127.5])
    np.testing.assert_array_equal(found["slope"], [0, 2, 3, 4, 5, 0])
