"""What a compiled function accepts: every kind of array NumPy has, numbers, lists, keywords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, UnboundVariableError

MODES = ("run", "interpret")


@pytest.fixture(scope="module", params=MODES)
def rows(request: pytest.FixtureRequest) -> Any:
    """The sums of the rows of 2 x + y."""
    x, y = sg.matrix("x"), sg.vector("y")
    return sg.compile([x, y], sg.sum(2 * x + y, 1), mode=request.param)


A, B = np.arange(12.0).reshape(3, 4), np.arange(4.0)


def check(f: Any, a: Any, b: Any) -> None:
    before = np.array(a)
    got = f(a, b)
    assert type(got) is np.ndarray and got.flags.c_contiguous and got.flags.owndata
    np.testing.assert_array_equal(got, (2 * np.asarray(a) + np.asarray(b)).sum(1))
    np.testing.assert_array_equal(np.asarray(a), before)  # arguments are not written


def test_contiguous(rows: Any) -> None:
    check(rows, A, B)


def test_fortran_order(rows: Any) -> None:
    check(rows, np.asfortranarray(A), B)


def test_slices(rows: Any) -> None:
    check(rows, np.zeros((6, 8))[::2, ::2] + A, B)
    check(rows, A[:, ::2], B[::2])
    check(rows, A[1:], B)


def test_negative_strides(rows: Any) -> None:
    check(rows, A[::-1, ::-1], B[::-1])


def test_zero_strides(rows: Any) -> None:
    check(rows, np.broadcast_to(B, (3, 4)), np.broadcast_to(np.float64(2), (4,)))


def test_transposed(rows: Any) -> None:
    check(rows, A.T, np.arange(3.0))


def test_read_only(rows: Any) -> None:
    a, b = A.copy(), B.copy()
    a.flags.writeable = b.flags.writeable = False
    check(rows, a, b)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0), (1, 1)])
def test_few_elements(rows: Any, shape: tuple[int, int]) -> None:
    check(rows, np.ones(shape), np.ones(shape[1]))


def test_unaligned(rows: Any) -> None:
    raw = np.zeros(12 * 8 + 1, "uint8")[1:].view("float64").reshape(3, 4)
    raw[...] = A
    assert not raw.flags.aligned
    check(rows, raw, B)


def test_fields_of_records(rows: Any) -> None:
    records = np.zeros((3, 4), np.dtype([("flag", "i1"), ("x", "f8")]))
    records["x"] = A
    check(rows, records["x"], B)


def test_byte_swapped(rows: Any) -> None:
    check(rows, A.astype(A.dtype.newbyteorder()), B.astype(">f8"))


def test_subclasses(rows: Any) -> None:
    class Tagged(np.ndarray):
        pass

    check(rows, A.view(Tagged), B)
    got = rows(np.ma.masked_array(A), B)
    assert type(got) is np.ndarray


def test_memory_maps(rows: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, A)
    check(rows, np.load(file, mmap_mode="r"), B)


def test_lists_and_tuples(rows: Any) -> None:
    check(rows, A.tolist(), tuple(B))
    check(rows, [[1, 2], [3, 4]], [5, 6])


def test_safe_conversions(rows: Any) -> None:
    check(rows, A.astype("float32"), B.astype("int8"))
    check(rows, A.astype("int32"), B > 1)


def test_anything_with_the_array_protocol(rows: Any) -> None:
    class Table:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return A

    np.testing.assert_array_equal(rows(Table(), B), (2 * A + B).sum(1))


def test_keywords(rows: Any) -> None:
    wanted = rows(A, B)
    np.testing.assert_array_equal(rows(x=A, y=B), wanted)
    np.testing.assert_array_equal(rows(A, y=B), wanted)
    np.testing.assert_array_equal(rows(y=B, x=A), wanted)


def test_alike_arguments(rows: Any) -> None:
    square = np.ones((4, 4))
    check(rows, square, square[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "value",
    [2.5, 2, True, np.float64(2.5), np.float32(2.5), np.int8(3), np.array(2.5), np.array(3)],
    ids=lambda v: f"{type(v).__name__}-{v}",
)  # fmt: skip
def test_scalars(mode: str, value: Any) -> None:
    x = sg.scalar("x")
    f = sg.compile([x], x * 2, mode=mode)
    got = f(value)
    assert type(got) is np.ndarray and got.shape == () and got == 2.0 * float(value)


@pytest.mark.parametrize("mode", MODES)
def test_integer_scalars(mode: str) -> None:
    x = sg.scalar("x", dtype="int64")
    f = sg.compile([x], x * 2, mode=mode)
    for value in (2, np.int64(2), np.uint8(2), np.array(2), True):
        assert f(value) == 2 * int(value)
    assert f(2**62 - 1) == 2**63 - 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint32", "int64", "float32"])
def test_dtypes(mode: str, dtype: str) -> None:
    x = sg.vector("x", dtype=dtype)
    f = sg.compile([x], [x, x[::-1]], mode=mode)
    given = np.array([0, 1, 1, 0, 1], dtype)
    for a in (given, given.astype(bool), given[::-1], given.astype(given.dtype.newbyteorder())):
        same, back = f(a)
        assert same.dtype == dtype and back.dtype == dtype
        np.testing.assert_array_equal(same, a)
        np.testing.assert_array_equal(back, a[::-1])


@pytest.mark.parametrize("mode", MODES)
def test_many_axes(mode: str) -> None:
    x = sg.tensor("x", shape=("a", "b", 1, "c", "a", 2))
    f = sg.compile([x], x.sum(axis=(0, 3)) + 1, mode=mode)
    given = np.arange(3 * 2 * 4 * 3 * 2.0).reshape(3, 2, 1, 4, 3, 2)
    np.testing.assert_array_equal(f(given), given.sum((0, 3)) + 1)
    turned = np.asarray(given.T, order="C").T
    np.testing.assert_array_equal(f(turned), given.sum((0, 3)) + 1)


@pytest.mark.parametrize("mode", MODES)
def test_defaults(mode: str) -> None:
    x, rate = sg.vector("x"), sg.scalar("rate", default=0.5)
    f = sg.compile([x, rate], x * rate, mode=mode)
    np.testing.assert_array_equal(f(B), B / 2)
    np.testing.assert_array_equal(f(B, 2.0), B * 2)
    np.testing.assert_array_equal(f(B, rate=3), B * 3)
    np.testing.assert_array_equal(f(rate=1, x=B), B)


@pytest.mark.parametrize("mode", MODES)
def test_no_inputs(mode: str) -> None:
    f = sg.compile([], sg.arange(3) * 2, mode=mode)
    np.testing.assert_array_equal(f(), [0, 2, 4])


@pytest.mark.parametrize("mode", MODES)
def test_an_input_that_tells_the_size_of_an_output_is_used(mode: str) -> None:
    """The derivative of a linear function: its numbers need no input, but its shape does."""
    x = sg.vector("x")
    slope = sg.grad((3 * x).sum(), x)
    assert sg.compile([x], slope, mode=mode)(np.ones(4)).tolist() == [3.0] * 4
    with pytest.raises(UnboundVariableError, match="a size, which is not the size of any input"):
        sg.compile([], slope, mode=mode)
    y = sg.vector("y", shape=x.shape)  # of two that tell it, one that is read is enough
    with pytest.raises(ArgumentError, match="depends on the input x"):
        sg.compile([x, y], y + 1, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_unused_inputs(mode: str) -> None:
    x, y = sg.vector("x"), sg.vector("y")
    f = sg.compile([x, y], x + 1, on_unused_input="ignore", mode=mode)
    np.testing.assert_array_equal(f(B, [1, 2]), B + 1)


@pytest.mark.parametrize("mode", MODES)
def test_unnamed_inputs(mode: str) -> None:
    x, y = sg.vector(), sg.vector()
    f = sg.compile([x, y], x - 2 * sg.sum(y), mode=mode)
    np.testing.assert_array_equal(f(B, [1.0]), B - 2)


def test_one_variable_as_the_inputs() -> None:
    x = sg.vector("x")
    np.testing.assert_array_equal(sg.compile(x, x + 1)(B), B + 1)


def test_a_dict_names_its_inputs() -> None:
    x, y = sg.vector(), sg.vector()
    f = sg.compile({"left": x, "right": y}, x - y)
    np.testing.assert_array_equal(f(right=B, left=2 * B), B)


def test_debug_mode_agrees_with_itself() -> None:
    x = sg.matrix("x")
    f = sg.compile([x], {"rows": sg.nn.softmax(x), "top": sg.argmax(x, 1)}, mode="debug")
    got = f(A)
    np.testing.assert_array_equal(got["top"], [3, 3, 3])
    np.testing.assert_allclose(got["rows"].sum(1), 1)
