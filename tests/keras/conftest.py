"""Keras with this backend, if it is installed and not yet in use with another one.

There is no `__init__.py` here: the directory would be a package named keras.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "symgraph")

import keras_symgraph

assert keras_symgraph.hook.NAME == "symgraph"  # the import is what matters
