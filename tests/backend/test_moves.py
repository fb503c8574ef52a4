"""Elements that are only moved: as words, in squares, by shuffles; the bits are those of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, dtypes, stages
from symgraph.errors import VerifyError
from symgraph.loops.program import Run
from symgraph.loops.text import program_text
from symgraph.loops.verify import verify_program

DTYPES = ["bool", "int8", "int16", "float16", "bfloat16", "float32", "float64", "complex64",
          "complex128"]  # fmt: skip
MOVES: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "turned": ((33, 70), lambda m, x: m.transpose(x)),
    "turned, large": ((130, 65), lambda m, x: m.transpose(x)),
    "turned by a quarter": ((40, 33), lambda m, x: m.rot90(x)),
    "in another order": ((5, 18, 20), lambda m, x: m.transpose(x, (2, 0, 1))),
    "backwards": ((133,), lambda m, x: m.flip(x, 0)),
    "rows backwards": ((7, 37), lambda m, x: m.flip(x, 1)),
    "side by side": ((67,), lambda m, x: m.stack([x, m.flip(x, 0)], 1)),
    "below each other": ((20, 17), lambda m, x: m.concatenate([x, m.flip(x, 0)], 0)),
    "repeated": ((41,), lambda m, x: m.repeat(x, 2)),
    "padded": ((9, 21), lambda m, x: m.pad(x, 2)),
    "a triangle": ((19, 19), lambda m, x: m.tril(x)),
    "rolled": ((9, 35), lambda m, x: m.roll(x, 5, 1)),
    "chosen": ((50,), lambda m, x: m.where(m.flip(x, 0) == x, x, m.flip(x, 0))),
}


def array(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(len(shape))
    if dtype == "bool":
        return rng.normal(size=shape) > 0
    values = rng.normal(size=shape) * 50
    if dtypes.is_complex(dtype):
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtypes.numpy_dtype(dtype))


def same(formula: Callable[[Any, Any], Any], a: np.ndarray, known: bool, seen: str = "") -> None:
    """Native code and the loops as they are scheduled give what NumPy gives, bit for bit."""
    x = sg.tensor("x", dtype=str(a.dtype), shape=a.shape if known else (None,) * a.ndim)
    wanted = np.ascontiguousarray(formula(np, a))
    with config.change(parallel_from=0):
        f = sg.compile(x, formula(sg, x))
    for threads in (1, 3):
        with config.change(num_threads=threads):
            got = f(a)
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        assert got.tobytes() == wanted.tobytes()
    program = stages.lower(f.definition, stages.optimized_graph(f.definition))
    verify_program(program)
    assert seen in program_text(program)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
def test_moved(move: str, dtype: str, known: bool) -> None:
    shape, formula = MOVES[move]
    same(formula, array(shape, dtype), known)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_step(dtype: str, known: bool) -> None:
    for step in (*range(2, 10), -2, -3):
        for size in (1, step + 1 if step > 0 else 5, 64, 65, 131):
            same(lambda m, x, k=step: x[::k], array((size,), dtype), known)
        same(lambda m, x, k=step: x[:, ::k], array((5, 47), dtype), known)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64", "complex64"])
def test_channels_last_and_first(dtype: str, known: bool) -> None:
    """Few columns are turned in narrow squares."""
    for channels in (1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 20):
        for pixels in (15, 16, 33, 150):
            a = array((2, channels, pixels), dtype)
            same(lambda m, x: m.transpose(x, (0, 2, 1)), a, known)
            same(lambda m, x: m.transpose(x, (0, 2, 1)), a.transpose(0, 2, 1).copy(), known)


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_a_row_in_each_lane(dtype: str, rows: int) -> None:
    """Under masks: nothing after the last row is read, which is where the memory ends."""
    for length in (1, 5, 15, 16, 17, 100):
        a = array((length, rows), dtype)
        x = sg.tensor("x", dtype=dtype, shape=(None, rows))
        found = sg.compile(x, [sg.cumsum(x, 1), x - x.max(1, keepdims=True), sg.argmax(x, 1)])(a)
        np.testing.assert_allclose(found[0], np.cumsum(a, 1, dtype="float64"), rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(found[1], a - a.max(1, keepdims=True))
        np.testing.assert_array_equal(found[2], np.argmax(a, 1))


def test_words() -> None:
    """Kernels that only move numbers move words, others do not."""
    z = array((40, 33), "complex64")
    same(lambda m, x: m.transpose(x), z, False, "p0: in uint64")
    same(lambda m, x: m.flip(x, 0), array((40,), "float16"), False, "p0: in uint16")
    same(lambda m, x: m.conj(m.transpose(x)), z, False, "p0: in complex64")
    same(lambda m, x: m.flip(x, 0) == x, z[0], False, "p0: in complex64")


def test_a_constant_beside_what_moves() -> None:
    x = sg.vector("x", dtype="complex64")
    i = sg.arange(x.shape[0])
    f = sg.compile(x, sg.where(i % 2 == 0, x, sg.constant(np.complex64(-1.5 + 2j))))
    a = array((9,), "complex64")
    wanted = np.where(np.arange(9) % 2 == 0, a, np.complex64(-1.5 + 2j))
    assert f(a).tobytes() == wanted.tobytes()
    program = stages.lower(f.definition, stages.optimized_graph(f.definition))
    assert any(p.dtype == "uint64" for s in program.steps if isinstance(s, Run)
               for p in s.kernel.params)  # fmt: skip


def test_a_nan_keeps_its_bits() -> None:
    words = np.array([0x7C01, 0xFE12, 0x7E00, 0x0001], "uint16")
    x, y = sg.vector("x", dtype="float16"), sg.vector("y", dtype="float16")
    got = sg.compile([x, y], sg.stack([sg.flip(x, 0), y], 1))(*[words.view("float16")] * 2)
    np.testing.assert_array_equal(got.view("uint16"), np.stack([words[::-1], words], 1))


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_other_dtypes_are_no_words(dtype: str) -> None:
    x = sg.vector("x", dtype="complex64")
    f = sg.compile(x, sg.flip(x, 0))
    program = stages.lower(f.definition, stages.optimized_graph(f.definition))
    verify_program(program)
    buffers = {n: b._replace(dtype=dtype) for n, b in program.buffers.items()}
    with pytest.raises(VerifyError, match="not uint64"):
        verify_program(program._replace(buffers=buffers))
