"""Programs that need every kind of launch, with arrays of odd sizes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import symgraph as sg

RNG = np.random.default_rng(20)


class Case(NamedTuple):
    """Expressions, their inputs by name; ``exact``: the CPU gives the same bits."""

    outputs: list[Any]
    arrays: dict[str, np.ndarray]
    exact: bool = False


def _normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


def _cases() -> dict[str, Case]:
    # sizes have names, so that their order in a text does not depend on what was made before
    x, y = (sg.matrix(n, dtype="float32", shape=(f"{n}0", f"{n}1")) for n in "xy")
    v, w = sg.vector("v", dtype="float32", shape=("v0",)), sg.vector("w", shape=("w0",))
    i = sg.vector("i", dtype="int64", shape=("i0",))
    known = sg.tensor("known", dtype="float32", shape=(6, 8))
    cube = sg.tensor("cube", dtype="float32", shape=("c0", "c1", "c2"))
    row = sg.tensor("row", dtype="float32", shape=(2, 256))
    arrays = {
        "x": _normal(3, 33), "y": _normal(33, 3), "v": _normal(33), "w": RNG.standard_normal(70),
        "i": np.array([1, -1, 0, 2, 2]), "known": _normal(6, 8), "cube": _normal(2, 3, 35),
        "row": _normal(2, 256),
    }  # fmt: skip
    mean, spread = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    made: dict[str, tuple[list[Any], bool]] = {
        "elementwise": ([sg.tanh(x + v) * sg.exp(-x)], True),
        "elementwise_vectors": ([sg.sin(w) + sg.log(sg.abs(w)), w > 0], True),
        "elementwise_known": ([known * 2 + known[0]], True),
        "transposed": ([x.T * 2 + y, sg.transpose(cube, (2, 0, 1)) - 1], True),
        "gather": ([x[i], sg.take_along_axis(x, sg.argsort(x, axis=1), axis=1)], True),
        "scatter": ([sg.grad(sg.sum(x[i] ** 2), x)], False),
        "rows": ([x.sum(axis=1), sg.argmax(x, axis=1), row.max(axis=1), sg.argmin(row, 1)], False),
        "columns": ([y.sum(axis=0), sg.argmin(y, axis=0), sg.prod(cube, axis=1)], False),
        "whole": ([x.sum(), x.mean(), sg.argmax(x), sg.any(x > 3), w.min()], False),
        "softmax": ([sg.nn.softmax(x, axis=1), sg.nn.softmax(row, axis=1)], False),
        "softmax_columns": ([sg.nn.softmax(x, axis=0)], False),
        "layernorm": ([(x - mean) / sg.sqrt(spread + 1e-5)], False),
        "running": ([sg.cumsum(v), sg.cumsum(x, axis=0), sg.cumprod(x, axis=1)], False),
        "sorted": ([sg.sort(x, axis=1), sg.argsort(x, axis=0)], True),
        "product": ([sg.maximum(x @ y + 1, 0), x.T @ x], False),
        "batch_of_products": ([cube @ sg.transpose(cube, (0, 2, 1))], False),
        "complex": ([sg.real(sg.exp(x + 1j * x[0])), sg.abs(sg.sum(x + 1j * v, axis=1))], False),
        "narrow": ([(x.astype("float16") * 2 + 1).astype("float32")], True),
        "integers": ([i // 3 + i % -2, sg.bitwise_xor(i, 5), (i * 7).astype("int8")], True),
    }  # fmt: skip
    return {name: Case(outputs, arrays, exact) for name, (outputs, exact) in made.items()}


CASES = _cases()
