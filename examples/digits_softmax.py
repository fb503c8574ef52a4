"""Softmax regression on handwritten digits: the smallest model that learns.

    python examples/digits_softmax.py
    symgraph dump examples/digits_softmax.py:loss --stage optimized --format tree

Everything above `main` is symbolic and costs microseconds; nothing is computed before `main`.
"""

from __future__ import annotations

import numpy as np
from digits_data import load
from digits_training import draw, learn

import symgraph as sg

images = sg.tensor("images", dtype="float32", shape=("batch", 64))
labels = sg.tensor("labels", dtype="int64", shape=("batch",))

weights = sg.shared(np.zeros((64, 10), "float32"), name="weights")
bias = sg.shared(np.zeros(10, "float32"), name="bias")
parameters = [weights, bias]

logits = images @ weights + bias
loss = sg.mean(sg.nn.softmax_cross_entropy(logits, labels)) + 1e-4 * sg.sum(weights**2)
digit = sg.argmax(logits, axis=1)

RATE, MOMENTUM = 0.3, 0.9
gradients = sg.grad(loss, parameters)
velocities = [sg.shared(np.zeros_like(p.get_value()), name=f"v_{p.name}") for p in parameters]
updates = {}
for p, v, g in zip(parameters, velocities, gradients, strict=True):
    updates[v] = MOMENTUM * v - RATE * g
    updates[p] = p + updates[v]

step = {"loss": loss, **{s.name: new for s, new in updates.items()}}  # for pictures of all of it


def main() -> float:
    """Train, and return the share of held-out images that are read correctly."""
    train = sg.compile([images, labels], loss, updates=updates, name="softmax_train")
    predict = sg.compile([images], digit, name="softmax_predict")
    accuracy = learn("softmax regression", train, predict, load(), epochs=40, batch=64)
    draw(__file__, "step")
    return accuracy


if __name__ == "__main__":
    main()
