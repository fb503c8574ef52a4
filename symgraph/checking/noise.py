"""How far two correct ways to compute one value may be apart: what rounding does to it, measured.

A tolerance relative to the result is wrong where a formula cancels, and one that covers
cancellation is blind elsewhere. So a suspicious value is computed again a few times with noise:
every floating-point result on its way is moved by a few units in its last places (Monte Carlo
arithmetic). How far the value moves, element by element, is how well it is determined; what noise
turns over (a comparison of equal numbers, an overflow) is not determined at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import config, dtypes
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Apply, Constant, Variable
from symgraph.ir.interpret import Env, Machine, bind_op, holds_size
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared
from symgraph.records import NamedTuple

Memory = dict[Variable, np.ndarray]

# What one operation may be off, relative: above the error of vector functions and of sums in
# another order.
_SIZES = {"float64": 1e-13, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2,
          "complex128": 1e-13, "complex64": 2e-6}  # fmt: skip
SIZES = {dtypes.numpy_dtype(d): s for d, s in _SIZES.items()}
RUNS = 8  # evaluations with noise
INSIDE = 0.01  # of the noise: what compiled code and a reference may round elsewhere in an op
FACTOR = 8.0  # how much more than the largest move seen is allowed

# Ops whose results are elements of their operands, or what graphs inside them give.
MOVES = frozenset(
    """barrier broadcast_to concatenate diagonal diagonal_embed embed expand_dims flip gather pad
    permute_rows repeat reshape roll slice slice_update squeeze stop_gradient take_along_axis tile
    transpose where window_view function_graph cond scan while print assert""".split()
)

# Ops whose rounding errors are relative to the largest element of their results: an eigenvalue that
# is 0 comes out as anything of that size.
NORMWISE = frozenset(
    """svd svdvals eigh eigvalsh eig eigvals schur qz qr qr_r expm sqrtm logm pinv
    solve_sylvester solve_are""".split()
)

# Those whose float32 images may be turned to Winograd's basis (`lower/winograd_tiles.py`), where a
# huge pixel leaves its rounding in its neighbours.
TURNED = frozenset("convolution convolution_input convolution_weights".split())


class Noisy(Machine):
    """The interpreter for checks: it prints nothing, and with ``rng`` it adds noise.

    Noise on the operands stands for what an op rounds inside: as much as on its result for a sum
    or a routine, ``inside`` times as much for an elementwise op.
    """

    def __init__(
        self, state: Mapping[Shared, np.ndarray], rng: Any = None, inside: float = 0.0
    ) -> None:
        super().__init__(state)
        self.rng, self.inside = rng, inside

    def _apply(self, node: Apply, op: Op, inputs: list[np.ndarray], env: Env) -> list[np.ndarray]:
        if op.name == "print":
            return [inputs[0]]
        if self.rng is None or op.name in MOVES:
            return super()._apply(node, op, inputs, env)
        found = self.around(node, op, inputs, env)
        turned = op.name in TURNED and found[0].dtype == np.float32 and config.get("winograd")
        if op.name in NORMWISE or turned:
            found = [self.shifted(a) for a in found]
        if op.elementwise and len(found) == 1:
            return [self.underflowed(found[0], inputs)]
        return found

    def around(self, node: Apply, op: Op, inputs: list[np.ndarray], env: Env) -> list[np.ndarray]:
        """The moved results for moved operands; an elementwise op stays in its domain (a power of a
        negative number has a whole exponent)."""
        share = self.inside if op.elementwise else 1.0
        beside = [self.moved(a, share) for a in inputs] if share else inputs
        found = super()._apply(node, op, beside, env)
        if op.elementwise and share and any(map(_undefined, found)):
            right = super()._apply(node, op, inputs, env)
            found = [np.where(a != a, b, a).astype(a.dtype)
                     for a, b in zip(found, right, strict=True)]  # fmt: skip
        return [self.moved(a) for a in found]

    def underflowed(self, array: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """A result that is 0 or subnormal while no operand is 0 has lost digits or all of them."""
        if array.dtype.kind != "f" or array.dtype not in SIZES:
            return array
        info = np.finfo(array.dtype)
        lost = np.asarray(abs(array) < info.tiny)
        if not lost.any():
            return array
        for i in inputs:
            lost = (
                lost & (i != 0) & np.isfinite(i.astype("float64") if i.dtype.kind in "fiu" else 1)
            )
        least = info.smallest_subnormal * self.rng.choice([-2.0, -1.0, 1.0, 2.0], array.shape)
        return np.where(lost, array + least, array).astype(array.dtype)

    def shifted(self, array: np.ndarray) -> np.ndarray:
        """All elements after the rounding errors of the largest one."""
        size = SIZES.get(array.dtype)
        if size is None or not array.size:
            return array
        steps = self.rng.choice([-1.0, -0.5, 0.5, 1.0], array.shape)
        return np.asarray(array + size * np.max(abs(array)) * steps).astype(array.dtype)

    def moved(self, array: np.ndarray, share: float = 1.0) -> np.ndarray:
        """The array after rounding has done its worst."""
        size = SIZES.get(array.dtype)
        if size is None:
            return array
        size *= share
        factor = 1 + size * self.rng.choice([-1.0, -0.5, 0.5, 1.0], array.shape)
        if array.dtype.kind == "c":
            factor = factor + 1j * size * self.rng.choice([-1.0, 1.0], array.shape)
        return np.asarray(array * factor).astype(array.dtype)

    def value(self, v: Variable, memory: Mapping[Variable, np.ndarray]) -> np.ndarray:
        """The value of a variable that is a leaf or has been computed."""
        return self._value(v, dict(memory)) if v.owner is None and v not in memory else memory[v]

    def step(self, node: Apply, memory: Memory, env: Env) -> list[np.ndarray]:
        """The results of one node, without storing them."""
        inputs = [self.value(v, memory) for v in node.inputs]
        op = bind_op(node.op, env) if holds_size(node.op._values) else node.op
        with np.errstate(all="ignore"):
            return self._apply(node, op, inputs, env)


class Piece(NamedTuple):
    """A part of a graph that makes ``target`` of values that are known: nodes in order."""

    target: Variable
    nodes: tuple[Apply, ...]
    given: tuple[Variable, ...]


def piece(target: Variable, order: Sequence[Apply], known: Callable[[Variable], bool]) -> Piece:
    """The nodes in ``order`` that make ``target`` from variables that are ``known``."""
    wanted: set[Variable] = {target}
    nodes: list[Apply] = []
    for node in reversed(order):
        if any(o in wanted for o in node.outputs):
            nodes.append(node)
            wanted.update(i for i in node.inputs if not known(i))
    made = {o for n in nodes for o in n.outputs}
    given = dict.fromkeys(i for n in nodes for i in n.inputs if i not in made)
    return Piece(target, tuple(reversed(nodes)), tuple(given))


def moves(
    part: Piece, state: Mapping[Shared, np.ndarray], given: Memory, env: Env, inside: float = 0.0
) -> list[np.ndarray]:
    """The value of a piece under noise, several times; NaN where the noise makes an op raise (a
    matrix that is singular only by its rounding)."""
    found = []
    for seed in range(RUNS):
        machine = Noisy(state, np.random.default_rng(seed), inside)
        memory = dict(given)
        try:
            for node in part.nodes:
                memory.update(zip(node.outputs, machine.step(node, memory, dict(env)), strict=True))
            found.append(memory[part.target])
        except SymgraphError:
            found.append(np.asarray(np.nan))
    return found


def _undefined(array: np.ndarray) -> bool:
    return bool(array.dtype.kind in "fcV" and (array != array).any())


# comparing ----------------------------------------------------------------------------------------


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where elements have the same bits; every NaN is the same, and so is, in a part of a complex
    number, every zero: products and quotients add such parts up in some order."""
    if a.dtype not in SIZES:
        return np.asarray(a == b)
    if a.dtype.kind == "c":
        parts = [(a.real, b.real), (a.imag, b.imag)]
        return np.logical_and.reduce([(x == y) | ((x != x) & (y != y)) for x, y in parts])
    equal = (a == b) & (np.signbit(a) == np.signbit(b))
    return np.asarray(equal | ((a != a) & (b != b)))


def near(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where elements are equal, or floats differ by less than one operation may."""
    size = SIZES.get(a.dtype)
    if size is None:
        return np.asarray(a == b)
    a, b = _wide(a), _wide(b)
    with np.errstate(all="ignore"):
        lost = (a == b) | (np.isnan(a) & np.isnan(b))
        return np.asarray(lost | (abs(a - b) <= size * np.maximum(abs(a), abs(b))))


def aligned(v: Variable, expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """``got``, each vector that is determined up to a sign or phase turned as in ``expected``."""
    assert v.owner is not None
    axis = v.owner.op.any_sign.get(v.index)
    if axis is None or got.shape != expected.shape or not got.size:
        return got
    product = np.sum(_wide(got).conj() * _wide(expected), axis=axis, keepdims=True)
    size = abs(product)
    with np.errstate(all="ignore"):
        turn = np.where(size > 0, product / size, 1.0)
    return np.asarray(got * turn).astype(got.dtype)


def within(a: np.ndarray, b: np.ndarray, noisy: Sequence[np.ndarray]) -> np.ndarray:
    """Where ``b`` is no farther from ``a`` than rounding may be; ``noisy`` are values of a."""
    size = SIZES.get(a.dtype)
    if size is None:
        turned = [n != a for n in noisy]
        return np.asarray((a == b) | np.logical_or.reduce(turned))
    wide = _wide(a)
    with np.errstate(all="ignore"):
        spread = np.maximum.reduce([abs(_wide(n) - wide) for n in noisy])
        undetermined = ~np.isfinite(spread) & np.isfinite(wide)  # some overflow or are undefined
        for n in noisy:
            undetermined |= np.isfinite(_wide(n)) != np.isfinite(wide)
        smallest = FACTOR * np.finfo(a.dtype).tiny if a.dtype.kind in "fc" else 0.0
        close = abs(_wide(b) - wide) <= FACTOR * spread + smallest
    return np.asarray(near(a, b) | close | undetermined)


def worst(good: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """The index of the element that is not good and differs most; what is not finite first."""
    with np.errstate(all="ignore"):
        apart = abs(_wide(a) - _wide(b)) / np.maximum(abs(_wide(a)), np.finfo("float64").tiny)
    apart = np.where(good, -1.0, np.where(np.isfinite(apart), apart, np.inf))
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(apart)), apart.shape))


def _wide(a: np.ndarray) -> np.ndarray:
    return a.astype("complex128" if a.dtype.kind == "c" else "float64")


# words --------------------------------------------------------------------------------------------


def element(array: np.ndarray, index: tuple[int, ...]) -> str:
    """One element as text."""
    return str(array[index].item() if array.dtype.kind != "V" else array[index])


def at(index: tuple[int, ...]) -> str:
    """`` at [2, 0]``, nothing for a scalar."""
    return f" at {list(index)}" if index else ""


def operand(
    v: Variable, array: np.ndarray | None, index: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[str, str, Any]:
    """A row of an error's operands with the element that belongs to ``index`` of a result of this
    shape: by broadcasting, or of an array of another shape its range."""
    text = v.type.text()
    if isinstance(v, Constant) and not v.data.ndim:
        return v.label(), f"{text} = {element(v.data, ())}", v.origin
    if array is None:
        return v.label(), text, v.origin
    place = own_index(array.shape, index, shape)
    if place is not None:
        text = f"{text} = {element(array, place)}{at(place)}"
    elif array.size and array.dtype.kind in "biuf":
        text = f"{text}, {array.min()} to {array.max()}"
    return v.label(), text, v.origin


def own_index(
    own: tuple[int, ...], index: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The index in an operand of the shape ``own`` that broadcasting brings to ``index``."""
    if len(own) > len(shape):
        return None
    rest = shape[len(shape) - len(own) :]
    if any(a not in (1, b) for a, b in zip(own, rest, strict=True)):
        return None
    return tuple(
        0 if n == 1 else k for n, k in zip(own, index[len(shape) - len(own) :], strict=True)
    )
