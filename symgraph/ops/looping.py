"""Loops and choices beside scan: while_loop, fori_loop, switch, map, reduce, associative_scan.

States of loops are tensors or nests of them (tuples, lists, dicts) and keep their types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, GradientError, RankError, ShapeError
from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, normalize_axis
from symgraph.ops.arithmetic import clip
from symgraph.ops.cast import cast
from symgraph.ops.comparison import logical_and, where
from symgraph.ops.control import (
    Cond,
    Scan,
    check_inside,
    close_over,
    cond,
    is_inside,
    results,
    same_type,
)
from symgraph.ops.creation import iota
from symgraph.ops.data_sizes import size_from
from symgraph.ops.joining import concatenate, stack
from symgraph.ops.nests import flatten
from symgraph.ops.operands import as_variable, traced
from symgraph.ops.scanning import Looping, scan, segment_of
from symgraph.ops.shape import expand_dims, flip, moveaxis, reshape, squeeze
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.sizes import at_least_zero

__all__ = [
    "associative_scan", "foldl", "foldr", "fori_loop", "map", "reduce", "switch", "while_loop",
]  # fmt: skip

Run = Callable[[Graph, Sequence[Any]], Sequence[Any]]


class While(Op):
    """The ``body`` as long as ``test`` gives true, which is asked before each turn.

    Inputs: ``carries`` initial values and constants; both graphs take the carries and the
    constants. The body returns the new carries, the outputs are the last ones. There are at most
    ``most`` turns, by what the test says, when that is not negative.

    The derivative runs the loop once more to count its turns, and is that of a scan of so many. Its
    length is a size that depends on data, which inside of another loop or a choice cannot be: there
    it is that of a scan of ``most`` turns that each ask the test.
    """

    name = "while"
    test: Graph
    body: Graph
    carries: int
    most: int = -1

    def infer(self, *given: TensorType) -> tuple[TensorType, ...]:
        for graph in (self.test, self.body):
            for v, t in zip(graph.inputs, given, strict=True):
                same_type(v.type, t, f"while: {v.label()}")
        (flag,) = self.test.outputs
        same_type(TensorType("bool"), flag.type, "while: the condition")
        for v, o in zip(self.body.inputs[: self.carries], self.body.outputs, strict=True):
            same_type(v.type, o.type, f"while: state {v.label()}")
        check_inside(self.test, self.body)
        return given[: self.carries]

    def reference(self, run: Run, *arrays: Any) -> tuple[Any, ...]:
        state, fixed = list(arrays[: self.carries]), arrays[self.carries :]
        while run(self.test, [*state, *fixed])[0]:
            state = list(run(self.body, [*state, *fixed]))
        return tuple(state)

    def vjp(self, g: Any, y: Any, *inputs: Variable) -> tuple[Any, ...]:
        return self.partial_vjp((True,) * len(inputs), g, y, *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The cotangents of the ``wanted`` inputs: those of a scan that does the same."""
        same = (
            self._bounded()
            if is_inside()
            else Scan(self.body, self.carries, 0, self._count(inputs))
        )
        return same.partial_vjp(wanted, g if isinstance(g, tuple) else (g,), y, *inputs)

    def _count(self, inputs: Sequence[Variable]) -> Size:
        """The number of turns, found by another run."""
        turn = Input(TensorType("int64"))
        test = Graph([turn, *self.test.inputs], self.test.outputs)
        body = Graph([turn, *self.body.inputs], [turn + 1, *self.body.outputs])
        count = results(While(test, body, self.carries + 1), [as_variable(0, "int64"), *inputs])[0]
        return size_from(count)  # type: ignore[no-any-return]

    def _bounded(self) -> Scan:
        """As many turns as there can be, which leave the state as it is once the test is false."""
        if self.most < 0:
            raise GradientError(
                "while_loop: the number of turns is known at run time only, so inside of another "
                "loop or a choice reverse derivatives (grad, vjp, and jvp, which is made of them) "
                "do not pass",
                hint="say how many turns there can be: maximum=100; or use sg.scan, or "
                "sg.fori_loop with sizes as bounds; or sg.stop_gradient",
            )
        inputs = [Input(v.type, v.name) for v in self.body.inputs]
        (asked,) = rebuild(self.test.outputs, dict(zip(self.test.inputs, inputs, strict=True)))
        still = [Input(v.type) for v in inputs]
        choice = Cond(self.body, Graph(still, still[: self.carries]))
        return Scan(Graph(inputs, results(choice, [asked, *inputs])), self.carries, 0, self.most)

    def inner(self) -> tuple[Graph, ...]:
        return (self.test, self.body)


# loops --------------------------------------------------------------------------------------------


def while_loop(
    cond: Callable[[Any], Any], body: Callable[[Any], Any], init: Any, maximum: int | None = None
) -> Any:
    """``state = init; while cond(state): state = body(state)``; returns the last state.

    ``cond`` gives a 0-d tensor, ``body`` a state of the same types. Outer variables that they use
    are found. With ``maximum`` there are never more turns than that. Raises DTypeError or
    ShapeError when the state changes its type.

    Derivatives count the turns by running the loop once more, and keep the state of every turn.
    Inside of another loop or of a branch of :func:`cond` they need ``maximum`` (GradientError
    without), and keep the states of as many turns.

    >>> import symgraph as sg
    >>> sg.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 2), (0, 1))[1].eval().item()
    32
    """
    if maximum is not None:
        return _at_most(maximum, cond, body, init)
    return _while(cond, body, init, -1)


def _at_most(
    maximum: int, cond: Callable[[Any], Any], body: Callable[[Any], Any], init: Any
) -> Any:
    """A while_loop that counts its turns and ends when there have been enough."""
    if isinstance(maximum, bool) or not isinstance(maximum, int) or maximum < 0:
        raise ArgumentError(f"while_loop: maximum is a number of turns, got {maximum!r}")

    def test(state: Any) -> Any:
        asked = as_variable(traced(cond, [state[1]], "while_loop: the condition"))
        return logical_and(asked, state[0] < maximum)

    def turn(state: Any) -> Any:
        return state[0] + 1, traced(body, [state[1]], "while_loop: the body")

    return _while(test, turn, (as_variable(0, "int64"), init), maximum)[1]


def _while(cond: Callable[[Any], Any], body: Callable[[Any], Any], init: Any, most: int) -> Any:
    leaves, pack = flatten(init)
    start = [as_variable(v) for v in leaves]
    own = [Input(v.type, v.name) for v in start]
    flag = as_variable(traced(cond, [pack(own)], "while_loop: the condition"))
    if flag.ndim:
        raise RankError(f"while_loop: the condition is a scalar, got {flag.type.text()}")
    flag = flag if flag.dtype == "bool" else flag != 0
    new = _same_state("while_loop", own, start, traced(body, [pack(own)], "while_loop: the body"))
    captured, inner, outputs = close_over([flag, *new], own)
    inputs = [*own, *inner]
    op = While(Graph(inputs, outputs[:1]), Graph(inputs, outputs[1:]), len(own), most)
    return pack(results(op, [*start, *captured]))


def _same_state(
    what: str, own: Sequence[Variable], start: Sequence[Variable], returned: Any
) -> list[Variable]:
    """The new state as tensors of the types it began with; Python numbers take the old dtype."""
    values, _ = flatten(returned)
    if len(values) != len(own):
        raise ArgumentError(f"{what}: the state has {len(own)} parts, the body gave {len(values)}")
    found = []
    for k, (v, before) in enumerate(zip(values, start, strict=True)):
        weak = type(v) in (bool, int, float)
        new = as_variable(v, before.dtype if weak else None)
        text = f"{what}: state {before.name or k} begins as {before.type.text()}"
        if new.dtype != before.dtype:
            raise DTypeError(
                f"{text}, the body makes it {new.type.text()}", hint="cast one of them"
            )
        differ = any(
            isinstance(m, int) and isinstance(n, int) and m != n
            for m, n in zip(before.shape, new.shape, strict=False)
        )
        if differ or new.ndim != before.ndim:
            raise ShapeError(
                f"{text}, the body makes it {new.type.text()}",
                hint="sg.broadcast_to gives the initial value the full shape",
            )
        found.append(new)
    return found


def fori_loop(
    lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any,
    checkpoint: int | bool = False,
) -> Any:  # fmt: skip
    """``state = init; for i in range(lower, upper): state = body(i, state)``; the last state.

    With bounds that are sizes (ints, ``x.shape[0]``) it is a scan and has derivatives; with bounds
    that are tensors it is a :func:`while_loop`. ``checkpoint``: as for scan.

    >>> import symgraph as sg
    >>> sg.fori_loop(0, 5, lambda i, s: s + i, 0).eval().item()
    10
    """
    if isinstance(lower, Variable) or isinstance(upper, Variable):
        first, last = cast(lower, "int64"), cast(upper, "int64")

        def turn(state: Any) -> Any:
            return state[0] + 1, body(state[0], state[1])

        return while_loop(lambda s: s[0] < last, turn, (first, init))[1]
    for bound in (lower, upper):
        if isinstance(bound, float):
            what = f"fori_loop: a bound is an integer, a size or a tensor, not {bound}"
            raise ArgumentError(what, hint="write n // 2 for a whole number")
    length = at_least_zero(as_size(as_expr(upper) - lower))
    leaves, pack = flatten(init)
    start = [as_variable(v) for v in leaves]
    own = [Input(v.type, v.name) for v in start]
    row = Input(TensorType("int64"), "i")
    new = _same_state("fori_loop", own, start, body(row if lower == 0 else row + lower, pack(own)))
    captured, inner, outputs = close_over(new, [*own, row])
    loop = Looping(
        Graph([*own, row, *inner], outputs), start, [iota(length)], captured, length,
        segment=segment_of(checkpoint, length),
    )  # fmt: skip
    return pack(loop.run()[0])


# choice -------------------------------------------------------------------------------------------


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """The branch of that number, called with the operands; only this one is computed. A number out
    of range means the nearest branch.

    ``branches`` is a sequence of functions or expressions, as for :func:`cond`. When it is a tensor
    this is Theano's ``switch(condition, a, b)``, which chooses elements: sg.where.

    >>> import symgraph as sg
    >>> i = sg.scalar("i", dtype="int64")
    >>> sg.switch(i, [lambda x: x, lambda x: x * 2, lambda x: -x], 5).eval({i: 2}).item()
    -5
    """
    if not isinstance(branches, tuple | list) or (
        len(operands) == 1 and not any(builtin_callable(b) for b in branches)
    ):
        return where(index, branches, *operands)
    if not branches:
        raise ArgumentError("switch: there is no branch")
    place = as_variable(index)
    if dtypes.is_float(place.dtype) or place.ndim:
        raise DTypeError(f"switch: the index is a 0-d integer, not {place.type.text()}")
    place = clip(cast(place, "int64"), 0, len(branches) - 1)
    operands = tuple(as_variable(v) for v in operands)
    values = [b(*operands) if builtin_callable(b) else b for b in branches]

    def choose(first: int, last: int) -> Any:
        if last - first == 1:
            return values[first]
        middle = (first + last) // 2
        return cond(place < middle, choose(first, middle), choose(middle, last))

    return choose(0, len(values))


def builtin_callable(value: Any) -> bool:
    """Whether a branch is a function, not an expression."""
    return callable(value) and not isinstance(value, Variable)


# scan's simpler forms -----------------------------------------------------------------------------


def map(
    fn: Callable[..., Any], sequences: Any, non_sequences: Any = None, go_backwards: bool = False,
    truncate_gradient: int = -1,
) -> Any:  # fmt: skip
    """``fn(*rows, *non_sequences)`` for every row of the sequences, stacked: a scan without state.
    :func:`vmap` does the same for all rows at once.

    >>> import symgraph as sg
    >>> sg.map(lambda row: row.sum(), sg.constant([[1, 2], [3, 4]])).eval().tolist()
    [3, 7]
    """
    return scan(
        fn, sequences, None, non_sequences, go_backwards=go_backwards,
        truncate_gradient=truncate_gradient,
    )  # fmt: skip


def reduce(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None,
    go_backwards: bool = False, checkpoint: int | bool = False,
) -> Any:  # fmt: skip
    """The last state of ``state = fn(*rows, *state, *non_sequences)``, which begins as
    ``outputs_info``: one tensor or a list. Nothing is kept of the states before, or what
    ``checkpoint`` says when it is differentiated: as for scan.

    >>> import symgraph as sg
    >>> sg.reduce(lambda x, s: s * 10 + x, sg.constant([1, 2, 3]), sg.constant(0)).eval().item()
    123
    """
    given = sequences if isinstance(sequences, tuple | list) else [sequences]
    rows = [as_variable(v) for v in given]
    if any(r.ndim == 0 for r in rows) or not rows:
        raise ShapeError("reduce: a sequence is a scalar, or there is none")
    rows = [flip(r, 0) for r in rows] if go_backwards else rows
    single = not isinstance(outputs_info, tuple | list)
    start = [as_variable(v) for v in ([outputs_info] if single else outputs_info)]
    own = [Input(v.type, v.name) for v in start]
    inner = [Input(r.type.with_shape(r.shape[1:])) for r in rows]
    fixed = [] if non_sequences is None else non_sequences
    fixed = [as_variable(v) for v in (fixed if isinstance(fixed, tuple | list) else [fixed])]
    new = _same_state(
        "reduce", own, start, traced(fn, [*inner, *own, *fixed], "reduce: the function")
    )
    captured, names, outputs = close_over(new, [*own, *inner])
    length = rows[0].shape[0]
    body = Graph([*own, *inner, *names], outputs)
    segment = segment_of(checkpoint, length)
    finals, _ = Looping(body, start, rows, captured, length, segment=segment).run()
    return finals[0] if single else finals


def foldl(fn: Callable[..., Any], sequences: Any, outputs_info: Any, **options: Any) -> Any:
    """:func:`reduce` from the first row to the last.

    >>> import symgraph as sg
    >>> sg.foldl(lambda x, s: s - x, sg.constant([1, 2]), sg.constant(0)).eval().item()
    -3
    """
    return reduce(fn, sequences, outputs_info, **options)


def foldr(fn: Callable[..., Any], sequences: Any, outputs_info: Any, **options: Any) -> Any:
    """:func:`reduce` from the last row to the first.

    >>> import symgraph as sg
    >>> sg.foldr(lambda x, s: s * 10 + x, sg.constant([1, 2]), sg.constant(0)).eval().item()
    21
    """
    return reduce(fn, sequences, outputs_info, go_backwards=True, **options)


# associative scan ---------------------------------------------------------------------------------


def associative_scan(
    fn: Callable[[Any, Any], Any], elements: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """Running combinations ``e0, fn(e0, e1), fn(fn(e0, e1), e2), ...`` along an axis by a function
    that is associative, in a number of steps that grows with the logarithm of the size.

    ``elements`` is a tensor or a nest of tensors, and ``fn`` combines two nests of slices element
    by element along the axis. A size that is a name gives a loop instead, one step for each
    element. Source: Blelloch, "Prefix sums and their applications", 1990.

    >>> import symgraph as sg
    >>> sg.associative_scan(lambda a, b: a * b, sg.constant([1, 2, 3, 4])).eval().tolist()
    [1, 2, 6, 24]
    """
    leaves, pack = flatten(elements)
    xs = [as_variable(v) for v in leaves]
    if not xs or any(x.ndim == 0 for x in xs):
        raise ShapeError("associative_scan: an element is a scalar, or there is none")
    places = [normalize_axis(axis, x.ndim, "associative_scan: axis") for x in xs]
    xs = [moveaxis(x, k, 0) for x, k in zip(xs, places, strict=True)]
    xs = [flip(x, 0) for x in xs] if reverse else xs

    def combine(a: Sequence[Variable], b: Sequence[Variable]) -> list[Variable]:
        pairs = [[moveaxis(v, 0, k) for v, k in zip(s, places, strict=True)] for s in (a, b)]
        out, _ = flatten(fn(pack(pairs[0]), pack(pairs[1])))
        return [moveaxis(as_variable(v), k, 0) for v, k in zip(out, places, strict=True)]

    n = xs[0].shape[0]
    ys = _sequential(combine, xs) if isinstance(n, Expr) else _doubling(combine, xs, n)
    ys = [flip(y, 0) for y in ys] if reverse else ys
    return pack([moveaxis(y, 0, k) for y, k in zip(ys, places, strict=True)])


Combine = Callable[[Sequence[Variable], Sequence[Variable]], list[Variable]]


def _doubling(combine: Combine, xs: list[Variable], n: int) -> list[Variable]:
    """Pairs of neighbours are combined and scanned: these are the results at odd places; those at
    even places are one combination further."""
    if n < 2:
        return xs
    halves = combine([x[0 : n - 1 : 2] for x in xs], [x[1::2] for x in xs])
    odd = _doubling(combine, halves, n // 2)
    if n == 2:
        return [concatenate([x[:1], o]) for x, o in zip(xs, odd, strict=True)]
    count = (n - 1) // 2
    even = combine([o[:count] for o in odd], [x[2::2] for x in xs])
    even = [concatenate([x[:1], e]) for x, e in zip(xs, even, strict=True)]
    return [_interleaved(e, o, n) for e, o in zip(even, odd, strict=True)]


def _interleaved(even: Variable, odd: Variable, n: int) -> Variable:
    half = n // 2
    both = reshape(stack([even[:half], odd], 1), (2 * half, *even.shape[1:]))
    return both if n % 2 == 0 else concatenate([both, even[half:]])


def _sequential(combine: Combine, xs: list[Variable]) -> list[Variable]:
    """The same by a loop over the rows after the first."""

    def step(*values: Variable) -> list[Variable]:
        rows = [expand_dims(v, 0) for v in values]
        return [squeeze(v, 0) for v in combine(rows[len(xs) :], rows[: len(xs)])]

    rest = scan(step, [x[1:] for x in xs], [x[0] for x in xs])
    rest = rest if isinstance(rest, list) else [rest]
    sizes: list[Size] = [x.shape[0] for x in xs]
    joined = [concatenate([x[:1], r]) for x, r in zip(xs, rest, strict=True)]
    return [reshape(y, (n, *y.shape[1:])) for y, n in zip(joined, sizes, strict=True)]
