"""Loops whose bodies read and change variables, values of graphs whose sizes depend on data, and
errors that name the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keras_symgraph
import symgraph as sg

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

if keras.backend.backend() != "symgraph":
    pytest.skip("Keras is in use with another backend", allow_module_level=True)

from keras import ops

from keras_symgraph.src.tensor import known, node_of, tracing, wrap

X = np.random.default_rng(0).normal(size=(20, 8)).astype("float32")
ROWS = np.arange(1, 5, dtype="float32")[:, None]


# eager loops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [ops.map, ops.vectorized_map])
def test_mapped_function_closes_over_a_variable(mapped: Any) -> None:
    v = keras.Variable([2.0])
    found = mapped(lambda x: x * v, ROWS)
    v.assign([5.0])  # after the loop, before its value is asked for
    np.testing.assert_array_equal(found, ROWS * 2)


def test_scanned_function_closes_over_a_variable() -> None:
    v = keras.Variable([2.0])
    last, each = ops.scan(lambda c, x: (c + x * v, c), ops.zeros((1,)), ROWS)
    np.testing.assert_array_equal(last, [20.0])
    np.testing.assert_array_equal(each, [[0], [2], [6], [12]])


def test_eager_scan_changes_variables() -> None:
    v, count = keras.Variable([1.0]), keras.Variable(0.0)

    def body(c: Any, x: Any) -> Any:
        count.assign_add(1.0)
        v.assign(v * 2)
        return c + x * v, c

    last, _ = ops.scan(body, ops.zeros((1,)), ROWS)
    np.testing.assert_array_equal(last, [1 * 2 + 2 * 4 + 3 * 8 + 4 * 16])
    assert (float(v.numpy()[0]), float(count)) == (16, 4)


def test_layer_built_inside_an_eager_loop_uses_the_weights_it_keeps() -> None:
    layer = keras.layers.Dense(3)
    found = ops.map(lambda x: layer(x[None])[0], X[:4])
    np.testing.assert_allclose(found, layer(X[:4]), rtol=1e-5, atol=1e-6)


def test_changes_that_do_not_depend_on_the_row_count_once() -> None:
    count = keras.Variable(0.0)

    def counted(x: Any) -> Any:
        count.assign_add(1.0)
        return x * count

    np.testing.assert_array_equal(ops.vectorized_map(counted, ROWS), ROWS)
    assert float(count) == 1


def test_changes_by_a_row_of_many_at_once_name_the_variable() -> None:
    v = keras.Variable([1.0], name="marked")

    def keep(a: Any, b: Any = 0.0) -> Any:
        v.assign(a)
        return a + b

    with pytest.raises(ValueError, match=r"vectorized_map changes the variable 'marked'"):
        ops.vectorized_map(keep, ROWS)
    with pytest.raises(ValueError, match=r"associative_scan changes the variable 'marked'"):
        ops.associative_scan(lambda a, b: keep(a[0], b), ROWS)
    np.testing.assert_array_equal(v, [1.0])


# loops inside of compiled steps -------------------------------------------------------------------


class Looping(keras.Model):  # type: ignore[misc,name-defined]
    """Three turns of one layer with dropout and batch normalization, by a loop of some kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.dense = keras.layers.Dense(8)
        self.dropout = keras.layers.Dropout(0.5, seed=3)
        self.normal = keras.layers.BatchNormalization()
        self.turns = self.add_weight(shape=(), initializer="zeros", trainable=False, name="turns")

    def turn(self, x: Any) -> Any:
        self.turns.assign_add(1.0)
        return self.normal(self.dropout(self.dense(x), training=True), training=True)

    def call(self, x: Any) -> Any:
        if self.kind == "python":
            for _ in range(3):
                x = self.turn(x)
            return x
        if self.kind == "scan":
            return ops.scan(lambda c, _: (self.turn(c), None), x, length=3)[0]
        if self.kind == "fori_loop":
            return ops.fori_loop(0, 3, lambda i, c: self.turn(c), x)
        body = lambda i, c: (i + 1, self.turn(c))
        if self.kind == "bounded":
            return ops.while_loop(lambda i, c: True, body, (0, x), maximum_iterations=3)[1]
        test = (lambda i, c: i < 3) if self.kind == "while_loop" else self.changing
        return ops.while_loop(test, body, (0, x))[1]

    def changing(self, i: Any, c: Any) -> Any:
        self.turns.assign_add(1.0)
        return i < 3


def trained(kind: str, eager: bool = False) -> tuple[list[float], list[np.ndarray]]:
    keras.utils.set_random_seed(1)
    model = Looping(kind)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eager)
    history = model.fit(X, X, batch_size=10, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert float(model.turns) == 12
    return history, model.get_weights()


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("kind", ["scan", "fori_loop", "while_loop", "bounded"])
def test_training_through_a_loop_is_that_of_the_turns_written_out(kind: str, eager: bool) -> None:
    """Seeds, moving averages and counters go round; gradients pass."""
    expected, found = trained("python"), trained(kind, eager)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_while_loop_in_a_step_changes_variables() -> None:
    """As a prediction, in which nothing is differentiated."""
    models = []
    for kind in ("python", "while_loop"):
        keras.utils.set_random_seed(1)
        model = Looping(kind)
        models.append((model.predict(X, verbose=0), model.get_weights()))
        assert float(model.turns) == 6  # layers are built by an eager call before the compiled one
    np.testing.assert_allclose(models[0][0], models[1][0], rtol=1e-4, atol=1e-5)
    for a, b in zip(models[0][1], models[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_condition_of_a_loop_that_changes_a_variable_is_an_error_that_names_it() -> None:
    model = Looping("condition")
    model.compile("sgd", "mse")
    with pytest.raises(
        ValueError, match=r"condition of a while_loop changes the variable '.*turns'"
    ):
        model.fit(X, X, verbose=0)


class DroppingCell(keras.layers.Layer):  # type: ignore[misc,name-defined]
    """A recurrent cell that draws in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.state_size = 8
        self.dropout = keras.layers.Dropout(0.5, seed=1)

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        y = self.dropout(x, training=training) + states[0] / 2
        return y, [y]


def test_cell_with_dropout_draws_anew_in_each_step() -> None:
    series = np.random.default_rng(0).normal(size=(20, 5, 8)).astype("float32")
    found = []
    for options in ({}, {"unroll": True}):
        layer = keras.layers.RNN(DroppingCell(), **options)
        model = keras.Sequential(
            [keras.Input((5, 8)), layer, keras.layers.Dense(8, "linear", False)]
        )
        model.set_weights([np.eye(8) if w.ndim == 2 else w for w in model.get_weights()])
        model.compile("sgd", "mse")
        losses = model.fit(series, X, batch_size=10, epochs=2, shuffle=False, verbose=0)
        found.append(losses.history["loss"])
        (seed,) = layer.cell.dropout.variables
        np.testing.assert_array_equal(seed, [1, 20])  # two epochs of two batches of five steps
    np.testing.assert_allclose(*found, rtol=1e-5)


# values and text ----------------------------------------------------------------------------------


def test_traced_tensor_has_a_text_afterwards() -> None:
    with tracing():
        x = wrap(sg.tensor("x", "float32", ("batch", 3)))
        y = x + 1
        assert known(ops.zeros(ops.shape(x)[0])) is None
    assert repr(y) == "<Tensor shape=(None, 3), dtype=float32, add>"


def test_size_that_occurs_in_a_shape_only() -> None:
    array = node_of(np.array([1, 0, 2, 3]))
    count = sg.nonzero(array)[0].shape[0]
    np.testing.assert_array_equal(wrap(sg.zeros((count * 2,), "float32")), np.zeros(6))
    np.testing.assert_array_equal(wrap(sg.as_variable(count)), 3)
    np.testing.assert_array_equal(wrap(sg.arange(sg.size_from(sg.sum(array)))), np.arange(6))
    places = wrap(sg.nonzero(array)[0])  # the size is one of a tensor with a value, too
    np.testing.assert_array_equal(wrap(sg.ones((count,), "int64")) + places, [1, 3, 4])


# errors -------------------------------------------------------------------------------------------


class Squaring(keras.layers.Layer):  # type: ignore[misc,name-defined]
    """A layer that fails for what is not square."""

    def call(self, x: Any) -> Any:
        return ops.matmul(x, x)


def test_error_in_a_layer_shows_its_line_and_what_it_received() -> None:
    with pytest.raises(sg.errors.ShapeError) as caught:
        Squaring()(X)
    text = str(caught.value)
    assert "Squaring.call" in text and "return ops.matmul(x, x)" in text
    assert "test_loops_and_messages.py" in text and "keras_symgraph" not in text
    (note,) = caught.value.__notes__
    assert note == "in Squaring.call(), which received array(shape=(20, 8), dtype=float32)"


def test_error_while_a_shape_is_inferred_shows_the_line() -> None:
    model = keras.Sequential([Squaring()])
    model.compile("sgd", "mse")
    with pytest.raises(sg.errors.ShapeError, match=r"return ops.matmul\(x, x\)"):
        model.fit(X, X, verbose=0)


def test_error_in_a_step_shows_its_line() -> None:
    class Mine(keras.Model):  # type: ignore[misc,name-defined]
        def call(self, x: Any) -> Any:
            return x

        def train_step(self, data: Any) -> Any:
            return {"loss": ops.sum(data[0] + ops.ones((7, 5)))}

    model = Mine()
    model.compile("sgd", "mse")
    with pytest.raises(sg.errors.ShapeError) as caught:
        model.fit(X, X, verbose=0)
    text = str(caught.value)
    assert "Mine.train_step" in text and "data[0] + ops.ones((7, 5))" in text
    assert "keras_symgraph" not in text


def test_value_needed_names_the_line_that_made_it() -> None:
    class Peeking(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, x: Any) -> Any:
            return x if float(ops.sum(x)) > 0 else -x

    model = keras.Sequential([keras.Input((8,)), Peeking()])
    model.compile(loss="mse")
    with pytest.raises(
        keras_symgraph.TracingError, match=r"test_loops_and_messages.py:\d+ in .*call"
    ):
        model.evaluate(X, X, verbose=0)
