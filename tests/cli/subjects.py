"""What the tests of the command line look at."""

import numpy as np

import symgraph as sg

print("printed while importing")

x = sg.matrix("x", dtype="float32", shape=("n", 4))
w = sg.shared(np.ones((4, 3), "float32"), name="w")

scores = sg.nn.softmax(x @ w)
total = sg.sum(sg.exp(x) * 2)
both = {"scores": scores, "parts": [total, x[0]]}
train = sg.compile([x], total, updates={w: w * 0.5}, name="train")
graph = sg.Graph([x], [total])

hostile = sg.tensor('"><script>alert(1)</script>\x1b[31m\n\u202e', shape=(2,)) + 1

number = 3


def function(y: sg.Variable) -> sg.Variable:
    return y + 1
