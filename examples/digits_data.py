"""The 1 797 handwritten digits that come with scikit-learn, split once and for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Digits(NamedTuple):
    """Images as rows of 64 grey values from 0 to 1, and the digits they show."""

    images: np.ndarray
    labels: np.ndarray


def load(held_out: int = 360, seed: int = 0) -> tuple[Digits, Digits]:
    """The images to learn from and those held out; the same split at every call."""
    from sklearn.datasets import load_digits  # slow to import, and not needed to define a model

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    images = (images[order] / 16).astype("float32")
    labels = labels[order].astype("int64")
    cut = len(labels) - held_out
    return Digits(images[:cut], labels[:cut]), Digits(images[cut:], labels[cut:])


def batches(data: Digits, size: int, rng: np.random.Generator) -> Iterator[Digits]:
    """Every image once, in a new order, ``size`` at a time; the last batch may be smaller."""
    order = rng.permutation(len(data.labels))
    for start in range(0, len(order), size):
        part = order[start : start + size]
        yield Digits(data.images[part], data.labels[part])
