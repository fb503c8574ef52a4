"""sg.optim: updates of parameters that make a loss smaller, clipping of gradients, schedules.

    updates = sg.optim.adam(loss, [w, b], learning_rate=1e-3)
    train = sg.compile([x, y], loss, updates=updates)

An optimizer is a function: it makes the shared variables that it needs beside the parameters and
returns the new value of every shared variable, as a dict for ``sg.compile(updates=...)``.
"""

from symgraph.optim.adaptive import adadelta, adagrad, rmsprop
from symgraph.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from symgraph.optim.descent import lion, moving_average, sgd
from symgraph.optim.moments import adam, adamax, adamw, nadam
from symgraph.optim.schedules import (
    constant,
    cosine_decay,
    exponential_decay,
    inverse_square_root,
    one_cycle,
    piecewise_constant,
    polynomial_decay,
    step_decay,
    warmup,
)

__all__ = [
    "adadelta", "adagrad", "adam", "adamax", "adamw", "clip_by_global_norm", "clip_by_norm",
    "clip_by_value", "constant", "cosine_decay", "exponential_decay", "global_norm",
    "inverse_square_root", "lion", "moving_average", "nadam", "one_cycle", "piecewise_constant",
    "polynomial_decay", "rmsprop", "sgd", "step_decay", "warmup",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
