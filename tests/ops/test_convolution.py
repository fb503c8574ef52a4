"""Convolution and pooling beyond single calls: blocks of any size, derivatives of derivatives,
batching, what wins in a window, accuracy, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal

import symgraph as sg
from symgraph import config
from symgraph.errors import ArgumentError, DTypeError, RankError, ShapeError, SymgraphError
from symgraph.ir.graph import Graph
from symgraph.loops.interpret import run_program
from symgraph.loops.verify import verify_program
from symgraph.lower import convolution_frame
from symgraph.lower.build import Builder, context
from symgraph.lower.routines import realise
from tests.ops.both_ways import both
from tests.ops.samples_convolution import first, last, slow_conv

RNG = np.random.default_rng(3)


def normal(*shape: int, dtype: str = "float64") -> Any:
    return RNG.normal(size=shape).astype(dtype)


# blocks -------------------------------------------------------------------------------------------


def product(params: Any, a: Any, b: Any, out: Any) -> None:
    """What a matmul step means."""
    a = np.swapaxes(a, -1, -2) if params["ta"] else a
    b = np.swapaxes(b, -1, -2) if params["tb"] else b
    out[...] = a @ b + (out if params.get("accumulate") else 0)


def read_in_images(params: Any, a: Any, b: Any, rows: Any, columns: Any, c: Any) -> None:
    """What a convolution step means: products of matrices, one of which lies in images."""
    m, n, k, groups = (params[w] for w in ("m", "n", "k", "groups"))
    flat = {"a": a.reshape(-1), "b": b.reshape(-1), "c": c.reshape(-1)}
    places = np.add.outer(rows, columns)
    if params["images"] == "b":
        inside = np.arange(n)
        runs = columns[inside // params["run"]] + inside % params["run"]
        places = np.add.outer(rows, runs)

    def matrix(x: str, i: int, shape: tuple[int, int]) -> Any:
        row, column, image, group = params[x]
        at = (
            places
            if x == params["images"]
            else np.add.outer(np.arange(shape[0]) * row, np.arange(shape[1]) * column)
        )
        return at + i // groups * image + i % groups * group

    for i in range(params["batch"]):
        made = flat["a"][matrix("a", i, (m, k))] @ flat["b"][matrix("b", i, (k, n))]
        at = matrix("c", i, (m, n))
        again = params["adds"] == 1 or (params["adds"] == 2 and i >= groups)
        flat["c"][at] = made + (flat["c"][at] if again else 0)


def in_the_loop_language(outputs: list[Any], inputs: list[Any], arrays: list[Any]) -> list[Any]:
    program = Builder(Graph(inputs, outputs), "f", (), context((), {}, True)).build([], realise)
    verify_program(program)
    sizes = {
        s.attr: n
        for v, a in zip(inputs, arrays, strict=True)
        for s, n in zip(v.shape, a.shape, strict=True)
        if not isinstance(s, int)
    }
    return list(run_program(program, arrays, sizes, routines=ROUTINES))


ROUTINES: Any = {"matmul": product, "convolution": read_in_images}


CASES = [
    ((3, 2, 5, 7), (3, 2, 2, 3), 1, 0, 1),
    ((3, 2, 5, 7), (3, 2, 2, 3), 2, 1, 1),
    ((2, 4, 6, 19), (4, 2, 3, 3), 1, 1, 2),
    ((2, 4, 6, 19), (4, 2, 3, 3), 2, 1, 2),
    ((2, 3, 40), (2, 3, 5), 1, 2, 1),
    ((2, 3, 40), (2, 3, 5), 3, 2, 1),
    ((2, 2, 4, 5), (3, 2, 1, 1), 1, 0, 1),
    ((2, 4, 4, 5), (4, 1, 3, 3), 2, 1, 4),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[0])))
@pytest.mark.parametrize("room", [1, 900, 500_000])
@pytest.mark.parametrize("named", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("matmul", ["own", "blas"])
def test_blocks_of_any_size(
    case: Any, room: int, named: bool, matmul: str, monkeypatch: Any
) -> None:
    with config.change(matmul=matmul):
        _blocks_of_any_size(case, room, named, monkeypatch)


def _blocks_of_any_size(case: Any, room: int, named: bool, monkeypatch: Any) -> None:
    shape, filters, stride, pad, groups = case
    for name in ("BUDGET", "MOST"):
        monkeypatch.setattr(convolution_frame, name, room)
    for layout in ("NCHW", "NHWC"):
        a, w = normal(*shape), normal(*filters)
        want = slow_conv(a, w, stride, pad, 1, groups)
        if layout == "NHWC":
            a, want = last(a), last(want)
            w = np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))
        x, v = (
            sg.tensor(n, shape=[f"{n}{k}" if named and groups == 1 else s for k, s in enumerate(t)])
            for n, t in (("x", a.shape), ("w", w.shape))
        )
        y = sg.nn.conv(x, v, stride, pad, groups=groups, layout=layout)
        g = normal(*want.shape)
        gx, gw = sg.vjp(y, [x, v], sg.constant(g))
        found = in_the_loop_language([y, gx, gw], [x, v], [a, w])
        np.testing.assert_allclose(found[0], want, rtol=1e-10, atol=1e-10)
        # the derivatives, each by what it means: <g, conv(dx, w)> = <gx, dx> for all dx
        dx, dw = normal(*a.shape), normal(*w.shape)
        moved = [
            (first(p), np.moveaxis(q, (-1, -2), (0, 1))) if layout == "NHWC" else (p, q)
            for p, q in ((dx, w), (a, dw))
        ]
        seen = [slow_conv(p, q, stride, pad, 1, groups) for p, q in moved]
        plain = first(g) if layout == "NHWC" else g
        np.testing.assert_allclose((found[1] * dx).sum(), (plain * seen[0]).sum(), rtol=1e-9)
        np.testing.assert_allclose((found[2] * dw).sum(), (plain * seen[1]).sum(), rtol=1e-9)


def test_large_ones_in_native_code() -> None:
    for shape, filters, stride, groups in (
        ((2, 16, 33, 35), (24, 16, 3, 3), 1, 1),
        ((2, 16, 33, 35), (24, 16, 5, 5), 2, 1),
        ((1, 3, 5000), (8, 3, 9), 1, 1),
        ((3, 32, 9, 9), (32, 1, 3, 3), 1, 32),
        ((3, 32, 9, 9), (64, 8, 3, 3), 2, 4),
    ):
        a, w = normal(*shape, dtype="float32"), normal(*filters, dtype="float32")
        x, v = (sg.tensor(n, dtype="float32", shape=t.shape) for n, t in (("x", a), ("w", w)))
        y = sg.nn.conv(x, v, stride, "half", groups=groups)
        g = normal(*y.shape, dtype="float32")
        outputs = [y, *sg.vjp(y, [x, v], sg.constant(g))]
        found = sg.compile([x, v], outputs)(a, w)
        exact = sg.compile([x, v], outputs, mode="interpret")(a, w)
        for f, e in zip(found, exact, strict=True):
            np.testing.assert_allclose(f, e, rtol=1e-4, atol=2e-5 * np.abs(e).max())


def test_one_function_for_many_sizes() -> None:
    x = sg.tensor("x", dtype="float32", shape=("n", 3, "h", "w"))
    w = sg.shared(normal(4, 3, 3, 3, dtype="float32"))
    y = sg.nn.conv2d(x, w, stride=2, padding="same")
    f = sg.compile([x], [y, sg.grad(y.sum(), w)])
    for shape in ((1, 3, 4, 4), (5, 3, 9, 6), (0, 3, 8, 8), (2, 3, 1, 2)):
        a = normal(*shape, dtype="float32")
        found, slope = f(a)
        even = [n % 2 for n in shape[2:]]
        pads = tuple((1, 1) if odd else (0, 1) for odd in even)
        want = slow_conv(a, w.get_value(), 2, pads)
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
        assert slope.shape == (4, 3, 3, 3) and np.isfinite(slope).all()


def test_as_scipy() -> None:
    a, w = normal(7, 9), normal(3, 4)
    x, v = sg.constant(a[None, None]), sg.constant(w[None, None])
    for mode in ("valid", "full"):
        found = sg.nn.conv2d(x, v, padding=mode).eval()[0, 0]
        np.testing.assert_allclose(found, scipy.signal.correlate(a, w, mode), rtol=1e-12)
        turned = sg.nn.conv2d(x, v, padding=mode, flip=True).eval()[0, 0]
        np.testing.assert_allclose(turned, scipy.signal.convolve(a, w, mode), rtol=1e-12)


# derivatives --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("groups", [1, 2])
def test_second_derivatives(layout: str, groups: int) -> None:
    shapes = [(2, 2, 5, 4), (4, 2 // groups, 3, 2)]
    if layout == "NHWC":
        shapes = [(2, 5, 4, 2), (3, 2, 2 // groups, 4)]
    x, w = (sg.tensor(n, shape=s) for n, s in zip("xw", shapes, strict=True))
    arrays = [normal(*s) for s in shapes]
    y = sg.nn.conv2d(x, w, stride=(1, 2), padding=1, groups=groups, layout=layout)
    cost = (y**3).sum()
    gx, gw = sg.grad(cost, [x, w])
    u, v = (normal(*s) for s in shapes)
    along = (gx * u).sum() + (gw * v).sum()
    second = both(sg.grad(along, [x, w]), dict(zip([x, w], arrays, strict=True)))
    slope = sg.compile([x, w], [gx, gw])
    h = 1e-5
    ends = [slope(arrays[0] + s * h * u, arrays[1] + s * h * v) for s in (1, -1)]
    for k in (0, 1):
        np.testing.assert_allclose(
            second[k], (ends[0][k] - ends[1][k]) / (2 * h), rtol=1e-5, atol=1e-5
        )


def test_max_pool_second_derivative() -> None:
    a = normal(1, 2, 6, 6)
    x = sg.tensor("x", shape=a.shape)
    y = sg.nn.max_pool(x, 3, 2, 1)
    g = sg.grad((y**3).sum(), x)
    h = sg.grad((g * g).sum(), x)
    # each element is the greatest of k windows: the slope is 3 k x^2, its square 9 k^2 x^4
    (found, slope) = both([h, g], {x: a})
    k = np.rint(slope / (3 * a * a))
    np.testing.assert_allclose(found, 36 * k**2 * a**3, rtol=1e-9)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["x", "w", "both"])
@pytest.mark.parametrize("named", [False, True], ids=["known", "symbolic"])
def test_batched(layout: str, groups: int, axes: Any, named: bool) -> None:
    shapes = [(2, 4, 5, 4), (6, 4 // groups, 3, 3)]
    if layout == "NHWC":
        shapes = [(2, 5, 4, 4), (3, 3, 4 // groups, 6)]
    size: Any = "b" if named else 3
    whole = [((3, *s) if a == 0 else s) for s, a in zip(shapes, axes, strict=True)]
    inputs = [
        sg.tensor(n, shape=(size, *s[1:]) if a == 0 else s)
        for n, s, a in zip("xw", whole, axes, strict=True)
    ]

    def one(x: Any, w: Any) -> Any:
        y = sg.nn.conv2d(x, w, stride=2, padding=1, groups=groups, layout=layout)
        return [y, *sg.grad((y**3).sum(), [x, w])]

    arrays = [normal(*s) for s in whole]
    found = sg.compile(inputs, list(sg.vmap(one, axes)(*inputs)))(*arrays)
    single = [sg.tensor(n, shape=s) for n, s in zip("xw", shapes, strict=True)]
    f = sg.compile(single, one(*single))
    rows = [
        f(*(t[k] if a == 0 else t for t, a in zip(arrays, axes, strict=True))) for k in range(3)
    ]
    for got, want in zip(found, zip(*rows, strict=True), strict=True):
        np.testing.assert_allclose(got, np.stack(want), rtol=1e-9, atol=1e-9)


def test_pools_batched() -> None:
    a = normal(3, 2, 2, 6, 7)
    x = sg.tensor("x", shape=a.shape)

    def one(v: Any) -> Any:
        y = sg.nn.max_pool(v, 2) + sg.nn.avg_pool(v, 2) + sg.nn.unfold(v, 3).sum()
        return y, sg.grad((y * y).sum(), v)

    found = sg.compile([x], list(sg.vmap(one)(x)))(a)
    row = sg.tensor("r", shape=a.shape[1:])
    f = sg.compile([row], list(one(row)))
    for k in range(3):
        for got, want in zip(found, f(a[k]), strict=True):
            np.testing.assert_allclose(got[k], want, rtol=1e-9)


# what wins ----------------------------------------------------------------------------------------


def test_the_first_of_equal_ones_wins() -> None:
    a = np.zeros((1, 1, 4, 4))
    x = sg.tensor("x", shape=a.shape)
    y, places = sg.nn.max_pool(x, 2, return_indices=True)
    found, at = both([sg.grad(y.sum(), x), places], {x: a})
    want = np.zeros((4, 4))
    want[::2, ::2] = 1
    np.testing.assert_array_equal(found[0, 0], want)
    np.testing.assert_array_equal(at[0, 0], [[0, 2], [8, 10]])
    pooled = sg.grad(sg.nn.global_max_pool(x).sum(), x)
    np.testing.assert_array_equal(both([pooled], {x: a})[0].ravel(), np.eye(1, 16)[0])
    adapted = sg.grad(sg.nn.adaptive_max_pool(x, 3).sum(), x)
    assert both([adapted], {x: a})[0].sum() == 9


def test_nan_wins_and_padding_does_not() -> None:
    a = np.full((1, 1, 3, 3), -np.inf)
    a[0, 0, 2, 2] = np.nan
    x = sg.tensor("x", shape=a.shape)
    y, places = sg.nn.max_pool(x, 2, 1, 1, return_indices=True)
    values, at, slope = both([y, places, sg.grad(sg.where(y == y, y, 0).sum(), x)], {x: a})
    assert np.isnan(values[0, 0, 2:, 2:]).all() and np.isinf(values[0, 0, :2]).all()
    np.testing.assert_array_equal(
        at[0, 0], [[0, 0, 1, 2], [0, 0, 1, 2], [3, 3, 8, 8], [6, 6, 8, 8]]
    )
    assert slope[0, 0, 0, 0] == 4  # four windows have it as their first element


def test_unpooled() -> None:
    a = normal(2, 3, 6, 8)
    x = sg.tensor("x", shape=a.shape)
    y, places = sg.nn.max_pool(x, 2, return_indices=True)
    whole = sg.nn.max_unpool(y, places, (6, 8))
    found, slope = both([whole, sg.grad((whole**2).sum(), x)], {x: a})
    blocks = a.reshape(2, 3, 3, 2, 4, 2)
    won = (blocks == blocks.max((3, 5), keepdims=True)).reshape(a.shape)
    np.testing.assert_array_equal(found, np.where(won, a, 0))
    np.testing.assert_allclose(slope, np.where(won, 2 * a, 0))


# accuracy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_normalised_far_from_zero(seed: int) -> None:
    """Two passes: nothing cancels where the mean is 10 000 times the deviation; and where a mean is
    of few elements, its own rounding is taken off too."""
    own = np.random.default_rng(seed)
    a = (own.normal(size=(8, 3, 16, 16)) + 1e4).astype("float32")
    x = sg.tensor("x", dtype="float32", shape=a.shape)
    for y, axes, room in (
        (sg.nn.batch_norm(x, epsilon=0.0), (0, 2, 3), 2e-3),
        (sg.nn.instance_norm(x, epsilon=0.0), (2, 3), 2e-5),
        (sg.nn.group_norm(x, 1, epsilon=0.0), (1, 2, 3), 2e-5),
    ):  # fmt: skip
        exact = a.astype("float64")
        want = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
        np.testing.assert_allclose(sg.compile([x], y)(a), want, atol=room)


def test_running_statistics() -> None:
    x = sg.tensor("x", shape=("n", 2))
    mean, var = sg.shared(np.zeros(2)), sg.shared(np.ones(2))
    y, m, v = sg.nn.batch_norm(x, None, None, mean, var, momentum=0.5)
    step = sg.compile([x], y, updates={mean: m, var: v})
    a = normal(50, 2) * 3 + 7
    for _ in range(40):
        step(a)
    np.testing.assert_allclose(mean.get_value(), a.mean(0), rtol=1e-9)
    np.testing.assert_allclose(var.get_value(), a.var(0, ddof=1), rtol=1e-9)
    still = sg.nn.batch_norm(x, None, None, mean, var, training=False)
    np.testing.assert_allclose(sg.compile([x], still)(a).mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "complex128"])
def test_other_dtypes(dtype: str) -> None:
    x = sg.cast(sg.constant(normal(1, 2, 4, 5)), dtype)
    w = sg.cast(sg.constant(normal(3, 2, 2, 2)), dtype)
    if dtype.startswith("complex"):
        x, w = x * (1 + 2j), w * (2 - 1j)
    y = sg.nn.conv2d(x, w, padding=1)
    assert y.dtype == dtype
    wide = "complex128" if dtype.startswith("complex") else "float32"
    want = slow_conv(x.eval().astype(wide), w.eval().astype(wide), 1, 1)
    tolerance = {"float16": 5e-3, "bfloat16": 5e-2, "complex64": 1e-5, "complex128": 1e-12}[dtype]
    np.testing.assert_allclose(y.eval().astype(wide), want, rtol=tolerance, atol=10 * tolerance)


# what is refused ----------------------------------------------------------------------------------

X, W = sg.zeros((2, 4, 6, 7)), sg.zeros((8, 4, 3, 3))
V = sg.zeros(3)
REFUSED: list[tuple[Any, type[SymgraphError], str]] = [
    (lambda: sg.nn.conv2d(X, sg.zeros((8, 3, 3, 3))), ShapeError, "4 channels, the weights want 3"),
    (lambda: sg.nn.conv2d(X, W, groups=2), ShapeError, "want 4 in each of 2 groups"),
    (lambda: sg.nn.conv2d(X, sg.zeros((8, 1, 3, 3)), groups=3), ShapeError, "3 groups do not"),
    (lambda: sg.nn.conv2d(X, sg.zeros((6, 1, 3, 3)), groups=4), ShapeError, "do not divide 6"),
    (lambda: sg.nn.conv2d(X, W, groups=0), ArgumentError, "groups is at least 1"),
    (lambda: sg.nn.conv2d(X, sg.zeros((8, 4, 7, 3))), ShapeError, "kernel of 7 does not fit"),
    (lambda: sg.nn.conv2d(X, W, dilation=(1, 4)), ShapeError, "spans 9, does not fit spatial"),
    (lambda: sg.nn.conv2d(X, W, padding=((0, 0), (-3, -2))), ShapeError, "padded by -3 and -2"),
    (lambda: sg.nn.conv1d(X, W), RankError, "images have 3 axes, not 4"),
    (lambda: sg.nn.conv2d(X, sg.zeros((8, 4, 3))), RankError, "weights have 4 axes, not 3"),
    (lambda: sg.nn.conv(sg.zeros((2, 3)), sg.zeros((2, 3))), RankError, "at least 3 axes"),
    (lambda: sg.nn.conv2d(X, W, stride=(1, 2, 3)), ArgumentError, "3 entries for 2 spatial axes"),
    (lambda: sg.nn.conv2d(X, W, stride=0), ArgumentError, "stride is at least 1"),
    (lambda: sg.nn.conv2d(X, W, padding="some"), ArgumentError, "unknown padding 'some'"),
    (lambda: sg.nn.conv2d(X, W, padding=(1, 2, 3)), ArgumentError, "padding has 3 entries"),
    (lambda: sg.nn.conv2d(X, W, layout="CHWN"), ArgumentError, "unknown layout"),
    (lambda: sg.nn.conv_transpose2d(X, W), ShapeError, "4 channels, the weights want 8"),
    (lambda: sg.nn.conv_transpose2d(X, W[:4], output_padding=1), ArgumentError, "output_padding 1"),
    (lambda: sg.nn.depthwise_conv2d(sg.zeros((2, 4)), W), RankError, "4 axes, not 2"),
    (lambda: sg.nn.max_pool(X, 8), ShapeError, "window of 8 does not fit axis 2 of size 6"),
    (lambda: sg.nn.max_pool(X, (2, 2, 2)), ArgumentError, "for 2 axes"),
    (lambda: sg.nn.max_pool(X, 0), ArgumentError, "a window of 0"),
    (lambda: sg.nn.max_pool(V, 1), RankError, "at least 3 axes, not 1"),
    (lambda: sg.nn.max_pool(sg.cast(X, "complex64"), 2), DTypeError, "no order"),
    (lambda: sg.nn.lp_pool(X, 0, 2), ArgumentError, "p is above 0"),
    (lambda: sg.nn.reduce_window(V, "median", 2), ArgumentError, "unknown combiner"),
    (lambda: sg.nn.batch_norm(X, V), ShapeError, "3 elements for 4 channels"),
    (lambda: sg.nn.batch_norm(X, training=False), ArgumentError, "running statistics"),
    (lambda: sg.nn.batch_norm(X, running_mean=V), ArgumentError, "belong together"),
    (lambda: sg.nn.group_norm(X, 3), ShapeError, "3 groups do not divide 4 channels"),
    (lambda: sg.nn.instance_norm(V), RankError, "not 1 axes"),
    (lambda: sg.nn.fold(V, (2,), 1), RankError, "3 axes"),
    (lambda: sg.nn.images2neibs(V, (1, 1)), RankError, "4 axes"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[str(k) for k in range(len(REFUSED))])
def test_refused(case: Any) -> None:
    call, kind, text = case
    with pytest.raises(kind, match=text.replace("(", r"\(").replace(")", r"\)")) as error:
        call()
    assert error.value.origin is not None and "test_convolution.py" in str(error.value)


def test_sizes_that_do_not_fit_at_run_time() -> None:
    x = sg.tensor("x", shape=("n", "c", "h", "w"))
    f = sg.compile([x], [sg.nn.conv2d(x, sg.constant(normal(2, 3, 3, 3)))])
    g = sg.compile([x], [sg.nn.max_pool(x, 3, 2)])
    assert f(normal(1, 3, 4, 4))[0].shape == (1, 2, 2, 2)
    for shape in ((1, 2, 4, 4), (1, 3, 2, 4)):
        with pytest.raises(SymgraphError, match=r"convolution: .* (fit|differ)"):
            f(normal(*shape))
    with pytest.raises(SymgraphError, match="pool: a window does not fit axis 3"):
        g(normal(1, 1, 4, 2))


def test_every_word_of_padding() -> None:
    a = normal(1, 1, 11)
    for k, d, s in itertools.product((1, 2, 5), (1, 2), (1, 2, 3)):
        span = (k - 1) * d + 1
        sizes = {"valid": (11 - span) // s + 1, "same": -(-11 // s), "same_lower": -(-11 // s)}
        sizes |= {"full": (11 + span - 2) // s + 1, "half": (11 + 2 * (span // 2) - span) // s + 1}
        for word, n in sizes.items():
            y = sg.nn.conv1d(a, np.ones((1, 1, k)), s, word, d)
            assert y.shape == (1, 1, n), (word, k, d, s)
