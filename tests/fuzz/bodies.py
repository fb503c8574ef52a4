"""Ways to grow a graph by loops, branches and functions whose bodies are random graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import symgraph as sg
from symgraph import dtypes
from symgraph.ir.graph import Variable
from tests.fuzz.maker import Body, Hand, NoFit, operation

DEEPEST = 3


def body(m: Hand, values: Sequence[Any], low: int = 1, high: int = 3) -> Body:
    """A random graph over the values and a few from outside."""
    outside = [v for v in m.values if m.elements(v) <= 100]
    caught = [m.pick(outside) for _ in range(m.count(0, 2)) if outside]
    found = Body(m, [*caught, *values])
    if found.depth > DEEPEST:
        raise NoFit
    found.grow(m.count(low, high))
    return found


def like(b: Hand, wanted: Variable) -> Variable:
    """A value of the type of ``wanted`` that depends on what was made in the body."""
    fits = [v for v in b.values if v.type == wanted.type and v is not wanted]
    if fits and b.chance(0.5):
        found = b.pick(fits)
        return sg.tanh(found) if dtypes.is_float(wanted.dtype) else found
    v = b.value("biuf", most=3)
    kind = dtypes.kind(wanted.dtype)
    if kind == "f":
        size = sg.mean(sg.tanh(sg.cast(v, wanted.dtype)))
        return sg.cast(sg.tanh(wanted * 0.5 + size), wanted.dtype)
    if kind == "b":
        return sg.logical_xor(wanted, sg.any(v))
    if kind == "c":
        return wanted * 0.5
    return sg.bitwise_xor(wanted, sg.cast(sg.count_nonzero(v) & 3, wanted.dtype))


def starts(m: Hand, count: int) -> list[Variable]:
    """What states begin with: values made before, or zeros."""
    found = []
    for _ in range(count):
        v = m.value("biuf", most=2)
        if m.elements(v) > 100:
            raise NoFit
        found.append(sg.zeros_like(v) if m.chance(0.3) else v)
    return found


@operation(5)
def scanned(m: Hand) -> Any:
    """Sequences, taps, several states, n_steps, backwards, until."""
    x = m.value("biuf", rank=1, most=3)
    steps = m.number(x.shape[0])
    if steps > 17 or m.elements(x) > 400:
        raise NoFit
    same = [v for v in m.values if v.ndim and v.shape[0] is x.shape[0] and m.elements(v) <= 400]
    sequences = [x, *(m.pick(same) for _ in range(m.pick((0, 0, 1))))]
    n_steps = None
    if m.chance(0.15):
        sequences, n_steps = [], m.pick((0, 1, 3, x.shape[0]))
    init = starts(m, m.pick((0, 1, 1, 2)) if sequences else m.pick((1, 2)))
    infos: list[Any] = list(init)
    if init and m.chance(0.2):
        infos[0] = {"initial": sg.stack([init[0], init[0]]), "taps": m.pick(([-1, -2], [-2]))}
    extra = m.pick((0, 1)) if init else 1
    infos += [None] * extra
    stops = m.chance(0.12)

    def step(*args: Variable) -> Any:
        b = body(m, args)
        states = args[len(sequences) :]
        taps = infos[0]["taps"] if infos and isinstance(infos[0], dict) else [-1]
        own = [states[0], *states[len(taps) :]] if init else []
        out = [like(b, s) for s in own] + [b.value(most=3) for _ in range(extra)]
        if stops:
            return out, sg.until(sg.count_nonzero(b.value("biu", most=2)) > 2)
        return out

    backwards = bool(sequences) and m.chance(0.3)
    found = sg.scan(step, sequences, infos, n_steps=n_steps, go_backwards=backwards)
    outs, count = found if stops else (found, None)
    outs = list(outs) if isinstance(outs, tuple | list) else [outs]
    if m.chance(0.3) and n_steps is None and isinstance(x.shape[0], int) and x.shape[0]:
        outs = [o[-1] for o in outs]
    return [*outs, count] if count is not None else outs


@operation(2)
def reduced_by_loop(m: Hand) -> Any:
    x = m.value("biuf", rank=1, most=3)
    if m.number(x.shape[0]) > 17 or m.elements(x) > 400:
        raise NoFit
    (start,) = starts(m, 1)
    if m.chance(0.5):
        return sg.reduce(lambda r, s: like(body(m, [r, s]), s), x, start)
    size = m.pick((0, 1, 4, x.shape[0]))
    return sg.fori_loop(0, size, lambda i, s: like(body(m, [i, s]), s), start)


@operation(2)
def mapped(m: Hand) -> Any:
    x = m.value("biuf", rank=1, most=3)
    if m.number(x.shape[0]) > 17 or m.elements(x) > 400:
        raise NoFit
    f: Any = lambda row: body(m, [row]).values[-1]
    return sg.map(f, x) if m.chance(0.4) else sg.vmap(f)(x)


@operation(2)
def looped(m: Hand) -> Any:
    """while: ends after a number of turns that data decide."""
    (start,) = starts(m, 1)
    turns = m.round("iu")
    last = sg.cast(sg.max(turns) if turns.ndim else turns, "int64") & 7

    def turn(s: Any) -> Any:
        return s[0] + 1, like(body(m, list(s)), s[1])

    count, out = sg.while_loop(lambda s: s[0] < last, turn, (sg.constant(0), start))
    return [out, count]


@operation(4)
def branched(m: Hand) -> Any:
    flag = m.round()
    flag = sg.any(flag) if flag.ndim else flag
    x = m.value("biuf", most=3)
    if m.chance(0.2):
        place = sg.cast(sg.count_nonzero(m.round()), "int64")
        ways = [lambda v: like(body(m, [v]), v), lambda v: v, lambda v: like(body(m, [v]), v)]
        return sg.switch(place % 4 - 1, ways, x)
    one: Any = lambda: like(body(m, [x]), x)
    if m.chance(0.3):
        return sg.cond(flag, lambda: [one(), one()], lambda: [x, one()])
    return sg.cond(flag, one, m.pick((one, lambda: x)))


@operation(3)
def called(m: Hand) -> Any:
    """A function as an op of its own, inlined or not, or one that is computed again."""
    x = m.value("biuf", most=3)
    y = m.value("biuf", most=3)
    f: Any = lambda a, b: body(m, [a, b]).values[-1]
    if m.chance(0.3):
        return sg.checkpoint(f)(x, y)
    return sg.function_graph(f, inline=m.chance(0.4))(x, y)


@operation(3)
def derived(m: Hand) -> Any:
    """A derivative of a sum, by values made before."""
    y = m.value("f", most=4)
    wrt = [m.value("f", most=4) for _ in range(m.count(1, 2))]
    found = sg.grad(sg.sum(sg.sin(y)), wrt)
    return list(found)
