"""Ways to grow a graph that follow from tables: the samples of the ops' own tests and the public
functions that work on one or two tensors. A new op with a sample is drawn without a line here."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import symgraph as sg
from symgraph import dtypes
from tests.fuzz.elements import ROWS
from tests.fuzz.maker import Hand, NoFit, operation

# they print, raise on purpose, take other things than tensors, or are slow beyond their worth
NEVER = frozenset(
    """print_value check_nan assert_ print as_variable constant shared dprint eval
python_op as_op empty empty_like save load to_networkx compile grad jacobian hessian hvp jvp vjp
check_grad
associative_scan stop_gradient graph_replace graph_inputs ancestors cho_solve lu_solve lexsort
clone""".split()
)
# they trust the index arrays of a sparse matrix, which sg.sparse checks where a matrix comes in
TRUSTING = frozenset(
    """checked_indices element_rows product_keys sparse_matmul sampled_dot
sampled_product sparse_solve""".split()
)
SILENT = ("print", "assert")  # ops whose samples are left out


@functools.cache
def samples() -> list[Any]:
    """The samples of tests/ops/samples*.py with arrays small enough, in a fixed order."""
    folder = Path(__file__).parent.parent / "ops"
    found = []
    for path in sorted(folder.glob("samples*.py")):
        found += importlib.import_module(f"tests.ops.{path.stem}").SAMPLES
    return [s for s in found if s.op not in SILENT and all(map(_fits, s.arrays))]


def _fits(array: Any) -> bool:
    a = np.asarray(array)
    return a.size <= 2000 and str(a.dtype) in dtypes.ALL


@operation(12, inside=False)
def sample(m: Any) -> Any:
    """A sample's expression over its own arrays, and over values made before of the same types."""
    s = m.pick(samples())
    operands = [_operand(m, np.asarray(a), s) for a in s.arrays]
    return s.build(*operands)


def _operand(m: Any, array: np.ndarray, s: Any) -> Any:
    dtype = str(array.dtype)
    if s.op in TRUSTING:
        return sg.constant(array)
    if m.chance(0.35):
        same = [v for v in m.values if v.dtype == dtype and v.ndim == array.ndim]
        if same:
            return m.pick(same)
    if m.chance(0.3) or len(m.inputs) >= 7:
        return sg.constant(array)
    dims: list[Any] = list(array.shape)
    if s.symbolic and m.chance(0.6):
        dims = [f"a{n}" if n != 1 else 1 for n in dims]
        m.sizes.update({f"a{n}": n for n in array.shape if n != 1})
    if not all(np.isfinite(array).ravel()) and not m.special:
        raise NoFit
    return m.input(dtype, tuple(dims), array)


@functools.cache
def public() -> list[tuple[str, Callable[..., Any], int]]:
    """Public functions that can be called with one or two tensors and nothing else."""
    found = []
    for space in (sg, sg.nn, sg.linalg, *(getattr(sg, n, None) for n in ("fft", "special"))):
        for name in sorted(getattr(space, "__all__", ())):
            f = getattr(space, name, None)
            if name in NEVER or not inspect.isfunction(f):
                continue
            if not f.__module__.startswith("symgraph.ops."):
                continue
            needed = [
                p for p in inspect.signature(f).parameters.values()
                if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
            ]  # fmt: skip
            names = [p.name for p in needed]
            if 1 <= len(needed) <= 2 and not set(names) & set(_OTHERS):
                found.append((name, f, len(needed)))
    return found


_OTHERS = """fn f shape size axis axes n dtype key condition body init name message text graph step
sequences branches funclist num_segments repeats reps k indices_or_sections pattern source
subscripts destination pad_width window_shape func func1d value label cond pred index N M stop
num""".split()


@operation(10)
def function(m: Hand) -> Any:
    """A public function with its defaults, now and then with an axis."""
    _, f, arity = m.pick(public())
    operands = [m.value(most=4) for _ in range(arity)]
    options: dict[str, Any] = {}
    if m.chance(0.4):
        known = inspect.signature(f).parameters
        if "axis" in known and operands[0].ndim:
            options["axis"] = m.axis(operands[0])
        if "keepdims" in known and m.chance(0.5):
            options["keepdims"] = True
    if m.depth and any(m.elements(v) > 64 for v in operands):
        raise NoFit
    try:
        return f(*operands, **options)
    except TypeError as error:
        if isinstance(error, sg.errors.SymgraphError):
            raise
        raise NoFit from None  # its operands are not tensors


def drawable() -> dict[str, str]:
    """Every op that a sample or a row of the registry can draw, with where it comes from."""
    found = {r.name: "row" for r in ROWS}
    for s in samples():
        found.setdefault(s.op, "sample")
    return found
