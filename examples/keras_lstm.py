"""An LSTM that adds two marked numbers of a sequence, in Keras.

    python examples/keras_lstm.py

The task is that of Hochreiter and Schmidhuber (1997): each step has a number from 0 to 1 and a
mark, and the sum of the two marked numbers is asked for at the end. Answering 1 always has an error
of 1/6; less than that takes memory.
"""

from __future__ import annotations

import numpy as np
from keras_start import keras, train

LENGTH = 12


def sequences(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and marks [count, LENGTH, 2], and the sums [count, 1]."""
    rng = np.random.default_rng(seed)
    numbers = rng.random((count, LENGTH))
    marked = np.argsort(rng.random((count, LENGTH)), axis=1) < 2
    sums = (numbers * marked).sum(axis=1, keepdims=True)
    return np.stack([numbers, marked], axis=-1).astype("float32"), sums.astype("float32")


def network() -> keras.Model:
    """One LSTM, whose last state gives the answer."""
    layers = [keras.Input((LENGTH, 2)), keras.layers.LSTM(32), keras.layers.Dense(1)]
    return keras.Sequential(layers, name="keras_lstm")


def main() -> float:
    """Train, and return the mean squared error of held-out sequences."""
    x, y = sequences(4000)
    model = network()
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    history = train(model, x, y, epochs=20, batch=32)
    return history.get("val_loss", history["loss"])[-1]


if __name__ == "__main__":
    main()
