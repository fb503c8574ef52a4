"""Complex numbers from one end to the other, against NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import DTypeError, GradientError
from symgraph.ir.graph import Graph
from symgraph.ir.parse import parse_graph
from symgraph.ir.text import graph_text
from tests.ops.both_ways import both

RNG = np.random.default_rng(3)
DTYPES = ("complex64", "complex128")


def z(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


A, B, V = z(3, 4), z(3, 4), z(5)
S = z(3, 3)
SPECIAL = np.array([complex(a, b) for a in (0.0, -0.0, 1, -2, np.inf, np.nan) for b in
                    (0.0, -0.0, 0.5, -1, -np.inf, np.nan)])  # fmt: skip

ONE = (
    "square sqrt exp expm1 exp2 log log1p log2 log10 sin cos tan sinh cosh tanh arcsin arccos "
    "arctan arcsinh arccosh arctanh reciprocal sign absolute real imag conj angle negative isnan "
    "isinf isfinite iscomplex isreal logical_not"
).split()
TWO = "add subtract multiply divide power equal not_equal logical_and logical_xor".split()


def check(function: Callable[..., Any], expected: Callable[..., Any], *arrays: Any) -> None:
    """Interpreted and compiled agree with NumPy, in both dtypes."""
    for dtype in DTYPES:
        part = "float32" if dtype == "complex64" else "float64"
        given = [np.asarray(a) for a in arrays]
        given = [a.astype(dtype if a.dtype.kind == "c" else part) for a in given]
        inputs = [sg.tensor(f"x{k}", str(a.dtype), shape=a.shape) for k, a in enumerate(given)]
        with np.errstate(all="ignore"):
            wanted = np.asarray(expected(*given))
        found = sg.compile(inputs, function(*inputs))(*given)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        tolerance = 1e-12 if dtype == "complex128" else 4e-5
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
        meant = sg.compile(inputs, function(*inputs), mode="interpret")(*given)
        np.testing.assert_allclose(meant, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one(name: str) -> None:
    check(getattr(sg, name), getattr(np, name), z(2, 7))
    check(getattr(sg, name), getattr(np, name), z(0))


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two(name: str) -> None:
    check(getattr(sg, name), getattr(np, name), z(3, 1), z(4))
    check(getattr(sg, name), getattr(np, name), z(17), RNG.normal(size=17))


@pytest.mark.parametrize("name", "square sqrt exp log sin cos tanh absolute sign".split())
def test_special_values(name: str) -> None:
    x = sg.tensor("x", "complex128", shape=("n",))
    finite = SPECIAL[np.isfinite(SPECIAL)]
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(finite)
    found = sg.compile([x], getattr(sg, name)(x))(finite)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    for part in ("real", "imag"):
        signs = np.signbit(getattr(found, part)), np.signbit(getattr(wanted, part))
        assert name == "sign" or np.array_equal(*signs)


def test_the_sign_of_infinities() -> None:
    inf, nan = np.inf, np.nan
    values = [complex(a, b) for a in (inf, -inf, 1.0, nan) for b in (0.0, -3.0, inf, -inf, nan)]
    check(sg.sign, np.sign, np.array(values))


def test_no_overflow_on_the_way() -> None:
    x = sg.tensor("x", "complex128", shape=("n",))
    given = np.array([3e300 + 4e300j, 3e-310 + 4e-310j, 1e-200 - 1e200j])
    found = sg.compile([x], [sg.abs(x), sg.sqrt(x), sg.log(x), x / x, sg.exp(x * 0 + 709 + 1j)])(
        given
    )
    np.testing.assert_allclose(found[0], np.abs(given), rtol=1e-13)
    np.testing.assert_allclose(found[1], np.sqrt(given), rtol=1e-13)
    np.testing.assert_allclose(found[2], np.log(given), rtol=1e-13)
    np.testing.assert_allclose(found[3], 1, rtol=1e-13)
    np.testing.assert_allclose(found[4], np.exp(709 + 1j), rtol=1e-13)


def _with_numbers(x: Any) -> Any:
    return (2 - 1j) * x / (1j + x) - 3


ARRAYS: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "sum": (sg.sum, np.sum, (A,)),
    "sum axis": (lambda x: sg.sum(x, 0), lambda x: np.sum(x, 0), (A,)),
    "long sum": (sg.sum, np.sum, (z(3001),)),
    "prod": (sg.prod, np.prod, (A,)),
    "prod axis": (lambda x: sg.prod(x, 1), lambda x: np.prod(x, 1), (z(3, 19),)),
    "mean": (sg.mean, np.mean, (A,)),
    "var": (sg.var, np.var, (A,)),
    "std": (lambda x: sg.std(x, 1), lambda x: np.std(x, 1), (A,)),
    "any": (sg.any, np.any, (A,)),
    "all": (sg.all, np.all, (A,)),
    "count_nonzero": (sg.count_nonzero, np.count_nonzero, (A,)),
    "cumsum": (lambda x: sg.cumsum(x, 1), lambda x: np.cumsum(x, 1), (A,)),
    "cumprod": (lambda x: sg.cumprod(x, 0), lambda x: np.cumprod(x, 0), (A,)),
    "matmul": (lambda x, y: x @ y.T, lambda x, y: x @ y.T, (A, B)),
    "batched matmul": (sg.matmul, np.matmul, (z(2, 3, 4), z(2, 4, 5))),
    "matrix and vector": (sg.matmul, np.matmul, (A, z(4))),
    "real times complex": (sg.matmul, np.matmul, (RNG.normal(size=(3, 4)), z(4, 2))),
    "dot": (sg.dot, np.dot, (V, V)),
    "inner": (sg.inner, np.inner, (V, V)),
    "vdot": (sg.vdot, np.vdot, (A, B)),
    "vecdot": (sg.vecdot, np.vecdot, (A, B)),
    "vecmat": (sg.vecmat, np.vecmat, (z(3), S)),
    "outer": (sg.outer, np.outer, (V, V)),
    "einsum": (lambda x, y: sg.einsum("ij,kj->ik", x, y.conj()),
               lambda x, y: np.einsum("ij,kj->ik", x, y.conj()), (A, B)),
    "tensordot": (lambda x, y: sg.tensordot(x, y, 2), lambda x, y: np.tensordot(x, y, 2), (A, B)),
    "kron": (sg.kron, np.kron, (S, A)),
    "trace": (sg.trace, np.trace, (S,)),
    "transpose": (lambda x: x.T, lambda x: x.T, (A,)),
    "slices": (lambda x: x[::-1, 1::2], lambda x: x[::-1, 1::2], (A,)),
    "gather": (lambda x: x[:, [3, 0, 0]], lambda x: x[:, [3, 0, 0]], (A,)),
    "where": (lambda x, y: sg.where(x.real > 0, x, y),
              lambda x, y: np.where(x.real > 0, x, y), (A, B)),
    "concatenate": (lambda x, y: sg.concatenate([x, y], 1),
                    lambda x, y: np.concatenate([x, y], 1), (A, B)),
    "stack with reals": (lambda x: sg.stack([x, x.real]), lambda x: np.stack([x, x.real]), (A,)),
    "pad": (lambda x: sg.pad(x, 1), lambda x: np.pad(x, 1), (A,)),
    "roll": (lambda x: sg.roll(x, 2), lambda x: np.roll(x, 2), (A,)),
    "diff": (sg.diff, np.diff, (A,)),
    "convolve": (sg.convolve, np.convolve, (V, z(3))),
    "correlate": (sg.correlate, np.correlate, (V, z(3))),
    "cov": (sg.cov, np.cov, (A,)),
    "corrcoef": (sg.corrcoef, np.corrcoef, (A,)),
    "nan_to_num": (sg.nan_to_num, np.nan_to_num, (A,)),
    "gradient": (sg.gradient, np.gradient, (V,)),
    "polyval": (sg.polyval, np.polyval, (V, z(4))),
    "sort": (sg.sort, np.sort, (A,)),
    "argsort": (sg.argsort, np.argsort, (np.array([1j, 1, -1, 1 + 1j]),)),
    "reshape": (lambda x: x.reshape(2, 6), lambda x: x.reshape(2, 6), (A,)),
    "powers": (lambda x: x**3 + x**-2, lambda x: x**3 + x**-2.0, (A,)),
    "power of a real": (lambda x, y: x**y, lambda x, y: np.power(x, y), (abs(A), B)),
    "Python's numbers": (_with_numbers, _with_numbers, (A,)),
    "real and a number": (lambda x: x + 1j, lambda x: x + np.complex64(1j), (abs(V),)),
    "polar": (sg.complex_from_polar, lambda r, t: r * np.exp(1j * t), (abs(V), abs(V))),
    "parts": (lambda x: sg.complex(x.imag, -x.real), lambda x: (x.imag - 1j * x.real), (V,)),
}  # fmt: skip


WIDENED = ("cov", "corrcoef", "real and a number", "polar")  # NumPy gives complex128 always


@pytest.mark.parametrize("name", ARRAYS)
def test_array_functions(name: str) -> None:
    function, expected, arrays = ARRAYS[name]
    if name in WIDENED:

        def expected(*a: Any) -> Any:
            return np.asarray(ARRAYS[name][1](*a)).astype(np.result_type(a[0], 1j))

    check(function, expected, *arrays)


def test_scatter_adds_duplicates_up() -> None:
    x = sg.tensor("x", "complex128", shape=(4,))
    (found,) = both([x.at[[1, 1, 2]].add(1j)], {x: np.zeros(4, "complex128")})
    assert found.tolist() == [0, 2j, 1j, 0]
    (found,) = both([x.at[[1, 1]].multiply(1j)], {x: np.ones(4, "complex128")})
    assert found.tolist() == [1, -1, 1, 1]


# loops, state, constants --------------------------------------------------------------------------


def test_scan_cond_while() -> None:
    x = sg.tensor("x", "complex128", shape=("n",))
    sums = sg.scan(lambda row, c: c * 1j + row, x, outputs_info=sg.constant(1 + 0j))
    turns = sg.fori_loop(0, 3, lambda k, c: c * 1j, x)
    branch = sg.cond(sg.sum(x.real) > 0, lambda v: v * 1j, lambda v: -v, x)
    given = np.arange(1, 4) + 1j
    found = both([turns, branch, sums], {x: given})
    state = 1 + 0j
    for row, made in zip(given, found[2], strict=True):
        state = state * 1j + row
        assert made == state
    np.testing.assert_allclose(found[0], given * (1j) ** 3)
    np.testing.assert_allclose(found[1], given * 1j)


def test_shared_state() -> None:
    state = sg.shared(np.array([1 + 1j, 2]), "state")
    step = sg.compile([], state * 1, updates={state: state * 1j})
    step()
    np.testing.assert_allclose(state.get_value(), [-1 + 1j, 2j])
    np.testing.assert_allclose(step(), [-1 + 1j, 2j])
    state.set_value(np.array([1.0, 2.0]))
    assert state.get_value().dtype == np.complex128


def test_border_accepts_complex() -> None:
    x = sg.tensor("x", "complex128", shape=("n",))
    f = sg.compile([x], x * 2)
    assert f([1j, 2]).tolist() == [2j, 4]
    assert f(np.array([1.0, 2.0])).tolist() == [2, 4]
    assert f(np.array([1j], "complex64")).tolist() == [2j]
    assert f(z(8)[::2]).shape == (4,)
    s = sg.scalar("s", dtype="complex64")
    g = sg.compile([s], s * s)
    assert g(1j).tolist() == -1 and g(2).dtype == np.complex64
    r = sg.vector("r")
    with pytest.raises(sg.errors.SymgraphError):
        sg.compile([r], r * 2)(np.array([1j]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_keep_every_bit(dtype: str) -> None:
    parts = [0.0, -0.0, 1e-320, np.inf, -np.inf, np.nan, 0.1]
    for a in parts:
        c = sg.constant(np.array([complex(a, b) for b in parts], dtype))
        text = graph_text(Graph([], [c * 1j]))
        again = parse_graph(text)
        leaves = [v.data.tobytes() for v in again.leaves() if isinstance(v, sg.Constant)]
        assert c.data.tobytes() in leaves
        assert graph_text(again) == text
    assert sg.constant(0j) is not sg.constant(complex(-0.0, 0.0))
    assert sg.constant(1j) is sg.constant(1j)


def test_save_and_load(tmp_path: Any) -> None:
    x = sg.tensor("x", "complex64", shape=("n",))
    y = sg.exp(x * 1j) + sg.constant(np.array(2 - 3j, "complex64"))
    sg.save(tmp_path / "f.sg", sg.Graph([x], [y]))
    graph = sg.load(tmp_path / "f.sg")
    given = z(3).astype("complex64")
    found = sg.compile(list(graph.inputs), list(graph.outputs))(given)[0]
    np.testing.assert_allclose(found, np.exp(given * 1j) + (2 - 3j), rtol=1e-5)


# refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x < x, lambda x: x >= 1, sg.max, sg.argmin, sg.median, sg.floor,
        lambda x: sg.maximum(x, 0), lambda x: sg.clip(x, 0, 1), lambda x: x // 2, lambda x: x % 2,
        lambda x: x & 1, lambda x: x.astype("float64"), lambda x: x.astype(int), sg.cummax,
        lambda x: sg.quantile(x, 0.5), sg.logsumexp, sg.nn.relu, lambda x: sg.atan2(x, x),
    ],
)  # fmt: skip
def test_no_order_no_silence(function: Any) -> None:
    x = sg.tensor("x", "complex128", shape=(4,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DTypeError) as caught:
            function(x)
    assert caught.value.hint


def test_grad_refuses_a_complex_cost() -> None:
    x = sg.tensor("x", "complex128", shape=(4,))
    with pytest.raises(GradientError, match="complex"):
        sg.grad(sg.sum(x * x), x)
    r = sg.tensor("r", "float64", shape=(4,))
    with pytest.raises(GradientError, match="real"):
        sg.grad(sg.sum(r * 1j), r, holomorphic=True)
