"""Functions of sg.nn against NumPy: interpreted, compiled, with sizes by name, in float32; their
derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symgraph as sg


def outputs_of(built: Any) -> list[Any]:
    """The results as a list."""
    found: list[Any] = []
    for v in built if isinstance(built, tuple | list) else [built]:
        found += outputs_of(v) if isinstance(v, tuple | list) else [v]
    return found


def inputs_for(arrays: Sequence[Any], symbolic: bool) -> list[Any]:
    """An input for each array; ``symbolic`` names each size above 1 by its value."""
    found = []
    for k, a in enumerate(arrays):
        shape = tuple(f"n{n}" if symbolic and n > 1 else n for n in a.shape)
        found.append(sg.tensor(f"x{k}", dtype=str(a.dtype), shape=shape))
    return found


def values(
    build: Callable[..., Any], arrays: Sequence[Any], symbolic: bool = False, mode: str = "run"
) -> list[Any]:
    """What the function gives for the arrays."""
    inputs = inputs_for(arrays, symbolic)
    outputs = outputs_of(build(*inputs))
    function = sg.compile(inputs, outputs, mode=mode, on_unused_input="ignore")
    return [np.asarray(v) for v in function(*arrays)]


def agree(
    build: Callable[..., Any], reference: Callable[..., Any], *arrays: Any, grad: bool = True,
    symbolic: bool = True, rtol: float = 1e-11,
) -> None:  # fmt: skip
    """``build`` on variables means ``reference`` on arrays."""
    with np.errstate(all="ignore"):
        wanted = outputs_of(reference(*arrays))
    kinds = [(False, "run"), (False, "interpret")] + [(True, "run")] * symbolic
    for names, mode in kinds:
        found = values(build, arrays, names, mode)
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            np.testing.assert_allclose(f, w, rtol=rtol, atol=rtol)
            assert f.shape == np.shape(w)
    single = [a.astype("float32") if a.dtype == "float64" else a for a in arrays]
    for f, w in zip(values(build, single), wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=2e-4, atol=2e-5)
    if grad:
        sg.verify_grad(lambda *xs: outputs_of(build(*xs)), arrays)


def slope(build: Callable[[Any], Any], x: Any) -> Any:
    """The derivative of an elementwise function at the elements of x."""
    v = sg.tensor("x", dtype=str(x.dtype), shape=x.shape)
    return sg.compile([v], sg.grad(sg.sum(build(v)), v), on_unused_input="ignore")(x)
