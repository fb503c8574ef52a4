"""Values of expressions by the interpreter, for tests that look at numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph.ir.graph import Graph, Input, Variable
from symgraph.ir.interpret import interpret
from symgraph.ir.types import tensor_type


def variable(name: str, *shape: Any, dtype: str = "float64") -> Input:
    """An input; sizes are ints or names."""
    return Input(tensor_type(dtype, shape), name)


def values(outputs: list[Variable], given: dict[Any, Any]) -> list[Any]:
    """The outputs as arrays."""
    arrays = [np.asarray(a, v.dtype) for v, a in given.items()]
    return list(interpret(Graph(given, outputs), arrays))


def value(output: Variable, given: dict[Any, Any] | None = None) -> Any:
    """One output as an array."""
    return values([output], given or {})[0]
