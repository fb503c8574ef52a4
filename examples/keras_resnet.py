"""A residual network of twenty layers on generated images, in Keras.

    python examples/keras_resnet.py

The network is ResNet-20 of He et al. (2016) with half its channels. The images are noisy discs,
squares, crosses and rings in any colour, at any place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras_start import keras, train

SIZE = 16


def images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images [count, SIZE, SIZE, 3] and the number of the form that each shows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    row, column = (rng.uniform(5, SIZE - 5, (count, 1, 1)) for _ in range(2))
    radius = rng.uniform(3, 5, (count, 1, 1))
    y, x = np.abs(np.arange(SIZE)[None, :, None] - row), np.abs(np.arange(SIZE) - column)
    distance, square = np.hypot(x, y), np.maximum(x, y)
    forms = [
        distance < radius,
        square < radius,
        (np.minimum(x, y) < 1) & (square < radius),
        np.abs(distance - radius) < 1,
    ]
    shown = np.choose(labels[:, None, None], forms)[..., None]
    colour = rng.uniform(0.3, 1, (count, 1, 1, 3))
    noise = rng.normal(0, 0.2, (count, SIZE, SIZE, 3))
    return (shown * colour + noise).astype("float32"), labels


def convolved(x: Any, channels: int, stride: int = 1) -> Any:
    """A convolution with normalized results."""
    x = keras.layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x)


def block(x: Any, channels: int, stride: int) -> Any:
    """Two convolutions around which the signal passes."""
    new = convolved(keras.layers.ReLU()(convolved(x, channels, stride)), channels)
    if stride > 1:
        x = keras.layers.Conv2D(channels, 1, stride, use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.Add()([x, new]))


def network() -> keras.Model:
    """1 + 3 * 3 * 2 convolutions and a dense layer."""
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.ReLU()(convolved(image, 8))
    for channels in (8, 16, 32):
        for k in range(3):
            x = block(x, channels, 2 if k == 0 and channels > 8 else 1)
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x, name="keras_resnet")


def main() -> float:
    """Train, and return the share of held-out images that are named correctly."""
    x, y = images(1280)
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, metrics=["accuracy"])
    history = train(model, x, y, epochs=6, batch=32)
    return history.get("val_accuracy", history["accuracy"])[-1]


if __name__ == "__main__":
    main()
