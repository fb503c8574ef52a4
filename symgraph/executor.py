"""From an artefact to a callable address: load the object, fill its table of addresses.

The object comes from LLVM just now or from the disk cache; llvmlite is imported only in the first
case, or where the plain loader does not understand the platform's objects.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import math
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.codegen import llvm
from symgraph.errors import TargetError
from symgraph.records import NamedTuple
from symgraph.runtime import abi, blas, c_entry, elf, pool, shipped, special_functions, threads
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.crew import Crew, processors
from symgraph.runtime.digest import digest, hexdigest
from symgraph.runtime.sources import compiler_digest
from symgraph.scalar.special import LIBRARY


class Loaded(NamedTuple):
    """Code in memory with its table; both live as long as this object."""

    entry: int
    table: Any
    code: Any
    kept: tuple[Any, ...]


def load_code(blob: bytes, symbols: Sequence[str]) -> Any:
    """Executable code of an object file by our loader, or by LLVM's where that one declines."""
    if elf.supported_here():
        try:
            return elf.load(blob)
        except elf.UnsupportedObject:
            pass
    return llvm.load_orc(blob, symbols)


def load_codes(blobs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Any]:
    """The same for several, each with its symbols: side by side where our loader takes all."""
    if elf.supported_here():
        try:
            return list(elf.load_all([blob for blob, _ in blobs]))
        except elf.UnsupportedObject:
            pass
    return [load_code(blob, symbols) for blob, symbols in blobs]


_kernels: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()


def load_kernels(kernels: Mapping[str, tuple[bytes, Sequence[str]]]) -> dict[str, Any]:
    """The code of kernels by name, loaded once for all functions of the process that use it."""
    keys = {name: digest(blob) for name, (blob, _) in kernels.items()}
    found = {key: _kernels.get(key) for key in keys.values()}
    new = {key: kernels[name] for name, key in keys.items() if found[key] is None}
    if new:
        made = dict(zip(new, load_codes([*new.values()]), strict=True))
        _kernels.update(made)
        found.update(made)
    return {name: found[key] for name, key in keys.items()}


@functools.cache
def output_pool() -> pool.Pool | None:
    """The process's pool of large outputs; its machine code is kept in the disk cache."""
    names = ("pool_malloc", "pool_calloc", "pool_realloc", "pool_free", "pool_trim")
    return pool.install(load_code(_runtime_object("pool"), names))


@functools.cache
def thread_team() -> threads.Team:
    """The process's team of threads; its machine code is kept in the disk cache."""
    names = ("team_run", "team_share", "team_threads", "team_awake", "team_poll")
    return threads.install(load_code(_runtime_object("team"), names))


@functools.cache
def _runtime_object(name: str) -> bytes:
    """The object file of the pool or the team: the one that comes with the package, or from the
    cache, or compiled and kept; their text is written, and the writer loaded, only then."""
    there = shipped.objects("runtime")
    if there:
        return there[name]
    machine = threads.machine()

    def text() -> str:
        writer = importlib.import_module(f"symgraph.codegen.{name}_ir")
        found: str = writer.pool_module() if name == "pool" else writer.team_module(machine)
        return found

    ingredients = {"module": name, "machine": machine, "compiler": compiler_digest()}
    return cached_object("runtime", ingredients, text, llvm.CALLS)


def cached_object(
    kind: str, ingredients: Mapping[str, str], text: Callable[[], str], opt: int = llvm.KERNELS
) -> bytes:
    """The object file of a module, from the cache or compiled at the level ``opt`` and kept."""
    return cached_objects(kind, {"": ingredients}, lambda _: text(), opt)[""]


def cached_objects(
    kind: str, modules: Mapping[str, Mapping[str, str]], text: Callable[[str], str],
    opt: int | None = None,
) -> dict[str, bytes]:  # fmt: skip
    """The same for several modules by name, each with the ingredients of its key; without ``opt``
    at the level that their texts ask for."""
    host, cache = llvm.host_fingerprint(), open_cache()
    keys = {name: Key(kind, {**each, "host": host}) for name, each in modules.items()}
    # those that are asked for together lie in a file together too: one is read in place of many
    names = {name: key.hexdigest for name, key in keys.items()} if len(keys) > 1 else {}
    together = Key(f"{kind}s", names) if names and cache is not None else None
    if cache is not None and together is not None and (whole := cache.get(together)) is not None:
        return {name: bytes(blob) for name, blob in whole.sections.items()}
    objects: dict[str, bytes] = {}
    if cache is not None:
        found = {name: cache.get(key) for name, key in keys.items()}
        objects = {n: bytes(f.sections["object"]) for n, f in found.items() if f is not None}
    texts = {name: text(name) for name in keys if name not in objects}
    if texts:
        new = {n: (t, llvm.level(t) if opt is None else opt) for n, t in texts.items()}
        made = llvm.compile_objects(new)
        objects.update(made)
        if cache is not None:
            for name, blob in made.items():
                cache.put_later(keys[name], {}, {"object": blob})
    if cache is not None and together is not None:
        cache.put_later(together, {}, objects)
    return objects


def prepare(crew: Crew, level: int = llvm.KERNELS) -> None:
    """Have a crew load LLVM, set up for modules of a level, and make what all functions call, each
    with a cost like that of texts (`llvm.cost`); errors are left to those who need it."""
    there = bool(shipped.objects("runtime"))  # and only loaded
    writing = functools.partial(importlib.import_module, "symgraph.runtime.postponed")
    tasks: list[tuple[Callable[[], Any], float]] = [
        (functools.partial(llvm.warm_up, level), math.inf),
        (thread_team, 0 if there else 2500),
        (output_pool, 0 if there else 1500),
        (writing, 0),
    ]
    for function, cost in tasks:
        crew.add(cost, functools.partial(_tried, function))


def _tried(function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception:  # told where it is needed
        return


def parts(kind: str, of: str, names: Sequence[str], text: Callable[[str], str]) -> dict[str, bytes]:
    """The object files of parts of products or transforms by name, ``of`` what their records are
    for: those that come with the package, or from the cache or compiled."""
    there = shipped.objects(f"{kind} {of}", llvm.instructions().features)
    found = {name: there[name] for name in names if name in there}
    made = {"of": of, "compiler": compiler_digest()}
    modules = {name: {"part": name, **made} for name in names if name not in found}
    return {**found, **(cached_objects(kind, modules, text) if modules else {})}


class KernelObjects:
    """The object files of a function's kernels, which a crew compiles from the moment that their
    text is known; those of equal text once, and kept in the cache, as functions share them."""

    def __init__(self, crew: Crew) -> None:
        self._crew, self._cache = crew, open_cache()
        self._host = llvm.host_fingerprint()
        self._found: dict[llvm.Module, bytes] = {}
        self._asked: set[llvm.Module] = set()

    def add(self, module: llvm.Module) -> None:
        """A kernel of the function."""
        if module in self._asked:
            return
        self._asked.add(module)
        there = _shipped_kernel(module.name) if isinstance(module, llvm.Known) else None
        if there is not None:
            self._found[module] = there
            return
        text = llvm.text_of(module)
        key = Key("kernel", {"text": hexdigest(text.encode()), "host": self._host})
        found = self._cache.get(key) if self._cache is not None else None
        if found is not None:
            self._found[module] = bytes(found.sections["object"])
            return
        level = llvm.level(text)

        def task() -> None:
            made = self._found[module] = llvm.compile_object(text, level)
            if self._cache is not None:
                self._cache.put_later(key, {}, {"object": made})

        self._crew.add(llvm.cost(text, level), task)

    def finish(self, function: str, kernels: Mapping[str, llvm.Module]) -> dict[str, bytes]:
        """The objects of the function and of its kernels by name, when all are there. Raises
        compile_object's errors."""
        made: list[bytes] = []
        for module in kernels.values():
            self.add(module)
        self._crew.add(
            llvm.cost(function, llvm.CALLS),
            lambda: made.append(llvm.compile_object(function, llvm.CALLS)),
        )
        self._crew.finish()
        return {"function": made[0], **{n: self._found[m] for n, m in kernels.items()}}


def _shipped_kernel(name: str) -> bytes | None:
    """With what products or transforms begin, where it comes with the package."""
    host = llvm.instructions()
    return shipped.objects(f"kernels {host.vector_bits}", host.features).get(name)


def compiled_objects(function: str, kernels: Mapping[str, llvm.Module]) -> dict[str, bytes]:
    """The object files of a function and of its kernels, whose texts are all there."""
    with Crew(processors() - 1) as crew:
        return KernelObjects(crew).finish(function, kernels)


def link(
    objects: Mapping[str, bytes], layout: Sequence[Sequence[str]], slow: Any, fail: Any,
    shared: Sequence[Any], constants: Sequence[np.ndarray], python: Sequence[tuple[int, Any]] = (),
    profile: Mapping[str, int] | None = None, products: Any = None, transforms: Any = None,
    names: Sequence[str] = (),
) -> Loaded:  # fmt: skip
    """Load the objects (the function and its kernels) and fill the table that ``layout`` describes.

    ``slow`` and ``fail`` are Python callables; ``shared`` have a ``cell``; ``constants`` are
    arrays; ``python`` are the addresses of callbacks with what keeps them alive; ``profile`` are
    those that a function with a profile asks for; ``products`` knows the records of parts,
    ``transforms`` those of plans; ``names`` are those of the inputs.
    """
    if not abi.native_entry_usable():
        raise TargetError(
            "this Python or NumPy lays its objects out in a way that compiled code does not know",
            hint='compile with mode="interpret"',
        )
    both = slow is not None and profile is None  # such a function is for callers in C as well
    code = load_code(objects["function"], ["entry", c_entry.NAME][: 1 + both])
    exhausted = _memory_error
    kept: list[Any] = [slow, fail, exhausted, *shared, *constants]
    words = _api_words(slow, fail, exhausted)
    table = (ctypes.c_void_p * len(layout))()
    symbols: dict[str, list[str]] = {}
    for kind, key in layout:
        if kind == "kernel":
            name, _, symbol = key.partition("/")
            symbols.setdefault(name, []).append(symbol or "kernel")
    kernels = load_kernels({name: (objects[name], held) for name, held in symbols.items()})
    kept += kernels.values()
    for k, (kind, key) in enumerate(layout):
        if kind == "api":
            table[k] = words[key]
        elif kind == "descr":
            descr = dtypes.numpy_dtype(key)
            kept.append(descr)
            table[k] = id(descr)
        elif kind == "name":
            kept.append(sys.intern(names[int(key)]))
            table[k] = id(kept[-1])
        elif kind == "object":  # which nobody ever takes away
            table[k] = id(_OBJECTS.get(key) or dtypes.numpy_dtype(key).type)
        elif kind == "kernel":
            name, _, symbol = key.partition("/")
            table[k] = kernels[name].address(symbol or "kernel")
        elif kind == "python":
            table[k], function = python[int(key)]
            kept.append(function)
        elif kind == "shared":
            table[k] = ctypes.addressof(shared[int(key)].cell)
        elif kind == "constant":
            table[k] = constants[int(key)].ctypes.data
        elif kind == "blas":
            quiet = key == "quiet"
            table[k] = blas.quiet_record() if quiet else blas.blas_routine(key).address
        elif kind == "team":
            table[k] = getattr(thread_team(), key)
        elif kind == "parts":
            table[k] = products.record(key)
        elif kind == "fourier":
            table[k] = transforms.record(key)
        elif kind == "profile" and profile is not None:
            table[k] = profile[key]
        elif kind == "special":
            table[k] = special_functions.special_function(key, LIBRARY[key].arity)
        else:
            raise TargetError(f"unknown word {kind} {key} in a function's table")
    return Loaded(code.address("entry"), table, code, tuple(kept))


_OBJECTS = {"int": int, "float": float, "complex": complex, "bool": bool, "True": True}


def _memory_error() -> None:
    raise MemoryError("no memory for the temporaries of a compiled function")


def _api_words(slow: Any, fail: Any, exhausted: Any) -> dict[str, int]:
    python = (
        "PyTuple_New", "PyTuple_SetItem", "PyList_New", "PyList_SetItem", "PyObject_Vectorcall",
        "Py_IncRef", "Py_DecRef", "PyEval_SaveThread", "PyEval_RestoreThread",
        "PyLong_FromLongLong", "PyLong_AsLongLongAndOverflow",
    )  # fmt: skip
    words = {name: abi.pyaddr(name) for name in python}
    words["PyArray_Type"] = abi.numpy_address("PyArray_Type")
    words["PyArray_NewFromDescr"] = abi.numpy_address("PyArray_NewFromDescr")
    words.update({"slow": id(slow), "fail": id(fail), "fail_memory": id(exhausted)})
    memory = output_pool()
    if memory is not None:
        words.update(pool_malloc=memory.malloc, pool_free=memory.free, pool_state=memory.ctx)
        words.update(pool_handler=memory.handler)
        words.update(arena_malloc=memory.malloc, arena_free=memory.free)
    else:
        words.update(dict.fromkeys(("pool_malloc", "pool_free", "pool_state", "pool_handler"), 0))
        words.update(arena_malloc=_c_malloc()[0], arena_free=_c_free()[0])
    return words


@functools.cache
def _c_malloc() -> tuple[int, Any]:
    """malloc under the pool's signature, for processes without the pool."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    signature = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function = signature(lambda _, size: libc.malloc(size))
    return ctypes.cast(function, ctypes.c_void_p).value or 0, function


@functools.cache
def _c_free() -> tuple[int, Any]:
    libc = ctypes.CDLL(None)
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function = signature(lambda _, block, size: libc.free(block))
    return ctypes.cast(function, ctypes.c_void_p).value or 0, function
