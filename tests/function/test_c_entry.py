"""Compiled functions called from C: by an address, from several threads, errors as numbers."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError
from symgraph.runtime.c_entry import NO_MEMORY, WRONG_SIZES


def words(values: list[int], kind: Any) -> Any:
    return (kind * max(1, len(values)))(*values)


def call(f: Any, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> int:
    entry = f.c_entry
    shapes = [n for a in inputs for n in a.shape]
    pointers = [words([a.ctypes.data for a in arrays], ctypes.c_void_p)
                for arrays in (inputs, outputs)]  # fmt: skip
    status: int = entry.prototype(entry.address)(
        entry.context, pointers[0], words(shapes, ctypes.c_int64), pointers[1]
    )
    return status


def expressions() -> tuple[list[Any], list[Any]]:
    x, y = sg.tensor("x", "float64", ("n",)), sg.tensor("y", "float64", ("n", "m"))
    return [x, y], [(x[:, None] * y).sum(), sg.exp(y).T, x @ y, sg.cumsum(x)]


def test_results_are_those_of_a_call_from_python() -> None:
    f = sg.compile(*expressions())
    rng = np.random.default_rng(0)
    for n, m in ((3, 5), (1, 1), (0, 4), (70, 300)):
        inputs = [rng.normal(size=n), rng.normal(size=(n, m))]
        wanted = f(*inputs)
        outputs = [np.full_like(w, 9.0) for w in wanted]
        assert call(f, inputs, outputs) == 0
        for a, b in zip(outputs, wanted, strict=True):
            assert a.tobytes() == np.ascontiguousarray(b).tobytes()


def test_sizes_that_do_not_fit_are_a_code() -> None:
    x = sg.tensor("x", "float64", (3,))
    f = sg.compile([x], x * 2)
    out = np.zeros(4)
    assert call(f, [np.ones(4)], [out]) == WRONG_SIZES
    assert not out.any()
    g = sg.compile(*expressions())
    outputs = [np.zeros(()), np.zeros((2, 3)), np.zeros(2), np.zeros(3)]
    assert call(g, [np.ones(3), np.ones((4, 2))], outputs) == WRONG_SIZES


def test_a_failed_check_is_a_positive_code_and_python_a_negative_one() -> None:
    x, k = sg.vector("x"), sg.tensor("k", "int64", ())
    f = sg.compile([x, k], x[k])
    out = np.zeros(())
    assert call(f, [np.ones(3), np.array(2)], [out]) == 0
    assert out == 1.0
    assert call(f, [np.ones(3), np.array(3)], [out]) > 0


def test_shared_variables_are_read_and_written_in_place() -> None:
    w, x = sg.shared(np.zeros(3), name="w"), sg.tensor("x", "float64", (3,))
    f = sg.compile([x], w.sum(), updates={w: w + x})
    out = np.zeros(())
    for _ in range(2):
        assert call(f, [np.ones(3)], [out]) == 0
    assert out == 3.0
    np.testing.assert_array_equal(w.get_value(), [2.0, 2.0, 2.0])


def test_many_threads_at_once() -> None:
    x = sg.tensor("x", "float64", ("n",))
    f = sg.compile([x], [sg.cumsum(sg.sort(sg.sin(x))), (x[:, None] - x).sum(axis=1)])
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=400 + k) for k in range(4)]
    wanted = [f(a) for a in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(50):
            outputs = [np.empty_like(a) for a in wanted[k]]
            status = call(f, [inputs[k]], outputs)
            same = all(a.tobytes() == b.tobytes() for a, b in zip(outputs, wanted[k], strict=True))
            if status or not same:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_no_memory_is_a_code() -> None:
    x = sg.tensor("x", "float64", ("n",))
    f = sg.compile([x], sg.sort(sg.reshape(x[:, None] + x, (-1,)))[0])
    a = np.zeros(1)
    entry, out = f.c_entry, np.zeros(())
    status = entry.prototype(entry.address)(
        entry.context, words([a.ctypes.data], ctypes.c_void_p),
        words([1 << 22], ctypes.c_int64), words([out.ctypes.data], ctypes.c_void_p),
    )  # fmt: skip
    assert status == NO_MEMORY


def test_the_addresses_outlive_the_function() -> None:
    x = sg.tensor("x", "float64", (2,))
    entry = sg.compile([x], x + 1).c_entry
    a, b = np.array([1.0, 2.0]), np.zeros(2)
    pointers = [words([v.ctypes.data], ctypes.c_void_p) for v in (a, b)]
    shape = words([2], ctypes.c_int64)
    assert entry.prototype(entry.address)(entry.context, pointers[0], shape, pointers[1]) == 0
    np.testing.assert_array_equal(b, [2.0, 3.0])


def test_a_function_with_a_profile_has_none() -> None:
    x = sg.tensor("x", "float64", (2,))
    with pytest.raises(ArgumentError, match="profile"):
        _ = sg.compile([x], x + 1, profile=True).c_entry
