"""The backend, in the form in which Keras 3.16 looks for it; Keras 3.15 takes the same names.

Up to 3.15 ``backend.rnn`` is a function and the other recurrent functions stand beside it, from
3.16 on it is the module.
"""
# ruff: noqa: F401

from __future__ import annotations

from types import FunctionType, ModuleType

from keras.src.backend import config

from keras_symgraph.src import core, messages, operators, ops, random, rnn, tensor
from keras_symgraph.src.core import (
    IS_THREAD_SAFE,
    SUPPORTS_COMPLEX_DTYPES,
    SUPPORTS_GRADIENT,
    SUPPORTS_RAGGED_TENSORS,
    SUPPORTS_SPARSE_TENSORS,
    Variable,
    cast,
    compute_output_spec,
    cond,
    convert_to_numpy,
    convert_to_tensor,
    device_scope,
    is_tensor,
    name_scope,
    random_seed_dtype,
    scatter,
    shape,
    stop_gradient,
    vectorized_map,
)
from keras_symgraph.src.ops import image, linalg, math, nn, numpy

distribution_lib = None


def _without_annotations(module: ModuleType) -> None:
    """Keras' tests ask that a backend's functions have its own signatures, which have none."""
    for function in vars(module).values():
        while isinstance(function, FunctionType):
            function.__annotations__ = {}
            function = getattr(function, "__wrapped__", None)


for _module in (core, image, linalg, math, nn, numpy):
    _without_annotations(_module)
operators.speak(numpy)
messages.show_user_lines()

if hasattr(config, "PLUGGABLE_BACKENDS"):
    for _name in core.__all__:
        setattr(ops, _name, getattr(core, _name))
    ops.core = core  # type: ignore[attr-defined]
else:
    from keras_symgraph.src.rnn import (  # type: ignore[no-redef]
        bidirectional_gru,
        bidirectional_lstm,
        cudnn_ok,
        gru,
        lstm,
        rnn,
    )
