"""One vocabulary for two libraries: a formula takes a namespace and arrays, and gives a scalar.

NumPy's words are looked up in both; where they differ, the two classes say how.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Symgraph:
    """The words in symgraph."""

    def __init__(self) -> None:
        self.sg: Any = importlib.import_module("symgraph")
        self.linalg, self.special, self.nn = self.sg.linalg, self.sg.special, self.sg.nn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sg, name)

    def put(self, x: Any, index: Any, value: Any) -> Any:
        return x.at[index].set(value)

    def add_at(self, x: Any, index: Any, value: Any) -> Any:
        return x.at[index].add(value)

    def loop(self, step: Callable[..., Any], state: Any, rows: Any) -> Any:
        """The last state of ``state = step(state, row)``."""
        return self.sg.reduce(lambda row, s: step(s, row), rows, state)

    def loop2(self, step: Callable[..., Any], state: tuple[Any, Any], rows: Any) -> Any:
        """The same with a state of two arrays."""
        return tuple(self.sg.reduce(lambda row, a, b: list(step((a, b), row)), rows, list(state)))

    def choose(self, flag: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return self.sg.cond(flag, then, otherwise)

    def conv(self, x: Any, w: Any) -> Any:
        return self.nn.conv2d(x, w)

    def max_pool(self, x: Any, size: int) -> Any:
        return self.nn.max_pool2d(x, size) if hasattr(self.nn, "max_pool2d") else self.nn.max_pool(
            x, (size, size))  # fmt: skip


class Jax:
    """The words in JAX."""

    def __init__(self) -> None:
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)
        self.jnp: Any = importlib.import_module("jax.numpy")
        scipy = importlib.import_module("jax.scipy")
        self.special = importlib.import_module("jax.scipy.special")
        self.linalg = _Both(self.jnp.linalg, scipy.linalg)
        self.nn = _Nn(self.jax)

    def __getattr__(self, name: str) -> Any:
        for place in (self.jnp, self.special):
            if hasattr(place, name):
                return getattr(place, name)
        raise AttributeError(name)

    def put(self, x: Any, index: Any, value: Any) -> Any:
        return x.at[index].set(value)

    def add_at(self, x: Any, index: Any, value: Any) -> Any:
        return x.at[index].add(value)

    def loop(self, step: Callable[..., Any], state: Any, rows: Any) -> Any:
        return self.jax.lax.scan(lambda s, row: (step(s, row), None), state, rows)[0]

    loop2 = loop

    def choose(self, flag: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return self.jax.lax.cond(flag, then, otherwise)

    def conv(self, x: Any, w: Any) -> Any:
        return self.jax.lax.conv(x, w, (1, 1), "VALID")

    def max_pool(self, x: Any, size: int) -> Any:
        window = (1, 1, size, size)
        return self.jax.lax.reduce_window(
            x, -self.jnp.inf, self.jax.lax.max, window, window, "VALID"
        )


class _Nn:
    """jax.nn with the exact gelu, which is not its default."""

    def __init__(self, jax: Any) -> None:
        self.jax = jax

    def __getattr__(self, name: str) -> Any:
        return getattr(self.jax.nn, name)

    def gelu(self, x: Any) -> Any:
        return self.jax.nn.gelu(x, approximate=False)


class _Both:
    """Names of two modules, the first one's first."""

    def __init__(self, *modules: Any) -> None:
        self.modules = modules

    def __getattr__(self, name: str) -> Any:
        for module in self.modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)
