"""Random well-typed graphs: a seed gives a graph and arrays for its inputs.

An operation is chosen, applied to values made before, and dropped where the type rules refuse it,
where its value is not finite or too large, or where rounding would decide about it (measuring.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symgraph as sg
from symgraph import dtypes
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Input, Variable
from symgraph.ir.shared import Shared
from symgraph.scalar import Expr, evaluate_size, variables
from tests.fuzz.case import Case, apart, room_of, wanted_of
from tests.fuzz.layouts import laid_out
from tests.fuzz.measuring import Undefined, World, is_inexact, is_round

SIZES = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33)
KNOWN = (1, 2, 3, 5, 8, 17)
FLOATS = tuple(d for d in dtypes.ALL if dtypes.kind(d) == "f")
COMPLEX = tuple(d for d in dtypes.ALL if dtypes.kind(d) == "c")
INTS = tuple(d for d in dtypes.ALL if dtypes.kind(d) in "iu")
USUAL = ("float64",) * 6 + ("float32",) * 4
SMALL_FLOATS = tuple(d for d in FLOATS if dtypes.itemsize(d) < 4)
DTYPES = USUAL * 2 + SMALL_FLOATS + COMPLEX + ("int64", "int64", "bool", "bool") + INTS
ELEMENTS = 20_000
LARGEST = {"float16": 1e3, "bfloat16": 1e3, "float32": 1e7, "complex64": 1e7}
SPECIAL = (float("nan"), float("inf"), -float("inf"), -0.0, 0.0)


class NoFit(Exception):
    """No value made so far suits the operation."""


Operation = Callable[["Hand"], Any]
OPERATIONS: dict[str, tuple[Operation, float, bool]] = {}


def operation(weight: float, inside: bool = True) -> Callable[[Operation], Operation]:
    """Decorator: one way to grow the graph; ``inside``: also in the bodies of loops, where values
    are not known while the graph is made."""

    def register(function: Operation) -> Operation:
        OPERATIONS[function.__name__] = function, weight, inside
        return function

    return register


class Hand:
    """Chance, and the values that it chooses from."""

    depth = 0

    def __init__(self, rng: np.random.Generator, sizes: dict[str, int]) -> None:
        self.rng, self.sizes = rng, sizes
        self.values: list[Variable] = []

    def pick(self, items: Sequence[Any]) -> Any:
        if not len(items):
            raise NoFit
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def count(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def value(self, kinds: str = "biufc", rank: int = 0, most: int = 9) -> Variable:
        """A value made before, later ones more often."""
        fits = [v for v in self.values if dtypes.kind(v.dtype) in kinds and rank <= v.ndim <= most]
        if not fits:
            raise NoFit
        weights = np.arange(1.0, len(fits) + 1)
        return fits[int(self.rng.choice(len(fits), p=weights / weights.sum()))]

    def round(self, kinds: str = "biuf", rank: int = 0) -> Variable:
        """A value that no rounding entered, where that is known."""
        return self.value(kinds, rank)

    def axis(self, x: Variable) -> int:
        return self.count(-x.ndim, x.ndim - 1) if x.ndim else 0

    def axes(self, x: Variable) -> Any:
        if x.ndim == 0 or self.chance(0.3):
            return None
        if self.chance(0.6):
            return self.axis(x)
        return tuple(int(a) for a in self.rng.choice(x.ndim, self.count(1, x.ndim), False))

    def number(self, size: Any) -> int:
        """The size as a number; NoFit for one that depends on data."""
        if not isinstance(size, Expr):
            return int(size)
        if any(v.attr not in self.sizes for v in variables(size)):
            raise NoFit
        return int(evaluate_size(size, self.sizes))

    def elements(self, v: Variable) -> int:
        return int(np.prod([self.number(s) for s in v.shape], dtype=object)) if v.ndim else 1

    def scalar(self, dtype: str) -> Any:
        """A Python number or a constant that meets a value of this dtype."""
        kind = dtypes.kind(dtype)
        if kind == "b":
            return self.chance(0.5)
        if kind in "iu":
            top = 3 if self.chance(0.8) else min(int(dtypes.max_value(dtype)), 2**31)
            return self.pick((0, 1, 2, top, -1 if kind == "i" else 1))
        return self.pick((0, 1, 2, -1, 0.5, 2.0, -1.0, 3, 0.1, 1e-3))

    def grow(self, count: int) -> None:
        """Apply some operations; those that do not fit are left out."""
        names = [n for n, row in OPERATIONS.items() if row[2] or not self.depth]
        weights = np.array([OPERATIONS[n][1] for n in names], float)
        plan = self.rng.choice(len(names), 5 * count, p=weights / weights.sum())
        done = 0
        for k in plan:
            if done == count:
                break
            done += self.step(names[k])

    def step(self, name: str) -> bool:
        try:
            made = OPERATIONS[name][0](self)
            fresh = made if isinstance(made, tuple | list) else [made]
            return any([self.keep(v) for v in fresh if isinstance(v, Variable)])
        except (NoFit, Undefined, SymgraphError):
            return False

    def keep(self, v: Variable) -> bool:
        """Add a value to those that operations choose from."""
        if v.ndim > 6 or any(v is w for w in self.values) or self.elements(v) > ELEMENTS:
            return False
        self.values.append(v)
        return True


class Body(Hand):
    """The values inside of a loop, a branch or a function: nothing is known of them but types."""

    def __init__(self, outer: Hand, values: Sequence[Variable]) -> None:
        super().__init__(outer.rng, outer.sizes)
        self.depth = outer.depth + 1
        self.values = [v for v in values if v.ndim <= 3]
        if not self.values:
            raise NoFit

    def keep(self, v: Variable) -> bool:
        if self.elements(v) > 400:
            return False
        return super().keep(v)


class Maker(Hand):
    """Grows one graph and knows the value of everything in it."""

    def __init__(self, seed: int, steps: int, special: bool = True) -> None:
        rng = np.random.default_rng(seed)
        sizes = {"n": 0, "m": 0, "k": 0}
        super().__init__(rng, sizes)
        self.special = self.chance(0.12) and special
        sizes.update({name: self.pick(SIZES) for name in sizes})
        self.inputs: list[Input] = []
        self.states: list[Shared] = []
        self.arrays: dict[Variable, np.ndarray] = {}
        self.plain = World({}, sizes)
        self.noisy = World({}, sizes, np.random.default_rng([seed, 1]))
        self.failing: list[Variable] = []
        self.steps = steps
        for _ in range(self.count(1, 4)):
            self.input(*self.new_type())
        told = {s for x in self.inputs for s in map(str, x.shape)}
        for k in range(self.pick((0, 0, 1, 1, 2, 3))):
            self.state(f"s{k}", told)

    # leaves ---------------------------------------------------------------------------------------

    def new_type(self) -> tuple[str, tuple[Any, ...]]:
        rank = int(self.rng.choice(7, p=[0.1, 0.28, 0.4, 0.12, 0.04, 0.03, 0.03]))
        names = ("n", "n", "m", "m", "k")
        known = KNOWN if rank < 4 else (1, 1, 2, 2, 3)
        dims = [
            self.pick(names) if rank < 4 and self.chance(0.6) else self.pick(known)
            for _ in range(rank)
        ]
        return self.pick(DTYPES), tuple(dims)

    def array(self, dtype: str, size: tuple[int, ...]) -> np.ndarray:
        """Numbers of a few kinds: small whole ones, spread ones, seldom large or special ones."""
        kind = dtypes.kind(dtype)
        if kind == "b":
            return np.asarray(self.rng.random(size) < 0.5)
        if kind in "iu":
            low, high = max(int(dtypes.min_value(dtype)), -4), 5
            if self.chance(0.1):
                low, high = int(dtypes.min_value(dtype)), int(dtypes.max_value(dtype))
            return np.asarray(self.rng.integers(low, high, size, dtype=dtype, endpoint=True))
        if self.chance(0.4):
            made = np.asarray(self.rng.integers(-4, 5, size)).astype(float)
        else:
            made = np.asarray(self.rng.uniform(-2, 2, size))
        if kind == "c":
            made = np.asarray(made + 1j * self.rng.integers(-3, 4, size))
        if self.special:
            strange = self.rng.choice(SPECIAL, made.shape)
            made = np.where(self.rng.random(made.shape) < 0.15, strange, made)
        return np.asarray(made).astype(dtypes.numpy_dtype(dtype))

    def input(self, dtype: str, dims: tuple[Any, ...], array: Any = None) -> Input:
        """A new input; arrays come in all memory layouts."""
        if len(self.inputs) >= 9:
            raise NoFit
        x: Input = sg.tensor(f"x{len(self.inputs)}", dtype, dims)
        if array is None:
            array = self.array(dtype, self.size(dims))
        self.inputs.append(x)
        self.leaf(x, laid_out(self.rng, array))
        return x

    def state(self, name: str, told: set[str]) -> None:
        """A shared variable; its symbolic sizes are those that inputs tell."""
        dtype, dims = self.new_type()
        dims = tuple(d if d in told or isinstance(d, int) else self.sizes[d] for d in dims)
        if self.states and self.chance(0.5):
            dtype, dims = self.states[-1].dtype, self.dims(self.states[-1])
        s = sg.shared(self.array(dtype, self.size(dims)), name, shape=dims)
        self.states.append(s)
        self.leaf(s, s.get_value())

    def leaf(self, v: Variable, array: np.ndarray) -> None:
        self.arrays[v] = array
        self.plain.add(v, array)
        self.noisy.add(v, array)
        self.values.append(v)

    def size(self, dims: Sequence[Any]) -> tuple[int, ...]:
        return tuple(self.sizes[d] if isinstance(d, str) else int(d) for d in dims)

    def dims(self, x: Variable) -> tuple[Any, ...]:
        return tuple(s if isinstance(s, int) else str(s) for s in x.shape)

    # growing --------------------------------------------------------------------------------------

    def round(self, kinds: str = "biuf", rank: int = 0) -> Variable:
        fits = [
            v for v in self.values
            if dtypes.kind(v.dtype) in kinds and v.ndim >= rank and is_round(self.plain.value(v))
        ]  # fmt: skip
        return self.pick(fits)

    def keep(self, v: Variable) -> bool:
        try:
            if v.ndim > 6 or self.elements(v) > ELEMENTS:
                return False
            value, noisy = self.plain.value(v), self.noisy.value(v)
        except (SymgraphError, ValueError) as error:
            if not isinstance(error, SymgraphError):
                if self.special:
                    return False  # a routine that SciPy does not call with NaN
                raise
            # sizes that do not fit, an index out of range: a few such programs are wanted
            if not self.failing and self.chance(0.02):
                self.failing.append(v)
            return False
        if is_inexact(value) and not self.special:
            largest = np.max(abs(value), initial=0)
            if not largest <= LARGEST.get(v.dtype, 1e12):
                return False
        try:
            room_of(value, apart(value, noisy))
        except Undefined:
            return False
        return super().keep(v)

    def case(self) -> Case:
        """The graph after all steps, with outputs and updates chosen."""
        self.grow(self.steps)
        made = [v for v in self.values if v.owner is not None] or self.values
        count = min(len(made), self.count(1, 4))
        outputs = [made[-1]] + [self.pick(made) for _ in range(count - 1)] + self.failing
        if self.chance(0.08):
            outputs.append(self.pick(self.values))
        calls = [[self.arrays[x] for x in self.inputs], [self.again(x) for x in self.inputs]]
        return sound(Case(self.inputs, outputs, self.updates(), calls, self.special))

    def again(self, x: Input) -> np.ndarray:
        """Another array for the second call, of the same shape and kind."""
        old = self.arrays[x]
        if self.chance(0.5) or not old.size:
            return old
        flat = old.reshape(-1)[::-1] if old.ndim < 2 else old[::-1]
        return laid_out(self.rng, np.array(flat).reshape(old.shape))

    def updates(self) -> list[tuple[Shared, Variable]]:
        """New values of shared variables: also other shared variables, inputs, views, outputs."""
        out = []
        for s in self.states:
            same = [v for v in self.values if v.type == s.type and v is not s]
            if same and self.chance(0.8):
                out.append((s, self.pick(same)))
        return out


def sound(case: Case) -> Case:
    """The case without outputs and updates about which rounding decides, in the second call too."""
    for kept in (case, case._replace(updates=[]), case._replace(updates=[], calls=case.calls[:1])):
        try:
            wanted_of(kept, trials=1)
            return kept
        except Undefined:
            continue
    last = case._replace(updates=[], calls=case.calls[:1])
    for v in case.outputs:
        one = last._replace(outputs=[v])
        try:
            wanted_of(one, trials=1)
            return one
        except Undefined:
            continue
    return last._replace(outputs=[sg.constant(0)])


def make(seed: int, steps: int = 12) -> Case:
    """The random program of a seed."""
    return Maker(seed, steps).case()
