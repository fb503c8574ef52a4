"""LeNet-5 on handwritten digits, in Keras: the network of LeCun et al. (1998) with relu.

python examples/keras_lenet.py
"""

from __future__ import annotations

import numpy as np
from digits_data import load
from keras_start import keras, train


def network() -> keras.Model:
    """Two convolutions, each followed by a mean over squares, and three dense layers."""
    layers = [
        keras.Input((32, 32, 1)),
        keras.layers.Conv2D(6, 5, activation="relu"),
        keras.layers.AveragePooling2D(2),
        keras.layers.Conv2D(16, 5, activation="relu"),
        keras.layers.AveragePooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(120, "relu"),
        keras.layers.Dense(84, "relu"),
        keras.layers.Dense(10),
    ]
    return keras.Sequential(layers, name="keras_lenet")


def main() -> float:
    """Train, and return the share of held-out images that are read correctly."""
    data, held_out = load()
    rows = np.concatenate([data.images, held_out.images])
    labels = np.concatenate([data.labels, held_out.labels])
    images = np.kron(rows.reshape(-1, 8, 8), np.ones((1, 4, 4), "float32"))[..., None]
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    history = train(model, images, labels, epochs=6, batch=32)
    return history.get("val_accuracy", history["accuracy"])[-1]


if __name__ == "__main__":
    main()
