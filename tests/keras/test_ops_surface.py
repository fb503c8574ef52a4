"""The operations of the Keras backend: that all are there, that they agree with NumPy, and that a
traced function with sizes that are not known computes what eager calls compute."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

if keras.backend.backend() != "symgraph":
    pytest.skip("Keras is in use with another backend", allow_module_level=True)

from keras.src import tree

from keras_symgraph.src import random
from keras_symgraph.src.ops import image, linalg, math, nn, numpy
from keras_symgraph.src.ops.promotion import result_type
from keras_symgraph.src.ops.sizes import shape_of
from keras_symgraph.src.tensor import node_of, tracing, wrap

ops = keras.ops
rnn = importlib.import_module("keras_symgraph.src.rnn")  # the package has a function of that name
MODULES = {
    "numpy": numpy, "nn": nn, "math": math, "linalg": linalg, "image": image, "random": random,
    "rnn": rnn,
}  # fmt: skip
SURFACE = [
    line
    for line in Path(__file__).with_name("surface.txt").read_text().splitlines()
    if not line.startswith("#")
]
RNG = np.random.default_rng(0)


def array(shape: tuple[int | None, ...], dtype: str = "float32") -> np.ndarray:
    """Random numbers; a size that is None is 3."""
    sizes = [3 if n is None else n for n in shape]
    if dtype == "bool":
        return RNG.random(sizes) > 0.5
    if "int" in dtype:
        return RNG.integers(0, 4, sizes).astype(dtype)
    return RNG.standard_normal(sizes).astype(dtype)


# what is there ------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_every_function_is_there_with_its_parameters(module: str) -> None:
    """Names, order, which are given by position only or by name, and which have defaults."""
    wanted = [s.removeprefix(f"{module}.") for s in SURFACE if s.startswith(f"{module}.")]
    assert wanted
    wrong = []
    for line in wanted:
        name = line[: line.index("(")]
        function = getattr(MODULES[module], name, None)
        if function is None:
            wrong.append(name)
            continue
        given = inspect.signature(function).parameters.values()
        names: dict[str, Any] = {}
        exec(f"def f{line[len(name) :]}: pass", {}, names)
        expected = inspect.signature(names["f"]).parameters.values()
        key = lambda p: (p.name, p.kind, p.default is p.empty)
        if [*map(key, given)] != [*map(key, expected)]:
            wrong.append(f"{name}{inspect.signature(function)}")
    assert not wrong


# values -------------------------------------------------------------------------------------------

A, B, C = array((3, 4)), array((3, 4)), array((4, 5))
K = array((3, 4), "int32")
NAN = np.where(array((3, 4), "bool"), np.float32("nan"), A)
SAME = {
    "add": (A, B), "subtract": (A, B), "multiply": (A, B), "divide": (A, B), "maximum": (A, B),
    "minimum": (A, B), "arctan2": (A, B), "logaddexp": (A, B), "hypot": (A, B), "fmod": (A, B),
    "mod": (A, B), "floor_divide": (A, B), "heaviside": (A, B), "nextafter": (A, B),
    "copysign": (A, B), "equal": (K, 1), "less": (A, B), "logical_xor": (K, A > 0),
    "gcd": (K, K.T[:3, :1]), "lcm": (K, 3), "bitwise_or": (K, 5), "left_shift": (K, 2),
    "ldexp": (A, K), "isclose": (A, A + 1e-9), "abs": (A,), "ceil": (A,), "exp": (A,), "sinh": (A,),
    "sinc": (A,), "i0": (A,), "cbrt": (A,), "deg2rad": (A,), "square": (A,), "sign": (A,),
    "signbit": (A,), "trunc": (A,), "round": (A, 1), "clip": (A, -0.5, 0.5), "nan_to_num": (NAN,),
    "sum": (A, 0), "mean": (A, 1), "var": (A,), "std": (A, 0), "prod": (A, 1), "max": (A, 1),
    "argmax": (A, 1), "argmin": (A,), "ptp": (A, 0), "median": (A, 1), "quantile": (A, 0.3, 1),
    "percentile": (A, 40, 0), "count_nonzero": (K, 1), "nansum": (NAN, 0), "nanmax": (NAN, 1),
    "nanmean": (NAN,), "nanmedian": (NAN,), "nanstd": (NAN, 1), "cumsum": (A, 1),
    "cumprod": (A, 0), "corrcoef": (A,), "cov": (A,), "average": (A, 0, A[:, 0] ** 2),
    "matmul": (A, C), "dot": (A, C), "inner": (A, B), "outer": (A[0], B[1]), "kron": (A, C[:2]),
    "cross": (A[:, :3], B[:, 1:]), "tensordot": (A, C, 1), "vdot": (A, B), "trace": (A,),
    "diff": (A, 2), "trapezoid": (A,), "correlate": (A[0], B[0, :2]), "reshape": (A, (2, -1)),
    "transpose": (A,), "roll": (A, 2, 1), "flip": (A, 0), "rot90": (A,), "tile": (A, (2, 1)),
    "repeat": (A, [1, 0, 2], 0), "pad": (A, ((1, 0), (2, 1)), "reflect"), "tril": (A, 1),
    "triu": (A, -1), "diag": (A,), "diagonal": (A, 1), "squeeze": (A[:, :1], 1),
    "swapaxes": (A, 0, 1), "moveaxis": (A, 0, 1), "expand_dims": (A, 1), "append": (A, B, 0),
    "concatenate": ([A, B], 1), "stack": ([A, B], 1), "column_stack": ([A, B],),
    "take": (A, [2, 0], 0), "take_along_axis": (A, K[:, :2] % 3, 1), "where": (K > 1, A, B),
    "select": ([K > 2, K > 1], [A, B], 0.0), "sort": (A, 0), "argsort": (A, 1),
    "searchsorted": (np.sort(A[0]), B), "digitize": (B, np.sort(A[0])), "isin": (K, [1, 3]),
    "bincount": (K[0],), "unique": (K,), "unravel_index": (K, (2, 3)), "vander": (A[0], 3),
    "arange": (1, 9, 2), "linspace": (0.0, 1.0, 5), "geomspace": (1.0, 8.0, 4), "eye": (3, 4, 1),
    "logspace": (0.0, 2.0, 3), "tri": (3, 4, 1), "hanning": (5,), "kaiser": (5, 2.0),
    "meshgrid": (A[0], B[1]), "split": (A, 2, 1), "array_split": (A, 3, 1), "hsplit": (A, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_function_agrees_with_numpy(name: str) -> None:
    found = getattr(numpy, name)(*SAME[name])
    wanted = getattr(np, name)(*SAME[name])
    many = isinstance(wanted, list | tuple)
    for a, b in zip(found if many else [found], wanted if many else [wanted], strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(np.asarray(a), b, rtol=2e-5, atol=2e-6)


# dtypes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        (("int8", "uint8"), "int16"), (("int32", "float16"), "float16"), (("bool", int), "int32"),
        (("bfloat16", "float16"), "float32"), (("uint32", "int8"), "int32"),
        ((int, float), "float32"), (("int64", "int8"), "int64"),
        (("float64", "bfloat16"), "float64"), (("int8", float), "float32"),
        (("float32", "complex64"), "complex64"),
    ],
)  # fmt: skip
def test_operands_are_promoted_as_in_jax(kinds: Any, wanted: str) -> None:
    assert result_type(*kinds) == wanted


@pytest.mark.parametrize(
    ("dtype", "function", "wanted"),
    [
        ("int8", "sum", "int32"), ("uint8", "prod", "uint32"), ("bool", "mean", "float32"),
        ("int32", "sin", "float32"), ("float16", "var", "float16"), ("bfloat16", "exp", "bfloat16"),
        ("bool", "cumsum", "int32"), ("int16", "median", "float32"), ("int8", "trace", "int32"),
        ("bool", "square", "int32"), ("int32", "argmax", "int32"), ("int32", "trunc", "int32"),
        ("bool", "tril", "bool"), ("uint8", "sqrt", "float32"), ("float64", "cos", "float64"),
    ],
)  # fmt: skip
def test_a_function_has_the_dtype_that_keras_says(dtype: str, function: str, wanted: str) -> None:
    assert getattr(numpy, function)(numpy.ones((2, 2), dtype)).dtype == wanted


def test_int8_products_are_int32() -> None:
    x = numpy.full((1, 300), 10, "int8")
    product = numpy.matmul(x, numpy.transpose(x))
    assert product.dtype == "int32"
    assert int(product[0, 0]) == 30000


# traced functions ---------------------------------------------------------------------------------

N = None
I32, BOOL = "int32", "bool"


def size_of(x: Any) -> Any:
    """The first size, which is not known while a function is traced."""
    return ops.shape(x)[0]


TRACED: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "sum": (lambda x: numpy.sum(x, 0), [(N, 4)]),
    "var": (lambda x: numpy.var(x), [(N, 4)]),
    "median": (lambda x: numpy.median(x, 0), [(N, 4)]),
    "quantile": (lambda x: numpy.quantile(x, [0.2, 0.5], axis=0), [(N, 4)]),
    "broadcast": (numpy.add, [(N, 1, 4), (N, 3, 1)]),
    "matmul": (numpy.matmul, [(N, 2, 4), (N, 4, 3)]),
    "einsum": (lambda a, b: numpy.einsum("bij,bjk->bik", a, b), [(N, 2, 4), (N, 4, 3)]),
    "reshape": (lambda x: numpy.reshape(x, (size_of(x) * 2, -1)), [(N, 4)]),
    "broadcast_to": (lambda x: numpy.broadcast_to(x, (size_of(x), 3, 4)), [(N, 1, 4)]),
    "tile": (lambda x: numpy.tile(x, (size_of(x), 1)), [(N, 4)]),
    "repeat": (lambda x: numpy.repeat(x, 2, 0), [(N, 4)]),
    "concatenate": (lambda a, b: numpy.concatenate([a, b], 0), [(N, 4), (N, 4)]),
    "split": (lambda x: numpy.split(x, [1, 3], 1), [(N, 4)]),
    "pad": (lambda x: numpy.pad(x, ((1, 1), (0, 2)), constant_values=3), [(N, 4)]),
    "take": (lambda x, i: numpy.take(x, i, 0), [(5, 4), ((N, 2), I32)]),
    "where": (numpy.where, [((N, 4), BOOL), (N, 4), (4,)]),
    "nonzero": (numpy.nonzero, [((N, 4), BOOL)]),
    "unique": (lambda x: numpy.unique(x), [((N,), I32)]),
    "bincount": (lambda x: numpy.bincount(x, minlength=4), [((N, 3), I32)]),
    "sort": (lambda x: numpy.sort(x, 0), [(N, 4)]),
    "arange": (lambda x: numpy.arange(size_of(x)), [(N, 4)]),
    "linspace": (lambda x: numpy.linspace(x, x + 1, 5, axis=1), [(N, 4)]),
    "zeros": (lambda x: numpy.zeros((size_of(x), 2)), [(N, 4)]),
    "vectorize": (
        lambda x: numpy.vectorize(lambda row: numpy.sum(row), signature="(n)->()")(x), [(N, 4)],
    ),
    "softmax": (nn.softmax, [(N, 4)]),
    "sparsemax": (nn.sparsemax, [(N, 4)]),
    "conv": (lambda x, w: nn.conv(x, w, 2, "same"), [(N, N, N, 3), (3, 3, 3, 5)]),
    "conv_first": (
        lambda x, w: nn.conv(x, w, 1, "valid", "channels_first"), [(N, 3, 8, 8), (3, 3, 3, 5)],
    ),
    "depthwise": (lambda x, w: nn.depthwise_conv(x, w, 1, "same"), [(N, 8, 8, 3), (3, 3, 3, 2)]),
    "transpose": (lambda x, w: nn.conv_transpose(x, w, 2, "same"), [(N, N, 3), (3, 5, 3)]),
    "max_pool": (lambda x: nn.max_pool(x, 2, 2, "same"), [(N, N, 3)]),
    "average_pool": (lambda x: nn.average_pool(x, 3, 2, "same"), [(N, 8, 8, 3)]),
    "adaptive": (lambda x: nn.adaptive_average_pool(x, (3, 5)), [(N, 8, 8, 3)]),
    "one_hot": (lambda x: nn.one_hot(x, 4, axis=1), [((N, 3), I32)]),
    "cross_entropy": (
        lambda t, y: nn.sparse_categorical_crossentropy(t, y, True), [((N, 1), I32), (N, 4)],
    ),
    "moments": (lambda x: nn.moments(x, [0, 1], keepdims=True), [(N, 5, 4)]),
    "attention": (
        lambda q, k, v: nn.dot_product_attention(q, k, v, is_causal=True),
        [(N, N, 4, 4), (N, N, 2, 4), (N, N, 2, 4)],
    ),
    "flash": (
        lambda q, k, v: nn.dot_product_attention(q, k, v, flash_attention=True),
        [(N, 5, 2, 4), (N, 5, 2, 4), (N, 5, 2, 4)],
    ),
    "ctc_decode": (
        lambda x: nn.ctc_decode(x, numpy.full((size_of(x),), 6, "int32")), [(N, 7, 6)],
    ),
    "beam_search": (
        lambda x: nn.ctc_decode(
            x, numpy.full((size_of(x),), 4, "int32"), "beam_search", beam_width=4, top_paths=2
        ),
        [(N, 5, 4)],
    ),
    "depth_to_space": (lambda x: nn.depth_to_space(x, 2), [(N, N, N, 8)]),
    "segment_sum": (lambda x, i: math.segment_sum(x, i, 5), [(N, 4), ((N,), I32)]),
    "top_k": (lambda x: math.top_k(x, 2), [(N, 4)]),
    "stft": (lambda x: math.stft(x, 8, 4, 8), [(N, 32)]),
    "solve": (linalg.solve, [(N, 3, 3), (N, 3)]),
    "norm": (lambda x: linalg.norm(x, axis=1), [(N, 4)]),
    "resize": (lambda x: image.resize(x, (4, 9), "bicubic"), [(N, N, N, 3)]),
    "affine": (image.affine_transform, [(N, 6, 6, 3), (N, 8)]),
    "map_coordinates": (lambda x, c: image.map_coordinates(x, c, 1, "reflect"), [(6, 6), (2, N)]),
    "uniform": (lambda x: random.uniform((size_of(x), 3), -1, 2, seed=seed_of(x)), [(N, 4)]),
    "normal": (lambda x: random.normal(ops.shape(x), seed=seed_of(x)), [(N, 4)]),
    "dropout": (lambda x: random.dropout(x, 0.3, (None, 1, 4), seed_of(x)), [(N, 5, 4)]),
    "categorical": (lambda x: random.categorical(x, 5, seed=seed_of(x)), [(N, 4)]),
    "shuffle": (lambda x: random.shuffle(x, seed=seed_of(x)), [(N, 4)]),
    "rnn": (
        lambda x, h, m: rnn.rnn(lambda r, s: (r + s[0], [r * s[0]]), x, [h], mask=m),
        [(N, 5, 4), (N, 4), ((N, 5), BOOL)],
    ),
    "lstm": (
        lambda x, h, c, w, u, b: rnn.lstm(
            x, h, c, None, w, u, b, ops.tanh, ops.sigmoid, return_sequences=True, go_backwards=True
        ),
        [(N, 5, 3), (N, 4), (N, 4), (3, 16), (4, 16), (16,)],
    ),
}  # fmt: skip


def seed_of(x: Any) -> Any:
    """A seed that is a constant of the graph."""
    return wrap(sg.constant([7, 0], "uint32"))


def specs_of(name: str) -> tuple[Callable[..., Any], list[tuple[Any, str]]]:
    function, given = TRACED[name]
    return function, [s if len(s) == 2 and isinstance(s[1], str) else (s, "float32") for s in given]


def traced(name: str) -> tuple[list[sg.Variable], list[Any]]:
    """The inputs and outputs of a function traced with the size ``n`` where None stands."""
    function, specs = specs_of(name)
    with tracing():
        inputs = [sg.tensor(None, d, tuple("n" if k is None else k for k in s)) for s, d in specs]
        return inputs, tree.flatten(function(*map(wrap, inputs)))


@pytest.mark.parametrize("name", TRACED)
def test_a_traced_function_computes_what_eager_calls_do(name: str) -> None:
    function, specs = specs_of(name)
    values = [array(s, d) for s, d in specs]
    wanted = [np.asarray(x) for x in tree.flatten(function(*map(ops.convert_to_tensor, values)))]
    inputs, outputs = traced(name)
    compiled = sg.compile(inputs, [node_of(x) for x in outputs], on_unused_input="ignore")
    for a, b in zip(compiled(*values), wanted, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    "name",
    "matmul softmax sparsemax conv depthwise transpose max_pool average_pool attention flash rnn"
    " lstm resize dropout cross_entropy top_k stft".split(),
)
def test_a_traced_function_has_derivatives(name: str) -> None:
    """Along one direction, against a difference of two calls."""
    _, specs = specs_of(name)
    values = [array(s, d) for s, d in specs]
    inputs, outputs = traced(name)
    nodes = [n for n in map(node_of, outputs) if n.dtype == "float32"]
    cost = sum((sg.sum(sg.sin(n)) for n in nodes), sg.constant(0.0, "float32"))
    x = next(k for k, (_, d) in enumerate(specs) if d == "float32")
    compiled = sg.compile(inputs, [cost, sg.grad(cost, inputs[x])], on_unused_input="ignore")
    way = array(values[x].shape)
    slope = float((compiled(*values)[1] * way).sum())

    def at(step: float) -> float:
        moved = [*values]
        moved[x] = values[x] + np.float32(step) * way
        return float(compiled(*moved)[0])

    assert slope == pytest.approx((at(2e-3) - at(-2e-3)) / 4e-3, rel=0.05, abs=0.05)


def test_sizes_are_read_back_as_expressions() -> None:
    """The type of what is reshaped by computed sizes still says which sizes are equal."""
    with tracing():
        x = wrap(sg.tensor(None, "float32", ("n", 4)))
        n = ops.shape(x)[0]
        (size,) = shape_of([(n + 1) * 2 - n])
        assert str(size) == "n + 2"
        y = numpy.reshape(x, (n * 2, 2))
        assert y.shape == (None, 2)
        assert str(y.node.shape[0]) == "2*n"


def test_a_size_out_of_a_value_is_a_number() -> None:
    assert shape_of(ops.convert_to_tensor([2, 3])) == (2, 3)
    assert numpy.zeros(numpy.max(ops.convert_to_tensor([2, 5]))).shape == (5,)
