"""What all distributions share: shapes and dtypes of draws, checks of parameters, rejection.

A sampler that may reject computes in float64 whatever the dtype of its result: an acceptance that
hangs on the last bit of a logarithm, where NumPy's and a target's may differ, is then practically
never met, and all ways to run a draw accept the same candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, ShapeError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.types import Shape, Size, TensorType, broadcast_shapes
from symgraph.loops.compute import elements
from symgraph.ops.cast import cast
from symgraph.ops.comparison import less, less_equal, logical_and, logical_not, where
from symgraph.ops.creation import iota, tensor
from symgraph.ops.cumulative import cumsum
from symgraph.ops.gathering import scatter
from symgraph.ops.indexing import take
from symgraph.ops.joining import part_of
from symgraph.ops.looping import while_loop
from symgraph.ops.operands import as_variable
from symgraph.ops.random_bits import Source, position_words, source
from symgraph.ops.reductions import any as any_of
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.shape import broadcast_to, reshape
from symgraph.ops.slicing import zeros
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size

__all__: list[str] = []

NAN = float("nan")
POSITIVE = (lambda v: v > 0, "not positive")
NOT_NEGATIVE = (lambda v: v >= 0, "negative")
PROBABILITY = (lambda v: (v >= 0) & (v <= 1), "no probability")
NONZERO_PROBABILITY = (lambda v: (v > 0) & (v <= 1), "not in (0, 1]")


class Draw(NamedTuple):
    """One call of a distribution: the words of its elements, its shape, the dtype computed in and
    the parameters in it (Python numbers stay such)."""

    name: str
    words: Source
    shape: Shape
    kind: str
    dtype: str
    values: tuple[Any, ...]

    def full(self, value: Any, dtype: str | None = None) -> Variable:
        """A parameter as a tensor of the shape of the draw."""
        return broadcast_to(cast(as_variable(value), dtype or self.kind), self.shape)

    def result(self, value: Any) -> Variable:
        """The draw in its dtype and shape."""
        return cast(value, self.dtype)


def draw(
    name: str, key: Any, shape: Any, size: Any, dtype: Any, params: dict[str, Any],
    rules: dict[str, Any] | None = None, kind: str | None = None,
) -> Draw:  # fmt: skip
    """Read the arguments of a distribution of floats. ``rules`` say what parameters must be.

    Raises DTypeError, ShapeError, ArgumentError.
    """
    wanted = dtypes.as_dtype(dtype)
    if not dtypes.is_float(wanted):
        raise DTypeError(f"random.{name} draws floats, not {wanted}")
    work = kind or ("float64" if wanted == "float64" else "float32")
    values = _parameters(name, params, rules or {}, work)
    full = drawn_shape(name, shape, size, params, values)
    return Draw(name, source(key, full), full, work, wanted, values)


def counted(
    name: str, key: Any, shape: Any, size: Any, dtype: Any, params: dict[str, Any],
    rules: dict[str, Any],
) -> Draw:  # fmt: skip
    """Read the arguments of a distribution of integers, as :func:`draw`; parameters are float64."""
    wanted = dtypes.as_dtype(dtype)
    if dtypes.kind(wanted) not in "if":
        raise DTypeError(f"random.{name} draws signed integers (or floats), not {wanted}")
    values = _parameters(name, params, rules, "float64")
    full = drawn_shape(name, shape, size, params, values)
    return Draw(name, source(key, full), full, "float64", wanted, values)


def drawn_shape(
    name: str, shape: Any, size: Any, params: Any = (), values: Sequence[Any] = ()
) -> Shape:
    """The shape of a draw: as given, or what the parameters broadcast to."""
    if shape is not None and size is not None:
        raise ArgumentError(f"random.{name}: shape and size are two names of one argument")
    shape = size if shape is None else shape
    own = [v.shape for v in values if isinstance(v, Variable) and v.ndim]
    if shape is None:
        return broadcast_shapes(*own, what=f"random.{name}: sizes of parameters differ")
    full = tensor(None, "bool", shape).shape
    if not own:
        return full
    both = broadcast_shapes(full, *own, what=f"random.{name}: sizes of shape and parameters differ")
    stretched = [_is(n, 1) and not _is(m, 1) for n, m in zip(full, both, strict=False)]
    if len(both) != len(full) or True in stretched:
        raise ShapeError(
            f"random.{name}: parameters of shape {_text(both)} do not fit into the shape "
            f"{_text(full)}",
            hint="give the whole shape of the draw, or none: then the parameters say it",
        )
    return full


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _is(value: Any, number: float) -> bool:
    return isinstance(value, int | float) and value == number


# parameters ---------------------------------------------------------------------------------------


def _parameters(
    name: str, params: dict[str, Any], rules: dict[str, Any], kind: str
) -> tuple[Any, ...]:
    return tuple(
        parameter(name, label, value, rules.get(label), kind) for label, value in params.items()
    )


def parameter(name: str, label: str, value: Any, rule: Any, kind: str) -> Any:
    """A parameter in the dtype: constants are checked now (ArgumentError), elements of tensors that
    break the rule become NaN when the function runs."""
    if isinstance(value, int | float | np.number) and not isinstance(value, np.ndarray):
        value = float(value)
        _check(name, label, value, rule)
        return value
    found = as_variable(value)
    if dtypes.is_complex(found.dtype):
        raise DTypeError(f"random.{name}: {label} is {found.type.text()}, not real")
    if isinstance(found, Constant):
        _check(name, label, found.data, rule)
        return cast(found, kind)
    found = cast(found, kind)
    return where(rule[0](found), found, NAN) if rule else found


def _check(name: str, label: str, value: Any, rule: Any) -> None:
    if rule is None:
        return
    with np.errstate(invalid="ignore"):
        bad = np.asarray(value)[~np.asarray(rule[0](np.asarray(value)))]
    if bad.size:
        raise ArgumentError(f"random.{name}: {label} is {rule[1]}: {bad.flat[0]}")


def known(v: Variable) -> Any:
    """The elements of a parameter that is a constant, spread or not; else None."""
    while v.owner is not None and v.owner.op.name == "broadcast_to":
        v = v.owner.inputs[0]
    return v.data if isinstance(v, Constant) else None


def located(z: Variable, loc: Any, scale: Any) -> Variable:
    """loc + scale * z."""
    z = z if _is(scale, 1) else z * scale
    return z if _is(loc, 0) else z + loc


# rejection ----------------------------------------------------------------------------------------

Propose = Callable[..., tuple[Variable, Variable]]
FEW = 512  # elements for which it does not pay to gather those that were rejected


def accepted(
    d: Draw, words: Source, propose: Propose, params: Sequence[Any], valid: Any, share: int = 8
) -> Variable:
    """For each element the first candidate that is accepted; 0 where not ``valid``.

    ``propose(words, *params)`` gives float64 candidates and whether each is accepted; attempt t of
    an element reads block t of its words, so that no element depends on another. After the first
    attempt the elements that are left are gathered, up to one in ``share`` at a time, and tried on
    their own.
    """
    count = elements(d.shape)
    start = (zeros(TensorType("float64", d.shape)), d.full(valid, "bool"))
    if isinstance(count, int) and count <= FEW:
        return _tried(words, propose, params, *start, first=0)
    room = as_size(as_expr(count) // share + 64)
    flat = [reshape(d.full(p, "float64"), (count,)) for p in params]

    def body(state: Any) -> Any:
        value, pending = state
        found, good = propose(words.at(0), *params)
        value = where(logical_and(pending, good), found, value)
        left = reshape(logical_and(pending, logical_not(good)), (count,))
        rank = cumsum(cast(left, "int64"))
        taken = logical_and(left, less_equal(rank, room))
        slot = where(taken, rank - 1, room)
        gathered = _written(zeros(TensorType("int64", (as_size(as_expr(room) + 1),))), slot, count)
        busy = less(iota(room), sum_of(cast(left, "int64")))
        place = where(busy, part_of(gathered, 0, 0, room), 0)
        low, high = position_words(place, count)
        some = [take(p, place, 0, "clip") for p in flat]
        nothing = zeros(TensorType("float64", (room,)))
        found = _tried(words._replace(low=low, high=high), propose, some, nothing, busy, first=1)
        value = scatter("add", (0,), reshape(value, (count,)), found, [place])
        left = logical_and(left, logical_not(taken))
        return reshape(value, d.shape), reshape(left, d.shape)

    return while_loop(lambda state: any_of(state[1]), body, start)[0]  # type: ignore[no-any-return]


def _written(x: Variable, slot: Variable, count: Size) -> Variable:
    """x with each position below ``count`` written into its slot."""
    return scatter("set", (0,), x, iota(count), [slot])


def _tried(
    words: Source, propose: Propose, params: Sequence[Any], value: Variable, pending: Variable,
    first: int,
) -> Variable:  # fmt: skip
    """Attempts from number ``first`` on until no element is pending."""

    def body(state: Any) -> Any:
        turn, value, pending = state
        found, good = propose(words.at(turn), *params)
        good = logical_and(pending, good)
        return turn + 1, where(good, found, value), logical_and(pending, logical_not(good))

    start = (as_variable(first, "uint32"), value, pending)
    return while_loop(lambda state: any_of(state[2]), body, start)[1]  # type: ignore[no-any-return]
