"""Ops as native code at many sizes: none, one, less than a vector, just over one, odd.

tests/ops/test_compiled.py runs the rows of the samples at the sizes they have; here one compiled
function of unnamed sizes is called with arrays of every size, and once more with known sizes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, dtypes
from symgraph.errors import DTypeError
from symgraph.ir.graph import Graph, Variable
from symgraph.ir.interpret import interpret
from symgraph.ir.op import OPS
from symgraph.ops.elementwise import Elementwise

LENGTHS = (0, 1, 2, 3, 7, 8, 17, 33, 64, 65)
SHAPES = ((0, 3), (3, 0), (1, 1), (1, 17), (17, 1), (3, 17), (33, 33), (5, 64), (16, 65))
# of the vector functions, relative; sums differ by the order of additions
RTOL = {"float32": 4e-6, "float64": 2e-14, "float16": 1e-3, "bfloat16": 8e-3}
FIELDS: tuple[str, ...] = dtypes.REALS


@pytest.fixture(autouse=True)
def cold() -> Any:
    with config.change(cache=False):
        yield


def values(dtype: str, shape: tuple[int, ...], seed: int, domain: Any = (-3, 3)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    low, high = domain
    if dtypes.is_float(dtype):
        return np.asarray(rng.uniform(low, high, shape)).astype(dtypes.numpy_dtype(dtype))
    low = max(int(low), -100, 0 if dtypes.kind(dtype) == "u" else -100)
    return np.asarray(rng.integers(low, max(low + 1, min(int(high), 100)) + 1, shape)).astype(dtype)


def close(found: np.ndarray, wanted: np.ndarray, what: str) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape, what
    rtol = RTOL.get(str(wanted.dtype), 0)
    if not rtol:
        np.testing.assert_array_equal(found, wanted, what)
        return
    if dtypes.is_narrow(str(wanted.dtype)):
        found, wanted = found.astype("float32"), wanted.astype("float32")
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = rtol * float(finite.max(initial=1.0))
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=scale, err_msg=what)


class Rows:
    """Named expressions of common inputs, compiled together."""

    def __init__(self, inputs: list[Any]) -> None:
        self.inputs = inputs
        self.names: list[str] = []
        self.outputs: list[Variable] = []

    def add(self, name: str, *outputs: Any) -> None:
        self.names += [name] * len(outputs)
        self.outputs += outputs

    def check(self, calls: list[list[np.ndarray]]) -> None:
        f = sg.compile(self.inputs, self.outputs, on_unused_input="ignore")
        graph = Graph(self.inputs, self.outputs)
        for arrays in calls:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wanted = interpret(graph, arrays)
            for name, a, b in zip(self.names, f(*arrays), wanted, strict=True):
                close(a, b, f"{name} at {[x.shape for x in arrays]}")


# elementwise rows ---------------------------------------------------------------------------------


def elementwise_rows(dtype: str) -> list[Elementwise]:
    rows = []
    for row in OPS.values():
        if isinstance(row, Elementwise) and not row.name.startswith("philox"):
            try:
                row.computes_in((dtype,) * row.arity)
            except DTypeError:
                continue
            rows.append(row)
    return rows


@pytest.mark.parametrize("known", [None, 17])
@pytest.mark.parametrize("dtype", FIELDS)
def test_elementwise_rows(dtype: str, known: int | None) -> None:
    """Every row on vectors; operands of a row come from its own domain."""
    rows = elementwise_rows(dtype)
    size = "n" if known is None else known
    inputs, domains = [], []
    made = Rows(inputs)
    for row in rows:
        own = row.domain if isinstance(row.domain[0], tuple) else (row.domain,) * row.arity
        xs = []
        for domain in own:
            xs.append(sg.tensor(f"x{len(inputs)}", dtype, (size,)))
            inputs.append(xs[-1])
            domains.append(domain)
        made.add(row.name, row(*xs))
    calls = [
        [values(dtype, (n,), 7 * k + n, d) for k, d in enumerate(domains)]
        for n in (LENGTHS if known is None else (known,))
    ]
    made.check(calls)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_broadcasts(dtype: str) -> None:
    """Rows, columns, scalars and matrices meet in one expression."""
    a, row = sg.tensor("a", dtype, ("n", "m")), sg.tensor("row", dtype, ("m",))
    column, s = sg.tensor("column", dtype, ("n", 1)), sg.tensor("s", dtype, ())
    cube = sg.tensor("cube", dtype, (2, "n", "m"))
    made = Rows([a, row, column, s, cube])
    made.add("row", a + row, row - a)
    made.add("column", a * column, sg.maximum(column, a))
    made.add("both", column + row, (column < row) & (a > s))
    made.add("scalar", a * s + s, s - row)
    made.add("cube", cube + a * row, cube * column, sg.where(row > s, cube, a))
    made.check([
        [values(dtype, shape, k) for k, shape in enumerate([(n, m), (m,), (n, 1), (), (2, n, m)])]
        for n, m in SHAPES
    ])  # fmt: skip


# reductions and what is built on them -------------------------------------------------------------

FOLDS = ("sum", "prod", "all", "any", "count_nonzero", "mean", "var")
CHOICES = ("max", "min", "argmax", "argmin")


@pytest.mark.parametrize("known", [None, (3, 17), (33, 64)], ids=str)
@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int8", "uint16", "bool"]
)
def test_reductions(dtype: str, known: tuple[int, int] | None) -> None:
    x = sg.tensor("x", dtype, known or ("n", "m"))
    made = Rows([x])
    y = x * 0.25 if dtypes.is_float(dtype) else x
    for axis in (0, 1, None, (0, 1)):
        for name in FOLDS + CHOICES:
            if name.startswith("arg") and isinstance(axis, tuple):
                continue
            if name == "prod" and dtypes.is_float(dtype):
                made.add(name, sg.prod(sg.exp(y), axis))
            else:
                made.add(f"{name} over {axis}", getattr(sg, name)(y, axis))
    some = [s for s in SHAPES if 0 not in s]
    made.check([[values(dtype, s, k)] for k, s in enumerate([known] if known else some)])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_folds_of_nothing(dtype: str) -> None:
    """Sums of no elements are 0, products 1; a mean of none is NaN as in NumPy."""
    x = sg.tensor("x", dtype, ("n", "m"))
    made = Rows([x])
    for axis in (0, 1, None):
        for name in FOLDS:
            made.add(f"{name} over {axis}", getattr(sg, name)(x, axis))
    made.check([[np.zeros(s, dtypes.numpy_dtype(dtype))] for s in ((0, 3), (3, 0), (0, 0))])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_special_values_are_folded_as_numpy_does(dtype: str) -> None:
    x = sg.tensor("x", dtype, ("n",))
    made = Rows([x])
    for name in ("max", "min", "argmax", "argmin", "sum", "any", "all"):
        made.add(name, getattr(sg, name)(x))
    nan, inf = float("nan"), float("inf")
    given = [[1, nan, 3], [nan], [inf, -inf], [-inf] * 20, [-0.0, 0.0], [0.0, -0.0], [1, 1, 1],
             [*range(40), nan, *range(40), nan], [3.0] * 33, [inf] * 3]  # fmt: skip
    made.check([[np.array(g, dtypes.numpy_dtype(dtype))] for g in given])


@pytest.mark.parametrize("known", [None, (3, 17), (9, 33)], ids=str)
def test_rows_in_one_pass(known: tuple[int, int] | None) -> None:
    """Softmax and its relatives: several folds and loops over each row in one kernel."""
    x = sg.tensor("x", "float64", known or ("n", "m"))
    made = Rows([x])
    for axis in (0, 1):
        made.add("softmax", sg.nn.softmax(x, axis), sg.nn.log_softmax(x, axis))
        made.add("layer_norm", sg.nn.layer_norm(x, axis))
        made.add("logsumexp", sg.logsumexp(x, axis), sg.std(x, axis))
        shifted = x - sg.max(x, axis, keepdims=True)
        made.add("shifted", shifted, sg.argmax(shifted, axis))
        made.add("weights", sg.sum(sg.nn.softmax(x, axis) * x, axis))
    made.add("whole", sg.nn.softmax(x, (0, 1)), x / sg.sum(sg.abs(x)))
    some = [s for s in SHAPES if 0 not in s]
    made.check([[values("float64", s, k)] for k, s in enumerate([known] if known else some)])


# views and moves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [None, (3, 17), (17, 33)], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int16", "bool"])
def test_views(dtype: str, known: tuple[int, int] | None) -> None:
    x = sg.tensor("x", dtype, known or ("n", "m"))
    n, m = x.shape
    made = Rows([x])
    made.add("turned", x.T, x[::-1], x[:, ::-1], x[::2, 1:], x[:-1, ::3], x[2:, -3:], x[::-2].T)
    made.add("reshaped", x.reshape((-1,)), x.reshape((1, n * m)), x.T.reshape((-1,)))
    made.add("axes", x[None], sg.expand_dims(x, 2), sg.squeeze(sg.expand_dims(x, 0)))
    made.add("joined", sg.concatenate([x, x]), sg.concatenate([x.T, x.T[:, :1]], 1))
    made.add("stacked", sg.stack([x, x[::-1]]), sg.stack([x, x], -1))
    made.add("repeated", sg.tile(x, (2, 2)), sg.repeat(x, 3, 0), sg.repeat(x, 2, 1))
    made.add("padded", sg.concatenate([sg.zeros((1, m), dtype), x]), sg.broadcast_to(x, (3, n, m)))
    made.add("triangles", sg.tril(x), sg.triu(x, 1), sg.diagonal(x), sg.diagonal(x, 1))
    made.add("sums", sg.cumsum(x, 0), sg.cumsum(x, 1), sg.cumsum(x))
    if dtype != "bool":
        made.add("differences", x[1:] - x[:-1], x[:, 1:] * x[:, :-1])
    shapes = [known] if known else SHAPES
    made.check([[values(dtype, s, k)] for k, s in enumerate(shapes)])


@pytest.mark.parametrize("index", ["int64", "int32", "uint8"])
def test_gathers_and_scatters(index: str) -> None:
    x, i = sg.tensor("x", "float32", ("n", "m")), sg.tensor("i", index, ("k",))
    v = sg.tensor("v", "float32", ("k", "m"))
    made = Rows([x, i, v])
    made.add("rows", x[i], sg.take(x, i, 0) * 2, x[i, ::-1])
    made.add("columns", x.T[:, i], sg.take(x.T, i, 1))
    made.add("written", x.at[i].set(v), x.at[i].add(v), x.at[i, 0].add(1.0))
    made.add("fused", sg.sum(sg.exp(x)[i], 1), sg.argmax(x[i], 1))
    rng = np.random.default_rng(0)
    calls = []
    for n, m, k in ((1, 1, 0), (3, 5, 4), (17, 33, 40), (5, 3, 1)):
        low = 0 if index == "uint8" else -n
        at = rng.integers(low, n, k).astype(index)
        calls.append([values("float32", (n, m), 1), at, values("float32", (k, m), 2)])
    made.check(calls)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int32"])
def test_products(dtype: str) -> None:
    a, b = sg.tensor("a", dtype, ("n", "k")), sg.tensor("b", dtype, ("k", "m"))
    c, u, w = sg.tensor("c", dtype, ("m", "n")), sg.tensor("u", dtype, ("k",)), sg.tensor(
        "w", dtype, (2, "n", "k"))  # fmt: skip
    made = Rows([a, b, c, u, w])
    made.add("plain", a @ b, b.T @ a.T, a @ b @ c, c.T @ b.T)
    made.add("vectors", a @ u, u @ b, u @ u, sg.outer(u, u))
    made.add("batched", w @ b, w.mT @ a, sg.einsum("bik,kj->bij", w, b))
    made.add("fused", sg.maximum(a @ b + 1, 0), sg.sum(a @ b, 0))
    calls = []
    for n, k, m in ((0, 3, 2), (3, 0, 2), (1, 1, 1), (3, 17, 5), (33, 8, 65), (2, 3, 0)):
        shapes = [(n, k), (k, m), (m, n), (k,), (2, n, k)]
        calls.append([values(dtype, s, j) for j, s in enumerate(shapes)])
    made.check(calls)


def test_casts() -> None:
    """Between all dtypes, of values that both hold."""
    inputs: list[Any] = []
    made = Rows(inputs)
    for source in FIELDS:
        x = sg.tensor(f"x_{source}", source, ("n",))
        inputs.append(x)
        for target in FIELDS:
            made.add(f"{source} to {target}", sg.cast(x, target))
    made.check([[values(d, (n,), n, (0, 100)) for d in FIELDS] for n in (0, 1, 17, 33)])
