"""The floating point operations of a compiled program, counted on its loops.

A node of a kernel's expressions counts once for each turn of the loops on which it depends (what
does not change in a loop is computed before it), a fold once more for each turn, a library call by
the textbook formula of its algorithm. Additions, products, quotients, comparisons and choices of
floats count 1, square roots too, transcendental functions 10. Integers and memory are free.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from symgraph import dtypes
from symgraph.loops.program import Branch, Buffer, Call, Loop, Program, Run
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Stmt, Store, walk
from symgraph.scalar import Expr, evaluate_size, postorder, variables

TRANSCENDENTAL = 10
_FREE = frozenset("const var load load_if cast bitcast isnan isinf isfinite real imag".split())
_CHEAP = frozenset(
    """add sub mul div neg abs minimum maximum fma sign copysign lt le eq ne and or xor not floor
    ceil trunc rint sqrt select mod floordiv complex conj""".split()
)


def program_cost(program: Program) -> float:
    """Operations of one run; a loop runs to its end, a branch costs the dearer side."""
    total = 0.0
    for step in program.steps:
        match step:
            case Run():
                total += kernel_cost(step.kernel)
            case Call():
                total += call_cost(step, program.buffers)
            case Loop():
                total += _size(step.length) * program_cost(step.body)
            case Branch():
                total += max(program_cost(step.then), program_cost(step.otherwise))
    return total


def _size(n: Any) -> int:
    return evaluate_size(n, {})


def kernel_cost(kernel: Kernel) -> float:
    """Operations of one run of a kernel whose sizes are all known."""
    return _Counter(kernel).total


class _Counter:
    """``turns[d]`` is how often a body at depth d runs, ``level`` at which depth a name is bound,
    ``done[d]`` what has been computed in the present body at depth d."""

    def __init__(self, kernel: Kernel) -> None:
        self.stored = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
        self.total, self.turns = 0.0, [1.0]
        self.extents: dict[str, float] = {}
        self.level: dict[Expr, int] = {}
        self.done: list[set[Expr]] = [set()]
        self._body(kernel.body)

    def _body(self, body: tuple[Stmt, ...]) -> None:
        for s in body:
            match s:
                case For():
                    self._loop(s)
                case Fold():
                    self._loop(s)
                    once = self.turns[-1] * self._extent(s.extent)
                    combines = s.combiner != "next" and dtypes.is_float(s.values[0].dtype)
                    self.total += once if combines else 0
                    self.level.update(dict.fromkeys(s.names, len(self.turns) - 1))
                case Let():
                    self._value(s.value)
                    self.level[s.name] = len(self.turns) - 1
                case If():
                    self._value(s.cond)
                    self._body(s.body)
                case Store():
                    self._value(s.value)

    def _extent(self, extent: Any) -> float:
        """The turns of a loop, on the average where they depend on those around it (tiles)."""
        outer = [v for v in (variables(extent) if isinstance(extent, Expr) else ())
                 if v.attr in self.extents]  # fmt: skip
        if not outer:
            return _size(extent)
        ranges = [range(max(1, round(self.extents[v.attr]))) for v in outer]
        names = [v.attr for v in outer]
        found = [evaluate_size(extent, dict(zip(names, at, strict=True)))
                 for at in itertools.product(*ranges)]  # fmt: skip
        return sum(found) / len(found)

    def _loop(self, s: For | Fold) -> None:
        turns = self._extent(s.extent)
        self.extents[s.index.attr] = turns
        self.turns.append(self.turns[-1] * turns)
        self.done.append(set())
        self.level[s.index] = len(self.turns) - 1
        if isinstance(s, Fold) and s.combiner == "next":
            self.level.update(dict.fromkeys(s.names, len(self.turns) - 1))
        self._body(s.body)
        for v in s.values if isinstance(s, Fold) else ():
            self._value(v)
        self.turns.pop()
        self.done.pop()

    def _value(self, root: Expr) -> None:
        found: dict[Expr, int] = {}
        for e in postorder([root]):
            depth = max((found[a] for a in e.args), default=self.level.get(e, 0))
            if e.op in ("load", "load_if") and e.attr in self.stored:
                depth = len(self.turns) - 1
            found[e] = depth
            if e not in self.done[depth]:
                self.done[depth].add(e)
                self.total += self.turns[depth] * _weight(e)


def _weight(e: Expr) -> int:
    if e.op in _FREE or not any(dtypes.is_float(a.dtype) for a in e.args):
        return 0
    if e.op in _CHEAP:
        return 2 if e.op == "fma" else 1
    return TRANSCENDENTAL


def call_cost(step: Call, buffers: dict[str, Buffer]) -> float:
    """Operations of a library call; a callback to NumPy counts as a function of each element."""
    shapes = [tuple(_size(n) for n in buffers[b].shape) for b in step.buffers]
    params = dict(step.params)
    if step.routine == "matmul":
        k = shapes[0][-2 if params["ta"] else -1]
        return 2.0 * math.prod(shapes[2]) * k
    if step.routine == "sort":
        return math.prod(shapes[0]) * math.log2(max(shapes[0][-1], 2))
    if step.routine == "lapack":
        return _lapack(str(params["name"]), shapes)
    return float(TRANSCENDENTAL * max(map(math.prod, shapes)))


def _lapack(name: str, shapes: list[tuple[int, ...]]) -> float:
    batch, (m, n) = math.prod(shapes[0][:-2]), shapes[0][-2:]
    cube = float(batch) * min(m, n) ** 2 * max(m, n)
    factors = {"potrf": 1 / 3, "getrf": 2 / 3, "syevd": 9.0, "heevd": 9.0, "gesdd": 20.0,
               "geqrf": 4 / 3, "orgqr": 4 / 3, "potri": 2 / 3, "getri": 4 / 3,
               "cholesky_pull": 2 / 3, "cholesky_push": 2 / 3, "lower_product": 2 / 3,
               "lu_pull": 4 / 3, "lu_push": 4 / 3}  # fmt: skip
    if name in factors:
        return cube * factors[name]
    turns = 1 if name == "trsm" else 2  # of the triangle: getrs and potrs solve twice
    return float(batch) * n * n * turns * shapes[1][-1] if len(shapes) > 1 and shapes[1] else cube
