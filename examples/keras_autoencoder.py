"""Handwritten digits through a bottleneck of eight numbers, in Keras.

python examples/keras_autoencoder.py
"""

from __future__ import annotations

import numpy as np
from digits_data import load
from keras_start import keras, train


def network() -> keras.Model:
    """64 grey values to 8 numbers and back."""
    image = keras.Input((64,), name="image")
    code = keras.layers.Dense(8, name="code")(keras.layers.Dense(32, "relu")(image))
    again = keras.layers.Dense(64, "sigmoid")(keras.layers.Dense(32, "relu")(code))
    return keras.Model(image, again, name="keras_autoencoder")


def main() -> float:
    """Train, and return the mean squared error of held-out images."""
    data, held_out = load()
    images = np.concatenate([data.images, held_out.images])
    model = network()
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    history = train(model, images, images, epochs=30, batch=32)
    return history.get("val_loss", history["loss"])[-1]


if __name__ == "__main__":
    main()
