"""A network with two hidden layers on handwritten digits, trained with momentum.

    python examples/digits_mlp.py
    symgraph dump examples/digits_mlp.py:loss --stage scheduled

Everything above `main` is symbolic and costs microseconds; nothing is computed before `main`.
"""

from __future__ import annotations

import numpy as np
from digits_data import load
from digits_training import draw, learn

import symgraph as sg

SIZES = (64, 128, 64, 10)
RATE, MOMENTUM = 0.05, 0.9

images = sg.tensor("images", dtype="float32", shape=("batch", SIZES[0]))
labels = sg.tensor("labels", dtype="int64", shape=("batch",))


def layer(x: sg.Variable, inputs: int, outputs: int, number: int) -> sg.Variable:
    """x @ w + b with new shared w and b; the weights start as He et al. (2015) advise for relu."""
    rng = np.random.default_rng(number)
    start = rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs)).astype("float32")
    w = sg.shared(start, name=f"w{number}")
    b = sg.shared(np.zeros(outputs, "float32"), name=f"b{number}")
    parameters.extend([w, b])
    return x @ w + b


parameters: list[sg.Shared] = []
hidden = sg.relu(layer(images, SIZES[0], SIZES[1], 1))
hidden = sg.relu(layer(hidden, SIZES[1], SIZES[2], 2))
logits = layer(hidden, SIZES[2], SIZES[3], 3)

loss = sg.mean(sg.nn.softmax_cross_entropy(logits, labels))
digit = sg.argmax(logits, axis=1)

gradients = sg.grad(loss, parameters)
updates = {}
for p, g in zip(parameters, gradients, strict=True):
    v = sg.shared(np.zeros_like(p.get_value()), name=f"v_{p.name}")
    updates[v] = MOMENTUM * v - RATE * g
    updates[p] = p + updates[v]

step = {"loss": loss, **{s.name: new for s, new in updates.items()}}  # for pictures of all of it


def main() -> float:
    """Train, and return the share of held-out images that are read correctly."""
    train = sg.compile([images, labels], loss, updates=updates, name="mlp_train")
    predict = sg.compile([images], digit, name="mlp_predict")
    accuracy = learn("two hidden layers", train, predict, load(), epochs=30, batch=32)
    draw(__file__, "step")
    return accuracy


if __name__ == "__main__":
    main()
