"""Keras 3 on symgraph: a backend that compiles models to native code with NumPy, SciPy and LLVM.

Import this package before Keras, and choose the backend as all backends are chosen::

    import os
    os.environ["KERAS_BACKEND"] = "symgraph"  # or in the shell, or in keras.json

    import keras_symgraph
    import keras

Keras up to 3.15 knows its backends by name, later ones look for a package of this layout but only
for names on a list; `hook.py` adds the name in either case, without changing a file of Keras. With
another backend chosen the import does nothing. docs/keras.md says what is supported.
"""

from __future__ import annotations

import importlib
from typing import Any

from keras_symgraph import hook

_PUBLIC = {"gradients": "derivatives", "TracingError": "tensor", "Tensor": "tensor"}

hook.arm()


def __getattr__(name: str) -> Any:
    """What is offered beside Keras' own names, loaded when it is asked for, with Keras."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.src.{_PUBLIC[name]}"), name)
