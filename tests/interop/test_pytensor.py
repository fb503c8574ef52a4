"""PyTensor's functions compiled by symgraph, against PyTensor's own Python implementation."""

from __future__ import annotations

import gc
import importlib.util
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytensor = pytest.importorskip("pytensor")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():  # of PyTensor's about its own past and compilers that are not there
    warnings.simplefilter("ignore")
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op
    from pytensor.ifelse import ifelse
    from pytensor.raise_op import Assert, CheckAndRaise
    from pytensor.scan import until
    from pytensor.tensor.random.utils import RandomStream

    import symgraph.interop.pytensor as door

X = np.arange(5.0) + 0.5
Y = np.arange(15.0).reshape(3, 5) / 7 + 1
A = np.eye(4) * 3 + np.ones((4, 4))
PLACES = np.array([0, 3, 3], "int32")


def loop(*args: Any, **kwargs: Any) -> Any:
    """pytensor.scan without its updates."""
    found = pytensor.scan(*args, **kwargs)
    return found[0] if isinstance(found, tuple) else found


def same(inputs: list[Any], outputs: Any, values: list[Any], performed: int = 0) -> Any:
    """Compile in both modes, compare values, shapes and dtypes; returns our function."""
    outs = outputs if isinstance(outputs, list) else [outputs]
    ours = pytensor.function(inputs, outs, mode="SYMGRAPH", on_unused_input="ignore")
    plain = Mode("py", "fast_compile")
    theirs = pytensor.function(inputs, outs, mode=plain, on_unused_input="ignore")
    for a, b in zip(ours(*values), theirs(*values), strict=True):
        assert isinstance(a, np.ndarray)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, strict=True)
    assert len(ours.vm.program.performed) == performed
    return ours


def variables() -> tuple[Any, ...]:
    return pt.vector("x", dtype="float64"), pt.matrix("y", dtype="float64"), pt.iscalar("n")


def elementwise(x: Any, y: Any, n: Any) -> list[Any]:
    return [
        pt.exp(-x) * y + 1, pt.switch(x > 2, x, 0), pt.clip(x, 1, 3), x**2, pt.sigmoid(x),
        pt.softplus(x), pt.gammaln(x), pt.digamma(x), pt.erf(x), pt.erfcx(x), pt.log1mexp(-x),
        pt.isinf(x) | pt.isnan(x), pt.sign(x - 2), x // 2, x % 2, pt.cast(x, "int8"), n / 2,
        pt.maximum(x, n), pt.second(x, 1.0), x[None, :] * y.T.T,
    ]  # fmt: skip


def reductions(x: Any, y: Any, n: Any) -> list[Any]:
    return [
        y.sum(), y.sum(0), y.max(1), y.argmax(), y.argmax(axis=1), y.mean(0), y.prod(1), y.min(),
        (y > 1).all(axis=0), (y > 1).any(), pt.cumsum(y, axis=0), pt.cumprod(x),
        pt.sort(y, axis=-1), pt.argsort(y, axis=1),
        pt.dot(y, x), pt.dot(y, y.T), pt.logsumexp(y, axis=1),
        pt.special.softmax(y, axis=-1), pt.special.log_softmax(y, axis=0),
    ]  # fmt: skip


def indices(x: Any, y: Any, n: Any) -> list[Any]:
    places = pt.constant(PLACES)
    return [
        x[1:3], x[::-1], x[-1], x[n], x[n:], x[:n], x[places], y[:, places], y[:2, places],
        x[x > 1.0], pt.inc_subtensor(x[places], 2.0), pt.set_subtensor(x[1:3], 0.0),
        pt.set_subtensor(y[:, n], x[:3]), pt.inc_subtensor(y[1], x),
    ]  # fmt: skip


def shapes(x: Any, y: Any, n: Any) -> list[Any]:
    return [
        y.shape, y.reshape((y.shape[1], y.shape[0])), y.flatten(), pt.ones_like(y),
        pt.zeros((n, 2)),
        pt.eye(n), pt.arange(n), pt.arange(x.shape[0]), pt.arange(0.5, 3, 0.5), pt.stack([x, x]),
        pt.concatenate([x, y[0]]), y.dimshuffle(1, "x", 0), pt.diag(x), pt.diagonal(y),
        pt.tile(x, 2), pt.repeat(x, 2), x.sum() * x.shape[0], pt.split(x, [2, 3], n_splits=2)[1],
        pt.nonzero(x > 2)[0],
    ]  # fmt: skip


FAMILIES: list[Callable[..., list[Any]]] = [elementwise, reductions, indices, shapes]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_families_run_without_python(family: Callable[..., list[Any]]) -> None:
    x, y, n = variables()
    same([x, y, n], family(x, y, n), [X, Y, 2])


def test_matrices() -> None:
    a = pt.matrix("a", dtype="float64")
    root = pt.linalg.cholesky(a)
    same([a], [
        root, pt.linalg.solve_triangular(root, a, lower=True), pt.linalg.det(a), pt.linalg.inv(a),
        pt.linalg.solve(a, a[0]), pt.linalg.slogdet(a)[1], pt.linalg.eigh(a)[0],
    ], [A])  # fmt: skip
    batch = pt.tensor3("batch", dtype="float64")
    same([batch], pt.linalg.cholesky(batch), [np.stack([A, A + 1])])


@pytest.mark.skipif(
    importlib.util.find_spec("pytensor.assumptions") is None, reason="PyTensor 2 has no assume"
)
def test_assumptions_reach_the_rules() -> None:
    from pytensor.assumptions import assume

    a, b = pt.matrix("a", dtype="float64"), pt.vector("b", dtype="float64")
    stated = assume(a, diagonal=True, positive_definite=True)
    f = pytensor.function([a, b], pt.linalg.solve(stated, b), mode="SYMGRAPH")
    np.testing.assert_allclose(f(np.diag([2.0, 4.0]), [1.0, 1.0]), [0.5, 0.25])
    same([a, b], [pt.linalg.solve(assume(a, lower_triangular=True), b), assume(b, diagonal=False)],
         [np.tril(A), A[0]])  # fmt: skip


def test_derivatives() -> None:
    x, y, _ = variables()
    cost = (pt.exp(-y * x).sum(1)[1:] ** 2).sum()
    same([x, y], pt.grad(cost, [x, y]), [X, Y])


def test_loops_and_their_derivatives() -> None:
    x = pt.vector("x", dtype="float64")
    one = pt.constant(1.0, dtype="float64")
    s = loop(lambda a, b: a * 0.5 + b, sequences=[x], outputs_info=[one])
    same([x], [s, s[-1], pt.grad((s**2).sum(), x)], [X])
    pair = pt.as_tensor(np.array([1.0, 2.0]))
    two = loop(
        lambda a, b, c: a * 0.5 + b * c, sequences=[x],
        outputs_info=[{"initial": pair, "taps": [-2, -1]}],
    )  # fmt: skip
    same([x], [two, pt.grad((two**2).sum(), x)], [X])
    cut = loop(
        lambda a, b: a * b, sequences=[x], outputs_info=[one], truncate_gradient=2
    )  # fmt: skip
    same([x], pt.grad(cut.sum(), x), [X])
    same([], loop(lambda a: (a * 2, until(a > 20)), outputs_info=[one], n_steps=30), [])


def test_choices() -> None:
    x, _, n = variables()
    same([x, n], ifelse(pt.gt(n, 1), x * 2, x + 1), [X, 2])
    same([x, n], ifelse(pt.gt(n, 1), x[1:], x[:1]), [X, 2], performed=1)


class Range(Op):  # type: ignore[misc]
    """A user's op: its result has a size that only `perform` knows."""

    __props__ = ()

    def make_node(self, n: Any) -> Any:
        return Apply(self, [pt.as_tensor(n)], [pt.dvector()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        output_storage[0][0] = np.arange(float(inputs[0]))


def test_what_has_no_native_form_performs() -> None:
    x, _, n = variables()
    made = Range()(n)
    same([x, n], [made[:, None] * x, made.sum()], [X, 3], performed=1)
    same([x], pt.unique(pt.floor(x / 2)), [X], performed=1)


def test_random_streams_are_numpys_and_go_on() -> None:
    drawn = []
    for mode in ("SYMGRAPH", "FAST_COMPILE"):
        stream = RandomStream(3)
        f = pytensor.function([], stream.normal(size=(3,)), mode=mode)
        drawn.append([f(), f()])
    np.testing.assert_array_equal(*drawn)
    assert not np.array_equal(*drawn[0])


def test_shared_variables_and_updates() -> None:
    s = pytensor.shared(np.zeros(3), "s")
    f = pytensor.function([], s * 2, updates={s: s + 1}, mode="SYMGRAPH")
    assert [f()[0], f()[0], s.get_value()[0]] == [0.0, 2.0, 2.0]
    s.set_value(np.arange(4.0))
    assert f().tolist() == [0.0, 2.0, 4.0, 6.0]


def test_results_are_no_views_of_arguments() -> None:
    x = pt.vector("x", dtype="float64")
    f = pytensor.function([x], [x, x[1:]], mode="SYMGRAPH")
    values = X.copy()
    whole, part = f(values)
    whole[:], part[:] = -1, -2
    np.testing.assert_array_equal(values, X)


def test_errors_are_those_of_pytensor() -> None:
    x, _, n = variables()
    f = pytensor.function([x, n], x[n], mode="SYMGRAPH")
    with pytest.raises(IndexError):
        f(X, 7)
    with pytest.raises(TypeError):
        f(Y, 1)
    y = pt.vector("y", dtype="float64")
    with pytest.raises(ValueError):
        pytensor.function([x, y], x + y, mode="SYMGRAPH")(X, X[:1])
    checked = CheckAndRaise(ZeroDivisionError, "no")(x, pt.all(x > 0))
    f = pytensor.function([x], checked, mode="SYMGRAPH")
    assert f(X)[0] == 0.5
    with pytest.raises(ZeroDivisionError, match="no"):
        f(-X)
    with pytest.raises(AssertionError, match="positive"):
        pytensor.function([x], Assert("positive")(x, pt.all(x > 0)), mode="SYMGRAPH")(-X)


def test_errors_of_specified_shapes_and_matrices() -> None:
    x, y, n = variables()
    f = pytensor.function([x, n], pt.specify_shape(x, n) * 2, mode="SYMGRAPH")
    assert f(X, 5)[0] == 1.0
    with pytest.raises(AssertionError):
        f(X, 4)
    with pytest.raises(np.linalg.LinAlgError):
        pytensor.function([y], pt.linalg.inv(y), mode="SYMGRAPH")(np.zeros((3, 3)))


def test_eigenvectors_of_complex_matrices() -> None:
    a, b = pt.zmatrix("a"), pt.zmatrix("b")
    value = A + 1j * np.triu(A, 1) - 1j * np.tril(A, -1)
    f = pytensor.function([a], pt.linalg.eigh(a), mode="SYMGRAPH")
    w, v = f(value)
    np.testing.assert_allclose(value @ v, v * w, atol=1e-12)
    if hasattr(pytensor.tensor.linalg, "Eigh"):
        g = pytensor.function([a, b], pt.linalg.eigh(a, b), mode="SYMGRAPH")
        w, v = g(value, A + 0j)
        np.testing.assert_allclose(value @ v, A @ (v * w), atol=1e-12)


def test_masks_stretch_when_the_data_leave_one_place() -> None:
    y = pt.matrix("y", dtype="float64")
    f = pytensor.function([y], y[y[:, 0] > 2, y[0, :] > 2], mode="SYMGRAPH")
    for given in (Y, Y.T.copy(), np.arange(6.0).reshape(2, 3), np.ones((2, 2))):
        rows, columns = (np.flatnonzero(m) for m in (given[:, 0] > 2, given[0] > 2))
        if len(rows) == len(columns) or 1 in (len(rows), len(columns)):
            np.testing.assert_array_equal(f(given), given[rows, columns])
        else:
            with pytest.raises((ValueError, IndexError, AssertionError)):
                f(given)


class Counted(Range):
    calls = 0

    def make_node(self, n: Any) -> Any:
        return Apply(self, [pt.as_tensor(n)], [pt.tensor(dtype="float64", shape=(3,))])

    def perform(self, *args: Any) -> None:
        Counted.calls += 1
        super().perform(*args)


def test_callbacks_run_at_each_call_and_not_before() -> None:
    minimal = door.mode(rewrites="minimum_compile")
    f = pytensor.function([], Counted()(pt.constant(3)) * 2, mode=minimal)
    assert Counted.calls == 0
    for k in (1, 2):
        np.testing.assert_array_equal(f(), [0.0, 2.0, 4.0])
        assert Counted.calls == k


def test_functions_are_pickled_and_copied() -> None:
    x = pt.vector("x", dtype="float64")
    f = pytensor.function([x], x + 1, mode="SYMGRAPH")
    for g in (pickle.loads(pickle.dumps(f)), f.copy()):
        np.testing.assert_array_equal(g(X), X + 1)
    assert f.vm.jit_fn(X)[0][0] == 1.5
    del f, g
    gc.collect()


def test_mode_as_the_default() -> None:
    x = pt.vector("x", dtype="float64")
    with pytensor.config.change_flags(mode=door.mode()):
        f = pytensor.function([x], x * 2)
    assert isinstance(f.maker.mode.linker, door.SymgraphLinker)
    np.testing.assert_array_equal(f(X), X * 2)


def test_minimal_rewrites() -> None:
    x, y, n = variables()
    outputs = [*elementwise(x, y, n), pt.grad((pt.exp(-y * x).sum(1)[1:] ** 2).sum(), x)]
    values = [X, Y, 2]
    found = [
        pytensor.function([x, y, n], outputs, mode=m)
        for m in (door.mode(rewrites="minimum_compile"), Mode("py", "fast_compile"))
    ]
    for a, b in zip(*(f(*values) for f in found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, strict=True)


def test_coverage_of_scalar_ops() -> None:
    """Every scalar op of PyTensor that has a name in pytensor.scalar has a row, or is listed."""
    from symgraph.interop.pytensor import coverage

    assert coverage.missing_scalar_ops() <= coverage.WITHOUT_A_ROW
