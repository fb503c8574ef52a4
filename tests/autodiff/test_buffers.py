"""Gradients stretch small values to the shapes they belong to: no memory holds the copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
from symgraph.loops.memory import touched
from symgraph.loops.program import Branch, Loop, Program, Run
from symgraph.loops.statements import For, If, Let, Stmt, Store
from symgraph.scalar import Expr, postorder

Formula = Callable[..., Any]


def _dense(x: Any, w: Any, b: Any) -> Any:
    return sg.sum(sg.tanh(x @ w + b) ** 2)


def _cross_entropy(x: Any, y: Any) -> Any:
    return -sg.mean(sg.sum(y * sg.nn.log_softmax(x), 1))


def _cross_entropy_by_hand(x: Any, y: Any) -> Any:
    return -sg.mean(sg.sum(y * sg.log(sg.exp(x) / sg.sum(sg.exp(x), 1, keepdims=True)), 1))


def _layer_norm(x: Any, g: Any, b: Any) -> Any:
    centred = x - sg.mean(x, -1, keepdims=True)
    return sg.sum((centred / sg.sqrt(sg.var(x, -1, keepdims=True) + 1e-5) * g + b) ** 3)


def _batch_norm(x: Any, g: Any, b: Any) -> Any:
    scaled = (x - sg.mean(x, 0)) / sg.sqrt(sg.var(x, 0) + 1e-5)
    return sg.sum(sg.nn.relu(scaled * g + b) ** 2)


def _attention(q: Any, k: Any, v: Any) -> Any:
    return sg.sum((sg.nn.softmax(q @ k.T / 2.0) @ v) ** 3)


def _logistic(w: Any, b: Any, x: Any, y: Any) -> Any:
    z = x @ w + b
    return sg.mean(sg.nn.softplus(z) - y * z)


def _convolutions(x: Any, w: Any, b: Any, v: Any) -> Any:
    hidden = sg.nn.relu(sg.nn.conv2d(x, w) + b[:, None, None])
    return -sg.mean(sg.nn.log_softmax(sg.mean(hidden, (2, 3)) @ v)[:, 0])


def _lstm_step(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> Any:
    gates = x @ w + h @ u + b
    i, f, o = (sg.sigmoid(gates[:, k * 3 : k * 3 + 3]) for k in range(3))
    new = f * c + i * sg.tanh(gates[:, 9:])
    return sg.sum(o * sg.tanh(new)) + sg.sum(new**2)


def _gaussian_process(scale: Any, noise: Any, t: Any, y: Any) -> Any:
    kernel = sg.exp(-0.5 * (t[:, None] - t[None, :]) ** 2 / sg.exp(2 * scale))
    low = sg.linalg.cholesky(kernel + sg.exp(noise) * sg.eye(7))
    z = sg.linalg.solve_triangular(low, y, lower=True)
    return 0.5 * sg.sum(z * z) + sg.sum(sg.log(sg.diagonal(low))) + 3.5 * math.log(2 * math.pi)


def _mixture(x: Any, mu: Any, spread: Any) -> Any:
    z = (x[:, None, :] - mu) / sg.exp(spread)
    return -sg.sum(sg.logsumexp(-0.5 * sg.sum(z * z, -1) - sg.sum(spread, -1), -1))


CASES: dict[str, tuple[Formula, tuple[tuple[int, ...], ...]]] = {
    "dense layer": (_dense, ((5, 7), (7, 3), (3,))),
    "mean": (lambda x: sg.mean(x, 0) @ sg.mean(x, 0), ((5, 7),)),
    "variance": (lambda x: sg.sum(sg.var(x, 1) ** 2), ((5, 7),)),
    "softmax cross-entropy": (_cross_entropy, ((5, 7), (5, 7))),
    "softmax cross-entropy by hand": (_cross_entropy_by_hand, ((5, 7), (5, 7))),
    "layer norm": (_layer_norm, ((5, 7), (7,), (7,))),
    "batch norm": (_batch_norm, ((5, 7), (7,), (7,))),
    "attention": (_attention, ((4, 3), (5, 3), (5, 2))),
    "logistic log-density": (_logistic, ((3,), (), (5, 3), (5,))),
    "convolution net": (_convolutions, ((2, 3, 6, 7), (5, 3, 3, 3), (5,), (5, 4))),
    "LSTM step": (_lstm_step, ((4, 2), (4, 3), (4, 3), (2, 12), (3, 12), (12,))),
    "Gaussian process": (_gaussian_process, ((), (), (7,), (7,))),
    "broadcasting product": (lambda x, a, b: sg.sum((x * a * b[:, None]) ** 2),
                             ((5, 7), (7,), (5,))),
    "outer sum": (lambda a, b: sg.sum(sg.sin(a[:, None] + b)), ((5,), (7,))),
    "norm of rows": (lambda x: sg.sum(sg.sqrt(sg.sum(x**2, 1))), ((5, 7),)),
    "mixture of normals": (_mixture, ((11, 4), (5, 4), (5, 4))),
}  # fmt: skip


def _program(cost: Any, wrt: Any) -> Program:
    d = stage_definition([cost, *sg.grad(cost, wrt)])
    return stages.lower(d, stages.optimized_graph(d), scheduled=False)


def _all_programs(p: Program) -> Iterator[Program]:
    yield p
    for step in p.steps:
        inner = {Loop: ("body",), Branch: ("then", "otherwise")}.get(type(step), ())
        for name in inner:
            yield from _all_programs(getattr(step, name))


def _constant_along(
    body: Iterable[Stmt], above: frozenset[Expr], known: dict[Expr, frozenset[Expr]]
) -> Iterator[tuple[str, list[Expr]]]:
    """Each store's buffer and those of its indices that its value does not depend on."""

    def free(roots: Iterable[Expr]) -> frozenset[Expr]:
        names = [e for e in postorder(tuple(roots)) if e.op == "var"]
        return frozenset().union(*(known.get(e, frozenset([e])) for e in names))

    for s in body:
        if isinstance(s, Store):
            yield s.buffer, sorted((free(s.indices) & above) - free([s.value]), key=str)
        elif isinstance(s, Let):
            known = {**known, s.name: free([s.value])}
        elif isinstance(s, If):
            on = free([s.cond])
            for name, lacking in _constant_along(s.body, above, known):
                yield name, [i for i in lacking if i not in on]
        elif isinstance(s, For):
            yield from _constant_along(s.body, above | {s.index}, known)
        elif hasattr(s, "combiner"):  # what a loop adds up depends on all that it reads
            reads = [v for v in (*s.values, *s.starts)]
            lets = [t.value for t in s.body if isinstance(t, Let)]
            known = {**known, **dict.fromkeys(s.names, free([*reads, *lets]))}


def _stretched(program: Program, always: bool = False) -> list[str]:
    """Temporaries that only repeat a smaller value, but (unless ``always``) for those that a
    routine or a loop is given; what several kernels write is none."""
    found = []
    for p in _all_programs(program):
        memory = {n: b.alias or n for n, b in p.buffers.items()}
        dense = {memory[n] for s in p.steps if not isinstance(s, Run) for n in touched(s)}
        stores: dict[str, list[list[Expr]]] = {}
        for step in p.steps:
            if isinstance(step, Run):
                names = dict(zip((q.name for q in step.kernel.params), step.buffers, strict=True))
                for at, lacking in _constant_along(step.kernel.body, frozenset(), {}):
                    stores.setdefault(memory[names[at]], []).append(lacking)
        for name, each in stores.items():
            kept = p.buffers[name].role == "temp" and (always or name not in dense)
            if kept and len(each) == 1 and each[0]:
                found.append(f"{name}{p.buffers[name].shape} does not depend on {each[0]}")
    return found


@pytest.mark.parametrize("name", CASES)
def test_no_memory_for_what_is_only_repeated(name: str) -> None:
    formula, shapes = CASES[name]
    xs = [sg.tensor(f"x{k}", shape=s) for k, s in enumerate(shapes)]
    assert _stretched(_program(formula(*xs), xs)) == []


@pytest.mark.parametrize("name", ["layer norm", "softmax cross-entropy", "broadcasting product"])
def test_nor_where_sizes_are_unknown(name: str) -> None:
    formula, shapes = CASES[name]
    letters = {5: "n", 7: "m"}
    xs = [sg.tensor(f"x{k}", shape=tuple(letters[i] for i in s)) for k, s in enumerate(shapes)]
    assert _stretched(_program(formula(*xs), xs)) == []


def test_the_search_would_find_one() -> None:
    """A routine reads its operands from memory, where they may be repetitions."""
    a, b = sg.tensor("a", shape=(7, 7)), sg.tensor("b", shape=(7,))
    right = sg.broadcast_to(b, (7, 7)) + sg.tensor("c", shape=(7, 1))[:1] * 0.5
    program = _program(sg.sum(sg.linalg.solve(a, right) ** 2), [b])
    assert _stretched(program) == []
    assert len(_stretched(program, always=True)) == 1
