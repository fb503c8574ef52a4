"""References, memory and pickles of compiled functions."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import SymgraphError

CALLS = 10_000


def leaked(work: Callable[[], Any], calls: int = CALLS) -> float:
    """Bytes that a call leaves behind, cycles included; a lost object has 16 or more. What another
    thread of the process allocates is there once, a leak each time."""
    for _ in range(100):
        work()
    left = _left(work, calls)
    return left if left < 8 else min(left, _left(work, calls))


def _left(work: Callable[[], Any], calls: int) -> float:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(calls):
            work()
        return (tracemalloc.get_traced_memory()[0] - before) / calls
    finally:
        tracemalloc.stop()
        gc.enable()


def attempt(f: Any, *args: Any, **keywords: Any) -> Callable[[], None]:
    def work() -> None:
        try:
            f(*args, **keywords)
        except (SymgraphError, IndexError, TypeError, ValueError):
            pass
        else:
            raise AssertionError("the call was expected to fail")

    return work


@pytest.fixture(scope="module")
def two() -> Any:
    x, i = sg.vector("x"), sg.scalar("i", dtype="int64")
    w = sg.shared(np.ones(3), "w")
    return sg.compile([x, i], {"at": x[i], "all": [x * 2, x]}, updates={w: w + 1})


@pytest.fixture(scope="module")
def plain() -> Any:
    x = sg.vector("x")
    return sg.compile([x], [x + 1, sg.sum(x)])


X = np.arange(5.0)


def test_calls_leave_nothing_behind(plain: Any, two: Any) -> None:
    assert leaked(lambda: plain(X)) < 8
    assert leaked(lambda: plain([1.0, 2.0])) < 8
    assert leaked(lambda: two(X, i=2), 3000) < 8


def test_failing_calls_leave_nothing_behind(plain: Any, two: Any) -> None:
    assert leaked(attempt(plain), 2000) < 8
    assert leaked(attempt(plain, X, X), 2000) < 8
    assert leaked(attempt(plain, "text"), 2000) < 8
    assert leaked(attempt(plain, X, y=X), 2000) < 8
    assert leaked(attempt(plain, X.reshape(1, 5)), 2000) < 8
    assert leaked(attempt(two, X, np.array(7)), 4000) < 8  # free lists of Python fill up once


def counts(*objects: Any) -> list[int]:
    return [sys.getrefcount(o) for o in objects]


def test_references_are_balanced(plain: Any, two: Any) -> None:
    given, index, bad = X.copy(), np.array(2), np.array(9)
    objects = (given, index, bad, np.dtype("float64"), np.ndarray, None, plain, two)
    for work in (lambda: plain(given), lambda: two(given, index), attempt(two, given, bad)):
        work()
        before = counts(*objects)
        for _ in range(1000):
            work()
        assert all(abs(a - b) < 20 for a, b in zip(counts(*objects), before, strict=True))


def test_results_own_their_memory(plain: Any) -> None:
    out, total = plain(X)
    assert sys.getrefcount(out) == 2 and sys.getrefcount(total) == 2
    assert out.base is None and out.flags.owndata and out.flags.writeable


def test_a_function_is_freed() -> None:
    x = sg.vector("x")
    w = sg.shared(np.ones(3), "w")
    f = sg.compile([x], x + w[0])
    gone, state = weakref.ref(f), weakref.ref(w)
    f(X)
    with pytest.raises(SymgraphError):
        f()
    del f, w
    gc.collect()
    assert gone() is None and state() is None


def test_results_outlive_their_function() -> None:
    x = sg.vector("x")
    f = sg.compile([x], x * 2)
    small, large = f(X), f(np.ones(1 << 17))
    del f
    gc.collect()
    assert small.tolist() == (2 * X).tolist() and large.sum() == 2 << 17


def test_a_shared_variable_lives_as_long_as_a_function_that_reads_it() -> None:
    f = sg.compile([], sg.shared(np.ones(1000), "w") * 2)
    gc.collect()
    assert f().sum() == 2000


def test_a_large_constant_lives_as_long_as_the_function() -> None:
    x = sg.scalar("x")
    f = sg.compile([x], sg.constant(np.ones(5000)) * x)
    gc.collect()
    assert f(2.0).sum() == 10_000


# large outputs ------------------------------------------------------------------------------------


def test_large_outputs_come_from_the_pool() -> None:
    x = sg.vector("x")
    f = sg.compile([x], [x + 1, x * 2])
    given = np.random.default_rng(0).normal(size=100_000)
    for _ in range(20):
        a, b = f(given)
        np.testing.assert_array_equal(a, given + 1)
        np.testing.assert_array_equal(b, given * 2)
    kept = [f(given)[0] for _ in range(5)]
    assert len({k.ctypes.data for k in kept}) == 5
    for k in kept:
        np.testing.assert_array_equal(k, given + 1)


def test_large_outputs_can_be_used_like_any_array() -> None:
    x = sg.vector("x")
    out = sg.compile([x], x + 1)(np.zeros(100_000))
    view = out[::2]
    del out
    assert view.sum() == 50_000
    out = sg.compile([x], x + 1)(np.zeros(100_000))
    out.resize(200_000, refcheck=False)
    assert out[:100_000].sum() == 100_000
    assert pickle.loads(pickle.dumps(out)).sum() == out.sum()


def test_too_large_outputs_raise_memory_error() -> None:
    x = sg.vector("x", dtype="int8")
    w = sg.shared(np.ones(3), "w")
    f = sg.compile([x], sg.zeros((x.shape[0],) * 5) + x, updates={w: w + 1})
    assert f(np.ones(2, "int8")).shape == (2,) * 5
    with pytest.raises((MemoryError, ValueError)):
        f(np.ones(3000, "int8"))
    with pytest.raises((MemoryError, ValueError)):
        f(np.ones(60_000, "int8"))
    assert w.get_value().tolist() == [2, 2, 2]


def test_too_large_temporaries_raise_memory_error() -> None:
    x = sg.vector("x", dtype="int8")
    n = x.shape[0]
    big = sg.cumsum(sg.zeros((n, n, n, n)), 0)
    f = sg.compile([x], sg.sum(sg.cumsum(big, 1)[0, 0]) + sg.sum(x))
    assert f(np.ones(2, "int8")) == 2
    for size in (3000, 60_000):
        with pytest.raises(MemoryError):
            f(np.ones(size, "int8"))


# pickles ------------------------------------------------------------------------------------------


def roundtrip(f: Any) -> Any:
    return pickle.loads(pickle.dumps(f))


@pytest.mark.parametrize("mode", ["run", "interpret", "debug"])
def test_pickles(mode: str) -> None:
    x, rate = sg.matrix("x"), sg.scalar("rate", default=2.0)
    f = sg.compile([x, rate], {"a": x * rate, "b": [sg.sum(x)]}, mode=mode, name="scaled")
    g = roundtrip(f)
    given = np.ones((2, 3))
    assert g.name == "scaled" and type(g) is type(f)
    assert g(given)["a"].tolist() == f(given)["a"].tolist()
    assert g(x=given, rate=3)["b"][0] == 6
    with pytest.raises(SymgraphError):
        g(given, 1, 2)


def test_a_pickle_takes_its_own_state_along() -> None:
    w = sg.shared(np.zeros(2), "w")
    step = sg.compile([], w, updates={w: w + 1})
    step()
    other = roundtrip(step)
    assert other().tolist() == [1, 1] and other().tolist() == [2, 2]
    assert step().tolist() == [1, 1]


def test_functions_pickled_together_keep_sharing() -> None:
    w = sg.shared(np.zeros(2), "w")
    pair = sg.compile([], [], updates={w: w + 1}), sg.compile([], w * 2)
    step, read = roundtrip(pair)
    step()
    assert read().tolist() == [2, 2] and pair[1]().tolist() == [0, 0]


def test_copies() -> None:
    x = sg.vector("x")
    f = sg.compile([x], x * 2)
    assert copy.copy(f)(X).tolist() == copy.deepcopy(f)(X).tolist() == (2 * X).tolist()


SCRIPT = """
import pickle, sys
f = pickle.load(open(sys.argv[1], "rb"))
print(f([[1.0, 2.0], [3.0, 4.0]]).tolist(), f.statistics["cached"], "llvmlite" in sys.modules)
"""


def test_a_fresh_process_takes_pickle_and_code(tmp_path: Path) -> None:
    x = sg.matrix("x")
    w = sg.shared(np.array([1.0, 2.0]), "w")
    f = sg.compile([x], sg.tanh(x @ w) + 3.25)
    (tmp_path / "f.pickle").write_bytes(pickle.dumps(f))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "f.pickle")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2]
    )
    assert not done.returncode, done.stderr
    wanted = (np.tanh(np.array([5.0, 11.0])) + 3.25).tolist()
    values, cached, loaded = done.stdout.rsplit(" ", 2)
    np.testing.assert_allclose(eval(values), wanted, rtol=1e-14)
    assert (cached, loaded.strip()) == ("True", "False")


@pytest.mark.parametrize("what", ["input", "value", "graph", "shared"])
def test_the_first_thing_that_a_process_does_may_be_to_unpickle(tmp_path: Path, what: str) -> None:
    x = sg.vector("x", shape=("n",))
    w = sg.shared(np.ones(3), "w")
    value = {"input": x, "value": sg.exp(x)[1:] + 1, "graph": sg.Graph([x], [x[1:]]), "shared": w}
    (tmp_path / "it").write_bytes(pickle.dumps(value[what]))
    code = f"""
import pickle
it = pickle.loads(open({str(tmp_path / "it")!r}, "rb").read())
print(getattr(it, "outputs", [it])[0] * 2 + 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert not done.returncode and "* 2.0 + 1.0" in done.stdout, done.stderr
