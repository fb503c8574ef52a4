"""The linker and the mode that PyTensor sees."""

from __future__ import annotations

import time
import warnings
from typing import Any

from pytensor.compile.mode import Mode, register_linker, register_mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import Container, JITLinker
from pytensor.link.utils import map_storage

from symgraph import api as sg
from symgraph.errors import AssertionFailed
from symgraph.interop.pytensor import (  # noqa: F401  (they fill the table)
    elementwise,
    graphs,
    loops,
    matrices,
    reductions,
    scalars,
    shapes,
    subtensors,
)
from symgraph.interop.pytensor.machine import machine
from symgraph.interop.pytensor.perform import is_tensor
from symgraph.interop.pytensor.translation import Objects, Translation, input_for

NAME = "SYMGRAPH"


class SymgraphLinker(JITLinker):
    """Compiles a graph of PyTensor by symgraph, as one native function."""

    required_rewrites = ("minimum_compile", "lazy_ifelse")
    incompatible_rewrites = (
        "cxx_only", "BlasOpt", "inplace", "fusion", "local_careduce_fusion",
        "scan_reduce_trace_prealloc", "scan_save_mem_prealloc", "numba", "jax",
        "random_make_inplace", "scan_make_inplace", "blockwise_inplace",
    )  # fmt: skip

    def fgraph_convert(self, fgraph: Any, *args: Any, **kwargs: Any) -> Any:
        """The compiled function of a graph."""
        return Program(fgraph)

    def jit_compile(self, converted: Any) -> Any:
        """The function itself."""
        return converted.call

    def create_thunk_inputs(self, storage_map: dict[Any, Any]) -> list[Any]:
        """The cells of the inputs."""
        return [storage_map[v] for v in self.fgraph.inputs]

    def make_all(
        self, input_storage: Any = None, output_storage: Any = None, storage_map: Any = None
    ) -> Any:
        """The callable of the whole graph, and the containers of its inputs and outputs."""
        fgraph = self.fgraph
        nodes = self.schedule(fgraph)
        input_storage, output_storage, storage_map = map_storage(
            fgraph, nodes, input_storage, output_storage, storage_map
        )
        program = Program(fgraph)
        vm = machine(program.call, [storage_map[v] for v in fgraph.inputs])
        vm.program, vm.nodes = program, nodes
        vm.storage_map, vm.allow_gc = storage_map, self.allow_gc
        inputs = [Container(v, s) for v, s in zip(fgraph.inputs, input_storage, strict=True)]
        outputs = [
            Container(v, s, readonly=True)
            for v, s in zip(fgraph.outputs, output_storage, strict=True)
        ]
        return vm, inputs, outputs, [vm], nodes


class Program:
    """A compiled graph: ``call`` takes values in the order of the inputs and returns a list."""

    def __init__(self, fgraph: Any) -> None:
        begin = time.perf_counter()
        self.objects = Objects()
        t = Translation(self.objects)
        inputs = [input_for(v) for v in fgraph.inputs]
        t.values.update(zip(fgraph.inputs, inputs, strict=True))
        outputs = t.graph(fgraph)
        self.performed = t.performed
        self.raises = t.raises
        self.function = sg.compile(inputs, outputs, on_unused_input="ignore", name="pytensor")
        self.in_objects = [k for k, v in enumerate(fgraph.inputs) if not is_tensor(v)]
        self.out_objects = [k for k, v in enumerate(fgraph.outputs) if not is_tensor(v)]
        kinds = [type(v.type).__name__ for v in fgraph.outputs]
        self.out_numbers = [k for k, kind in enumerate(kinds) if kind == "ScalarType"]
        special = self.objects.constants or self.in_objects or self.out_objects
        plain = not (special or self.performed or self.out_numbers)
        self.call = self.function if plain and not self.raises else self._call
        self.seconds = time.perf_counter() - begin

    def _call(self, *values: Any) -> list[Any]:
        """A call with values that are no tensors, or with errors of PyTensor's."""
        given = list(values)
        for k in self.in_objects:
            given[k] = self.objects.put(given[k])
        try:
            found = list(self.function(*given))
            for k in self.out_objects:
                found[k] = self.objects.get(found[k])
            for k in self.out_numbers:
                found[k] = found[k][()]
            return found
        except AssertionFailed as error:
            kind, message = self.raises.get(error.what, (None, ""))
            if kind is None or issubclass(kind, AssertionError):
                raise
            raise kind(message) from error
        finally:
            self.objects.values.clear()


def mode(*tags: str, exclude: tuple[str, ...] = ()) -> Mode:
    """The mode as an object, for ``pytensor.config.mode``; more rewrites to include or exclude."""
    query = RewriteDatabaseQuery(include=["fast_run", *tags], exclude=list(exclude))
    return Mode(SymgraphLinker(), query)


def install() -> None:
    """Register the linker and the mode under their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register_linker(NAME.lower(), SymgraphLinker())
        register_mode(NAME, mode())
