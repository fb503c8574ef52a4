"""What all optimizers do: gradients of the loss, the step counted, shared variables beside each
parameter, and the dict of updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.autodiff.reverse import grad
from symgraph.errors import ArgumentError, DTypeError
from symgraph.ir.graph import Variable
from symgraph.ir.shared import Shared, shared
from symgraph.ops.cast import cast
from symgraph.ops.operands import as_variable

Updates = dict[Shared, Variable]
Rate = float | Variable | Callable[[Variable], Any]


class Work:
    """The updates of one optimizer, while they are collected."""

    def __init__(
        self, name: str, loss: Any, params: Any, learning_rate: Rate, weight_decay: float = 0.0
    ) -> None:
        self.name = name
        self.params: list[Any] = [params] if isinstance(params, Variable) else list(params)
        for p in self.params:
            if not isinstance(p, Shared):
                raise ArgumentError(
                    f"{name}: {p!r} is no shared variable", hint="sg.shared makes one"
                )
            if not dtypes.is_float(p.dtype):
                raise DTypeError(f"{name}: the parameter {p.label()} is {p.type.text()}, no floats")
        self.gradients = self._gradients(loss)
        self.updates: Updates = {}
        self.weight_decay = weight_decay
        self._steps: Shared | None = None
        rate = learning_rate(self._counter()) if callable(learning_rate) else learning_rate
        if isinstance(rate, str):
            raise ArgumentError(
                f"{name}: the learning rate is {rate!r}",
                hint="a number, a shared variable, or a schedule of sg.optim",
            )
        self._rate = as_variable(rate) if isinstance(rate, Variable) else float(rate)
        if isinstance(self._rate, Variable) and self._rate.ndim:
            raise ArgumentError(f"{name}: the learning rate is no scalar: {self._rate.type.text()}")

    def _gradients(self, loss: Any) -> list[Variable]:
        if not isinstance(loss, Sequence):
            return list(grad(loss, self.params))
        if len(loss) != len(self.params):
            raise ArgumentError(
                f"{self.name}: {len(loss)} gradients for {len(self.params)} parameters",
                hint="give a loss, or a list with a gradient for each parameter",
            )
        return [cast(as_variable(g), p.dtype) for g, p in zip(loss, self.params, strict=True)]

    def _counter(self) -> Shared:
        """The number of updates so far, counted up by each."""
        if self._steps is None:
            self._steps = shared(np.int64(0), f"{self.name}_steps")
            self.updates[self._steps] = self._steps + 1
        return self._steps

    def number(self) -> Variable:
        """The number of this update, from 1, as float64."""
        return cast(self._counter() + 1, "float64")

    def each(self) -> Iterator[tuple[Any, Variable, Any]]:
        """Parameters with their gradients, the decay of weights included, and the learning rate."""
        for p, g in zip(self.params, self.gradients, strict=True):
            yield p, (g + self.weight_decay * p if self.weight_decay else g), self.rate(p)

    def rate(self, p: Shared) -> Any:
        """The learning rate, in the dtype of the parameter."""
        return cast(self._rate, p.dtype) if isinstance(self._rate, Variable) else self._rate

    def state(self, p: Shared, word: str, start: float = 0.0) -> Shared:
        """A new shared variable of the type of the parameter, filled with ``start``."""
        value = np.full_like(p.get_value(borrow=True), start)
        return shared(value, f"{self.name}_{word}_{p.name or 'parameter'}", shape=p.type.shape)
