"""Kernels shared out to threads: equal to the bit for any number of threads, and right."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, dtypes, stages
from symgraph.compiler import stage_definition
from symgraph.executor import thread_team
from symgraph.loops.interpret import fresh, run_kernel
from symgraph.loops.program import BEGIN, END, Phase, Program, Require, Run
from symgraph.loops.verify import verify_kernel
from symgraph.lower.parallel import share_out
from symgraph.scalar import evaluate_size


@pytest.fixture(autouse=True)
def every_loop_is_split() -> Iterator[None]:
    config.parallel_from = 0
    yield
    config.reset("parallel_from", "num_threads")


def _gelu(x: Any) -> Any:
    return 0.5 * x * (1 + sg.tanh(0.79788456 * (x + 0.044715 * x**3)))


def _normal(x: Any, axis: int | None) -> Any:
    return (x - sg.mean(x, axis, keepdims=True)) / sg.sqrt(sg.var(x, axis, keepdims=True) + 1e-5)


def _several(x: Any) -> Any:
    """Two folds, a scalar between them, and a loop over everything."""
    low, high = sg.min(x), sg.max(x)
    scaled = (x - low) / (high - low + 1)
    return scaled * sg.sum(scaled**2) + sg.mean(x)


UNARY: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: sg.exp(x) + 1,
    "gelu": _gelu,
    "transpose": lambda x: sg.exp(x.T),
    "reversed": lambda x: x[::-1, ::2] * 2,
    "gather": lambda x: x[sg.arange(x.shape[0])[::-1]] + 1,
    "fill": lambda x: sg.zeros(x.shape) + 3,
    "outer": lambda x: x[:, None, :] * x[None, :, :],
    "softmax rows": lambda x: sg.nn.softmax(x, axis=1),
    "softmax columns": lambda x: sg.nn.softmax(x, axis=0),
    "layernorm rows": lambda x: _normal(x, 1),
    "layernorm columns": lambda x: _normal(x, 0),
    "layernorm": lambda x: _normal(x, None),
    "sum": sg.sum,
    "sum rows": lambda x: sg.sum(x, 1),
    "sum columns": lambda x: sg.sum(x, 0),
    "prod": lambda x: sg.prod(1 + x / 1000),
    "max": sg.max,
    "argmax": sg.argmax,
    "argmin rows": lambda x: sg.argmin(x, 1),
    "argmin columns": lambda x: sg.argmin(x, 0),
    "variance": sg.var,
    "logsumexp": lambda x: sg.logsumexp(x),
    "any": lambda x: sg.any(x > 2),
    "several": _several,
    "cumsum rows": lambda x: sg.cumsum(x, 1),
    "cumsum columns": lambda x: sg.cumsum(x, 0),
    "complex": lambda x: sg.sum(sg.exp(x * 1j)),
    "sort": lambda x: sg.sort(x, 1) + 1,
    "scan": lambda x: sg.scan(lambda r, s: sg.tanh(r + s * 0.5), [x], [sg.zeros(x.shape[1])]),
}
SHAPES = [(1, 1), (3, 5), (40, 17), (7, 1300), (700, 33), (1, 3000)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_any_number_of_threads_gives_the_same_bits(name: str, dtype: str) -> None:
    x = sg.matrix("x", dtype=dtype)
    f = sg.compile([x], UNARY[name](x), on_unused_input="ignore")
    slow = sg.compile([x], UNARY[name](x), mode="interpret", on_unused_input="ignore")
    rng = np.random.default_rng(len(name))
    for shape in SHAPES:
        array = rng.normal(size=shape).astype(dtype)
        found = []
        for count in (1, 2, 3, 7):
            config.num_threads = count
            found.append(np.asarray(f(array)))
        assert all(r.tobytes() == found[0].tobytes() for r in found), shape
        close = 1e-3 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(found[0], slow(array), close, close, err_msg=str(shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint16", "bool", "complex64"])
def test_other_dtypes(dtype: str) -> None:
    x = sg.matrix("x", dtype=dtype)
    outputs = [sg.sum(x), sg.sum(x, 0), x.T, sg.max(sg.cast(x, "bool"))]
    f, slow = (sg.compile([x], outputs, mode=m) for m in ("run", "interpret"))
    array = np.random.default_rng(0).integers(0, 2, (300, 70)).astype(dtypes.numpy_dtype(dtype))
    for count in (1, 3):
        config.num_threads = count
        for a, b in zip(f(array), slow(array), strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b)


def test_fixed_sizes_are_split_only_where_they_are_large() -> None:
    config.parallel_from = 40_000
    small = sg.matrix("x", shape=(10, 10))
    large = sg.matrix("x", shape=(1000, 1000))
    assert not any(s.phases for s in _program(sg.exp(small)).steps)
    assert all(s.phases for s in _program(sg.exp(large)).steps)
    assert [len(s.phases) for s in _program(sg.sum(large)).steps] == [2]


# the phases, run by the interpreter of loops ------------------------------------------------------


def _program(e: Any) -> Any:
    d = stage_definition(e)
    return share_out(stages.lower(d, stages.optimized_graph(d)))


def _interpreted(program: Program, x: np.ndarray, sizes: dict[str, int], parts: int) -> np.ndarray:
    """The phases of a program's runs in NumPy, each in some ranges, the last one first, with new
    scratch memory for each."""
    memory = {
        n: x if b.role == "input" else fresh(b.dtype, [evaluate_size(s, sizes) for s in b.shape])
        for n, b in program.buffers.items()
    }
    for step in program.steps:
        if isinstance(step, Require):
            assert memory[step.flag]
            continue
        assert isinstance(step, Run)
        whole = Phase(step.kernel, step.buffers, None, 0)
        for phase in step.phases or (whole,):
            verify_kernel(phase.kernel)
            turns = 0 if phase.turns is None else evaluate_size(phase.turns, sizes)
            cuts = [turns * k // parts for k in range(parts + 1)]
            ranges = [(0, 0)] if phase.turns is None else list(itertools.pairwise(cuts))
            for begin, end in reversed(ranges):
                given = {}
                for k, (p, b) in enumerate(zip(phase.kernel.params, phase.buffers, strict=True)):
                    shape = [evaluate_size(s, sizes) for s in p.shape]
                    own = k in phase.private
                    given[p.name] = fresh(p.dtype, shape) if own else memory[b].reshape(shape)
                run_kernel(phase.kernel, given, {**sizes, BEGIN: begin, END: end})
    return memory["out0"]


@pytest.mark.parametrize(
    "name",
    [
        "elementwise",
        "outer",
        "softmax rows",
        "layernorm rows",
        "sum",
        "argmax",
        "several",
        "variance",
    ],
)
def test_phases_mean_what_the_kernel_means(name: str) -> None:
    x = sg.matrix("x", shape=("n", "m"))
    program = _program(UNARY[name](x))
    array = np.random.default_rng(1).normal(size=(23, 40))
    expected = sg.compile([x], UNARY[name](x), mode="interpret")(array)
    for parts in (1, 3, 50):
        found = _interpreted(program, array, {"n": 23, "m": 40}, parts)
        np.testing.assert_allclose(found, expected, 1e-9, 1e-9)


def test_each_thread_has_its_own_scratch_row() -> None:
    x = sg.matrix("x", shape=("n", "m"))
    (run,) = _program(sg.nn.softmax(x, axis=1)).steps
    phase = run.phases[-1]  # of long rows; before it may be one of short ones, which keep none
    assert [phase.kernel.params[k].shape for k in phase.private] == [(x.shape[1],)]


def test_turns_that_depend_on_each_other_stay_in_one_thread() -> None:
    x = sg.matrix("x", shape=("n", "m"))
    (down,) = _program(sg.cumsum(x, 0)).steps
    (along,) = _program(sg.cumsum(x, 1)).steps
    assert not down.phases and along.phases  # of short rows, in lanes, and of others
    assert all(phase.turns is not None for phase in along.phases)


# around them --------------------------------------------------------------------------------------


def test_copies_are_shared_out() -> None:
    x = sg.vector("x")
    f = sg.compile([x], [x, x * 2])
    config.num_threads = 3
    array = np.arange(100_003.0)
    before = thread_team().stats()["runs"]
    same, double = f(array)
    assert np.array_equal(same, array) and np.array_equal(double, 2 * array)
    assert same is not array and thread_team().stats()["runs"] >= before + 2


def test_updates_are_written_once() -> None:
    x = sg.vector("x")
    s = sg.shared(np.zeros(5000), "s")
    f = sg.compile([x], sg.sum(s), updates={s: s + x})
    config.num_threads = 3
    for k in range(30):
        assert f(np.ones(5000)) == 5000.0 * k
    assert (s.get_value() == 30).all()


def test_python_threads_call_one_function() -> None:
    x = sg.matrix("x")
    f = sg.compile([x], sg.nn.softmax(x, axis=1))
    config.num_threads = 3
    arrays = [np.random.default_rng(k).normal(size=(60, 50)) for k in range(5)]
    expected = [f(a) for a in arrays]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(150):
            if not np.array_equal(f(arrays[k]), expected[k]):
                wrong.append(k)

    running = [threading.Thread(target=work, args=(k,)) for k in range(5)]
    for t in running:
        t.start()
    for t in running:
        t.join()
    assert not wrong


def test_changing_the_number_of_threads_while_calls_run() -> None:
    x = sg.matrix("x")
    f = sg.compile([x], sg.nn.softmax(x, axis=1))
    array = np.random.default_rng(0).normal(size=(60, 50))
    expected, stop, wrong = f(array), threading.Event(), []

    def work() -> None:
        while not stop.is_set():
            if not np.array_equal(f(array), expected):
                wrong.append(1)

    running = [threading.Thread(target=work) for _ in range(2)]
    for t in running:
        t.start()
    for k in range(300):
        config.num_threads = 1 + k % 6
        f(array)
    stop.set()
    for t in running:
        t.join()
    assert not wrong


def test_long_calls_leave_python_to_other_threads() -> None:
    """The loop reads its limit from the array each turn, and another thread changes it."""
    n = sg.scalar("n", dtype="int64")
    f = sg.compile([n], sg.while_loop(lambda t: t[0] < n, lambda t: (t[0] + 1, t[0]), (0, 0))[0])
    limit = np.array(3 * 10**9)
    thread = threading.Timer(0.05, lambda: limit.fill(0))
    thread.start()
    turns = f(limit)
    thread.join()
    assert 0 < turns < 3 * 10**9


INTERRUPT = """
import signal, sys, time
import numpy as np
import symgraph as sg
x = sg.vector("x")
n = sg.scalar("n", dtype="int64")
s = sg.shared(np.zeros(3), "s")
turns = lambda n: sg.while_loop(lambda t: t[0] < n, lambda t: (t[0] + 1, t[1] * 0.999), (0, x))[1]
if sys.argv[1] == "while":
    f = sg.compile([n, x], turns(n))
elif sys.argv[1] == "update":
    f = sg.compile([n, x], turns(n), updates={s: s + 1})
f(np.int64(3), np.ones(3))
state = s.get_value()
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.2)
start = time.perf_counter()
try:
    f(np.int64(10**10), np.ones(3))
except KeyboardInterrupt:
    print("stopped", time.perf_counter() - start < 20, (s.get_value() == state).all())
print(f(np.int64(0), np.ones(3)).tolist())
"""


@pytest.mark.parametrize("how", ["while", "update"])
def test_a_signal_stops_a_long_loop_and_changes_no_state(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPT, how], capture_output=True, text=True, timeout=100
    )
    assert (done.stdout, done.stderr) == ("stopped True True\n[1.0, 1.0, 1.0]\n", "")


def test_handlers_that_do_not_raise_let_the_loop_go_on() -> None:
    x, n = sg.vector("x"), sg.scalar("n", dtype="int64")
    loop = sg.while_loop(lambda t: t[0] < n, lambda t: (t[0] + 1, t[1] + 1), (0, x))[1]
    f = sg.compile([n, x], loop)
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        turns = 1000
        while not seen and turns < 10**9:
            turns *= 4
            assert f(np.int64(turns), np.zeros(2)).tolist() == [turns, turns]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen


@pytest.mark.parametrize("shape", [(3, 50_000), (30_000, 3)])
def test_threads_share_few_long_rows_and_many_short_ones(shape: tuple[int, int]) -> None:
    """Which of them they are is only known when the function runs."""
    x = sg.matrix("x")
    with config.change(num_threads=2, parallel_from=1):
        f = sg.compile([x], [sg.sum(x, 1), sg.max(x, 1)])
        value = np.arange(np.prod(shape), dtype=float).reshape(shape)
        f(value)
        before = thread_team().stats()["runs"]
        for found, wanted in zip(f(value), (value.sum(1), value.max(1)), strict=True):
            assert (found == wanted).all()
        assert thread_team().stats()["runs"] > before
