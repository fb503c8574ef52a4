"""What a thread does with tensors at present: computing, tracing a function, or recording.

While it traces, tensors that depend on inputs have no values; asking for one is a `TracingError`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TracingError(TypeError, ValueError):
    """The value of a tensor is asked for which has none while a function is traced.

    A function that is compiled is run once with tensors that stand for any value. Python's ``if``,
    ``while``, ``int()`` and NumPy's functions need a value: use ``keras.ops.cond``, ``where``,
    ``while_loop`` and ``keras.ops`` in their place, or ``model.compile(..., run_eagerly=True)``.
    """


class _State(threading.local):
    """What this thread does with tensors at present."""

    tracing = 0
    recording = 0


state = _State()


@contextmanager
def tracing() -> Iterator[None]:
    """Meanwhile graphs are made of inputs without values."""
    state.tracing += 1
    try:
        yield
    finally:
        state.tracing -= 1


def is_tracing() -> bool:
    """Whether this thread is tracing a function."""
    return state.tracing > 0


@contextmanager
def recording() -> Iterator[None]:
    """Meanwhile tensors keep their graphs when they get values, so that they have derivatives."""
    state.recording += 1
    try:
        yield
    finally:
        state.recording -= 1
