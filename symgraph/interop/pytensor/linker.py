"""The linker and the mode that PyTensor sees."""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pytensor.compile.mode import Mode, register_linker, register_mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import Container, JITLinker
from pytensor.link.jax.linker import JAXLinker
from pytensor.link.utils import map_storage

from symgraph import api as sg
from symgraph.errors import AssertionFailed, InputValueError, LinAlgError, ShapeError
from symgraph.interop.pytensor import (  # noqa: F401  (most fill the table)
    early,
    elementwise,
    graphs,
    loops,
    matrices,
    performers,
    reductions,
    scalars,
    shapes,
    sparse,
    subtensors,
)
from symgraph.interop.pytensor.machine import machine
from symgraph.interop.pytensor.perform import alone
from symgraph.interop.pytensor.performers import Objects, is_tensor
from symgraph.interop.pytensor.sparse_values import Border, Matrix, scipy_matrix
from symgraph.interop.pytensor.translation import Translation, input_for
from symgraph.ir.graph import SMALL_CONSTANT

NAME = "SYMGRAPH"


class SymgraphLinker(JITLinker):
    """Compiles a graph of PyTensor by symgraph, as one native function."""

    takes_early = True
    required_rewrites = ("minimum_compile", "lazy_ifelse", early.TAG)
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
        cells = [storage_map[v] for v in fgraph.inputs]
        vm = machine(program.call, cells, output_storage)
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

    call: Callable[..., Any]

    def __init__(self, fgraph: Any, loose: bool = False) -> None:
        begin = time.perf_counter()
        record = None if loose else early.kept(fgraph)
        if record is None:
            record = self._translated(_to_translate(fgraph), loose)
            if not loose:
                early.keep(fgraph, record)
        for digest, performer in record["performers"].items():
            performers.register(digest, performer)
        self.performers = record["performers"]
        self.performed: list[tuple[Any, str]] = record["performed"]
        self.constants: dict[int, Any] = record["constants"]
        self.raises: dict[str, tuple[type[BaseException], str]] = record["raises"]
        self.function = record["function"]
        self.forms: tuple[list[Any], list[Any]] = record["forms"]
        self._wrap()
        if record["strict"]:
            self.fgraph, self.same = fgraph, self.call
            self.call = self._called_again
        self.seconds = time.perf_counter() - begin

    def _called_again(self, *values: Any) -> list[Any]:
        """A call in which sizes may stretch: first as if they did not."""
        try:
            return self.same(*values)  # type: ignore[no-any-return]
        except (InputValueError, ShapeError):
            return self.loose.call(*values)  # type: ignore[no-any-return]

    @functools.cached_property
    def loose(self) -> Program:
        """The program of the same graph in which what may stretch does."""
        return Program(self.fgraph, loose=True)

    def _translated(self, fgraph: Any, loose: bool) -> dict[str, Any]:
        """Everything that a call needs, as it is kept on the disk."""
        objects = Objects()
        t = Translation(objects, loose=loose)
        t.rewriter = mode(exclude=(early.TAG,)).optimizer
        given = [input_for(v) for v in fgraph.inputs]
        t.values.update(zip(fgraph.inputs, given, strict=True))
        t.values.update((v, sg.shared(v.data)) for v in _data(fgraph))
        found = t.graph(fgraph)
        outputs, out_forms = _flat(list(map(_result, fgraph.outputs, found)))
        inputs, in_forms = _flat(list(map(_argument, fgraph.inputs, given)))
        self.performers = t.performers  # compiling may run callbacks
        function = sg.compile(inputs, outputs, on_unused_input="ignore", name="pytensor")
        return {
            "function": function,
            "performers": t.performers,
            "performed": [(alone(node), reason) for node, reason in t.performed],
            "constants": objects.constants,
            "raises": t.raises,
            "forms": (in_forms, out_forms),
            "strict": bool(t.strict),
        }

    def _wrap(self) -> None:
        special = self.constants or self.performed or self.raises
        plain = not (special or any(form for forms in self.forms for form in forms))
        self.call = self.function if plain else self._call

    def _call(self, *values: Any) -> list[Any]:
        """A call with values that are no tensors, or with errors of PyTensor's."""
        in_forms, out_forms = self.forms
        with performers.call_of(self.constants) as objects:
            given: list[Any] = []
            for value, form in zip(values, in_forms, strict=True):
                given += [value] if form is None else form.given(value, objects)
            try:
                found = iter(self.function(*given))
            except LinAlgError as error:
                raise np.linalg.LinAlgError(str(error)) from error
            except AssertionFailed as error:
                kind, message = self.raises.get(error.what, (None, ""))
                if kind is None or issubclass(kind, AssertionError):
                    raise
                raise kind(message) from error
            return [next(found) if form is None else _made(form, found, objects)
                    for form in out_forms]  # fmt: skip


OBJECT = Border(False, None, True)


def _argument(v: Any, x: Any) -> tuple[list[Any], Any]:
    """What an input has become, and how calls give it, None for a plain tensor."""
    if isinstance(x, Matrix):
        return x.arguments()
    return [x], None if is_tensor(v) else OBJECT


def _result(v: Any, x: Any) -> tuple[list[Any], Any]:
    """What the program returns for an output, and what is made of it, None for a plain tensor."""
    if isinstance(x, Matrix):
        return x.results()
    if type(v.type).__name__ == "ScalarType":
        return [x], "number"
    return [x], None if is_tensor(v) else "object"


def _flat(pairs: list[tuple[list[Any], Any]]) -> tuple[list[Any], list[Any]]:
    """All tensors in a row, and the forms."""
    tensors, forms = zip(*pairs, strict=True) if pairs else ((), ())
    return [x for xs in tensors for x in xs], list(forms)


def _made(form: str, found: Iterator[Any], objects: performers.Objects) -> Any:
    """An output that is no plain tensor."""
    if form == "number":
        return next(found)[()]
    if form == "object":
        return objects.get(next(found))
    return scipy_matrix(form, *(next(found) for _ in range(4)))


def _data(fgraph: Any) -> list[Any]:
    """Small constants that look like a user's data: not part of the code, so that a model with
    other data finds it. Symgraph itself takes larger ones so. What all elements have in common, and
    integers that may be indices or sizes, stay constants."""
    found = []
    for v, clients in fgraph.clients.items():
        array = getattr(v, "data", None)
        if not isinstance(array, np.ndarray) or not 0 < array.nbytes <= SMALL_CONSTANT:
            continue
        kind = array.dtype.kind
        arithmetic = kind == "f" or (
            kind in "iu"
            and all(type(getattr(n, "op", None)).__name__ == "Elemwise" for n, _ in clients)
        )
        if arithmetic and array.ndim and (array != array.flat[0]).any():
            found.append(v)
    return found


def _to_translate(fgraph: Any) -> Any:
    """The graph itself, or, where only a node stands for it whose record is gone, what that stands
    for, rewritten."""
    node = early.captured(fgraph)
    if node is None:
        return fgraph
    graph = early.source_graph(node)
    mode(exclude=(early.TAG,)).optimizer.rewrite(graph)
    return graph


def mode(*tags: str, exclude: tuple[str, ...] = (), rewrites: str = "fast_run") -> Mode:
    """The mode as an object, for ``pytensor.config.mode``; more rewrites to include or exclude.

    ``rewrites="minimum_compile"`` leaves the rewriting to symgraph but for what must be: models
    compile in less time and are called more slowly (docs/pytensor.md).
    """
    query = RewriteDatabaseQuery(include=[rewrites, *tags], exclude=list(exclude))
    return Mode(SymgraphLinker(), query)


def install() -> None:
    """Register the linker and the mode under their names."""
    early.install()
    _inner_graphs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register_linker(NAME.lower(), SymgraphLinker())
        register_mode(NAME, mode())


def _inner_graphs() -> None:
    """Since version 3 the linker tells how graphs inside ops are rewritten: without overwriting
    anything, as for JAX."""
    for module, name in (
        ("pytensor.scan.rewriting.inner_graph", "rewrite_scan_inner_graph"),
        ("pytensor.compile.rewriting", "rewrite_ofg_inner_graph"),
        ("pytensor.tensor.optimize", "rewrite_optimize_inner_graph"),
    ):
        with contextlib.suppress(ImportError, AttributeError):
            choice = getattr(importlib.import_module(module), name)
            choice.register(SymgraphLinker, choice.dispatch(JAXLinker))
