"""A small LeNet (LeCun et al., 1998) on handwritten digits: two convolutions, each with a relu and
max pooling, then two dense layers, trained with momentum.

    python examples/digits_lenet.py
    symgraph dump examples/digits_lenet.py:loss --stage program
"""

from __future__ import annotations

import numpy as np
from digits_data import load
from digits_training import draw, learn

import symgraph as sg

SIDE, CHANNELS, HIDDEN, CLASSES = 8, (6, 16), 48, 10
RATE, MOMENTUM = 0.03, 0.9

images = sg.tensor("images", dtype="float32", shape=("batch", SIDE * SIDE))
labels = sg.tensor("labels", dtype="int64", shape=("batch",))
parameters: list[sg.Shared] = []


def parameter(name: str, *shape: int) -> sg.Shared:
    """New weights, which start as He et al. (2015) advise for relu; vectors start at 0."""
    inputs = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
    spread = np.sqrt(2 / inputs) if len(shape) > 1 else 0
    start = np.random.default_rng(len(parameters)).normal(0, 1, shape) * spread
    parameters.append(sg.shared(start.astype("float32"), name=name))
    return parameters[-1]


def convolved(x: sg.Variable, inputs: int, outputs: int, number: int) -> sg.Variable:
    """Filters of 3 by 3 and a relu; the pooling halves height and width."""
    w = parameter(f"w{number}", outputs, inputs, 3, 3)
    b = parameter(f"b{number}", outputs)
    y = sg.nn.conv2d(x, w, padding="same") + b[:, None, None]
    return sg.nn.max_pool(sg.relu(y), 2)


def dense(x: sg.Variable, inputs: int, outputs: int, number: int) -> sg.Variable:
    return x @ parameter(f"w{number}", inputs, outputs) + parameter(f"b{number}", outputs)


planes = images.reshape(-1, 1, SIDE, SIDE)
planes = convolved(planes, 1, CHANNELS[0], 1)
planes = convolved(planes, CHANNELS[0], CHANNELS[1], 2)
features = CHANNELS[1] * (SIDE // 4) ** 2
hidden = sg.relu(dense(planes.reshape(-1, features), features, HIDDEN, 3))
logits = dense(hidden, HIDDEN, CLASSES, 4)

loss = sg.mean(sg.nn.softmax_cross_entropy(logits, labels))
digit = sg.argmax(logits, axis=1)

updates = {}
for p, g in zip(parameters, sg.grad(loss, parameters), strict=True):
    v = sg.shared(np.zeros_like(p.get_value()), name=f"v_{p.name}")
    updates[v] = MOMENTUM * v - RATE * g
    updates[p] = p + updates[v]


def main() -> float:
    """Train, and return the share of held-out images that are read correctly."""
    train = sg.compile([images, labels], loss, updates=updates, name="lenet_train")
    predict = sg.compile([images], digit, name="lenet_predict")
    accuracy = learn("a small LeNet", train, predict, load(), epochs=30, batch=32)
    draw(__file__, "loss")
    return accuracy


if __name__ == "__main__":
    main()
