"""Ways to grow a graph by whole arrays: reductions, views, indices, products."""

from __future__ import annotations

from typing import Any

import symgraph as sg
from symgraph import dtypes
from symgraph.ir.graph import Variable
from tests.fuzz.maker import Hand, NoFit, operation


@operation(8)
def reduced(m: Hand) -> Any:
    x = m.value()
    axes, keep = m.axes(x), m.chance(0.4)
    f = m.pick((sg.sum, sg.sum, sg.sum, sg.mean, sg.max, sg.min, sg.var, sg.std, sg.all, sg.any,
                sg.logsumexp, sg.count_nonzero, sg.prod))  # fmt: skip
    if f is sg.prod and dtypes.is_float(x.dtype):
        x = sg.tanh(x) * 0.25 + 1  # close to one, so that long products stay finite
    if f is sg.count_nonzero:
        return f(x, axes)
    return f(x, axes, keepdims=keep)


@operation(2)
def positions(m: Hand) -> Any:
    x = m.round("biuf")
    axis = m.axis(x) if x.ndim and m.chance(0.8) else None
    return m.pick((sg.argmax, sg.argmin))(x, axis, keepdims=m.chance(0.3))


@operation(3)
def normalized(m: Hand) -> Any:
    x = m.value("f", rank=1)
    f = m.pick((sg.nn.softmax, sg.nn.log_softmax, sg.nn.layer_norm))
    return f(x, -1 if m.chance(0.6) else m.axis(x))


@operation(4)
def turned(m: Hand) -> Any:
    x = m.value(rank=2)
    k = m.count(0, 3)
    if k == 0:
        return sg.transpose(x, [int(a) for a in m.rng.permutation(x.ndim)])
    if k == 1:
        return sg.swapaxes(x, m.axis(x), m.axis(x))
    return x.T if k == 2 else sg.moveaxis(x, m.axis(x), m.axis(x))


@operation(4)
def reshaped(m: Hand) -> Any:
    x = m.value()
    k = m.count(0, 5)
    if k == 0:
        return sg.expand_dims(x, m.count(-x.ndim - 1, x.ndim))
    if k == 1:
        return sg.squeeze(x)
    if k == 2:
        return sg.ravel(x)
    if k == 3 and x.ndim >= 2:
        s, a = x.shape, m.count(0, x.ndim - 2)
        return x.reshape((*s[:a], s[a] * s[a + 1], *s[a + 2 :]))
    if k == 4 and x.ndim:
        s, a = x.shape, m.count(0, x.ndim - 1)
        return x.reshape((*s[:a], 2, s[a] // 2, *s[a + 1 :]))
    return x.reshape((-1, 1))


@operation(3)
def stretched(m: Hand) -> Any:
    x = m.value(most=4)
    k = m.count(0, 3)
    if k == 0:
        return sg.broadcast_to(x, (m.pick((1, 2, 3)), *x.shape))
    if k == 1:
        return sg.tile(x, m.pick((2, 3, (2, 1), 0)))
    if k == 2:
        y = m.value(most=3)
        return sg.broadcast_to(x, y.shape)
    return sg.repeat(x, m.pick((0, 1, 2, 3)), m.axis(x) if x.ndim else None)


def basic_key(m: Hand, x: Variable) -> tuple[Any, ...]:
    """Integers, slices of all steps, None and an ellipsis."""
    key: list[Any] = []
    for size in x.shape:
        k = m.count(0, 7)
        if k == 0 and isinstance(size, int) and size:
            key.append(m.count(-size, size - 1))
        elif k == 1:
            key.append(slice(m.pick((1, None, 2, -3)), None))
        elif k == 2:
            key.append(slice(None, m.pick((-1, 3, 100, 0)), m.pick((1, 2))))
        elif k == 3:
            key.append(slice(m.pick((None, -2, 5)), m.pick((None, 1)), m.pick((-1, -2))))
        elif k == 4:
            key += [None, slice(None)] if m.chance(0.3) else [slice(None, None, 3)]
        elif k == 5 and Ellipsis not in [e for e in key if e is Ellipsis]:
            key.append(Ellipsis)
            break
        else:
            key.append(slice(None))
    return tuple(key)


@operation(7)
def sliced(m: Hand) -> Any:
    x = m.value(rank=1)
    return x[basic_key(m, x)]


@operation(2)
def flipped(m: Hand) -> Any:
    x = m.value(rank=1)
    if m.chance(0.4):
        return sg.roll(x, m.count(-3, 3), m.pick((None, m.axis(x))))
    return sg.flip(x, m.axis(x))


@operation(5)
def joined(m: Hand) -> Any:
    x = m.value(rank=1, most=4)
    y = m.pick([v for v in m.values if v.ndim == x.ndim])
    if m.chance(0.3):
        return sg.stack([x, y], m.axis(x))
    return sg.concatenate([x, y, x] if m.chance(0.3) else [x, y], m.axis(x))


@operation(2)
def padded(m: Hand) -> Any:
    x = m.value(rank=1, most=3)
    widths = [(m.count(0, 2), m.count(0, 2)) for _ in range(x.ndim)]
    if m.chance(0.5):
        return sg.pad(x, widths, constant_values=m.pick((0, 0, 1)))
    modes = ("edge", "reflect", "symmetric", "wrap")
    return sg.pad(x, widths, mode=m.pick(modes))


@operation(2)
def parted(m: Hand) -> Any:
    x = m.value(rank=1)
    return sg.split(x, [m.pick((0, 1, 2))], m.axis(x))


def places(m: Hand, n: Any) -> Any:
    """Indices into an axis, in range but for a few."""
    i = m.value("iu", most=2)
    return i % n if m.chance(0.95) else i


@operation(5)
def gathered(m: Hand) -> Any:
    x = m.value(rank=1, most=4)
    axis = m.count(0, x.ndim - 1)
    at = places(m, x.shape[axis])
    k = m.count(0, 4)
    if k == 0:
        return sg.take(x, at, axis)
    if k == 1:
        return sg.take(x, m.value("i", most=2), axis, mode=m.pick(("wrap", "clip")))
    if k == 2 and x.ndim > 1:  # two arrays, with a slice between or not
        other = (axis + 1) % x.ndim
        key: list[Any] = [slice(None)] * x.ndim
        key[axis], key[other] = at, places(m, x.shape[other])
        return x[tuple(key)]
    if k == 3:
        key = [slice(None)] * x.ndim
        key[axis] = at
        return x[(*key[: axis + 1], *basic_key(m, x)[axis + 1 :])]
    return x[(slice(None),) * axis + (at,)]


@operation(2)
def along(m: Hand) -> Any:
    x, i = m.value(rank=1), m.value("iu", rank=1)
    axis = m.axis(x)
    return sg.take_along_axis(x, i % x.shape[axis], axis)


@operation(4)
def written(m: Hand) -> Any:
    """x.at[...] with duplicates, masks, slices and every way to combine."""
    x, v = m.value("biuf", rank=1, most=4), m.value("biuf", most=3)
    k = m.count(0, 3)
    if k == 0:
        spot = x.at[basic_key(m, x)]
    elif k == 1 and x.ndim > 1:
        spot = x.at[places(m, x.shape[0]), places(m, x.shape[1])]
    elif k == 2:
        spot = x.at[x > m.scalar(x.dtype)]
        v = v if v.ndim == 0 else sg.max(v)
    else:
        spot = x.at[places(m, x.shape[0])]
    v = sg.cast(v, x.dtype) if not dtypes.is_float(v.dtype) or dtypes.is_float(x.dtype) else x[0]
    names = ("add", "set", "multiply", "min", "max", "subtract", "divide")
    write = getattr(spot, m.pick(names), None)
    if write is None:
        raise NoFit
    return write(v)


@operation(3)
def running(m: Hand) -> Any:
    x = m.value("biuf", rank=1)
    f = m.pick((sg.cumsum, sg.cumsum, sg.cumprod, sg.cummax, sg.cummin))
    return f(sg.tanh(x) if f is sg.cumprod and dtypes.is_float(x.dtype) else x, m.axis(x))


@operation(5)
def multiplied(m: Hand) -> Any:
    x, y = m.value("biuf", rank=1, most=4), m.value("biuf", rank=1, most=4)
    x = x.mT if x.ndim > 1 and m.chance(0.5) else x
    y = y.mT if y.ndim > 1 and m.chance(0.5) else y
    if m.chance(0.3) and x.ndim > 1:
        y = x.mT
    return sg.matmul(x, y)


@operation(2)
def contracted(m: Hand) -> Any:
    x, y = m.value("if", rank=1, most=3), m.value("if", rank=1, most=3)
    letters = "abcd"
    a = "".join(m.pick(letters) for _ in x.shape)
    b = "".join(m.pick(letters) for _ in y.shape)
    both = sorted(set(a + b))
    out = "".join(c for c in both if m.chance(0.5))
    return sg.einsum(f"{a},{b}->{out}", x, y)


@operation(2)
def triangle(m: Hand) -> Any:
    x = m.value(rank=2)
    k = m.pick((0, 1, -1))
    return m.pick((sg.tril, sg.triu, sg.diagonal))(x, k)


@operation(2)
def sorted_rows(m: Hand) -> Any:
    x = m.value("biuf", rank=1, most=3)
    f = m.pick((sg.sort, sg.argsort))
    return f(x, m.axis(x))
