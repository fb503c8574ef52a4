"""What a type checker knows of a user's program: `make types` reads this file, nothing runs it."""

from typing import Any, assert_type

import symgraph as sg

x = sg.vector("x")
w = sg.shared([1.0, 2.0], name="w")
assert_type(sg.tanh(x), sg.Variable)
assert_type(sg.linalg.det(sg.matrix("a")), sg.Variable)
assert_type(sg.nn.relu(x), sg.Variable)
f: Any = sg.compile([x], sg.grad(sg.sum(x * w), w))
later = (sg.optimize.minimize, sg.optim.adam, sg.integrate.trapezoid, sg.pi)
