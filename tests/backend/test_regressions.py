"""Mistakes that random graphs have found, each as the smallest program that showed it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import dtypes, stages
from symgraph.codegen import llvm
from symgraph.executor import load_code
from symgraph.ir.graph import Graph
from symgraph.ir.hashing import structural_hash
from symgraph.ir.op import OPS
from symgraph.ir.parse import parse_graph
from symgraph.ir.text import graph_text
from tests.fuzz.case import Case, definition
from tests.fuzz.oracles import native

MODES = ("run", "interpret")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_integers_divided_by_themselves_may_be_zero(mode: str) -> None:
    """The polynomials of sizes cancel x // x; data may be 0."""
    x = sg.vector("x", dtype="int64")
    f = sg.compile([x], [x // x, x % x, (x * 6) // (x * 3)], mode=mode)
    for found, want in zip(f([0, 1, -5]), ([0, 1, 1], [0, 0, 0], [0, 2, 2]), strict=True):
        assert found.tolist() == want


def test_products_of_data_wrap_around_before_they_are_divided(mode: str) -> None:
    x = sg.vector("x", dtype="int64")
    f = sg.compile([x], (x * 4) // 4, mode=mode)
    assert f([2**62, 3]).tolist() == [0, 3]


def test_counters_divided_by_themselves(mode: str) -> None:
    i = sg.arange(5)
    x = sg.matrix("x", shape=("n", 3))
    f = sg.compile([x], x[:, (i // i) % 3], mode=mode)
    assert f([[1.0, 2.0, 3.0]]).tolist() == [[1, 2, 2, 2, 2]]


@pytest.mark.parametrize("columns", [9, 17, 33])
@pytest.mark.parametrize(
    ("wide", "narrow"), [("int64", "uint8"), ("int64", "int16"), ("float64", "bool")]
)
def test_a_narrowing_store_of_one_lane_writes_no_more(columns: int, wide: str, narrow: str) -> None:
    """LLVM 22 makes a masked store of one constant lane as wide as the value before truncation."""
    x = sg.tensor("x", wide, (5, columns))
    d = sg.compile([x], sg.cast(x, narrow)[:, ::-1][:, ::-1], mode="interpret").definition
    d = d._replace(options={"mode": "run"})
    low = stages.emit(d, d.graph, stages.lower(d, d.graph, scheduled=False))
    (text,) = low.kernels.values()
    code = load_code(llvm.compile_object(text), ["kernel"])
    source = np.arange(5 * columns).reshape(5, columns).astype(wide)
    target = np.full(5 * columns + 64, 7, "uint8").view("uint8")
    target = np.full((5 * columns + 64) * np.dtype(narrow).itemsize, 7, "uint8")
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("kernel"))
    kernel(source.ctypes.data, target.ctypes.data)
    size = 5 * columns * np.dtype(narrow).itemsize
    assert (target[size:] == 7).all()
    np.testing.assert_array_equal(target[:size].view(narrow), source.ravel().astype(narrow))


def test_a_view_of_the_old_value_is_read_before_the_update(mode: str) -> None:
    w = sg.shared(np.arange(6.0).reshape(3, 2), "w")
    flat = w.reshape((6,))
    f = sg.compile([], [sg.nn.log_softmax(flat), flat], updates={w: w + 5.0}, mode=mode)
    assert f()[1].tolist() == list(range(6)) and f()[1].tolist() == list(range(5, 11))


def test_numbers_that_look_like_truths(mode: str) -> None:
    p = sg.vector("p", dtype="bool")
    one, zero = sg.constant(1), sg.constant(0)
    f = sg.compile([p], [sg.where(p, one, zero), sg.where(p, zero, one)], mode=mode)
    a, b = f(np.array([True, False]))
    assert a.dtype == b.dtype == "int64" and a.tolist() == [1, 0] and b.tolist() == [0, 1]


def test_a_branch_on_a_constant(mode: str) -> None:
    x = sg.scalar("x")
    out = sg.cond(sg.constant(True), lambda: sg.constant(2.0) * 3, lambda: sg.constant(1.0))
    assert sg.compile([x], out + x, mode=mode)(1.0) == 7


def test_positions_in_rows_of_which_there_are_none(mode: str) -> None:
    x = sg.matrix("x")
    f = sg.compile([x], [sg.argmax(x, 1), sg.max(x, 1)], mode=mode)
    assert [o.shape for o in f(np.ones((0, 3)))] == [(0,), (0,)]


def test_an_index_that_a_pass_computes_may_lie_outside(mode: str) -> None:
    """It is an error of the call, and only where the index is used."""
    x = sg.vector("x", shape=(3,))
    flag = sg.scalar("flag", dtype="bool")
    index = sg.constant([3, 4]) % sg.constant(5)
    f = sg.compile([x, flag], sg.cond(flag, lambda: x[index], lambda: x[:2]), mode=mode)
    assert f([1.0, 2.0, 3.0], False).tolist() == [1, 2]
    with pytest.raises(sg.errors.IndexOutOfRange):
        f([1.0, 2.0, 3.0], True)


def test_failing_after_many_outputs() -> None:
    """The way out of a failing call is shared: code grows with the number of outputs, no faster."""
    x = sg.vector("x")

    def size(count: int) -> int:
        f: Any = sg.compile([x], [x + k for k in range(count)])
        return int(f.statistics["object_bytes"])

    assert size(160) < 2.5 * size(80)


def test_a_view_of_a_view_keeps_the_memory_below_both() -> None:
    x = sg.vector("x")
    reshape = OPS["reshape"]
    outputs = [reshape(shape=())(reshape(shape=(1,))(sg.constant(4.0))), x]
    d = definition(Case([x], outputs, [], [[np.ones(2)]]))
    assert native(d, d.graph)(np.ones(2))[0] == 4


def test_debug_mode_knows_that_a_double_was_computed_in_singles() -> None:
    x = sg.vector("x", dtype="float32", shape=(40,))
    f = sg.compile([x], sg.cast(sg.sum(sg.exp(x)), "float64"), mode="debug")
    values = np.random.default_rng(0).normal(size=40).astype("float32")
    np.testing.assert_allclose(f(values), np.exp(values.astype("float64")).sum(), rtol=1e-5)


def test_mistakes_told_by_their_own_class() -> None:
    with pytest.raises(sg.errors.SymgraphError, match="axis"):
        sg.partition(sg.scalar("x"), 0)
    with pytest.raises(sg.errors.SymgraphError):
        sg.hstack([])


def test_a_loop_without_turns_fails_nowhere(mode: str) -> None:
    """Its body is not run on made-up values to learn the shapes."""
    x, i = sg.matrix("x", shape=("n", 3)), sg.scalar("i", dtype="int64")
    f = sg.compile([x, i], sg.scan(lambda row, s: s + row[i], [x], [sg.constant(0.0)]), mode=mode)
    assert f(np.zeros((0, 3)), 7).shape == (0,)
    with pytest.raises(sg.errors.IndexOutOfRange):
        f(np.zeros((1, 3)), 7)


def test_the_text_of_a_value_that_stands_outside_of_a_branch_and_in_it() -> None:
    y = sg.exp(sg.arange(3) * 1.0)
    out = sg.cond(sg.sum(y) > 0, lambda: sg.exp(sg.arange(3) * 1.0) * 2, lambda: y)
    graph = Graph((), (out, y))
    copy = parse_graph(graph_text(graph))
    assert structural_hash(copy) == structural_hash(graph)
    assert graph_text(copy) == graph_text(graph)


@pytest.mark.parametrize("name", ["det", "slogdet"])
def test_determinants_of_what_turns_out_not_to_be_square(name: str, mode: str) -> None:
    x = sg.matrix("x", shape=("n", 2))
    f = sg.compile([x], getattr(sg.linalg, name)(x), mode=mode)
    f(np.eye(2))
    with pytest.raises(sg.errors.SymgraphError, match="not square"):
        f(np.ones((1, 2)))


@pytest.mark.parametrize("shape", [("n", 3), (0, 3)])
def test_sums_of_no_exponentials(shape: Any, mode: str) -> None:
    """The rules for softmax and logsumexp take a greatest element out, of which there is none."""
    x = sg.matrix("x", shape=shape)
    e = sg.exp(x)
    outputs = [
        sg.log(sg.sum(e, 0)),
        e / sg.sum(e, 0),
        sg.log(e / sg.sum(e, 0)),
        sg.nn.softmax(x, 0),
    ]
    found = sg.compile([x], outputs, mode=mode)(np.zeros((0, 3)))
    assert found[0].tolist() == [-np.inf] * 3
    assert [f.shape for f in found[1:]] == [(0, 3)] * 3


def test_a_load_that_never_happens_is_no_part_of_a_pair(mode: str) -> None:
    x = sg.tensor("x", shape=(17, 2, 2))
    rows = sg.sum(x, 2)
    y = x + sg.concatenate([rows, rows], 1)[:, 3][:, None, None]
    f = sg.compile([x], y, mode=mode)
    given = np.arange(68.0).reshape(17, 2, 2)
    np.testing.assert_allclose(f(given), given + given.sum(2)[:, 1][:, None, None])


def test_folded_narrow_constants_are_rounded_once(mode: str) -> None:
    low = np.full((9,), -1.078125, np.float32).astype(dtypes.numpy_dtype("bfloat16"))
    found = sg.compile([], [sg.sigmoid(sg.constant(low))], mode=mode)()[0]
    assert found[0] == np.float32(0.253906).astype(found.dtype)


def test_a_loop_that_reads_nothing_beside_one_with_carries(mode: str) -> None:
    """Whether the smaller one is a part of the other was asked by its last operand."""
    rows = parse_graph("graph() {\n  return const<float64>(2.5)\n}", {})
    steps = parse_graph(
        "graph(%0: float64) {\n  %1 = add(%0, const<float64>(1.0)) : float64\n  return %1, %1\n}",
        {},
    )
    scan = OPS["scan"]
    lone = scan(body=rows, carries=0, sequences=0, length=3, reverse=False, truncate=-1)()
    _, sums = scan(body=steps, carries=1, sequences=0, length=3, reverse=False, truncate=-1)(
        sg.constant(1.0)
    )
    assert sg.compile([], lone + sums, mode=mode)().tolist() == [4.5, 5.5, 6.5]


@pytest.mark.parametrize("rows", [0, 2, 5, 7])
def test_the_diagonal_of_a_product_that_is_not_square(mode: str, rows: int) -> None:
    a, b = sg.matrix("a", shape=("m", 3)), sg.matrix("b", shape=(3, 5))
    f = sg.compile([a, b], sg.sum(sg.diagonal(a @ b)), mode=mode)
    x, y = np.arange(3.0 * rows).reshape(rows, 3), np.arange(15.0).reshape(3, 5)
    assert f(x, y) == np.trace(x @ y)


def test_a_kernel_that_touches_no_memory_may_be_cut() -> None:
    """Its scalars between phases have no buffer to be named after."""
    nothing = sg.constant(np.zeros((1, 0), bool))
    steps = parse_graph("graph(%0: bool[1, 0]) {\n  return %0, %0\n}", {})
    scan = OPS["scan"](body=steps, carries=1, sequences=0, length=4, reverse=False, truncate=-1)
    any_ = sg.any(sg.cast(sg.broadcast_to(sg.arange(1), (4, 1)), "bool"), keepdims=True)
    with sg.config.change(parallel_from=0, num_threads=2, cache=False):
        f = sg.compile([], scan(any_[:, :0])[1])
        assert f().shape == (4, 1, 0)
        assert sg.compile([], scan(nothing)[1])().shape == (4, 1, 0)


@pytest.mark.parametrize(
    "name", ["cholesky_pull", "cholesky_push", "lower_product", "lu_pull", "lu_push"]
)
def test_maps_of_factors_want_two_square_matrices_of_a_size(name: str) -> None:
    square, other = sg.zeros((3, 3)), sg.zeros((4, 4))
    for a, b in [(square, other), (square, sg.zeros((3, 2))), (sg.zeros((2, 3)), square)]:
        with pytest.raises(sg.errors.ShapeError, match=name):
            OPS[name]()(a, b)


@pytest.mark.parametrize("name", ["cholesky_pull", "cholesky_push"])
def test_a_zero_on_a_factor_s_diagonal_divides_and_is_no_error(name: str, mode: str) -> None:
    low, g = sg.matrix("low", shape=(2, 2)), sg.matrix("g", shape=(2, 2))
    f = sg.compile([low, g], OPS[name]()(low, g), mode=mode)
    assert not np.isfinite(f([[1.0, 0.0], [0.5, 0.0]], np.ones((2, 2)))[1, 1])


def test_an_index_computed_from_floats_in_a_loop_that_threads_share() -> None:
    x, y = sg.vector("x", shape=(3,)), sg.vector("y")
    at = sg.cast(sg.minimum(y, sg.constant(np.array(2.0))), "int64")
    with sg.config.change(parallel_from=0, num_threads=2, cache=False):
        f = sg.compile([x, y], sg.take_along_axis(x, at, axis=0))
        assert f(np.array([5.0, 6.0, 7.0]), np.array([9.0, 1.0, 0.5])).tolist() == [7, 6, 5]


@pytest.mark.parametrize("outputs", [0, 4])
def test_filters_of_no_results(mode: str, outputs: int) -> None:
    x, w = sg.tensor("x", shape=(2, 3, 5, 5)), sg.zeros((outputs, 3, 2, 2))
    g = sg.tensor("g", shape=(2, outputs, 4, 4))
    f = sg.compile([x, g], sg.grad(sg.sum(sg.nn.conv(x, w) * g), w), mode=mode)
    found = f(np.ones((2, 3, 5, 5)), np.ones((2, outputs, 4, 4)))
    assert np.array_equal(found, np.full((outputs, 3, 2, 2), 32.0))


@pytest.mark.parametrize("size", ["n", 0])
def test_a_sum_of_no_copies_is_0_whatever_is_copied(mode: str, size: str | int) -> None:
    x, y = sg.matrix("x", shape=(size, 3)), sg.scalar("y")
    copies = sg.broadcast_to(sg.log(y), x.shape)
    f = sg.compile([x, y], sg.sum(copies, axis=0), mode=mode, on_unused_input="ignore")
    assert f(np.zeros((0, 3)), 0.0).tolist() == [0, 0, 0]
    g = sg.compile([x, y], sg.grad(sg.mean(x + y), y), mode=mode, on_unused_input="ignore")
    assert g(np.zeros((0, 3)), 1.0) == 0


def test_a_real_transform_to_nothing_is_refused_before_anything_is_allocated(mode: str) -> None:
    z = sg.vector("z", dtype="complex128", shape=("m",))
    f = sg.compile([z], [sg.fft.irfft(z), sg.sum(sg.fft.irfft(z))], mode=mode)
    for size in (0, 1):
        with pytest.raises(sg.errors.ShapeError, match="irfft to an axis without elements"):
            f(np.zeros(size, "complex128"))
    assert f(np.array([4.0, 0]))[0].tolist() == [2, 2]


def test_sizes_below_0_are_refused_at_the_line(mode: str) -> None:
    x, y = sg.vector("x"), sg.vector("y", shape=("k",))
    f = sg.compile([x, y], sg.broadcast_to(sg.sum(x), (y.shape[0] - 2,)), mode=mode)
    assert f(np.ones(3), np.ones(4)).tolist() == [3, 3]  # of y only the size counts
    with pytest.raises(sg.errors.InputValueError, match="axis 0 has a size below 0, k - 2"):
        f(np.ones(3), np.ones(1))


def test_coordinates_are_as_many_as_elements(mode: str) -> None:
    x = sg.matrix("x", shape=("m", "k"))
    f = sg.compile([x], sg.gradient(x, np.array([0.0, 1.0, 2.5, 3.0]), axis=1), mode=mode)
    assert f(np.ones((2, 4))).tolist() == [[0.0] * 4] * 2
    for size in (1, 3, 17):
        with pytest.raises(sg.errors.SymgraphError):
            f(np.ones((2, size)))
    with pytest.raises(sg.errors.ShapeError, match="4 coordinates for axis 0 of 5 elements"):
        sg.gradient(np.ones(5), np.arange(4.0))


@pytest.mark.parametrize("op", [sg.remainder, sg.floor_divide])
def test_counts_divided_by_a_constant_0(op: Any, mode: str) -> None:
    """Numbers that cannot be negative are divided by an instruction that traps."""
    x = sg.vector("x")
    count = (sg.arange(2) * x.shape[0])[:1].sum()
    outputs = [op(count, 0), op(sg.arange(2)[1:].sum(), 0)]
    assert [int(v) for v in sg.compile([x], outputs, mode=mode)(np.ones(3))] == [0, 0]
