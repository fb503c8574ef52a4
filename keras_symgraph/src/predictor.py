"""`Model.export(path, format="symgraph")`: a predictor in a file, which runs without Keras."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from keras.src import tree
from keras.src.backend.common.variables import standardize_dtype
from keras.src.utils import io_utils

import symgraph as sg
from keras_symgraph.src.state import Collecting, Nest
from keras_symgraph.src.tensor import tracing, wrap
from keras_symgraph.src.traced import frozen
from symgraph import Variable

FORMAT = "symgraph"


def export_predictor(
    model: Any,
    filepath: str | os.PathLike[str],
    verbose: Any = None,
    input_signature: Any = None,
) -> None:
    """Write what a model predicts, with its weights, as a graph that `symgraph.load` reads.

    The inputs of the graph are those of the model in order, under their names; sizes that the
    signature leaves open stay open, and the first axes of all inputs have one size. The outputs are
    the tensors of the model's output in order. What a call would change (the state of a stateful
    layer, seeds) is left as it is. Where Python calculates with an open size, that size must be
    given: raises TracingError. Raises ValueError for a model that is not built.

    In another process, without Keras::

        graph = symgraph.load("digits.sg")
        predict = symgraph.compile(graph.inputs, graph.outputs)
        (probabilities,) = predict(images)
    """
    from keras.src.export import export_utils  # it needs models, which are loaded after this file

    signature = input_signature or export_utils.get_input_signature(model)
    specs = tree.flatten(signature)
    inputs = [_input(k, spec) for k, spec in enumerate(specs)]
    options = {"training": False} if model._call_has_training_arg else {}
    with Collecting(), tracing():
        arguments = tree.pack_sequence_as(signature, [wrap(v) for v in inputs])
        called = model(**arguments, **options) if isinstance(arguments, dict) else model(
            *arguments, **options
        )  # fmt: skip
        outputs = Nest(called, numbers=False).nodes
    function = sg.compile(
        inputs,
        outputs,
        givens=frozen(outputs),
        on_unused_input="ignore",
        name="predict",
        mode="interpret",
    )
    sg.save(filepath, function.graph)
    if verbose is not False:
        io_utils.print_msg(f"Saved artifact at '{os.fspath(filepath)}'.")


def _input(place: int, spec: Any) -> Variable:
    """The variable of one entry of a signature."""
    sizes = [
        n if n is not None else f"n{place}_{axis}" if axis else "batch"
        for axis, n in enumerate(spec.shape)
    ]
    name = str(spec.name or "")
    if not name.isidentifier():
        name = f"input{place}"
    return sg.tensor(name, standardize_dtype(spec.dtype), sizes)  # type: ignore[no-any-return]


def with_format(export: Callable[..., Any]) -> Callable[..., Any]:
    """Keras' `Model.export`, which also knows ``format="symgraph"``."""

    def method(
        self: Any,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> Any:
        if format == FORMAT:
            return export_predictor(self, filepath, verbose, input_signature, **kwargs)
        return export(self, filepath, format, verbose, input_signature, **kwargs)

    method.__name__, method.__qualname__ = export.__name__, export.__qualname__
    method.__doc__ = export.__doc__
    return method
