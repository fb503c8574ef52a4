"""Values of a growing graph by the reference interpreter, plain and with noise.

Noise is what rounding may do: every floating-point result is moved by a few units in its last
places, and zeros lose their sign. What moves far under it (an argmax of equal numbers, a difference
of large ones) cannot be compared between two correct ways to compute it; how far the rest moves is
the tolerance of the comparison. Results that no rounding enters are left alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Constant, Variable, toposort
from symgraph.ir.interpret import Machine as _Machine
from symgraph.ir.interpret import _check, bind_op, holds_size
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared

# of one result, relative; above what vector functions and another order of additions do
_NOISE = {"float64": 1e-13, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2,
         "complex128": 1e-13, "complex64": 2e-6}  # fmt: skip
# whole eighths below these bounds have sums and products without rounding
_ROUND = {"float64": 2.0**40, "float32": 2.0**18, "float16": 2.0**6, "bfloat16": 2.0**3,
         "complex128": 2.0**40, "complex64": 2.0**18}  # fmt: skip
NOISE = {dtypes.numpy_dtype(d): size for d, size in _NOISE.items() if d in dtypes.ALL}
ROUND = {dtypes.numpy_dtype(d): bound for d, bound in _ROUND.items() if d in dtypes.ALL}
# results that are operands, or parts of one
MOVES = frozenset(
    """barrier broadcast_to concatenate diagonal diagonal_embed embed expand_dims flip
gather pad permute_rows repeat reshape roll slice slice_update squeeze stop_gradient take_along_axis
tile transpose where window_view function_graph cond scan while print assert sort""".split()
)
# without rounding as long as everything is a whole eighth and small
RING = frozenset(
    """add subtract multiply negative absolute square sum max min maximum minimum
cumsum cummax cummin matmul scatter relu sign floor ceil trunc rint clip cast prod fmax fmin
window_sum copysign floor_divide remainder fmod""".split()
)


class Undefined(Exception):
    """The value has no meaning that all ways to compute it must share."""


def is_inexact(array: np.ndarray) -> bool:
    """Whether the dtype is one that rounds: a float or a complex number."""
    return array.dtype in NOISE


def is_round(array: np.ndarray) -> bool:
    """Whether all elements are small whole eighths."""
    if not is_inexact(array) or not array.size:
        return True
    parts = np.stack([array.real, array.imag]) if array.dtype.kind == "c" else array
    wide = parts.astype("float64")
    with np.errstate(all="ignore"):
        small = abs(wide) <= ROUND[array.dtype] / 8
        return bool(np.all(small & (wide * 8 == np.rint(wide * 8))))


def moved(rng: np.random.Generator, array: np.ndarray, exact: bool) -> np.ndarray:
    """The array after rounding has done its worst; ``exact``: only zeros and NaN lose signs."""
    size = NOISE[array.dtype]
    out = np.array(array)
    if not exact:
        factor = 1 + size * rng.choice([-1.0, -0.5, 0.5, 1.0], array.shape)
        with np.errstate(all="ignore"):
            out = np.asarray(array * factor).astype(array.dtype)
    if array.dtype.kind != "c":
        lost = (out == 0) | (out != out)
        out = np.where(lost & (rng.random(array.shape) < 0.5), -out, out)
    return np.asarray(out).astype(array.dtype)


def _turned(rng: np.random.Generator, name: str, results: list[np.ndarray]) -> list[np.ndarray]:
    """Singular vectors and eigenvectors have any sign: rounding decides it too."""
    if name not in ("svd", "eigh"):
        return results
    columns = 0 if name == "svd" else 1
    u = results[columns]
    signs = rng.choice(np.array([-1, 1], u.dtype), u.shape[-1:])
    out = list(results)
    out[columns] = u * signs
    if name == "svd":
        rows = results[2]
        more = np.ones(max(rows.shape[-2] - len(signs), 0), u.dtype)
        out[2] = rows * np.concatenate((signs, more))[: rows.shape[-2], None]
    return out


class Machine(_Machine):
    """The interpreter; with ``rng`` it adds noise to every result, inside of loops too."""

    def __init__(self, state: Mapping[Shared, np.ndarray], rng: Any = None) -> None:
        super().__init__(state)
        self.rng = rng
        self.special = False  # whether NaN or infinities were given

    def _apply(
        self, node: Apply, op: Op, inputs: list[np.ndarray], env: dict[str, int]
    ) -> list[np.ndarray]:
        _refuse_undefined(node, inputs, self.special)
        results = super()._apply(node, op, inputs, env)
        if self.rng is None or node.op.name in MOVES:
            return results
        results = _turned(self.rng, node.op.name, results)
        exact = node.op.name in RING and all(map(_safe, [*inputs, *results]))
        return [moved(self.rng, r, exact) if is_inexact(r) else r for r in results]


def _safe(array: np.ndarray) -> bool:
    if not is_round(array):
        return False
    if not is_inexact(array) or not array.size:
        return True
    total = float(np.sum(abs(array).astype("float64")))
    return total * max(1.0, float(np.max(abs(array)))) <= ROUND[array.dtype]


def _refuse_undefined(node: Apply, inputs: Sequence[np.ndarray], special: bool) -> None:
    """A float outside the range of an integer dtype becomes any integer, a NaN that overflow made
    of finite numbers is true although a repaired formula is not, a search among elements that are
    not sorted ends anywhere, NumPy's complex power of an infinity is NaN, also where it is
    a reciprocal or a square, which rules make of it, and minus infinity to the power of one half is
    NaN for a scalar exponent and infinity for an array of them."""
    if node.op.name == "searchsorted" and not np.array_equal(np.sort(inputs[0]), inputs[0], True):
        raise Undefined
    if node.op.name == "power" and not all(np.isfinite(a).all() for a in inputs):
        if inputs[0].dtype.kind == "c" or 0.5 in inputs[1]:
            raise Undefined
    if node.op.name != "cast":
        return
    target = node.outputs[0].dtype
    if target == "bool" and is_inexact(inputs[0]) and np.isnan(inputs[0]).any() and not special:
        raise Undefined
    if dtypes.kind(target) not in "iu" or not is_inexact(inputs[0]) or not inputs[0].size:
        return
    wide = inputs[0].real.astype("float64")
    low, high = float(dtypes.min_value(target)), float(dtypes.max_value(target))
    if not (np.isfinite(wide).all() and wide.min() >= low and wide.max() < high):
        raise Undefined


class World:
    """The values of all variables made so far, for one set of arrays."""

    def __init__(
        self, values: Mapping[Variable, np.ndarray], env: dict[str, int], rng: Any = None
    ) -> None:
        self.machine = Machine({v: a for v, a in values.items() if isinstance(v, Shared)}, rng)
        self.memory = {v: self.started(a) for v, a in values.items()}
        self.env = env

    def started(self, array: np.ndarray) -> np.ndarray:
        """A leaf; one that is not round is the result of something too."""
        rng = self.machine.rng
        if is_inexact(array) and not np.isfinite(array).all():
            self.machine.special = True
        if rng is None or not is_inexact(array) or is_round(array):
            return array
        return moved(rng, array, False)

    def add(self, leaf: Variable, array: np.ndarray) -> None:
        """The value of a new input."""
        self.memory[leaf] = self.started(array)

    def value(self, v: Variable) -> np.ndarray:
        """The value of a variable; raises what the interpreter raises, and Undefined."""
        if v not in self.memory:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._compute(v)
        return self.memory[v]

    def _compute(self, v: Variable) -> None:
        if isinstance(v, Constant):
            self.memory[v] = v.data
            return
        nodes = toposort([v], sized=True)
        lost = [i for n in nodes for i in n.inputs if i.owner is None and i not in self.memory]
        lost = [i for i in lost if not isinstance(i, Constant)]
        if any(made_sizes.belongs_inside(i, n.op) for i in lost for n in nodes):
            raise Undefined  # refused by compile, as the next one is
        if any(any(made_sizes.makers_inside(node.op)) for node in nodes):
            raise Undefined  # a size that depends on data inside of a loop
        for node in nodes:
            if node.outputs[0] in self.memory:
                continue
            inputs = [self.value(i) for i in node.inputs]
            if node.checks:
                _check(node, self.env)
            op = bind_op(node.op, self.env) if holds_size(node.op._values) else node.op
            results = self.machine._apply(node, op, inputs, self.env)
            self.memory.update(zip(node.outputs, results, strict=True))
