"""Every op against NumPy: by its reference, by its lowering, and its derivative by differences.

The rows of all samples*.py drive the tests; an op without a row fails.
"""

from __future__ import annotations

import doctest
import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgraph import dtypes
from symgraph.errors import DTypeError, SymgraphError
from symgraph.ir.op import OPS
from symgraph.ops import operands
from symgraph.ops.elementwise import Elementwise
from symgraph.ops.reductions import sum as sum_of
from tests.ops import evaluation
from tests.ops.samples import ELEMENTWISE, Sample

# of declared derivative 0, though they vary; or of complex operands alone: test_complex.py
CONSTANT = ("stop_gradient", "floor_divide", "real", "imag", "conj")
FAMILIES = [
    importlib.import_module(f"tests.ops.{p.stem}")
    for p in sorted(Path(__file__).parent.glob("samples*.py"))
]
ALL: list[Sample] = [s for f in FAMILIES for s in f.SAMPLES]
for _family in FAMILIES:
    ELEMENTWISE |= getattr(_family, "ELEMENTWISE", {})
NO_SECOND = {n: p for f in FAMILIES for n, p in getattr(f, "NO_SECOND", {}).items()}
WIDE = [d for d in dtypes.REALS if not dtypes.is_narrow(d)]  # the others: test_narrow.py
ROWS = [op for op in OPS.values() if isinstance(op, Elementwise)]
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.25, -2.5, 1e-30, 1e30, float("inf"), -float("inf"), float("nan"))


RTOL = {"float32": 2e-6, "float64": 4e-15, "complex64": 2e-6, "complex128": 4e-15}


def ids(rows: list[Sample]) -> list[str]:
    return [f"{k}-{s.op}" for k, s in enumerate(rows)]


def same(found: Any, wanted: Any, rtol: float | None = None) -> None:
    assert found.dtype == wanted.dtype
    if rtol is None:
        rtol = RTOL.get(str(wanted.dtype), 0)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * 1e-2 if rtol else 0)


# completeness -------------------------------------------------------------------------------------


def test_every_op_has_a_row() -> None:
    shown = {s.op for s in ALL}
    elementwise = {row.name for row in ROWS}
    # ops with inner graphs have tests of their own, test_control.py
    flat = {n: op for n, op in OPS.items() if not hasattr(op, "inner")}
    ours = {n for n, op in flat.items() if _module(op).startswith("symgraph.ops.")}
    assert elementwise - set(ELEMENTWISE) == set()
    assert ours - elementwise - shown == set()


def _module(op: Any) -> str:
    return op.__module__ if isinstance(op, type) else type(op).__module__


# elementwise rows: all dtypes, special values -----------------------------------------------------


def values(dtype: str, domain: Any, seed: int) -> Any:
    low, high = domain
    rng = np.random.default_rng(seed)
    if dtypes.is_float(dtype):
        special = np.array(SPECIAL, dtype)
        return np.concatenate([rng.uniform(low, high, 6).astype(dtype), special])
    if dtype == "bool":
        return np.array([True, False, False, True])
    edge = [0, 1, dtypes.max_value(dtype), dtypes.min_value(dtype)]
    usual = rng.integers(max(int(low), 0), max(int(high), 0) + 1, 4)
    return np.array([*map(int, usual), *edge], dtype)


def operand_arrays(row: Elementwise, dtype: str) -> list[Any]:
    domains = row.domain if isinstance(row.domain[0], tuple) else (row.domain,) * row.arity
    arrays = [values(dtype, d, k) for k, d in enumerate(domains)]
    if row.arity == 2:  # all pairs
        return [arrays[0][:, None], arrays[1][None, :]]
    return arrays


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_elementwise(row: Elementwise, dtype: str) -> None:
    if row.name.startswith("philox") and dtype != "uint32":
        return  # its operands are made inside ops.random only
    arrays = operand_arrays(row, dtype)
    inputs = evaluation.inputs_for(arrays)
    try:
        y = row(*inputs)
    except DTypeError:
        with pytest.raises(TypeError):
            ELEMENTWISE[row.name](*arrays)
        return
    wanted_dtypes = row.computes_in((dtype,) * row.arity)
    converted = [a.astype(d) for a, d in zip(arrays, wanted_dtypes, strict=True)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        (found,) = evaluation.run([y], dict(zip(inputs, arrays, strict=True)))
        if not row.name.startswith("philox"):
            agrees_with_numpy(row, arrays, converted, found)
    (lowered,) = evaluation.run([y], dict(zip(inputs, arrays, strict=True)), lowered=True)
    same(lowered, found)


def agrees_with_numpy(row: Any, arrays: list[Any], converted: list[Any], found: Any) -> None:
    function = ELEMENTWISE[row.name]
    if row.name == "power" and found.dtype.kind == "i":  # NumPy refuses negative exponents
        keep = np.broadcast_to(converted[1] >= 0, found.shape)
        arrays = [np.broadcast_to(a, found.shape)[keep] for a in arrays]
        converted = [np.broadcast_to(a, found.shape)[keep] for a in converted]
        found = found[keep]
    same(found, np.asarray(function(*converted)))
    if isinstance(function, np.ufunc):
        numpy_dtype = np.asarray(function(*arrays)).dtype
        assert numpy_dtype == found.dtype or numpy_dtype == "float16"


@pytest.mark.parametrize("row", [r for r in ROWS if not r.nondifferentiable], ids=lambda r: r.name)
def test_elementwise_derivative(row: Elementwise) -> None:
    domains = row.domain if isinstance(row.domain[0], tuple) else (row.domain,) * row.arity
    rng = np.random.default_rng(3)
    shapes = [(4,)] if row.arity == 1 else [(2, 3), (3,), (2, 1), ()]
    arrays = [rng.uniform(*d, shapes[k]) for k, d in enumerate(domains)]
    if row.name == "where":
        arrays[0] = np.array([[True, False, True], [False, True, False]])
    if row.name in CONSTANT:
        return
    compare_derivative(row, arrays, refused=tuple(getattr(row, "no_slope", ())))


SMOOTH = [
    r for r in ROWS if not r.nondifferentiable and r.name not in CONSTANT and r.name != "where"
]


@pytest.mark.parametrize("row", SMOOTH, ids=lambda r: r.name)
def test_second_derivative(row: Elementwise) -> None:
    domains = row.domain if isinstance(row.domain[0], tuple) else (row.domain,) * row.arity
    rng = np.random.default_rng(5)
    arrays = [rng.uniform(*d, (3,)) for d in domains]

    def slopes(*xs: Any) -> Any:
        grads = evaluation.gradients(sum_of(row(*xs) * np.array([1.0, 2.0, 3.0])), list(xs))
        return sum((1.5**k * g for k, g in enumerate(grads)), start=xs[0] * 0)

    refused = (*getattr(row, "no_slope", ()), *NO_SECOND.get(row.name, ()))
    compare_derivative(slopes, arrays, 1e-5, refused)


def compare_derivative(
    build: Any, arrays: list[Any], rtol: float = 2e-6, refused: tuple[int, ...] = ()
) -> None:
    """``refused`` are operands by which there is no derivative, with an error."""
    inputs = evaluation.inputs_for(arrays)
    y = build(*inputs)
    if dtypes.is_complex(y.dtype):
        y = y.real + 2 * y.imag
    (value,) = evaluation.run([y], _bind(inputs, arrays))
    weights = np.random.default_rng(1).uniform(0.5, 2, value.shape)
    cost = sum_of(y * weights)
    floats = [k for k, a in enumerate(arrays) if a.dtype == "float64" and k not in refused]
    grads = evaluation.gradients(cost, [inputs[k] for k in floats])
    for k, grad in zip(floats, grads, strict=True):
        (found,) = evaluation.run([grad], _bind(inputs, arrays))
        assert found.shape == arrays[k].shape

        def value(moved: list[Any]) -> float:
            return float(evaluation.run([cost], _bind(inputs, moved))[0])

        wanted = evaluation.differences(value, list(arrays), k, 1e-5)
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-7)


def _bind(inputs: list[Any], arrays: list[Any]) -> dict[Any, Any]:
    return dict(zip(inputs, arrays, strict=True))


# samples ------------------------------------------------------------------------------------------


def outputs_of(built: Any) -> list[Any]:
    return list(built) if isinstance(built, tuple | list) else [built]


@pytest.mark.parametrize("sample", ALL, ids=ids(ALL))
@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
def test_sample(sample: Sample, symbolic: bool) -> None:
    if symbolic and not sample.symbolic:
        return
    inputs = evaluation.inputs_for(list(sample.arrays), symbolic)
    outputs = outputs_of(sample.build(*inputs))
    with np.errstate(all="ignore"):
        wanted = [np.asarray(w) for w in outputs_of(sample.reference(*sample.arrays))]
    for lowered in (False, True):
        found = evaluation.run(outputs, _bind(inputs, list(sample.arrays)), lowered)
        for f, w in zip(found, wanted, strict=True):
            same(f, w, 1e-12 if w.dtype in ("float64", "complex128") else None)


@pytest.mark.parametrize("sample", [s for s in ALL if s.grad], ids=ids([s for s in ALL if s.grad]))
def test_sample_derivative(sample: Sample) -> None:
    arrays = list(sample.arrays)
    inputs = evaluation.inputs_for(arrays)
    if any(not dtypes.is_inexact(y.dtype) for y in outputs_of(sample.build(*inputs))):
        return
    for k in range(len(outputs_of(sample.build(*inputs)))):
        compare_derivative(lambda *xs, k=k: outputs_of(sample.build(*xs))[k], arrays)


# pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [r for r in ROWS if ">>>" in r.__doc__], ids=lambda r: r.name)
def test_example(row: Elementwise) -> None:
    importlib.import_module("symgraph")
    test = doctest.DocTestParser().get_doctest(row.__doc__, {}, row.name, None, None)
    output: list[str] = []
    doctest.DocTestRunner().run(test, out=output.append)
    assert not output, "".join(output)


def test_refused_operands_are_named() -> None:
    x = evaluation.inputs_for([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(SymgraphError, match="sizes differ on axis 1: 3 and 4") as error:
        OPS["add"](*x)
    assert [o[0] for o in error.value.operands] == ["x0", "x1"]
    with pytest.raises(DTypeError, match="stack"):
        operands.as_variable([x[0], 1.0])
