"""The networks that are trained on all backends of Keras, as functions of the module `keras`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Network(NamedTuple):
    """A network, the shape of a sample, the largest integer in it (0: it has floats), and how many
    batches an epoch has: as many as take a moment, and not a minute."""

    title: str
    build: Callable[[Any, Any], Any]
    shape: tuple[int, ...]
    words: int = 0
    batches: int = 40


def mlp(keras: Any, x: Any) -> Any:
    """784-256-128-10."""
    layers = keras.layers
    return layers.Dense(10)(layers.Dense(128, "relu")(layers.Dense(256, "relu")(x)))


def cnn(keras: Any, x: Any) -> Any:
    """Two convolutions of 16 and 32 channels, each with a pool."""
    layers = keras.layers
    for channels in (16, 32):
        x = layers.MaxPooling2D(2)(layers.Conv2D(channels, 3, activation="relu")(x))
    return layers.Dense(10)(layers.Flatten()(x))


def lstm(keras: Any, x: Any) -> Any:
    """32 units, 20 steps of 8 numbers."""
    return keras.layers.Dense(10)(keras.layers.LSTM(32)(x))


def resnet(keras: Any, x: Any) -> Any:
    """ResNet-20 of He et al. (2016) for images of 32 by 32: 16, 32 and 64 channels."""
    layers = keras.layers

    def convolved(x: Any, channels: int, stride: int = 1) -> Any:
        x = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.ReLU()(convolved(x, 16))
    for channels in (16, 32, 64):
        for k in range(3):
            stride = 2 if k == 0 and channels > 16 else 1
            y = convolved(layers.ReLU()(convolved(x, channels, stride)), channels)
            if stride > 1:
                x = layers.Conv2D(channels, 1, stride, use_bias=False)(x)
            x = layers.ReLU()(layers.Add()([x, y]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def transformer(keras: Any, x: Any) -> Any:
    """Two blocks of width 64 with 4 heads, normalized first, over 32 words; dropout as usual."""
    layers = keras.layers
    x = layers.Embedding(1000, 64)(x)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16, dropout=0.1)(y, y)
        y = layers.Dense(256, "gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dropout(0.1)(layers.Dense(64)(y))
    return layers.Dense(10)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))


NETWORKS = {
    "mlp": Network("MLP 784-256-128-10", mlp, (784,)),
    "cnn": Network("small CNN", cnn, (28, 28, 1)),
    "lstm": Network("LSTM", lstm, (20, 8)),
    "resnet": Network("ResNet-20", resnet, (32, 32, 3), batches=5),
    "transformer": Network("small transformer", transformer, (32,), words=1000, batches=20),
}
