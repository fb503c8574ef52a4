"""Ways to grow a graph by single elements: the rows of the registry, casts, constants, sizes."""

from __future__ import annotations

import math
from typing import Any

import symgraph as sg
from symgraph import dtypes, stages
from symgraph.ir.graph import Variable
from symgraph.ir.op import OPS
from symgraph.ops.elementwise import Elementwise
from tests.fuzz.maker import DTYPES, Hand, NoFit, operation


def rows() -> list[Elementwise]:
    """All rows but the random words, whose operands only ops.random makes, in a fixed order."""
    _ = sg.exp, stages  # the public names are loaded by the first that is asked for, rules' rows
    found = [r for _, r in sorted(OPS.items()) if isinstance(r, Elementwise)]
    ours = [r for r in found if r.home.startswith("symgraph.")]
    return [r for r in ours if not r.name.startswith("philox")]


ROWS = rows()
COMMON = [OPS[n] for n in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "where",
    "tanh", "sin", "exp", "less", "negative", "absolute", "square", "power", "sqrt")]  # fmt: skip


@operation(16)
def element(m: Hand) -> Any:
    """A row over values, some of them Python numbers or squeezed into its domain."""
    row = m.pick(COMMON) if m.chance(0.4) else m.pick(ROWS)
    several = isinstance(row.domain[0], tuple)
    domains = row.domain if several else (row.domain,) * row.arity
    operands: list[Any] = [operand(m, d) for d in domains]
    if row.arity > 1 and m.chance(0.15):
        k = m.count(0, row.arity - 1)
        other = operands[k - 1]
        operands[k] = m.scalar(other.dtype) if isinstance(other, Variable) else operands[k]
    if row.arity > 1 and m.chance(0.08):
        operands[-1] = operands[-2]
    return row(*operands)


def operand(m: Hand, domain: Any) -> Any:
    low, high = domain
    x = m.value()
    if (low, high) == (-3, 3) or m.chance(0.25):
        return x
    return squeezed(x, float(low), float(high))


def squeezed(x: Variable, low: float, high: float) -> Variable:
    """A value between the bounds that still depends on x."""
    if dtypes.is_float(x.dtype):
        return sg.sigmoid(x) * (high - low) + low
    if dtypes.is_int(x.dtype):
        span = max(1, math.floor(high) - math.ceil(low) + 1)
        room = min(span, int(dtypes.max_value(x.dtype)))
        return x % room + (math.ceil(low) if dtypes.kind(x.dtype) == "i" else 0)
    return x


@operation(5)
def arithmetic(m: Hand) -> Any:
    """Two values in a usual expression, which the rules of the passes know."""
    x, y = m.value("biuf"), m.value("biuf")
    k = m.pick((1, 2, 3, 0.5, -1, 0))
    builds = (
        lambda: x + y * k, lambda: (x - y) - x, lambda: -(x - y), lambda: x * y + x,
        lambda: sg.log(1 + sg.exp(x)), lambda: sg.log(sg.sum(sg.exp(x), -1)),
        lambda: sg.exp(x) / (1 + sg.exp(x)), lambda: 1 / (1 + sg.exp(-x)), lambda: x**2 + y**2,
        lambda: sg.sqrt(x * x), lambda: (x + 1) - 1, lambda: x * 2 * 3, lambda: x / 4,
        lambda: sg.where(x > y, x, y), lambda: ~(x < y), lambda: abs(-x), lambda: x / x,
        lambda: sg.exp(x) - 1, lambda: sg.log(sg.abs(x) + 1), lambda: x**3,
        lambda: x ** m.pick((0, 1, 4, 0.5)), lambda: sg.where(sg.isnan(x), 0, x),
        lambda: 1 - sg.sigmoid(x), lambda: sg.log(sg.sigmoid(x)),
        lambda: sg.minimum(sg.maximum(x, -1), 1), lambda: sg.cast(x, "bool") & (y != 0),
    )  # fmt: skip
    return m.pick(builds)()


@operation(3)
def converted(m: Hand) -> Any:
    to = m.pick(DTYPES)
    x = m.value()
    if m.depth and dtypes.is_float(x.dtype) and dtypes.is_int(to):
        x = sg.sigmoid(x) * 9
    return sg.cast(x, to)


@operation(3)
def compared(m: Hand) -> Any:
    x, y = m.round(), m.round()
    return m.pick((sg.less, sg.less_equal, sg.equal, sg.not_equal, sg.greater, sg.greater_equal))(
        x, y
    )


@operation(2)
def jumped(m: Hand) -> Any:
    x = m.round("f")
    f = m.pick((sg.floor, sg.ceil, sg.trunc, sg.rint, sg.sign, sg.round))
    return f(m.pick((x, x / 2, x * 0.5, x + 0.25)))


@operation(2)
def counted(m: Hand) -> Any:
    """A size as a number."""
    x = m.value("iuf", rank=1)
    size = m.pick(x.shape)
    k = m.count(0, 3)
    if k == 0:
        return x * size
    if k == 1:
        return x + size
    return sg.arange(size) if k == 2 else sg.arange(size - 1, -1, -1)


@operation(2, inside=False)
def fixed(m: Any) -> Any:
    """A constant: small, large (kept as data), of one repeated number, of none."""
    dtype, dims = m.new_type()
    known = tuple(d if isinstance(d, int) else m.pick((0, 1, 2, 3, m.sizes[d])) for d in dims)
    if m.chance(0.15):
        known = m.pick(((40, 30), (700,), (1, 600)))
    array = m.array(dtype, known)
    if m.chance(0.2) and array.size:
        array[...] = array.reshape(-1)[0]
    return sg.constant(array)


@operation(1)
def drawn(m: Hand) -> Any:
    key = sg.random.key(m.count(0, 1000))
    shape = m.value(most=3).shape
    if m.chance(0.3):
        key = sg.random.fold_in(key, m.value("iu", most=0))
    return m.pick((sg.random.uniform, sg.random.normal))(key, shape)


@operation(1)
def sampled(m: Hand) -> Any:
    """Any other distribution of sg.random that needs only a shape."""
    names = [n for n in ("bernoulli", "exponential", "laplace", "gumbel", "logistic", "cauchy")
             if hasattr(sg.random, n)]  # fmt: skip
    if not names:
        raise NoFit
    draw = getattr(sg.random, m.pick(names))
    try:
        return draw(sg.random.key(m.count(0, 1000)), shape=m.value(most=3).shape)
    except TypeError:
        raise NoFit from None
