"""float16 and bfloat16 through every op: compiled against the interpreter, and both against NumPy,
ml_dtypes and float64. Arithmetic has NumPy's bits, sums are taken in float32.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, dtypes
from symgraph.errors import DTypeError, InputValueError
from symgraph.ir.graph import Graph
from symgraph.ir.interpret import interpret
from symgraph.ir.op import OPS
from symgraph.ir.parse import parse_graph
from symgraph.ir.save import load, save
from symgraph.ir.text import graph_text
from symgraph.ops.elementwise import Elementwise
from tests.ops import evaluation
from tests.ops.samples import Sample
from tests.ops.test_registry import ALL, outputs_of

NARROW = dtypes.NARROW
DIGITS = {d: dtypes.limits(d).digits + 1 for d in NARROW}
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.25, -2.5, 6e4, 1e-7, float("inf"), -float("inf"), float("nan"))
EVERY = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)  # the bits of all numbers


def array(dtype: str, values: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(dtypes.numpy_dtype(dtype))


def random(dtype: str, *shape: int, seed: int = 0) -> Any:
    return array(dtype, np.random.default_rng(seed).normal(size=shape))


def wide(x: Any) -> Any:
    with np.errstate(all="ignore"):  # of signalling NaN
        return x.astype("float64") if dtypes.kind_of(x.dtype) == "f" else x


def close(found: Any, wanted: Any, ulps: float, name: str = "") -> None:
    """Equal but for some units in the last place of a narrow dtype."""
    assert found.dtype == wanted.dtype and found.shape == wanted.shape, name
    kind = str(wanted.dtype)
    rtol = ulps * 2.0 ** (1 - DIGITS[kind]) if kind in DIGITS else 1e-5 if ulps else 0
    with np.errstate(all="ignore"):
        x, y = wide(found), wide(wanted)
        scale = float(np.abs(y[np.isfinite(y)]).max(initial=0)) if y.dtype == "float64" else 0
    np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6 * scale * bool(ulps), err_msg=name)


def both(builds: list[tuple[str, Any, list[Any]]], ulps: float = 1) -> list[Any]:
    """Compile all graphs as one function and compare each output with the interpreter."""
    names, inputs, arrays, outputs = [], [], [], []
    for name, build, operands in builds:
        own = evaluation.inputs_for(operands)
        built = outputs_of(build(*own))
        names += [name] * len(built)
        inputs, arrays, outputs = inputs + own, arrays + operands, outputs + built
    for k, x in enumerate(inputs):
        x.name = f"a{k}"
    with warnings.catch_warnings(), np.errstate(all="ignore"), config.change(cache=False):
        warnings.simplefilter("ignore")
        wanted = interpret(Graph(inputs, outputs), arrays)
        found = sg.compile(inputs, outputs, on_unused_input="ignore")(*arrays)
    for name, f, w in zip(names, found, wanted, strict=True):
        close(f, w, ulps, name)
    return list(found)


# every op -----------------------------------------------------------------------------------------


def rows() -> list[Elementwise]:
    return [r for r in OPS.values() if isinstance(r, Elementwise) and r.name[:6] != "philox"]


@pytest.mark.parametrize("dtype", NARROW)
def test_every_elementwise_row_is_that_of_float32_rounded(dtype: str) -> None:
    rng = np.random.default_rng(0)
    names, inputs, arrays, narrow, wide_ = [], [], [], [], []
    for row in rows():
        try:
            kinds = row.computes_in((dtype,) * row.arity)
        except DTypeError:
            continue
        if dtype not in kinds or not row.widens:
            continue
        domains = row.domain if isinstance(row.domain[0], tuple) else (row.domain,) * row.arity
        values = [np.concatenate([rng.uniform(*d, 9), SPECIAL]) for d in domains]
        given = [array(d, v) for d, v in zip(kinds, values, strict=True)]
        if row.arity == 2:
            given = [given[0][:, None], given[1][None, :]]
        own = evaluation.inputs_for(given)
        names.append(row.name)
        inputs, arrays = inputs + own, arrays + given
        narrow.append(row(*own))
        wide_.append(row(*(sg.cast(x, "float32") if x.dtype == dtype else x for x in own)))
    for k, x in enumerate(inputs):
        x.name = f"a{k}"
    with config.change(cache=False):
        found, wanted = (sg.compile(inputs, out)(*arrays) for out in (narrow, wide_))
    for name, f, w in zip(names, found, wanted, strict=True):
        close(f, array(dtype, w) if str(w.dtype) == "float32" else w, 0, name)


# Each group in one of the dtypes, the other one in `make test-all`.
GROUPS = [
    pytest.param(
        dtype, ALL[k : k + 24], id=f"{dtype}-{k}-{ALL[k].op}",
        marks=[] if k // 24 % 2 == which else [pytest.mark.slow],
    )
    for which, dtype in enumerate(NARROW) for k in range(0, len(ALL), 24)
]  # fmt: skip
# LAPACK knows float32 and float64; custom ops are told their dtypes
REFUSING = "works in float32|is float64|is float32"


@pytest.mark.parametrize(("dtype", "group"), GROUPS)
def test_samples(dtype: str, group: list[Sample]) -> None:
    """The rows of all samples with their float operands made narrow."""
    builds = []
    for s in group:
        given = [np.asarray(a) for a in s.arrays]
        floats = [str(a.dtype) in ("float32", "float64") for a in given]
        if not any(floats):
            continue
        arrays = [array(dtype, a) if f else a for a, f in zip(given, floats, strict=True)]
        try:
            s.build(*evaluation.inputs_for(arrays))
        except DTypeError as error:
            assert re.search(REFUSING, str(error)), s.op
            continue
        builds.append((s.op, s.build, arrays))
    if builds:
        both(builds, 2)


# arithmetic ---------------------------------------------------------------------------------------

SAME_BITS: list[tuple[str, Any, Any]] = [
    ("add", lambda x, y: x + y, np.add), ("subtract", lambda x, y: x - y, np.subtract),
    ("multiply", lambda x, y: x * y, np.multiply), ("divide", lambda x, y: x / y, np.divide),
    ("sqrt", lambda x, y: sg.sqrt(x), lambda x, y: np.sqrt(x)),
    ("negative", lambda x, y: -x, lambda x, y: -x),
    ("abs", lambda x, y: sg.abs(x), lambda x, y: np.abs(x)),
    ("maximum", sg.maximum, np.maximum), ("minimum", sg.minimum, np.minimum),
    ("less", lambda x, y: x < y, np.less), ("equal", lambda x, y: sg.equal(x, y), np.equal),
    ("less_equal", lambda x, y: x <= y, np.less_equal),
    ("floor", lambda x, y: sg.floor(x), lambda x, y: np.floor(x)),
    ("rint", lambda x, y: sg.rint(x), lambda x, y: np.rint(x)),
    ("copysign", sg.copysign, np.copysign),
    ("nextafter", sg.nextafter, np.nextafter),
    ("float32", lambda x, y: sg.cast(x, "float32"), lambda x, y: x.astype("float32")),
    ("float64", lambda x, y: sg.cast(x, "float64"), lambda x, y: x.astype("float64")),
    ("bool", lambda x, y: sg.cast(x, bool), lambda x, y: x.astype(bool)),
    # after each operation there is one rounding, also where they are one loop
    ("fused", lambda x, y: (x + y) * x - y, lambda x, y: (x + y) * x - y),
]  # fmt: skip


@pytest.mark.parametrize("dtype", NARROW)
def test_arithmetic_has_the_bits_of_numpy_and_ml_dtypes(dtype: str) -> None:
    kind = dtypes.numpy_dtype(dtype)
    rng = np.random.default_rng(1)
    a, b = EVERY.view(kind), rng.permutation(EVERY).view(kind)
    x, y = sg.vector("x", dtype=dtype), sg.vector("y", dtype=dtype)
    found = sg.compile([x, y], [build(x, y) for _, build, _ in SAME_BITS])(a, b)
    for (name, _, numpy), f in zip(SAME_BITS, found, strict=True):
        with np.errstate(all="ignore"):
            w = numpy(a, b)
        assert f.dtype == w.dtype, name
        np.testing.assert_array_equal(wide(f), wide(w), err_msg=name)
        number = ~np.isnan(wide(w))
        if w.dtype != bool and name not in ("maximum", "minimum"):
            np.testing.assert_array_equal(
                np.signbit(wide(f)[number]), np.signbit(wide(w)[number]), err_msg=name
            )


@pytest.mark.parametrize("dtype", NARROW)
def test_a_long_formula_is_rounded_once(dtype: str) -> None:
    x = array(dtype, np.linspace(-8, 8, 201))
    v = sg.vector("v", dtype=dtype)
    for name in ("exp", "tanh", "sigmoid", "log1p", "erf", "sinh", "softplus"):
        (found,) = both([(name, getattr(sg, name), [x])])
        wanted = sg.compile([v], getattr(sg, name)(sg.cast(v, "float64")))(x)
        close(found, array(dtype, wanted), 1, name)


def test_dtypes_that_meet() -> None:
    h, b = sg.vector("h", dtype="float16"), sg.vector("b", dtype="bfloat16")
    f, i = sg.vector("f", dtype="float32"), sg.vector("i", dtype="int32")
    assert (h + b).dtype == "float32" and (b + i).dtype == "bfloat16"
    assert (h + i).dtype == "float64" and (h + f).dtype == (b + f).dtype == "float32"
    assert (h * 2).dtype == (h * 2.5).dtype == "float16" and (b / 3).dtype == "bfloat16"
    assert sg.exp(b).dtype == "bfloat16" and sg.mean(h).dtype == "float16"
    assert sg.where(i > 0, h, b).dtype == "float32"


# sums and products --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NARROW)
def test_sums_are_taken_in_float32(dtype: str) -> None:
    x, m = sg.vector("x", dtype=dtype), sg.matrix("m", dtype=dtype)
    ones, a = array(dtype, np.ones(5000)), random(dtype, 300, 17)
    outputs = [sg.sum(x), sg.sum(m, 0), sg.sum(m, 1), sg.sum(m), sg.cumsum(x)[-1], sg.prod(m, 1)]
    outputs += [sg.mean(x * 100), sg.var(m, 0), sg.std(m, 1), sg.logsumexp(m, 0), sg.sum(m * m, 0)]
    found = sg.compile([x, m], outputs)(ones, a)
    w = wide(a)
    squares = wide(a * a)
    wanted = [
        5000.0, w.sum(0), w.sum(1), w.sum(), 5000.0, w.prod(1), 100.0, w.var(0), w.std(1),
        np.log(np.exp(w).sum(0)), squares.sum(0),
    ]  # fmt: skip
    for f, e in zip(found, wanted, strict=True):
        close(f, array(dtype, e), 1)


@pytest.mark.parametrize("dtype", NARROW)
def test_matrix_products_are_rounded_once(dtype: str) -> None:
    a, b, v = random(dtype, 20, 300), random(dtype, 300, 9, seed=1), random(dtype, 300, seed=2)
    builds = [
        ("matmul", lambda a, b, v: a @ b, lambda a, b, v: a @ b),
        ("turned", lambda a, b, v: b.T @ a.T, lambda a, b, v: b.T @ a.T),
        ("vector", lambda a, b, v: a @ v, lambda a, b, v: a @ v),
        ("dot", lambda a, b, v: sg.dot(v, v), lambda a, b, v: np.dot(v, v)),
        ("vecdot", lambda a, b, v: sg.vecdot(a, v), lambda a, b, v: a @ v),
        ("einsum", lambda a, b, v: sg.einsum("ij,jk,j->ik", a, b, v),
         lambda a, b, v: np.einsum("ij,jk,j->ik", a, b, v)),
        ("tensordot", lambda a, b, v: sg.tensordot(a, b, 1), lambda a, b, v: a @ b),
    ]  # fmt: skip
    for name, build, numpy in builds:
        found = both([(name, build, [a, b, v])])[0]
        wanted = numpy(wide(a), wide(b), wide(v))
        size = float(np.abs(wanted).max())
        np.testing.assert_allclose(
            wide(found), wanted, rtol=2.0 ** -DIGITS[dtype], atol=1e-5 * size, err_msg=name
        )


@pytest.mark.parametrize("dtype", NARROW)
def test_duplicates_add_up_in_float32(dtype: str) -> None:
    x = sg.vector("x", dtype=dtype)
    i = np.zeros(3000, "int64")
    y = sg.zeros(4, dtype).at[i].add(x)
    assert y.dtype == dtype
    assert wide(sg.compile([x], y)(array(dtype, np.ones(3000)))[0]) == array(dtype, 3000.0)


# derivatives, loops, conditions -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NARROW)
def test_gradients(dtype: str) -> None:
    a, b, t = random(dtype, 12, 8), random(dtype, 8, 3, seed=1), random(dtype, 12, 3, seed=2)

    def slopes(x: Any, w: Any, y: Any) -> Any:
        hidden = sg.tanh(x @ w)
        cost = sg.mean(sg.square(hidden - y)) + sg.max(hidden) + sg.sum(sg.cumsum(w, 0))
        return sg.grad(cost, [x, w])

    inputs = evaluation.inputs_for([a, b, t])
    found = sg.compile(inputs, slopes(*inputs))(a, b, t)
    exact = [v.astype("float64") for v in (a, b, t)]
    inputs = evaluation.inputs_for(exact)
    wanted = interpret(Graph(inputs, slopes(*inputs)), exact)
    for f, w in zip(found, wanted, strict=True):
        assert str(f.dtype) == dtype
        error = np.abs(wide(f) - w).max() / np.abs(w).max()
        assert error < 16 * 2.0 ** -DIGITS[dtype]


@pytest.mark.parametrize("dtype", NARROW)
def test_control_flow(dtype: str) -> None:
    x, s = random(dtype, 40), array(dtype, 0.5)

    def loops(x: Any, s: Any) -> Any:
        every = sg.scan(lambda row, total: total * 0.5 + row, [x], [s])
        count = sg.while_loop(lambda v: v < 100, lambda v: v * 2 + 1, s)
        chosen = sg.cond(s > 0, lambda: x * 2, lambda: x - 1)
        return [every, count, chosen]

    found = both([("loops", loops, [x, s])], 0)
    total, rows_ = s, []
    half = array(dtype, 0.5)
    for row in x:
        total = (total * half).astype(x.dtype) + row
        rows_.append(total)
    np.testing.assert_array_equal(wide(found[0]), wide(np.array(rows_, x.dtype)))
    assert all(str(f.dtype) == dtype for f in found)


@pytest.mark.parametrize("dtype", NARROW)
def test_random_numbers(dtype: str) -> None:
    key = sg.random.key(3)
    u, z = sg.random.uniform(key, (4000,), dtype), sg.random.normal(key, (4000,), dtype)
    found, bell = (wide(v) for v in sg.compile([], [u, z])())
    assert u.dtype == z.dtype == dtype
    assert 0 <= found.min() and found.max() < 1
    assert abs(found.mean() - 0.5) < 0.02 and abs(bell.mean()) < 0.06
    assert abs(bell.std() - 1) < 0.05 and np.abs(bell).max() < 6


# at the border ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NARROW)
def test_what_may_be_given(dtype: str) -> None:
    x, s = sg.vector("x", dtype=dtype), sg.scalar("s", dtype=dtype)
    f = sg.compile([x, s], [x * s, x])
    a = random(dtype, 10)
    for given in (a, a[::2], a[::-1], a.tolist(), [1, 2], [True], [], np.array([3, 4], "uint8")):
        y, same = f(given, 2)
        assert str(y.dtype) == str(same.dtype) == dtype
        np.testing.assert_array_equal(wide(same), wide(array(dtype, given)))
        np.testing.assert_array_equal(wide(y), 2 * wide(same))
    for bad in (a.astype("float32"), np.arange(3), np.array([1j])):
        with pytest.raises(InputValueError, match=f"x is {dtype}"):
            f(bad, 2)
    i = sg.vector("i", dtype="int32")
    with pytest.raises(InputValueError, match=f"i is int32.* has dtype {dtype}"):
        sg.compile([i], i + 1)(a)


def test_narrow_arrays_are_taken_for_wide_inputs() -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x + 1)
    for dtype in NARROW:
        assert f(array(dtype, [1.5, 2])).tolist() == [2.5, 3]


@pytest.mark.parametrize("dtype", NARROW)
def test_shared_variables(dtype: str) -> None:
    x = sg.vector("x", dtype=dtype)
    state = sg.shared(array(dtype, np.zeros(5)), "state")
    f = sg.compile([x], sg.sum(state), updates={state: state * 0.5 + x})
    a = random(dtype, 5)
    f(a)
    f(a)
    assert str(state.get_value().dtype) == dtype
    np.testing.assert_array_equal(wide(state.get_value()), wide(a * a.dtype.type(0.5) + a))


@pytest.mark.parametrize("dtype", NARROW)
def test_text_and_files(dtype: str, tmp_path: Path) -> None:
    x = sg.vector("x", dtype=dtype, shape=(5,))
    small = sg.constant(array(dtype, [1.1, -0.0, 3e-5, np.nan, np.inf]))
    large = sg.constant(random(dtype, 4000))
    state = sg.shared(random(dtype, 5), "state")
    graph = Graph([x], [x * small + state, sg.sum(large) + x])
    text = graph_text(graph)
    assert f"const<{dtype}[5]>(" in text
    own = Graph([x], [x * small])
    assert graph_text(parse_graph(graph_text(own))) == graph_text(own)
    every = Graph([], [sg.constant(EVERY[k : k + 16].view(dtypes.numpy_dtype(dtype)))
                       for k in range(0, 1 << 16, 2048)])  # fmt: skip
    for old, new in zip(every.outputs, parse_graph(graph_text(every)).outputs, strict=True):
        assert new is old
    save(tmp_path / "g.sg", graph)
    again = load(tmp_path / "g.sg")
    assert graph_text(again) == text
    a = random(dtype, 5, seed=3)
    for f, w in zip(interpret(again, [a]), interpret(graph, [a]), strict=True):
        np.testing.assert_array_equal(wide(f), wide(w))


def test_code_on_disk_serves_another_process(tmp_path: Path) -> None:
    """The number of the type bfloat16 is another one where float8 types were registered first."""
    program = textwrap.dedent(
        """
        import sys
        import numpy as np
        if sys.argv[1] == "other":
            import numpy.core as _  # noqa: F401
            from numpy._core import _rational_tests  # takes a type number before ml_dtypes does
        import ml_dtypes
        import symgraph as sg
        x = sg.vector("x", dtype="bfloat16")
        f = sg.compile([x], x * 2)
        a = np.arange(4).astype(ml_dtypes.bfloat16)
        print(np.dtype(ml_dtypes.bfloat16).num, f(a).astype(float).tolist(), f(a).dtype)
        """
    )
    found = []
    for which in ("plain", "other"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, which], check=True, text=True,
            capture_output=True, env={"SYMGRAPH_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."},
        )  # fmt: skip
        found.append(done.stdout.split(maxsplit=1))
    assert found[0][1] == found[1][1] == "[0.0, 2.0, 4.0, 6.0] bfloat16\n"
    assert found[0][0] != found[1][0]


def test_linear_algebra_says_what_to_do() -> None:
    with pytest.raises(DTypeError, match="float32"):
        sg.linalg.cholesky(sg.matrix("m", dtype="bfloat16"))


@pytest.mark.parametrize("dtype", NARROW)
def test_the_users_functions_get_narrow_arrays(dtype: str, capfd: Any) -> None:
    seen = []

    def twice(a: Any) -> Any:
        seen.append(str(a.dtype))
        return a + a

    x = sg.vector("x", dtype=dtype, shape=("n",))
    op = sg.python_op(twice, infer=f"{dtype}[n] -> {dtype}[n]")
    y = sg.print_value(op(x), "y", summary=True)
    a = random(dtype, 4)
    np.testing.assert_array_equal(wide(sg.compile([x], y)(a)), wide(a + a))
    assert set(seen) == {dtype} and dtype in "".join(capfd.readouterr())
