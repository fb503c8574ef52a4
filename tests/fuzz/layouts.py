"""One array in the memory layouts that callers have: reversed, transposed, stretched, cut out."""

from __future__ import annotations

import numpy as np


def laid_out(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """An array of the same shape and, but for stretched ones, the same elements."""
    kind = int(rng.integers(9)) if array.ndim and array.size else 0
    if kind <= 2:
        return np.ascontiguousarray(array).reshape(array.shape)
    axis = int(rng.integers(array.ndim))
    if kind == 3:
        return np.flip(np.flip(array, axis).copy(), axis)
    if kind == 4:
        return np.asfortranarray(array)
    if kind == 5:
        order = rng.permutation(array.ndim)
        return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    if kind == 6:
        return np.repeat(array, 3, axis).take(range(0, 3 * array.shape[axis], 1), axis)[
            (slice(None),) * axis + (slice(1, None, 3),)
        ]
    if kind == 7:  # inside of a larger array, one element from its beginning
        room = np.zeros([n + 3 for n in array.shape], array.dtype)
        place = tuple(slice(1, 1 + n) for n in array.shape)
        room[place] = array
        return room[place]
    first = array[(slice(None),) * axis + (slice(0, 1),)]
    return np.broadcast_to(first, array.shape)  # read-only, with a stride of zero


def plain(array: np.ndarray) -> np.ndarray:
    """The dense copy."""
    return np.ascontiguousarray(array).reshape(array.shape)
