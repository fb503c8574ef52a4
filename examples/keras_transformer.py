"""A small transformer that tells praise from blame, in Keras.

    python examples/keras_transformer.py

The texts are generated: opinions on two things, of which only one is asked about by the first word,
and "not" turns an opinion around. So words count by what stands beside them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras_start import keras, train

THINGS = "plot music cast ending".split()
GOOD = "good fine great lovely".split()
BAD = "bad poor awful dull".split()
OTHERS = "the was but not and".split()
WORDS = {word: k for k, word in enumerate([*THINGS, *GOOD, *BAD, *OTHERS], start=1)}
LENGTH, WIDTH, HEADS = 12, 32, 4


def text(rng: np.random.Generator) -> tuple[str, int]:
    """A text of at most LENGTH words, and 1 if it praises what its first word asks about."""
    first, second = rng.permutation(THINGS)[:2]
    praised, sentences = {}, []
    for thing in (first, second):
        good, negated = rng.integers(0, 2, 2)
        opinion = str(rng.choice(GOOD if good else BAD))
        sentences.append(f"the {thing} was {'not ' if negated else ''}{opinion}")
        praised[thing] = int(good != negated)
    asked = str(rng.choice([first, second]))
    return f"{asked} {sentences[0]} and {sentences[1]}", praised[asked]


def texts(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of words [count, LENGTH], 0 behind the end, and what each text says."""
    rng = np.random.default_rng(seed)
    ids, labels = np.zeros((count, LENGTH), "int32"), np.zeros(count, "int32")
    for k in range(count):
        words, labels[k] = text(rng)
        numbers = [WORDS[w] for w in words.split()]
        ids[k, : len(numbers)] = numbers
    return ids, labels


class Places(keras.layers.Layer):
    """Adds a vector for each place, which is learnt."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the vectors for sequences of one length."""
        self.vectors = self.add_weight(shape=shape[1:], name="vectors")

    def call(self, x: Any) -> Any:
        """Words, told apart by where they stand."""
        return x + self.vectors


def block(x: Any) -> Any:
    """Attention and a dense layer, each after a normalization (Xiong et al., 2020)."""
    y = keras.layers.LayerNormalization()(x)
    x = x + keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)
    y = keras.layers.Dense(2 * WIDTH, "gelu")(keras.layers.LayerNormalization()(x))
    return x + keras.layers.Dense(WIDTH)(y)


def network() -> keras.Model:
    """Words and places as vectors, two blocks, and the mean of what they say."""
    ids = keras.Input((LENGTH,), dtype="int32")
    x = Places()(keras.layers.Embedding(len(WORDS) + 1, WIDTH)(ids))
    for _ in range(2):
        x = block(x)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))
    return keras.Model(ids, keras.layers.Dense(2)(x), name="keras_transformer")


def main() -> float:
    """Train, and return the share of held-out texts that are understood."""
    x, y = texts(3000)
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    history = train(model, x, y, epochs=12, batch=32)
    return history.get("val_accuracy", history["accuracy"])[-1]


if __name__ == "__main__":
    main()
