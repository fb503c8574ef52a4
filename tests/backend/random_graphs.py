"""Random well-typed graphs: a seed gives a graph and arrays for its inputs.

An operation is chosen, applied to values made before, and dropped where the type rules refuse it.
Operations that jump (floor, argmax, comparisons, casts to integers) read *exact* values alone:
those that are computed without rounding, so that every way to compute them gives the same bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import symgraph as sg
from symgraph import dtypes
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Input, Variable, toposort
from symgraph.ir.shared import Shared
from symgraph.scalar import Expr, evaluate_size, variables

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33)
KNOWN = (1, 2, 3, 5, 8, 17)
FLOATS, INTS = ("float64", "float32"), ("int64", "int32", "int8", "uint8", "uint32", "int16")
LARGEST = float(1 << 18)  # exact values stay below, so that float32 holds them
ELEMENTS = 60_000
SPECIAL = (float("nan"), float("inf"), -float("inf"), -0.0, 0.0)


class Note(NamedTuple):
    """What is known of a value: no rounding happened, and a bound of its size."""

    exact: bool
    bound: float


class Case(NamedTuple):
    """A random program: what to compile and arrays to call it with, for two calls in a row."""

    inputs: list[Input]
    outputs: list[Variable]
    updates: list[tuple[Shared, Variable]]
    calls: list[list[np.ndarray]]
    special: bool  # whether arrays hold NaN, infinities and negative zeros


class Maker:
    """Grows one graph."""

    def __init__(self, seed: int, steps: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.special = self.chance(0.15)
        self.sizes = {name: self.pick(SIZES) for name in ("n", "m", "k")}
        self.notes: dict[Variable, Note] = {}
        self.values: list[Variable] = []
        self.checked: set[Any] = set()
        self.inputs: list[Input] = []
        self.states: list[Shared] = []
        for k in range(self.rng.integers(2, 5)):
            self.input(f"x{k}")
        told = {str(s) for x in self.inputs for s in x.shape}
        for k in range(self.rng.integers(0, 3)):
            self.state(f"s{k}", told)
        names = list(OPERATIONS)
        weights = np.array([OPERATIONS[n][1] for n in names], float)
        self.steps = steps
        self.plan = list(self.rng.choice(names, 4 * steps, p=weights / weights.sum()))

    # chance ---------------------------------------------------------------------------------------

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def value(self, kinds: str = "biuf", exact: bool = False, rank: int = 0) -> Variable:
        """A value made before, later ones more often."""
        fits = [
            v for v in self.values
            if dtypes.kind(v.dtype) in kinds and v.ndim >= rank
            and (self.notes[v].exact or not exact)
        ]  # fmt: skip
        if not fits:
            raise NoFit
        weights = np.arange(1.0, len(fits) + 1)
        return fits[int(self.rng.choice(len(fits), p=weights / weights.sum()))]

    def axis(self, x: Variable) -> int:
        return int(self.rng.integers(-x.ndim, x.ndim))

    def axes(self, x: Variable) -> Any:
        if x.ndim == 0 or self.chance(0.3):
            return None
        if self.chance(0.6):
            return self.axis(x)
        count = int(self.rng.integers(1, x.ndim + 1))
        return tuple(int(a) for a in self.rng.choice(x.ndim, count, replace=False))

    # leaves ---------------------------------------------------------------------------------------

    def new_type(self) -> tuple[str, tuple[Any, ...]]:
        dtype = self.pick(FLOATS + FLOATS + FLOATS + INTS + ("bool",))
        rank = int(self.rng.choice(4, p=[0.1, 0.3, 0.45, 0.15]))
        names = ("n", "n", "m", "m", "k")
        dims = [self.pick(names) if self.chance(0.65) else self.pick(KNOWN) for _ in range(rank)]
        return dtype, tuple(dims)

    def array(self, dtype: str, dims: tuple[Any, ...], exact: bool) -> np.ndarray:
        size = tuple(self.sizes[d] if isinstance(d, str) else d for d in dims)
        if dtype == "bool":
            return self.rng.random(size) < 0.5
        low = 0 if dtypes.kind(dtype) == "u" else -4
        if exact or not dtypes.is_float(dtype):
            made = np.asarray(self.rng.integers(low, 5, size)).astype(dtype)
        else:
            made = np.asarray(self.rng.uniform(-2, 2, size)).astype(dtype)
        if self.special and dtypes.is_float(dtype):
            strange = self.rng.choice(SPECIAL, made.shape).astype(dtype)
            made = np.where(self.rng.random(made.shape) < 0.15, strange, made)
        return made

    def input(self, name: str) -> None:
        dtype, dims = self.new_type()
        x = sg.tensor(name, dtype, dims)
        exact = not dtypes.is_float(dtype) or self.chance(0.4)
        self.inputs.append(x)
        self.note(x, Note(exact, 4.0))

    def state(self, name: str, told: set[str]) -> None:
        """A shared variable; its symbolic sizes are those that inputs tell."""
        dtype, dims = self.new_type()
        dims = tuple(d if d in told or isinstance(d, int) else self.sizes[d] for d in dims)
        exact = not dtypes.is_float(dtype)
        s = sg.shared(self.array(dtype, dims, exact), name, shape=dims)
        self.states.append(s)
        self.note(s, Note(exact, 8.0))

    # growing --------------------------------------------------------------------------------------

    def note(self, v: Variable, note: Note) -> None:
        if v not in self.notes:
            self.notes[v] = note
            self.values.append(v)

    def elements(self, v: Variable) -> int:
        total = 1
        for s in v.shape:
            total *= self.number(s)
        return total

    def number(self, size: Any) -> int:
        if not isinstance(size, Expr):
            return int(size)
        from_names = dict(self.sizes)
        try:
            return number_of(size, from_names)
        except KeyError:
            raise NoFit from None

    def sizes_fit(self, v: Variable) -> bool:
        """Whether the run-time checks of the new nodes below hold (a few that fail are let in)."""
        for node in toposort([v]):
            for left, right, _ in node.checks if node not in self.checked else ():
                if self.number(left) != self.number(right) and not self.chance(0.02):
                    return False
            self.checked.add(node)
        return True

    def step(self, name: str) -> None:
        made = OPERATIONS[name][0](self)
        for v, note in made:
            if self.elements(v) > ELEMENTS or v.ndim > 4:
                return
            if not note.bound <= 1e12 or not self.sizes_fit(v):
                return
            if dtypes.is_float(v.dtype):
                note = note._replace(exact=note.exact and note.bound <= LARGEST)
            else:
                note = Note(True, note.bound)
            self.note(v, note)

    def grow(self) -> Case:
        done = 0
        for name in self.plan:
            if done == self.steps:
                break
            with contextlib.suppress(NoFit, SymgraphError):
                self.step(name)
                done += 1
        made = [v for v in self.values if v.owner is not None] or self.values
        count = min(len(made), int(self.rng.integers(1, 5)))
        outputs = [made[-1]] + [self.pick(made) for _ in range(count - 1)]
        if self.chance(0.05):
            outputs.append(self.pick(self.values))
        calls = [[self.array(x.dtype, self.dims(x), self.notes[x].exact) for x in self.inputs]
                 for _ in range(2)]  # fmt: skip
        return Case(self.inputs, outputs, self.updates(), calls, self.special)

    def dims(self, x: Variable) -> tuple[Any, ...]:
        return tuple(s if isinstance(s, int) else str(s) for s in x.shape)

    def updates(self) -> list[tuple[Shared, Variable]]:
        out = []
        for s in self.states:
            same = [
                v for v in self.values if v.dtype == s.dtype and v.shape == s.shape and v is not s
            ]
            same = [v for v in same if self.notes[v].bound <= 8 or not dtypes.is_float(s.dtype)]
            # the note of the state holds for the second call too
            same = [v for v in same if self.notes[v].exact or not self.notes[s].exact]
            if same and self.chance(0.8):
                out.append((s, self.pick(same)))
        return out


def make(seed: int, steps: int = 12) -> Case:
    """The random program of a seed."""
    return Maker(seed, steps).grow()


class NoFit(Exception):
    """No value made so far suits the operation."""


def number_of(size: Expr, sizes: dict[str, int]) -> int:
    if any(v.attr not in sizes for v in variables(size)):
        raise KeyError
    return int(evaluate_size(size, sizes))


# operations ---------------------------------------------------------------------------------------

Made = list[tuple[Variable, Note]]
OPERATIONS: dict[str, tuple[Callable[[Maker], Made], float]] = {}


def operation(weight: float) -> Callable[[Callable[[Maker], Made]], Callable[[Maker], Made]]:
    """Decorator: one way to grow the graph."""

    def register(function: Callable[[Maker], Made]) -> Callable[[Maker], Made]:
        OPERATIONS[function.__name__] = function, weight
        return function

    return register


def same(m: Maker, y: Variable, *xs: Variable, bound: float | None = None) -> Made:
    """A result that is exact where its operands are."""
    held = max(m.notes[x].bound for x in xs) if bound is None else bound
    return [(y, Note(all(m.notes[x].exact for x in xs), held))]


SMOOTH: list[tuple[Callable[..., Any], Callable[[float], float]]] = [
    (sg.tanh, lambda b: 1.0), (sg.sigmoid, lambda b: 1.0), (sg.sin, lambda b: 1.0),
    (sg.cos, lambda b: 1.0), (sg.erf, lambda b: 1.0), (sg.atan, lambda b: 1.6),
    (lambda x: sg.exp(-sg.abs(x)), lambda b: 1.0), (sg.softplus, lambda b: b + 1.0),
    (lambda x: sg.log1p(sg.abs(x)), lambda b: b), (lambda x: sg.log(sg.abs(x) + 1), lambda b: b),
    (lambda x: sg.sqrt(sg.abs(x) + 1), lambda b: b + 1), (sg.nn.gelu, lambda b: b),
    (sg.nn.silu, lambda b: b),
    (lambda x: 1 / (sg.abs(x) + 1), lambda b: 1.0), (lambda x: x / 3, lambda b: b),
    (lambda x: sg.rsqrt(x * x + 1), lambda b: 1.0), (lambda x: x.clip(-1, 1), lambda b: 1.0),
    (lambda x: sg.power(sg.abs(x) + 0.5, 0.3), lambda b: b + 1), (sg.asinh, lambda b: b),
    (lambda x: sg.expm1(x.clip(-3, 3)), lambda b: 21.0), (lambda x: x**3, lambda b: b**3),
    (lambda x: sg.erfc(sg.abs(x)), lambda b: 1.0), (sg.exp2, lambda b: 2.0**b),
]  # fmt: skip


@operation(6)
def smooth(m: Maker) -> Made:
    x = m.value("f")
    function, bound = m.pick(SMOOTH)
    return [(function(x), Note(False, bound(min(m.notes[x].bound, 64.0)) if m.notes[x].bound <= 64
                               else float("inf")))] if function is sg.exp2 else [
        (function(x), Note(False, bound(m.notes[x].bound)))]  # fmt: skip


@operation(4)
def plain(m: Maker) -> Made:
    x = m.value("iuf")
    b = m.notes[x].bound
    k = int(m.rng.integers(6))
    if k == 0:
        return same(m, -x, x)
    if k == 1:
        return same(m, abs(x), x)
    if k == 2:
        return same(m, sg.relu(x), x)
    if k == 3:
        return same(m, x * m.pick((2, 3, -1, 1, 0)), x, bound=3 * b)
    if k == 4:
        return same(m, x + m.pick((1, 0, 5)), x, bound=b + 5)
    return same(m, sg.square(x), x, bound=b * b)


@operation(3)
def jumping(m: Maker) -> Made:
    x = m.value("f", exact=True)
    f = m.pick((sg.floor, sg.ceil, sg.trunc, sg.rint, sg.sign, sg.round))
    if m.chance(0.3):
        y = x / 2 if m.chance(0.5) else x * 0.5
        return [(f(y), Note(True, m.notes[x].bound))]
    return same(m, f(x), x)


@operation(3)
def bits(m: Maker) -> Made:
    x = m.value("biu")
    if m.chance(0.3):
        return same(m, ~x, x, bound=2**31)
    y = m.value("biu")
    if m.chance(0.3):
        f = m.pick((sg.left_shift, sg.right_shift))
        return same(m, f(x, sg.cast(y, x.dtype)), x, bound=2**31)
    f = m.pick((sg.bitwise_and, sg.bitwise_or, sg.bitwise_xor))
    return same(m, f(x, y), x, y, bound=2**31)


@operation(10)
def binary(m: Maker) -> Made:
    x, y = m.value("iuf"), m.value("iuf")
    a, b = m.notes[x].bound, m.notes[y].bound
    k = int(m.rng.integers(7))
    if k == 0:
        return same(m, x + y, x, y, bound=a + b)
    if k == 1:
        return same(m, x - y, x, y, bound=a + b)
    if k == 2:
        return same(m, x * y, x, y, bound=a * b)
    if k == 3:
        return same(m, sg.maximum(x, y), x, y)
    if k == 4:
        return same(m, sg.minimum(x, y), x, y)
    if k == 5:
        return [(x / (abs(y) + 1), Note(False, a))]
    if m.chance(0.4):
        return [(sg.arctan2(x, abs(y) + 1), Note(False, 1.6))]
    f = m.pick((sg.logaddexp, sg.hypot))
    return [(f(x, y), Note(False, a + b + 1))]


@operation(2)
def divided(m: Maker) -> Made:
    x, y = m.value("iuf", exact=True), m.value("iuf", exact=True)
    f = m.pick((sg.floor_divide, sg.remainder))
    if dtypes.is_float(x.dtype) or dtypes.is_float(y.dtype):
        y = abs(y) + 1
    elif m.chance(0.5):
        return same(m, f(x, m.pick((2, 3, 7))), x)
    return [(f(x, y), Note(True, max(m.notes[x].bound, 2.0**31)))]


@operation(4)
def compared(m: Maker) -> Made:
    x, y = m.value("biuf", exact=True), m.value("biuf", exact=True)
    fs = (sg.less, sg.less_equal, sg.equal, sg.not_equal, sg.greater, sg.greater_equal)
    return [(m.pick(fs)(x, y), Note(True, 1.0))]


@operation(2)
def logical(m: Maker) -> Made:
    x, y = m.value("b"), m.value("b")
    return [(m.pick((sg.logical_and, sg.logical_or, sg.logical_xor))(x, y), Note(True, 1.0))]


@operation(4)
def chosen(m: Maker) -> Made:
    c, x, y = m.value("b"), m.value(), m.value()
    return same(m, sg.where(c, x, y), x, y)


@operation(3)
def converted(m: Maker) -> Made:
    to = m.pick(FLOATS + FLOATS + INTS + ("bool",))
    x = m.value(exact=not dtypes.is_float(to))
    if to == "float32" and m.notes[x].bound > LARGEST:
        raise NoFit
    # a float outside an integer's range has no defined value
    if dtypes.is_float(x.dtype) and dtypes.is_int(to):
        if m.special:
            raise NoFit
        room = min(float(dtypes.max_value(to)), float(-dtypes.min_value(to)))
        if m.notes[x].bound > room:
            raise NoFit
    return same(m, sg.cast(x, to), x)


@operation(9)
def reduced(m: Maker) -> Made:
    x = m.value()
    axes, keep = m.axes(x), m.chance(0.4)
    b = m.notes[x].bound
    k = int(m.rng.integers(7))
    if k <= 2:
        return same(m, sg.sum(x, axes, keepdims=keep), x, bound=b * max(1, m.elements(x)))
    if k == 3:
        return [(sg.mean(x, axes, keepdims=keep), Note(False, b))]
    if k == 4:
        return same(m, m.pick((sg.max, sg.min))(x, axes, keepdims=keep), x)
    if k == 5:
        f = m.pick((sg.var, sg.std))
        # a standard deviation near zero is all rounding
        return [
            (
                f(x + 0.0, axes, keepdims=keep)
                if f is sg.var
                else sg.sqrt(sg.var(x, axes, keepdims=keep) + 1),
                Note(False, 4 * b * b + 1),
            )
        ]
    x = sg.cast(m.value("f"), "float64")
    return [(sg.logsumexp(x, axes, keepdims=keep), Note(False, m_bound(m, x) + 12))]


def m_bound(m: Maker, x: Variable) -> float:
    found = m.notes.get(x)
    if found is None and x.owner is not None:
        found = m.notes.get(x.owner.inputs[0])
    return found.bound if found is not None else 1e6


@operation(2)
def product_of(m: Maker) -> Made:
    x = m.value("f")
    # close to one, so that long products stay finite
    return [(sg.prod(sg.tanh(x) * 0.25 + 1, m.axes(x)), Note(False, 1e6))]


@operation(2)
def positions(m: Maker) -> Made:
    x = m.value("biuf", exact=True)
    axis = m.axis(x) if x.ndim and m.chance(0.8) else None
    f = m.pick((sg.argmax, sg.argmin))
    return [(f(x, axis, keepdims=m.chance(0.3)), Note(True, 64.0))]


@operation(2)
def truths(m: Maker) -> Made:
    x = m.value(exact=True)
    f = m.pick((sg.all, sg.any, sg.count_nonzero))
    return [(f(x, m.axes(x)), Note(True, 64.0))]


@operation(4)
def rows(m: Maker) -> Made:
    x = m.value("f", rank=1)
    f = m.pick((sg.nn.softmax, sg.nn.log_softmax, sg.nn.layer_norm))
    axis = -1 if m.chance(0.6) else m.axis(x)
    return [(f(x, axis), Note(False, 2 * m.notes[x].bound + 64))]


@operation(4)
def turned(m: Maker) -> Made:
    x = m.value(rank=2)
    k = int(m.rng.integers(3))
    if k == 0:
        return same(m, sg.transpose(x, [int(a) for a in m.rng.permutation(x.ndim)]), x)
    if k == 1:
        return same(m, sg.swapaxes(x, m.axis(x), m.axis(x)), x)
    return same(m, x.T, x)


@operation(4)
def reshaped(m: Maker) -> Made:
    x = m.value()
    k = int(m.rng.integers(5))
    if k == 0:
        return same(m, sg.expand_dims(x, int(m.rng.integers(-x.ndim - 1, x.ndim + 1))), x)
    if k == 1:
        return same(m, sg.squeeze(x), x)
    if k == 2:
        return same(m, sg.ravel(x), x)
    if k == 3 and x.ndim >= 2:
        s = x.shape
        a = int(m.rng.integers(x.ndim - 1))
        return same(m, x.reshape((*s[:a], s[a] * s[a + 1], *s[a + 2 :])), x)
    return same(m, x.reshape((-1, 1)), x)


@operation(3)
def stretched(m: Maker) -> Made:
    x = m.value()
    if m.chance(0.5):
        return same(m, sg.broadcast_to(x, (m.pick((2, 3)), *x.shape)), x)
    if m.chance(0.5):
        return same(m, sg.tile(x, m.pick((2, 3))), x)
    return same(m, sg.repeat(x, m.pick((2, 3)), m.axis(x) if x.ndim else None), x)


@operation(7)
def sliced(m: Maker) -> Made:
    x = m.value(rank=1)
    key: list[Any] = []
    for size in x.shape:
        k = int(m.rng.integers(7))
        n = m.number(size)
        if k == 0 and n and isinstance(size, int):
            key.append(int(m.rng.integers(-n, n)))
        elif k == 1:
            key.append(slice(m.pick((1, None, 2, -3)), None))
        elif k == 2:
            key.append(slice(None, m.pick((-1, 3, 100)), m.pick((1, 2))))
        elif k == 3:
            key.append(slice(None, None, m.pick((-1, -2, 3))))
        elif k == 4:
            key += [None, slice(None)] if m.chance(0.3) else [slice(None)]
        else:
            key.append(slice(None))
    return same(m, x[tuple(key)], x)


@operation(2)
def flipped(m: Maker) -> Made:
    x = m.value(rank=1)
    return same(m, sg.flip(x, m.axis(x)), x)


@operation(5)
def joined(m: Maker) -> Made:
    x = m.value(rank=1)
    others = [v for v in m.values if v.ndim == x.ndim and v.dtype == x.dtype]
    y = m.pick(others)
    if m.chance(0.3):
        return same(m, sg.stack([x, y], m.axis(x)), x, y)
    parts = [x, y, x] if m.chance(0.3) else [x, y]
    return same(m, sg.concatenate(parts, m.axis(x)), x, y)


@operation(2)
def padded(m: Maker) -> Made:
    x = m.value(rank=1)
    widths = [(int(m.rng.integers(3)), int(m.rng.integers(3))) for _ in range(x.ndim)]
    fill = m.pick((0, 0, 1))
    return same(m, sg.pad(x, widths, constant_values=fill), x)


@operation(2)
def parted(m: Maker) -> Made:
    x = m.value(rank=1)
    cut = m.pick((1, 2))
    parts = sg.split(x, [cut], m.axis(x))
    return [pair for p in parts for pair in same(m, p, x)]


@operation(5)
def gathered(m: Maker) -> Made:
    x, i = m.value(rank=1), m.value("i")
    axis = int(m.rng.integers(x.ndim))
    n = x.shape[axis]
    at = i % n if m.chance(0.97) else i
    if m.chance(0.5):
        return same(m, sg.take(x, at, axis), x)
    return same(m, x[(slice(None),) * axis + (at,)], x)


@operation(2)
def along(m: Maker) -> Made:
    x, i = m.value(rank=1), m.value("i", rank=1)
    axis = m.axis(x)
    return same(m, sg.take_along_axis(x, i % x.shape[axis], axis), x)


@operation(3)
def written(m: Maker) -> Made:
    x = m.value("if", rank=1)
    v = m.value("if")
    n = x.shape[0]
    b = m.notes[x].bound + m.notes[v].bound * 64
    if m.chance(0.5):
        i = m.value("i")
        places = x.at[i % n]
    else:
        places = x.at[m.pick((slice(1, None), slice(None, None, 2), slice(None, -1)))]
    v = (
        sg.cast(v, x.dtype)
        if not dtypes.is_float(v.dtype) or dtypes.is_float(x.dtype)
        else x[:1].sum()
    )
    noted = m.notes.get(v, m.notes[x])
    f = places.add if m.chance(0.5) else places.set
    return [(f(v), Note(m.notes[x].exact and noted.exact, b))]


@operation(3)
def running(m: Maker) -> Made:
    x = m.value("biuf", rank=1)
    return same(m, sg.cumsum(x, m.axis(x)), x, bound=m.notes[x].bound * m.elements(x))


@operation(5)
def multiplied(m: Maker) -> Made:
    x = m.value("iuf", rank=1)
    y = m.value("iuf", rank=1)
    if m.chance(0.5):
        x = x.T
    if m.chance(0.5):
        y = y.mT if y.ndim > 1 else y
    bound = m_bound(m, x) * m_bound(m, y) * 64
    return [(sg.matmul(x, y), Note(dtypes.is_int(x.dtype) and dtypes.is_int(y.dtype), bound))]


@operation(2)
def triangle(m: Maker) -> Made:
    x = m.value(rank=2)
    f = m.pick((sg.tril, sg.triu))
    if m.chance(0.3):
        return same(m, sg.diagonal(x, m.pick((0, 1, -1))), x)
    return same(m, f(x, m.pick((0, 1, -1))), x)


@operation(3)
def counted(m: Maker) -> Made:
    x = m.value("iuf", rank=1)
    size = m.pick(x.shape)
    if m.chance(0.5):
        y = x * size if m.chance(0.5) else x + size
        return same(m, y, x, bound=40 * (m.notes[x].bound + 40))
    return [(sg.arange(size), Note(True, 64.0))]


@operation(2)
def fixed(m: Maker) -> Made:
    dtype, dims = m.new_type()
    known = tuple(d if isinstance(d, int) else m.pick((1, 2, 3)) for d in dims)
    return [(sg.constant(m.array(dtype, known, True)), Note(True, 4.0))]


@operation(1)
def drawn(m: Maker) -> Made:
    x = m.value()
    key = sg.random.key(int(m.rng.integers(1000)))
    if m.chance(0.5):
        return [(sg.random.uniform(key, x.shape), Note(False, 1.0))]
    return [(sg.random.normal(key, x.shape), Note(False, 8.0))]


@operation(4)
def scanned(m: Maker) -> Made:
    x = m.value("f", rank=1)
    row = x[0] if m.number(x.shape[0]) and isinstance(x.shape[0], int) else None
    start = sg.zeros(x.shape[1:], x.dtype)
    backwards = m.chance(0.3)
    k = int(m.rng.integers(4))
    if k == 0:
        out = sg.scan(lambda r, h: sg.tanh(h * 0.5 + r), [x], [start], go_backwards=backwards)
        return [(out, Note(False, 1.0))]
    if k == 1:
        other = m.value("f")
        step: Any = lambda r, h, o: (sg.sin(h + r), r * 2 + sg.sum(o))
        a, b = sg.scan(step, [x], [start, None], [sg.cast(other, x.dtype)])
        bound = 2 * m.notes[x].bound + m.notes[other].bound * max(1, m.elements(other))
        return [(a, Note(False, 1.0)), (b, Note(False, bound))]
    if k == 2:
        both: Any = lambda r, h, c: (sg.maximum(h, r), c + 1)
        a, b = sg.scan(both, [x], [start, sg.constant(0)], go_backwards=backwards)
        return [*same(m, a, x), (b, Note(True, 64.0))]
    first = row if row is not None else start
    taps: Any = lambda r, q, p: sg.tanh(r + q * 0.5 - p * 0.25)
    init = sg.stack([first, start])
    out = sg.scan(taps, [x], [{"initial": init, "taps": [-1, -2]}])
    return [
        (out[-1] if m.number(x.shape[0]) and isinstance(x.shape[0], int) else out, Note(False, 1.0))
    ]


@operation(3)
def branched(m: Maker) -> Made:
    flag = sg.any(m.value("b")) if m.chance(0.6) else m.value("iuf", exact=True).sum() > 0
    x = m.value("f")
    y = m.pick([v for v in m.values if v.type == x.type])
    b = m.notes[x].bound + m.notes[y].bound
    out = sg.cond(flag, lambda: sg.tanh(x) + y, lambda: x * 2 - sg.sigmoid(y))
    return [(out, Note(False, 2 * b + 1))]


@operation(2)
def derived(m: Maker) -> Made:
    x = m.value("f")
    y = m.value("f")
    if m.notes[y].bound > 100:
        raise NoFit
    g = sg.grad(sg.sum(sg.sin(y)), x)
    return [(g, Note(False, 1e9))]
