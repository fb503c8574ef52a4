"""Convolutions by Winograd's F(2x2, 3x3), against the ops' references in higher precision: sizes
that tiles do not fill, paddings, both layouts, batches, threads; how they round; which they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.errors import VerifyError
from symgraph.loops.interpret import run_program
from symgraph.loops.program import Call, Copy, Loop, Program, Row
from symgraph.loops.verify import verify_program
from symgraph.lower import winograd_tiles
from symgraph.ops.convolution_ops import Convolution, ConvolutionInput, ConvolutionWeights
from symgraph.stages import lower, optimized_graph
from tests.ops.test_convolution import ROUTINES

# images, filters, padding before and after
CASES: list[Any] = [
    ((2, 16, 8, 8), 16, (1, 1), (1, 1)),
    ((3, 17, 9, 7), 20, (1, 1), (1, 1)),
    ((1, 33, 14, 13), 16, (0, 0), (0, 0)),
    ((2, 16, 30, 12), 35, (2, 0), (0, 2)),
    ((2, 20, 11, 40), 16, (3, 4), (2, 3)),
    ((1, 16, 3, 50), 16, (1, 2), (1, 0)),
    ((5, 64, 16, 16), 48, (1, 1), (1, 1)),
    ((1, 32, 70, 70), 32, (1, 1), (1, 1)),
]
NAMES = ["x".join(map(str, c[0])) for c in CASES]


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones too."""
    monkeypatch.setattr(winograd_tiles, "VOLUME", 1)
    monkeypatch.setattr(winograd_tiles, "FEWEST", 1)


def ops_of(case: Any, last: bool) -> tuple[list[Any], list[np.ndarray]]:
    (n, c, *sizes), o, before, after = case
    geometry = ((1, 1), before, after, (1, 1), 1, last)
    forward = Convolution(*geometry)
    layout = forward.layout
    shapes = [layout.image(n, c, sizes), layout.weights(o, c, (3, 3)),
              layout.image(n, o, forward.windows(sizes, (3, 3)))]  # fmt: skip
    rng = np.random.default_rng(len(sizes))
    arrays = [rng.normal(size=s).astype("float32") for s in shapes]
    backward = ConvolutionInput(*geometry, tuple(sizes)), ConvolutionWeights(*geometry, (3, 3))
    return [forward, *backward], arrays


def named(names: str, shapes: Any) -> Any:
    """Inputs of these shapes."""
    return [
        sg.tensor(n, dtype="float32", shape=tuple(s)) for n, s in zip(names, shapes, strict=True)
    ]


def programs(f: Any) -> Program:
    """The program of a compiled function."""
    return lower(f.definition, optimized_graph(f.definition))


def loops(program: Program) -> list[Loop]:
    """Its loops whose turns stand apart."""
    return [s for s in program.steps if isinstance(s, Loop) and s.apart]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("known", ["all", "images", "channels"])
def test_as_references(case: Any, last: bool, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of unknown length, some of them in pieces."""
    monkeypatch.setattr(winograd_tiles, "PIECE", 6)
    ops, arrays = ops_of(case, last)
    shapes: list[list[Any]] = [list(a.shape) for a in arrays]
    for k in (0, 2) if known != "all" else ():
        shapes[k][0] = "batch"
        if known == "channels":
            at = 1 if last else 2
            shapes[k][at : at + 2] = [f"h{k}", f"w{k}"]
    x, w, y = named("xwy", shapes)
    pairs = [(0, 1), (2, 1), (0, 2)]
    outputs = [op(*((x, w, y)[k] for k in pair)) for op, pair in zip(ops, pairs, strict=True)]
    with config.change(verify=True, cache=False):
        f = sg.compile([x, w, y], outputs)
    assert len(loops(programs(f))) == len(outputs)
    for op, pair, got in zip(ops, pairs, f(*arrays), strict=True):
        want = op.reference(*(arrays[k].astype("float64") for k in pair))
        np.testing.assert_allclose(got, want, rtol=0, atol=3e-6 * np.abs(want).max())


@pytest.mark.parametrize("sizes", [False, True], ids=["known", "unknown"])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_batches_and_threads(last: bool, sizes: bool) -> None:
    """One function for all batches; the bits are those of one thread."""
    (forward, *_), (x, w, _) = ops_of(((1, 24, 18, 10), 16, (1, 1), (1, 1)), last)
    shape: list[Any] = ["batch", *x.shape[1:]]
    if sizes:
        at = 1 if last else 2
        shape[at : at + 2] = "hw"
    images = sg.tensor("x", dtype="float32", shape=tuple(shape))
    weights = sg.tensor("w", dtype="float32", shape=w.shape)
    rng = np.random.default_rng(0)
    with config.change(parallel_from=0):
        f = sg.compile([images, weights], forward(images, weights))
        for count in (0, 1, 2, 7, 40):
            given = rng.normal(size=(count, *x.shape[1:])).astype("float32")
            with config.change(num_threads=1):
                alone = f(given, w)
            for threads in (2, 3, 5):
                with config.change(num_threads=threads):
                    np.testing.assert_array_equal(f(given, w), alone)
            want = forward.reference(given.astype("float64"), w.astype("float64"))
            np.testing.assert_allclose(alone, want, rtol=0, atol=1e-4)


def test_one_function_for_images_of_all_sizes() -> None:
    """And for none."""
    shapes = ("n", 16, "h", "w"), (20, 16, 3, 3)
    images, filters = named("xw", shapes)
    made = sg.nn.conv2d(images, filters, 1, 1)
    f = sg.compile([images, filters], [made, *sg.grad((made * made).sum(), [images, filters])])
    assert len(loops(programs(f))) == 3
    ops, (_, w, _) = ops_of(((1, 16, 8, 8), 20, (1, 1), (1, 1)), False)
    rng = np.random.default_rng(0)
    for n, h, wide in [(2, 1, 1), (1, 2, 300), (2, 33, 130), (1, 131, 1), (0, 5, 5)]:
        x = rng.normal(size=(n, 16, h, wide)).astype("float32")
        found = f(x, w)
        y = ops[0].reference(x.astype("float64"), w.astype("float64"))
        back = ConvolutionInput(*ops[1]._values[:-1], (h, wide))
        wanted = y, back.reference(2 * y, w), ops[2].reference(x, 2 * y)
        for got, want in zip(found, wanted, strict=True):
            room = 4e-6 * np.abs(want).max(initial=0)
            np.testing.assert_allclose(got, want, rtol=0, atol=room)


def test_the_first_call_of_several_threads(tmp_path: Any) -> None:
    """Parts of the products are made before threads begin, who cannot ask for them."""
    (forward, *_), (x, w, _) = ops_of(CASES[6], False)
    images = sg.tensor("x", dtype="float32", shape=("batch", *x.shape[1:]))
    weights = sg.tensor("w", dtype="float32", shape=w.shape)
    with config.change(parallel_from=0, num_threads=3, cache_dir=str(tmp_path)):
        got = sg.compile([images, weights], forward(images, weights))(x, w)
    want = forward.reference(x.astype("float64"), w.astype("float64"))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sizes", [False, True], ids=["known", "unknown"])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_its_program_by_the_interpreter(
    last: bool, sizes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd_tiles, "PIECE", 3)
    ops, arrays = ops_of(CASES[1], last)
    shapes: list[list[Any]] = [list(a.shape) for a in arrays]
    at = 1 if last else 2
    for k in (0, 2) if sizes else ():
        shapes[k][at : at + 2] = [f"h{k}", f"w{k}"]
    x, w, y = named("xwy", shapes)
    f = sg.compile([x, w, y], [ops[0](x, w), ops[1](y, w), ops[2](x, y)])
    program = programs(f)
    verify_program(program)
    held = {str(n): v for s, a in zip(shapes, arrays, strict=True)
            for n, v in zip(s, a.shape, strict=True) if isinstance(n, str)}  # fmt: skip
    slow = run_program(program, arrays, held, routines=ROUTINES)
    for got, want in zip(f(*arrays), slow, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


def test_with_a_profile() -> None:
    """Time is counted in one thread's turns; the values are the same."""
    (forward, *_), (x, w, _) = ops_of(CASES[0], False)
    images, weights = named("xw", [x.shape, w.shape])
    made = forward(images, weights)
    with config.change(parallel_from=0):
        plain, profiled = (sg.compile([images, weights], made, profile=p) for p in (False, True))
    np.testing.assert_array_equal(plain(x, w), profiled(x, w))
    assert "convolution" in str(profiled.profile)


@pytest.mark.parametrize("channels", [16, 64, 256])
def test_rounding_is_that_of_direct_sums(channels: int) -> None:
    """In the mean over many numbers; Lavin and Gray found so too."""
    (forward, *_), (x, w, _) = ops_of(((1, channels, 16, 16), 32, (1, 1), (1, 1)), False)
    images, weights = named("xw", [x.shape, w.shape])
    want = forward.reference(x.astype("float64"), w.astype("float64"))
    errors = []
    for setting in (False, True):
        with config.change(winograd=setting):
            got = sg.compile([images, weights], forward(images, weights))(x, w)
        errors.append(float(np.sqrt(np.mean((got - want) ** 2))))
    direct, here = errors
    assert 0 < here < 2 * direct


def test_whole_numbers_are_exact() -> None:
    """Sums of small integers, and halves and quarters of them, are no numbers that round."""
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 9, (2, 32, 12, 12)).astype("float32")
    w = rng.integers(-8, 9, (16, 32, 3, 3)).astype("float32")
    images, weights = named("xw", [x.shape, w.shape])
    forward = Convolution((1, 1), (1, 1), (1, 1), (1, 1), 1, False)
    f = sg.compile([images, weights], forward(images, weights))
    assert loops(programs(f))
    np.testing.assert_array_equal(f(x, w), forward.reference(x, w))


@pytest.mark.parametrize(
    "x, w, params, dtype",
    [
        ((2, 16, 20, 20), (16, 16, 3, 3), {}, "float64"),
        ((2, 16, 20, 20), (16, 16, 5, 5), {}, "float32"),
        ((2, 16, 20, 20), (16, 16, 3, 3), {"stride": 2}, "float32"),
        ((2, 16, 20, 20), (16, 16, 3, 3), {"dilation": 2}, "float32"),
        ((2, 32, 20, 20), (32, 16, 3, 3), {"groups": 2}, "float32"),
        ((2, 3, 20, 20), (16, 3, 3, 3), {}, "float32"),
        ((2, 16, 20, 20), (4, 16, 3, 3), {}, "float32"),
        (("n", "c", "h", "w"), (16, "c", 3, 3), {}, "float32"),
    ],
)
def test_others_are_direct(x: Any, w: Any, params: Any, dtype: str) -> None:
    images, weights = (sg.tensor(n, dtype=dtype, shape=s) for n, s in (("x", x), ("w", w)))
    f = sg.compile([images, weights], sg.nn.conv2d(images, weights, padding=1, **params))
    assert not loops(programs(f))


def test_the_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    images = sg.tensor("x", dtype="float32", shape=(2, 16, 20, 20))
    weights = sg.tensor("w", dtype="float32", shape=(16, 16, 3, 3))
    made = sg.nn.conv2d(images, weights)
    assert loops(programs(sg.compile([images, weights], made)))
    monkeypatch.setenv("SYMGRAPH_WINOGRAD", "0")
    f = sg.compile([images, weights], made)
    assert not loops(programs(f))
    x, w = np.zeros((2, 16, 20, 20), "float32"), np.ones((16, 16, 3, 3), "float32")
    x[0, 0, 0, 0] = np.inf  # felt by one result, and not by those beside it
    assert np.isfinite(f(x, w)).sum() == 2 * 16 * 18 * 18 - 16


def test_loops_whose_turns_are_not_apart_are_refused() -> None:
    images = sg.tensor("x", dtype="float32", shape=(2, 16, 20, 20))
    weights = sg.tensor("w", dtype="float32", shape=(16, 16, 3, 3))
    program = programs(sg.compile([images, weights], sg.nn.conv2d(images, weights)))
    (loop,) = loops(program)
    place = program.steps.index(loop)

    def with_loop(changed: Loop) -> Program:
        return program._replace(
            steps=(*program.steps[:place], changed, *program.steps[place + 1 :])
        )

    verify_program(with_loop(loop))
    made = loop.rows[-1].buffer
    inner = loop.body._replace(steps=(Copy(loop.body.outputs[0], loop.body.inputs[-1]),))
    turned = [k for k, row in enumerate(loop.rows) if not row.rows][0]
    own = loop.body.inputs[turned]
    product = next(s for s in loop.body.steps if isinstance(s, Call))
    swapped = product._replace(buffers=(product.buffers[1], own, *product.buffers[2:]))
    rows = (*loop.rows[:turned], loop.rows[turned]._replace(rows=True), *loop.rows[turned + 1 :])
    wrong = [
        (loop._replace(finals=((made, Row(made)),)), "has a flag, finals"),
        (loop._replace(rows=(*loop.rows[:-2], Row(made), loop.rows[-1])), "reads what it writes"),
        (loop._replace(body=inner), "more than kernels"),
        (loop._replace(rows=rows, body=loop.body._replace(steps=(swapped,))), "is another in each"),
    ]
    for changed, message in wrong:
        with pytest.raises(VerifyError, match=message):
            verify_program(with_loop(changed))


def test_debug_mode_knows_what_a_huge_pixel_leaves_in_its_neighbours() -> None:
    images = sg.tensor("x", dtype="float32", shape=(2, 32, 28, 28))
    weights = sg.tensor("w", dtype="float32", shape=(32, 32, 3, 3))
    result = sg.nn.conv(images, weights, padding=((1, 1), (1, 1)))
    f = sg.compile([images, weights], result, mode="debug")
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(v.type.shape).astype("float32") for v in (images, weights))
    a[0, 0, 5, 5] = 1e6
    assert abs(f(a, b)).max() > 1e6
