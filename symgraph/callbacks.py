"""Ops that run in Python inside a compiled program: the way back from native code to NumPy.

An op without native code is called through a C function that wraps the program's buffers in arrays
and interprets a graph of that one node. An exception waits here until the program has stopped.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Graph, Variable
from symgraph.ir.hashing import shared_variables
from symgraph.ir.interpret import Machine
from symgraph.ir.text import graph_text
from symgraph.runtime.later import Later
from symgraph.scalar import as_expr, evaluate_size, variables

if TYPE_CHECKING:
    from symgraph.ir import parse as _parse
else:
    _parse = Later("symgraph.ir.parse")

_SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int64)
)
_waiting = threading.local()


def pending() -> BaseException:
    """The exception that stopped the program of this thread."""
    error: BaseException = _waiting.error
    _waiting.error = None
    return error


def keep(error: BaseException) -> None:
    """Leave an exception for the program of this thread to stop with."""
    _waiting.error = error


def to_text(graph: Graph, sizes: Sequence[str]) -> dict[str, Any]:
    """A callback as the disk cache keeps it; raises VerifyError for ops without a portable form."""
    return {"graph": graph_text(graph), "sizes": list(sizes), "names": _names(graph)}


def from_text(record: dict[str, Any]) -> tuple[Graph, tuple[str, ...]]:
    """The callback of a record. Sizes without a name get new ones when a graph is read."""
    graph = _parse.parse_graph(record["graph"])
    new = dict(zip(record["names"], _names(graph), strict=True))
    return graph, tuple(new.get(name, name) for name in record["sizes"])


def _names(graph: Graph) -> list[str]:
    """The names of the sizes in the types of inputs and outputs, in order of first sight."""
    sizes = [as_expr(s) for v in (*graph.inputs, *graph.outputs) for s in v.shape]
    return list(dict.fromkeys(x.attr for s in sizes for x in variables(s)))


def make(graph: Graph, sizes: Sequence[str]) -> tuple[int, Any]:
    """The address of a C function that runs the graph, and what keeps it alive."""
    inputs = [_View(v, False) for v in graph.inputs]
    outputs = [_View(v, True) for v in graph.outputs]
    views = list(enumerate([*inputs, *outputs]))
    count = len(inputs)
    shared = shared_variables(graph)
    kept = Machine({})  # which finds the order of the nodes once

    def run(buffers: Any, values: Any) -> int:
        try:
            env = {name: values[k] for k, name in enumerate(sizes)}
            arrays = [view.of(buffers[k], env) for k, view in views]
            state = {s: s.get_value(borrow=True) for s in shared}
            with np.errstate(all="ignore"):
                machine = Machine(state) if state else kept
                results = machine.run(graph, arrays[:count], env)
            for array, result in zip(arrays[count:], results, strict=True):
                array[...] = result
        except BaseException as error:
            keep(error)
            return -1
        return 0

    function = _SIGNATURE(run)
    return ctypes.cast(function, ctypes.c_void_p).value or 0, function


class _View:
    """Makes arrays of a program's buffer. One at the address and of the shape of the call before is
    that call's, as to make one takes as long as many an op."""

    def __init__(self, v: Variable, writeable: bool) -> None:
        self.dtype, self.writeable = dtypes.numpy_dtype(v.dtype), writeable
        self.sizes = v.shape
        self.known = v.shape if all(isinstance(n, int) for n in v.shape) else None
        self.last: tuple[int | None, Any, np.ndarray] = (None, (), np.empty(0))

    def of(self, address: int | None, env: dict[str, int]) -> np.ndarray:
        """The array of the buffer there."""
        shape = self.known
        if shape is None:
            shape = tuple(evaluate_size(s, env) for s in self.sizes)
        before = self.last
        if address and before[0] == address and before[1] == shape:
            return before[2]
        array = self._made(address, shape)
        array.flags.writeable = self.writeable
        self.last = address, shape, array
        return array

    def _made(self, address: int | None, shape: Any) -> np.ndarray:
        count = math.prod(shape)
        if count == 0 or not address:
            return np.empty(shape, self.dtype)
        memory = (ctypes.c_char * (count * self.dtype.itemsize)).from_address(address)
        return np.frombuffer(memory, self.dtype).reshape(shape)  # type: ignore[call-overload,no-any-return]
