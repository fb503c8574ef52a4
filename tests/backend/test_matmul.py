"""Matrix products inside compiled functions: who multiplies, epilogues, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.compiler import stage_definition
from symgraph.loops.legalize import legalize
from symgraph.loops.program import Call, Program, Run
from symgraph.lower.epilogues import join_epilogues
from symgraph.lower.parallel import share_out

RNG = np.random.default_rng(7)
SHAPES = [(3, 4, 5), (1, 9, 70), (70, 9, 1), (100, 31, 100), (0, 3, 4), (4, 0, 3), (4, 3, 0),
          (9, 300, 400)]  # fmt: skip


def matrix(name: str, *shape: Any, dtype: str = "float32") -> Any:
    return sg.tensor(name, dtype=dtype, shape=shape)


def joined(outputs: Any) -> Program:
    d = stage_definition(outputs)
    program = stages.lower(d, stages.optimized_graph(d))
    return join_epilogues(legalize(share_out(program)))


def epilogues(program: Program) -> list[str]:
    """For each product whether a loop joined it, and whether it is made in an output."""
    found = []
    for step in program.steps:
        if isinstance(step, Call) and step.routine == "matmul":
            phase = dict(step.params).get("epilogue")
            same = phase is not None and program.buffers[step.buffers[2]].role == "output"
            found.append("none" if phase is None else "in place" if same else "joined")
    return found


@pytest.mark.parametrize("who", ["own", "blas"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_multiply(who: str, dtype: str) -> None:
    x, y, z = (matrix(n, None, None, dtype=dtype) for n in "xyz")
    with config.change(matmul=who, cache=False):
        f = sg.compile([x, y, z], [x @ y, x @ z.T, y.T @ x.T])
    for m, k, n in SHAPES:
        a, b = RNG.standard_normal((m, k)).astype(dtype), RNG.standard_normal((k, n)).astype(dtype)
        want = a.astype("longdouble") @ b.astype("longdouble")
        one, two, three = f(a, b, b.T.copy())
        for got in (one, two, three.T):
            np.testing.assert_allclose(got, want, rtol=0, atol=(k + 1) * np.finfo(dtype).eps * 4)


def test_settings_are_checked() -> None:
    with pytest.raises(config.ConfigError, match="matmul cannot be 'mkl'"):
        config.change(matmul="mkl")


def test_static_sizes_and_batches() -> None:
    for m, k, n in SHAPES:
        a, b = RNG.standard_normal((3, m, k)), RNG.standard_normal((3, k, n))
        x, y = sg.tensor("x", shape=a.shape), sg.tensor("y", shape=b.shape)
        f = sg.compile([x, y], sg.tanh(x @ y) + 1)
        np.testing.assert_allclose(f(a, b), np.tanh(a @ b) + 1, atol=1e-13)


def relu(x: Any) -> Any:
    return sg.maximum(x, 0)


def exponentials(x: Any, step: int) -> Any:
    """Two results of a row that is read after it was summed: as it lies, or backwards too."""
    e = sg.exp(x - sg.max(x, axis=1, keepdims=True))
    total = e.sum(axis=1, keepdims=True)
    return [e[:, ::step] / total, e * 3 + total]


X, W, R = (matrix(n, None, None) for n in "xwr")
B = matrix("b", None)
CASES: dict[str, tuple[Any, list[str]]] = {
    "bias": (lambda m: relu(X @ W + B), ["in place"]),
    "elements": (lambda m: m.exp(X @ W), ["in place"]),
    "transposed operands": (lambda m: m.tanh(X @ R.T), ["in place"]),
    "row factors": (lambda m: m.tanh(X @ W * R.sum(axis=1, keepdims=True)), ["in place"]),
    "softmax": (lambda m: sg.nn.softmax(X @ W * 0.5), ["in place"]),
    "softmax and its product": (lambda m: sg.nn.softmax(X @ W) @ W.T, ["joined", "none"]),
    "softmax and the product": (lambda m: [sg.nn.softmax(X @ W), X @ W], ["in place"]),
    "exponentials used twice": (lambda m: exponentials(X @ W, 1), ["in place"]),
    "exponentials reversed": (lambda m: exponentials(X @ W, -1), ["none"]),
    "layer norm": (lambda m: sg.nn.layer_norm(X @ W), ["in place"]),
    "residual": (lambda m: (X @ W) * 0.5 + (R @ W), ["none", "in place"]),
    # rows of unknown length are folded in blocks, in case they are short
    "sum over columns": (lambda m: m.exp(X @ W * 0.1).sum(axis=1), ["none"]),
    "sum over rows": (lambda m: m.exp(X @ W * 0.1).sum(axis=0), ["none"]),
    "other rows": (lambda m: (X @ W)[::-1] + B, ["none"]),
    "transposed result": (lambda m: m.tanh((X @ W).T), ["in place"]),
    "two layers": (lambda m: relu(relu(X @ W + B) @ W.T), ["joined", "in place"]),
    "the product as well": (lambda m: [X @ W, relu(X @ W + B)], ["in place"]),
}


@pytest.mark.parametrize("name", CASES)
def test_epilogues(name: str) -> None:
    build, expected = CASES[name]
    outputs = build(sg)
    assert epilogues(joined(outputs)) == expected
    nest = outputs if isinstance(outputs, list) else [outputs]
    inputs = [v for v in (X, W, B, R)]
    results = []
    for settings in (
        {},
        {"parallel_from": 0},
        {"parallel_from": 0, "num_threads": 1},
        {"matmul": "blas"},
    ):
        with config.change(cache=False, **settings):
            f = sg.compile(inputs, nest, on_unused_input="ignore")
            for m, k, n in [
                (5, 4, 3),
                (40, 33, 100),
                (1, 5, 9),
                (9, 5, 1),
                (4, 0, 3),
                (300, 17, 40),
            ]:
                rng = np.random.default_rng(m)
                arrays = [
                    rng.standard_normal(s).astype("float32") for s in ((m, k), (k, n), n, (m, k))
                ]
                results.append((arrays, f(*arrays)))
    interpreted = sg.compile(inputs, nest, on_unused_input="ignore", mode="interpret")
    for arrays, got in results:
        for one, want in zip(got, interpreted(*arrays), strict=True):
            np.testing.assert_allclose(one, want, rtol=2e-5, atol=2e-5)


def test_attention_has_one_loop_which_its_product_runs() -> None:
    q, k, v = (sg.tensor(n, dtype="float32", shape=(None,) * 4) for n in "qkv")
    out = sg.nn.scaled_dot_product_attention(q, k, v)
    program = joined(out)
    assert epilogues(program) == ["joined", "none"]
    assert not any(isinstance(s, Run) and s.kernel.params[-1].shape for s in program.steps)
    rng = np.random.default_rng(3)
    shapes = ((2, 3, 70, 16), (2, 3, 40, 16), (2, 3, 40, 9))
    arrays = [rng.standard_normal(s).astype("float32") for s in shapes]
    with config.change(cache=False, parallel_from=0):
        got = sg.compile([q, k, v], out)(*arrays)
    a, b, c = (x.astype("float64") for x in arrays)
    e = np.exp(a @ b.swapaxes(-1, -2) / 4)
    np.testing.assert_allclose(got, e / e.sum(-1, keepdims=True) @ c, rtol=2e-5, atol=1e-6)


def test_updates_join_their_gradients() -> None:
    w = sg.shared(RNG.standard_normal((30, 20)), name="w")
    x, g = sg.matrix("x"), sg.matrix("g")
    f = sg.compile([x, g], [], updates={w: w - 0.1 * (x.T @ g)})
    before = w.get_value().copy()
    a, b = RNG.standard_normal((50, 30)), RNG.standard_normal((50, 20))
    f(a, b)
    np.testing.assert_allclose(w.get_value(), before - 0.1 * (a.T @ b), atol=1e-12)
    again = sg.compile([g], [], updates={w: w - w @ g})  # the operand must not change under way
    before, b = w.get_value().copy(), RNG.standard_normal((20, 20))
    again(b)
    np.testing.assert_allclose(w.get_value(), before - before @ b, atol=1e-12)


def test_results_do_not_depend_on_threads() -> None:
    x, y = matrix("x", None, None), matrix("y", None, None)
    f = sg.compile([x, y], relu(x @ y + 1))
    for m, k, n in [(257, 300, 511), (4, 600, 3000), (3000, 40, 7), (1, 900, 4000)]:
        a, b = RNG.standard_normal((m, k)).astype("f"), RNG.standard_normal((k, n)).astype("f")
        with config.change(num_threads=1):
            alone = f(a, b)
        assert (f(a, b) == alone).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [1, 3, 48, 49, 500, 2048, 2049])
def test_rows_times_matrices(n: int, turned: bool, dtype: str) -> None:
    """Rows of a matrix that are short are shared in parts of the summed axis, whose sums are the
    same for any number of threads; so are the matrices of a batch."""
    x, y, z = (sg.tensor(name, shape=(None,) * 3, dtype=dtype) for name in "xyz")
    outputs = [x @ y, z + x @ y, sg.tanh(sg.swapaxes(y, 1, 2) @ sg.swapaxes(x, 1, 2))]
    with config.change(parallel_from=1, num_threads=5):
        f = sg.compile([x, y, z], outputs)
    for batch, k in ((1, 1023), (1, 1025), (1, 3001), (7, 130)):
        a, b = RNG.standard_normal((batch, 1, k)), RNG.standard_normal((batch, k, n)) / np.sqrt(k)
        a, b, c = a.astype(dtype), b.astype(dtype), RNG.standard_normal((batch, 1, n)).astype(dtype)
        if turned:
            b = np.ascontiguousarray(b.swapaxes(1, 2)).swapaxes(1, 2)
        exact = a.astype("longdouble") @ b
        wanted = [exact, c + exact, np.tanh(exact).swapaxes(1, 2)]
        found = f(a, b, c)
        for result, right in zip(found, wanted, strict=True):
            np.testing.assert_allclose(result, right, atol=100 * np.finfo(dtype).eps)
        with config.change(num_threads=1):
            for result, alone in zip(found, f(a, b, c), strict=True):
                assert result.tobytes() == alone.tobytes()


@pytest.mark.parametrize("columns", [1, 2, 5, 15, 16, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_few_classes_follow_their_product_in_lanes(columns: int, dtype: str) -> None:
    """Several folds over a row of the product, and what is stored of them, beside wide rows."""
    x, w, y = (
        sg.matrix("x", dtype=dtype),
        sg.matrix("w", dtype=dtype),
        sg.vector("y", dtype="int64"),
    )
    rows = sg.nn.log_softmax(x @ w, axis=1)
    cost = -sg.sum(sg.take_along_axis(rows, y[:, None], 1))
    f = sg.compile([x, w, y], [cost, *sg.grad(cost, [x, w]), sg.nn.softmax(x @ w, axis=1)])
    rng = np.random.default_rng(columns)
    for count in (1, 7, 64, 300):
        a, b = rng.normal(size=(count, 6)), rng.normal(size=(6, columns))
        k = rng.integers(0, columns, count)
        logits = a @ b - (a @ b).max(1, keepdims=True)
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        g = p - np.eye(columns)[k]
        wanted = [-np.log(p[np.arange(count), k]).sum(), g @ b.T, a.T @ g, p]
        near = 2e-5 if dtype == "float32" else 1e-12
        for one, other in zip(f(a.astype(dtype), b.astype(dtype), k), wanted, strict=True):
            np.testing.assert_allclose(one, other, near, near * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_matrices_and_a_vector(dtype: str, known: bool) -> None:
    def numbers(*shape: int) -> np.ndarray:
        return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)

    for m, k in ((1, 1), (3, 5), (40, 1), (1, 30), (70, 300), (0, 4), (4, 0)):
        arrays = a, u, v = numbers(m, k), numbers(m), numbers(k)
        x, y, z = (
            sg.tensor(n, dtype=dtype, shape=b.shape if known else (None,) * b.ndim)
            for n, b in zip("xyz", arrays, strict=True)
        )
        outputs = [x @ z, y @ x, x.T @ y, z @ x.T, sg.conj(x) @ z, y @ sg.conj(x),
                   sg.conj(x).T @ y, sg.conj(y)[:, None] @ z[None], x @ sg.conj(z) + 1]  # fmt: skip
        wanted = [a @ v, u @ a, a.T @ u, v @ a.T, a.conj() @ v, u @ a.conj(), a.conj().T @ u,
                  np.outer(u.conj(), v), a @ v.conj() + 1]  # fmt: skip
        for got, right in zip(sg.compile([x, y, z], outputs)(*arrays), wanted, strict=True):
            assert got.dtype == right.dtype and got.shape == right.shape
            np.testing.assert_allclose(got, right, atol=300 * np.finfo(dtype).eps)
