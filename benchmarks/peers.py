"""The libraries that symgraph is measured beside, imported when first asked for.

A contender is a function that takes the workload's NumPy arrays and returns a
:class:`measure.Timed`. The makers below turn a formula over arrays into one: each is the way that
the library's own manual recommends, and conversions to its arrays are not part of the timed call.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Timed

Formula = Callable[..., Any]
Contender = Callable[..., Timed]

PEERS = ("numpy", "numexpr", "numba", "jax", "torch", "torch.compile", "pytensor")


def installed(name: str) -> bool:
    """Whether a contender's library can be imported."""
    return importlib.util.find_spec(name.split(".")[0]) is not None


def versions() -> dict[str, str]:
    """The versions of all installed contenders and of LLVM's binding."""
    out = {}
    for name in ("symgraph-compiler", "llvmlite", "scipy", *PEERS):
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out


def numpy_formula(formula: Formula) -> Contender:
    return lambda *args: Timed(formula, args)


def symgraph_formula(formula: Formula, known: tuple[int, ...] = ()) -> Contender:
    """``formula`` gets symgraph variables whose sizes are symbolic: one artefact for all sizes,
    but for those ``known`` that it is written for, as the units of a layer."""

    def build(*args: np.ndarray) -> Timed:
        sg = importlib.import_module("symgraph")
        sizes = [
            [n if n in known else f"n{k}{axis}" for axis, n in enumerate(a.shape)]
            for k, a in enumerate(args)
        ]
        names = _same_names(args, sizes)
        inputs = [
            sg.tensor(f"x{k}", dtype=str(a.dtype), shape=shape)
            for k, (a, shape) in enumerate(zip(args, names, strict=True))
        ]
        return Timed(sg.compile(inputs, formula(*inputs)), args)

    return build


def _same_names(
    args: tuple[np.ndarray, ...], names: list[list[int | str]]
) -> list[list[int | str]]:
    """Inputs of one shape share their sizes, as a user would declare them."""
    seen: dict[tuple[int, ...], list[int | str]] = {}
    return [seen.setdefault(a.shape, shape) for a, shape in zip(args, names, strict=True)]


def jax_formula(formula: Formula) -> Contender:
    def build(*args: np.ndarray) -> Timed:
        jax = jax_module()
        given = tuple(jax.numpy.asarray(a) for a in args)
        return Timed(jax.jit(formula), given, jax.block_until_ready)

    return build


@functools.cache
def jax_module() -> Any:
    """JAX with doubles and integers of 64 bits, as NumPy and symgraph have them."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    importlib.import_module("jax.scipy.special")
    return jax


def torch_formula(formula: Formula, compiled: bool = False) -> Contender:
    def build(*args: np.ndarray) -> Timed:
        torch = importlib.import_module("torch")
        given = tuple(torch.from_numpy(np.array(a)) for a in args)
        return Timed(torch_compiled(formula) if compiled else formula, given)

    return build


def torch_compiled(formula: Formula) -> Formula:
    """``torch.compile`` with nothing left of earlier workloads: it gives a function up after eight
    variants of it, and all layers of a kind are one function to it."""
    torch = importlib.import_module("torch")
    torch.compiler.reset()
    compiled: Formula = torch.compile(formula)
    return compiled


def pytensor_formula(formula: Formula) -> Contender:
    def build(*args: np.ndarray) -> Timed:
        pytensor = importlib.import_module("pytensor")
        tensor = importlib.import_module("pytensor.tensor")
        inputs = [tensor.tensor(f"x{k}", dtype=str(a.dtype), shape=(None,) * a.ndim)
                  for k, a in enumerate(args)]  # fmt: skip
        function = pytensor.function(inputs, formula(*inputs))
        function.trust_input = True
        return Timed(function, args)

    return build


def numba_formula(formula: Formula, **options: Any) -> Contender:
    """``formula`` is plain Python that numba compiles: loops by hand, as its users write them."""
    return lambda *args: Timed(importlib.import_module("numba").njit(**options)(formula), args)


def numexpr_formula(text: str, names: str, **constants: float) -> Contender:
    """``text`` is compiled once; ``names`` are its variables in the order of the arguments.

    ``constants`` are further variables, given in the arguments' dtype: numbers written in the text
    would make numexpr compute in doubles.
    """

    def build(*args: np.ndarray) -> Timed:
        numexpr = importlib.import_module("numexpr")
        dtype = args[0].dtype
        given = (*args, *(np.array(c, dtype) for c in constants.values()))
        kind = float if dtype == np.float32 else np.float64  # numexpr calls float32 "float"
        signature = [(n, kind) for n in (*names.split(), *constants)]
        return Timed(numexpr.NumExpr(text, signature), given)

    return build


def array_formulas(
    numpy: Formula | None = None, symgraph: Formula | None = None, jax: Formula | None = None,
    torch: Formula | None = None, pytensor: Formula | None = None,
) -> dict[str, Contender]:  # fmt: skip
    """The contenders for one formula as each array library writes it; torch stands twice."""
    out: dict[str, Contender] = {}
    if symgraph is not None:
        out["symgraph"] = symgraph_formula(symgraph)
    if numpy is not None:
        out["numpy"] = numpy_formula(numpy)
    if jax is not None:
        out["jax"] = jax_formula(jax)
    if torch is not None:
        out["torch"] = torch_formula(torch)
        out["torch.compile"] = torch_formula(torch, compiled=True)
    if pytensor is not None:
        out["pytensor"] = pytensor_formula(pytensor)
    return out
