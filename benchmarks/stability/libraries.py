"""A formula compiled by each library: all float64, each as its manual recommends."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np


def installed() -> list[str]:
    """The libraries that can be asked here, ours first."""
    return [name for name in MAKERS if importlib.util.find_spec(name) is not None]


def _rows(library: Any, extra: dict[str, Any]) -> Any:
    """A library's namespace whose sums keep their axis, as rows of vectors need."""

    class Words:
        def __getattr__(self, name: str) -> Any:
            return extra[name] if name in extra else getattr(library, name)

        def sum(self, x: Any) -> Any:
            return library.sum(x, axis=-1, keepdims=True)

        def mean(self, x: Any) -> Any:
            return library.mean(x, axis=-1, keepdims=True)

        def prod(self, x: Any) -> Any:
            return library.prod(x, axis=-1, keepdims=True)

    return Words()


def _symgraph(formula: Any, arguments: list[np.ndarray]) -> Callable[..., Any]:
    sg = importlib.import_module("symgraph")
    inputs = [sg.tensor(f"x{k}", shape=(None,) * a.ndim) for k, a in enumerate(arguments)]
    f = sg.compile(inputs, formula(_rows(sg, {}), *inputs))
    return lambda: f(*arguments)


def _numpy(formula: Any, arguments: list[np.ndarray]) -> Callable[..., Any]:
    special = importlib.import_module("scipy.special")
    words = _rows(np, {"erf": special.erf, "erfc": special.erfc})
    return lambda: formula(words, *arguments)


def _jax(formula: Any, arguments: list[np.ndarray]) -> Callable[..., Any]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    special = importlib.import_module("jax.scipy.special")
    words = _rows(jax.numpy, {"erf": special.erf, "erfc": special.erfc})
    f = jax.jit(lambda *a: formula(words, *a))
    return lambda: np.asarray(f(*arguments))


def _pytensor(formula: Any, arguments: list[np.ndarray]) -> Callable[..., Any]:
    pytensor = importlib.import_module("pytensor")
    pt = importlib.import_module("pytensor.tensor")
    inputs = [pt.tensor(f"x{k}", dtype="float64", shape=(None,) * a.ndim)
              for k, a in enumerate(arguments)]  # fmt: skip
    words = _rows(pt, {"cbrt": lambda x: pt.sign(x) * pt.abs(x) ** (1 / 3)})
    f = pytensor.function(inputs, formula(words, *inputs),
                          mode=pytensor.compile.mode.Mode("py", "fast_run"))  # fmt: skip
    return lambda: f(*arguments)


MAKERS: dict[str, Any] = {
    "symgraph": _symgraph,
    "numpy": _numpy,
    "jax": _jax,
    "pytensor": _pytensor,
}
