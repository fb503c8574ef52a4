"""Many threads in one function, forks, and functions called while they are being called."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg

THREADS, TURNS = 8, 200


def together(work: Callable[[int], None], count: int = THREADS) -> None:
    """Run ``work(0) ... work(count - 1)`` in threads that start at once; raises what one raised."""
    start, errors = threading.Barrier(count), []

    def run(k: int) -> None:
        start.wait()
        try:
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("size", [10, 40_000], ids=["with the GIL", "without the GIL"])
def test_threads_share_a_function(size: int) -> None:
    x = sg.vector("x")
    f = sg.compile([x], [sg.nn.softmax(x), sg.cumsum(sg.sin(x))[::-1]])
    data = [np.random.default_rng(k).normal(size=size) for k in range(THREADS)]
    wanted = [f(d) for d in data]

    def work(k: int) -> None:
        for _ in range(TURNS if size < 100 else 10):
            for found, want in zip(f(data[k]), wanted[k], strict=True):
                np.testing.assert_array_equal(found, want)

    together(work)


@pytest.mark.parametrize("size", [1, 40_000])
def test_updates_of_threads_add_up(size: int) -> None:
    total = sg.shared(np.zeros(size), "total")
    count = sg.shared(np.int64(0), "count")
    x = sg.vector("x", shape=(size,))
    f = sg.compile([x], count, updates={total: total + x, count: count + 1})
    seen: list[list[int]] = [[] for _ in range(THREADS)]
    turns = TURNS if size == 1 else 20

    def work(k: int) -> None:
        mine = np.full(size, float(k))
        seen[k] = [int(f(mine)) for _ in range(turns)]

    together(work)
    assert sorted(n for s in seen for n in s) == list(range(THREADS * turns))
    assert count.get_value() == THREADS * turns
    np.testing.assert_array_equal(total.get_value(), turns * sum(range(THREADS)))


def test_errors_of_threads_stay_apart() -> None:
    x, i = sg.vector("x"), sg.scalar("i", dtype="int64")
    f = sg.compile([x, i], x[i] * 2)
    given = np.arange(5.0)

    def work(k: int) -> None:
        for _ in range(TURNS):
            if k % 2:
                with pytest.raises(sg.errors.IndexOutOfRange):
                    f(given, 5 + k)
            else:
                assert f(given, k % 5) == 2 * (k % 5)

    together(work)


def test_threads_compile_at_once() -> None:
    def work(k: int) -> None:
        x = sg.vector(f"x{k}")
        f = sg.compile([x], sg.sum(x**2 + k % 3))
        assert f([1.0, 2.0]) == 5 + 2 * (k % 3)

    together(work)


def test_a_shared_variable_changes_its_size_while_others_read_it() -> None:
    data = sg.shared(np.ones(60_000), "data", shape=(None,))
    total = sg.compile([], sg.sum(sg.exp(data - data)))
    sizes = {60_000, 200_000, 100}

    def work(k: int) -> None:
        for turn in range(40):
            if k == 0:
                data.set_value(np.ones(sorted(sizes)[turn % 3]))
            else:
                assert int(total()) in sizes

    together(work, 4)


def test_a_function_calls_itself_from_the_slow_path() -> None:
    """An argument whose conversion calls the function that it is an argument of."""
    x = sg.vector("x")
    f = sg.compile([x], x * 2)

    class Nested:
        def __init__(self, depth: int) -> None:
            self.depth = depth

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.ones(2) if self.depth == 0 else np.asarray(f(Nested(self.depth - 1)))

    assert f(Nested(5)).tolist() == [64, 64]


def test_the_last_reference_is_dropped_during_a_call() -> None:
    x = sg.vector("x")
    holder = [sg.compile([x], x * 2)]
    gone = weakref.ref(holder[0])

    class Dropping:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            holder.clear()
            gc.collect()
            return np.ones(2)

    assert holder[0](Dropping()).tolist() == [2, 2]
    gc.collect()
    assert gone() is None


def _child(f: Any, given: Any, queue: Any) -> None:
    queue.put((f(given)[1].tolist(), f(given[: 1 << 17])[0].sum()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_goes_on() -> None:
    x = sg.vector("x")
    f = sg.compile([x], [x * 2, x[:3] + 1])
    given = np.ones(1 << 18)
    big = f(given)  # the pool has blocks in use while the process forks
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(f, given, queue))
    child.start()
    found = queue.get(timeout=60)
    child.join(60)
    assert found == ([2, 2, 2], 2.0 * (1 << 17)) and child.exitcode == 0
    assert big[0].sum() == 2 * given.size
