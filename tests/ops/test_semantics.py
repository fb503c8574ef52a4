"""What the functions promise beyond one op: promotion, exact comparisons, sizes, mistakes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from symgraph import errors
from symgraph.ir.graph import Constant, constant
from symgraph.ir.op import OPS
from symgraph.ops import (
    arithmetic,
    cast,
    comparison,
    creation,
    moments,
    nn,
    operands,
    protocol,
    reductions,
)
from symgraph.ops.elementwise import Elementwise, elementwise, same
from tests.ops import evaluation

F32, I8, U64 = (creation.vector("x", d, (3,)) for d in ("float32", "int8", "uint64"))
M = creation.tensor("m", "float64", ("n", 4))


def value(y: Any, **arrays: Any) -> Any:
    return evaluation.run([y], {v: np.asarray(a) for v, a in arrays.items()})[0]  # type: ignore[misc]


@pytest.mark.parametrize(
    "build, dtype",
    [
        (lambda: F32 + 1, "float32"),
        (lambda: F32 + 2.5, "float32"),
        (lambda: F32 + np.float64(1), "float64"),
        (lambda: F32 + M.shape[0], "float32"),
        (lambda: M.shape[0] * F32, "float32"),
        (lambda: I8 + True, "int8"),
        (lambda: I8 / 2, "float64"),
        (lambda: I8 + U64, "float64"),
        (lambda: I8 // F32, "float32"),
        (lambda: -I8, "int8"),
        (lambda: I8**2, "int8"),
        (lambda: 2 ** (F32 > 1), "int64"),
        (lambda: (F32 > 1) + (F32 > 2), "bool"),
        (lambda: arithmetic.clip(I8, -1, 1.5), "float64"),
        (lambda: comparison.where(F32 > 1, F32, 0), "float32"),
        (lambda: moments.mean(I8), "float64"),
        (lambda: moments.mean(F32), "float32"),
        (lambda: cast.cast(M.shape[0], "float32"), "float32"),
    ],
)
def test_promotion(build: Callable[[], Any], dtype: str) -> None:
    assert build().dtype == dtype


@pytest.mark.parametrize(
    "name", ["less", "less_equal", "equal", "not_equal", "greater", "greater_equal"]
)
def test_integers_compare_exactly(name: str) -> None:
    ours, numpys = getattr(comparison, name), getattr(np, name)
    small = np.array([-128, 0, 127], "int8")
    big = np.array([0, 2**63, 2**64 - 1], "uint64")
    signed = np.array([-1, 2**63 - 1, 5])
    for number in (300, -300, 127, -128, 0):
        for a, b in ((small, number), (number, small)):
            np.testing.assert_array_equal(value(ours(a, b)), numpys(a, b))
    for a, b in ((big, -1), (-1, big), (big, signed), (signed, big), (big, small), (small, big)):
        np.testing.assert_array_equal(value(ours(a, b)), numpys(a, b))


def test_python_protocol() -> None:
    assert len(F32) == 3 and len(list(F32)) == 3 and F32.size == 3
    assert str(M.size) == "4*n" and protocol.size(M, 1) == 4
    for act in (lambda: bool(F32), lambda: F32 in [U64], lambda: 1 if F32 > 0 else 2):
        with pytest.raises(TypeError, match=r"sg\.where or sg\.cond"):
            act()
    with pytest.raises(errors.ArgumentError, match="known only at run time"):
        len(M)
    with pytest.raises(errors.RankError, match="no axes"):
        iter(creation.scalar("s"))


@pytest.mark.parametrize(
    "act, error, words",
    [
        (lambda: F32 + "a", errors.DTypeError, "cannot make a tensor of str"),
        (lambda: I8 + 300, errors.OutOfRangeError, "300 does not fit into int8"),
        (lambda: F32 & 1, errors.DTypeError, "bitwise_and is not defined for float32"),
        (lambda: (F32 > 0) - True, errors.DTypeError, "logical_xor"),
        (lambda: -(F32 > 0), errors.DTypeError, "negative is not defined for bool"),
        (lambda: I8**-1, errors.DTypeError, "negative integer powers"),
        (lambda: F32 + creation.vector("y", shape=(4,)), errors.ShapeError, "3 and 4"),
        (lambda: reductions.sum(F32, 1), errors.AxisError, "axis 1 is out of range"),
        (lambda: reductions.sum(M, (0, -2)), errors.AxisError, "named twice"),
        (lambda: reductions.max(creation.zeros((0, 3)), 0), errors.ShapeError, "no elements"),
        (lambda: reductions.sum(F32, dtype=bool), errors.DTypeError, "not taken in bool"),
        (lambda: creation.arange(0, 1, 0), errors.ArgumentError, "step is 0"),
        (lambda: creation.zeros(-1), errors.ShapeError, "negative"),
        (lambda: creation.tril(F32), errors.RankError, "two axes"),
        (lambda: creation.vector("v", shape=(1, 2)), errors.RankError, "2 sizes, not 1"),
        (lambda: nn.one_hot(F32, 3), errors.DTypeError, "labels are integers"),
        (lambda: nn.softmax_cross_entropy(M, M > 0), errors.ShapeError, "2 axes of labels"),
        (lambda: OPS["add"](F32), errors.ArgumentError, "takes 2 operands"),
        (lambda: cast.cast(F32, "str"), errors.DTypeError, "str"),
        (lambda: cast.cast(F32 + 1j, "int8"), errors.DTypeError, "imaginary"),
    ],
)
def test_mistakes_are_named(act: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error) as found:
        act()
    assert words in str(found.value)


def test_rows_are_checked_and_found_again() -> None:
    with pytest.raises(errors.VerifyError, match="taken"):
        elementwise("exp", "", dtype=same, reference=np.exp, lower=abs, nondifferentiable="no")
    with pytest.raises(errors.VerifyError, match="exactly one"):
        elementwise("new", "", dtype=same, reference=np.exp, lower=abs)
    assert all(
        pickle.loads(pickle.dumps(r)) is r for r in OPS.values() if isinstance(r, Elementwise)
    )


def test_labels_out_of_range_are_an_error() -> None:
    loss = nn.softmax_cross_entropy([[0.0, 1.0]], creation.vector("y", "int64", (1,)))
    (labels,) = (v for n in evaluation.toposort([loss]) for v in n.inputs if v.name == "y")
    with pytest.raises(errors.IndexOutOfRange, match="label 2 is not one of 2"):
        evaluation.run([loss], {labels: np.array([2])})
    op = OPS["in_range"](2)
    ((flag, code, _, _),) = op.requires(labels)
    assert code == "SG301"
    assert not evaluation.run([flag], {labels: np.array([-1])})[0]
    assert evaluation.run([flag], {labels: np.array([1])})[0]


def test_unknown_sizes_need_elements_for_an_extreme() -> None:
    ((flag, code, _, _),) = OPS["max"]((0,)).requires(M)
    assert code == "SG101" and OPS["max"]((1,)).requires(M) == []
    assert not evaluation.run([flag], {M: np.ones((0, 4))})[0]


def test_ties_and_zeros_of_derivatives() -> None:
    x = creation.vector("x", shape=(4,))

    def slope(build: Callable[[Any], Any], *at: float) -> list[float]:
        (g,) = evaluation.gradients(reductions.sum(build(x)), [x])
        found: list[float] = evaluation.run([g], {x: np.array(at, float)})[0].tolist()
        return found

    assert slope(abs, -1, 0, 1, -0.0) == [-1, 0, 1, 0]
    assert slope(lambda v: arithmetic.maximum(v, 1), 0, 1, 2, 1) == [0, 0.5, 1, 0.5]
    assert slope(lambda v: arithmetic.minimum(v, 1), 0, 1, 2, 1) == [1, 0.5, 0, 0.5]
    assert slope(lambda v: arithmetic.clip(v, 0, 1), -1, 0, 1, 2) == [0, 1, 1, 0]
    assert slope(lambda v: nn.relu(v), -1, 0, 1, 2) == [0, 0, 1, 1]
    assert slope(lambda v: reductions.max(v), 3, 1, 3, 2) == [0.5, 0, 0.5, 0]
    assert slope(lambda v: reductions.prod(v), 0, 2, 3, 4) == [24, 0, 0, 0]
    assert slope(lambda v: reductions.prod(v), 0, 2, 0, 4) == [0, 0, 0, 0]
    assert slope(arithmetic.floor, 0.5, 1, 2, 3) == [0, 0, 0, 0]
    assert slope(lambda v: v**2, 0, 1, 2, 3) == [0, 2, 4, 6]
    masked = slope(lambda v: comparison.where(v > 0, arithmetic.sqrt(v), 0), 4, -1, 1, -1)
    assert masked[0] == 0.25 and masked[2] == 0.5


@pytest.mark.parametrize("row", [r for r in OPS.values() if isinstance(r, Elementwise)], ids=str)
def test_cotangents_keep_float32(row: Elementwise) -> None:
    dtype = "complex64" if row.name in ("real", "imag", "conj") else "float32"
    inputs = [creation.vector(f"x{k}", dtype, (2,)) for k in range(row.arity)]
    if row.nondifferentiable:
        return
    y = row(*inputs)
    for x, part in zip(y.owner.inputs, row.vjp(y, y, *y.owner.inputs), strict=True):
        assert part is None or part.dtype == x.dtype == dtype


def test_constants_are_converted_at_once() -> None:
    y = F32 + [1, 2, 3]
    assert y.dtype == "float64" and isinstance(y.owner.inputs[1], Constant)
    assert operands.as_variable(2.5) is constant(2.5)
    assert (F32 * 2).owner.inputs[1].type.text() == "float32"
