"""The thread team: every turn once, whatever happens around it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.codegen import llvm, team_ir, team_llvm
from symgraph.codegen.tables import Table
from symgraph.codegen.writer import ModuleWriter, Value
from symgraph.executor import load_code, thread_team
from symgraph.runtime import threads

NAMES = ["team_run", "team_share", "team_threads", "team_awake", "team_poll"]


class Counter:
    """Machine code that adds 1 to counts[t] in turn t; ``inside`` runs the team inside a run, and
    ``who`` notes the worker of each turn."""

    def __init__(self) -> None:
        self.table, module = Table(), ModuleWriter()
        self._body(module, "count", "atomicrmw add ptr {place}, i32 1 monotonic")
        self._body(module, "who", "atomicrmw xchg ptr {place}, i32 {worker} monotonic")
        nested = team_llvm.body_function(module, "nested")
        table, counts = team_llvm.unpack(nested, ["ptr", "ptr"])
        context = team_llvm.pack(nested, [("ptr", counts)])
        team_llvm.parallel_for(nested, self.table, "count", context, "40", "3", "4", table)
        for name in ("count", "who", "nested"):
            self._run(module, name)
        self.code = load_code(llvm.compile_object(module.text()), ["run_count"])
        layout = self.table.layout()
        self.words = (ctypes.c_void_p * len(layout))()
        for k, (kind, key) in enumerate(layout):
            self.words[k] = getattr(thread_team(), key) if kind == "team" else None

    def _body(self, module: ModuleWriter, name: str, line: str) -> None:
        fn = team_llvm.body_function(module, name)
        (counts,) = team_llvm.unpack(fn, ["ptr"])
        worker = fn.val("trunc i64 %worker to i32")

        def turn(t: Value, _: list[Value]) -> list[Value]:
            place = fn.val(f"getelementptr i32, ptr {counts}, i64 {t}")
            fn.fresh(line.format(place=place, worker=worker))
            return []

        fn.loop("%begin", "%end", 1, [], turn)

    def _run(self, module: ModuleWriter, name: str) -> None:
        params = [("ptr", "table", ""), ("ptr", "counts", "")]
        params += [("i64", n, "") for n in ("n", "grain", "times")]
        fn = module.function(f"run_{name}", params)

        def again(_: Value, __: list[Value]) -> list[Value]:
            held = [("ptr", "%table"), ("ptr", "%counts")]
            context = team_llvm.pack(fn, held if name == "nested" else held[1:])
            limit = team_llvm.threads(fn, self.table)
            team_llvm.parallel_for(fn, self.table, name, context, "%n", "%grain", limit)
            return []

        fn.loop(0, "%times", 1, [], again)

    def __call__(self, counts: np.ndarray, n: int, grain: int, times: int = 1, name: str = "count"):
        word, number = ctypes.c_void_p, ctypes.c_int64
        run = ctypes.CFUNCTYPE(None, word, word, number, number, number)
        function = run(self.code.address(f"run_{name}"))
        function(ctypes.addressof(self.words), counts.ctypes.data, n, grain, times)


@pytest.fixture(scope="module")
def counter() -> Counter:
    return Counter()


@pytest.fixture(autouse=True)
def own_setting() -> Iterator[None]:
    yield
    config.reset("num_threads")


def test_the_state_is_the_one_the_code_reads() -> None:
    named = {k: v for k, v in threads._AT.items() if k != "functions"}
    assert named == {k: team_ir.STATE[k] for k in named}
    assert threads._C_FUNCTIONS + threads._PY_FUNCTIONS == team_ir.FUNCTIONS
    assert threads._AT["functions"] == team_ir.STATE[team_ir.FUNCTIONS[0]]
    assert threads._OVERRIDES == team_ir.OVERRIDES and threads._SIZE == team_ir.SIZE


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
def test_every_turn_is_done_once(counter: Counter, count: int) -> None:
    config.num_threads = count
    counts = np.zeros(1000, np.int32)
    counter(counts, 1000, 7, 500)
    assert (counts == 500).all()
    for n in (0, 1, 6, 7, 8, 14, 999):
        counts[:] = 0
        counter(counts, n, 7)
        assert counts[:n].all() and not counts[n:].any() and counts.sum() == n


def test_workers_are_numbered_below_the_limit(counter: Counter) -> None:
    config.num_threads = 5
    for _ in range(50):
        config.num_threads = 3
        seen = np.full(2000, -1, np.int32)
        counter(seen, 2000, 1, 1, "who")
        assert set(seen.tolist()) <= {0, 1, 2}


def test_a_run_inside_a_run_is_done_by_the_caller(counter: Counter) -> None:
    config.num_threads = 4
    counts = np.zeros(40, np.int32)
    counter(counts, 100, 1, 20, "nested")
    assert (counts == 2000).all()


def test_many_python_threads_share_the_team(counter: Counter) -> None:
    config.num_threads = 3
    rows = [np.zeros(64, np.int32) for _ in range(6)]
    running = [threading.Thread(target=counter, args=(r, 64, 5, 3000)) for r in rows]
    for t in running:
        t.start()
    for t in running:
        t.join()
    assert all((r == 3000).all() for r in rows)


def limit_here() -> int:
    team = thread_team()
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(team.threads)(team.state))


def until(holds: Callable[[], bool]) -> None:
    """Waits for other threads, of which a busy machine may not think for long."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "nothing came of it in a minute"
        time.sleep(0.001)


def test_small_work_is_for_those_who_are_awake() -> None:
    config.num_threads = 2
    x = sg.vector("x")
    f = sg.compile([x], sg.exp(x))
    team, small, large = thread_team(), np.ones(25_000), np.ones(300_000)

    def shared(times: int) -> int:
        before = team.stats()["runs"]
        for _ in range(times):
            np.testing.assert_allclose(f(small), np.e)
        return team.stats()["runs"] - before

    usual = team.spin
    try:
        team.spin = 1 << 60
        f(large)  # wakes the worker, which gets up when the system lets it and spins from then on
        until(lambda: team.stats()["sleeping"] < team.stats()["started"])
        assert shared(10) == 10
        team.spin = 0
        f(large)
        until(lambda: team.stats()["sleeping"] == team.stats()["started"])
        assert shared(10) == 0
        team.spin = 1 << 60
        until(lambda: shared(100) > 0)  # having asked often enough
    finally:
        team.spin = usual


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_the_setting_holds_for_the_process_or_for_the_block_of_a_thread() -> None:
    config.num_threads = 6
    assert limit_here() == in_thread(limit_here) == 6
    with config.change(num_threads=2):
        assert (limit_here(), in_thread(limit_here)) == (2, 6)
        with config.change(num_threads=4, verify=True):
            assert limit_here() == 4
        assert limit_here() == 2
        config.num_threads = 3
        assert (limit_here(), in_thread(limit_here)) == (2, 3)
    assert limit_here() == 3
    config.reset("num_threads")
    assert limit_here() == config.num_threads


def test_more_blocks_than_rows_fall_back_to_the_process() -> None:
    config.num_threads = 2
    ready, go = threading.Semaphore(0), threading.Event()
    seen: list[int] = []

    def block() -> None:
        with config.change(num_threads=1):
            ready.release()
            go.wait()
            seen.append(limit_here())

    running = [threading.Thread(target=block) for _ in range(team_ir.OVERRIDES + 3)]
    for t in running:
        t.start()
    for _ in running:
        ready.acquire()
    go.set()
    for t in running:
        t.join()
    assert sorted(seen) == [1] * team_ir.OVERRIDES + [2] * 3
    assert limit_here() == 2


def test_a_machine_without_a_futex_has_a_team_of_one(counter: Counter) -> None:
    code = load_code(llvm.compile_object(team_ir.team_module("")), NAMES)
    alone = threads.Team(code)
    word, number = ctypes.c_void_p, ctypes.c_int64
    turns: list[tuple[int, int, int]] = []
    body = ctypes.CFUNCTYPE(None, word, number, number, number)(
        lambda _, begin, end, worker: turns.append((begin, end, worker))
    )
    run = ctypes.CFUNCTYPE(None, word, word, word, number, number, number)(alone.run)
    run(alone.state, ctypes.cast(body, word), None, 100, 7, 4)
    run(alone.state, ctypes.cast(body, word), None, 0, 7, 4)
    assert turns == [(0, 100, 0)] and alone.stats()["started"] == 0


def test_refused_threads_leave_the_others(counter: Counter) -> None:
    """pthread_create that always fails: the caller does everything, and asks only once."""
    machine = threads.machine()
    team = threads.Team(load_code(llvm.compile_object(team_ir.team_module(machine)), NAMES))
    asked: list[int] = []

    def refuse(*_: Any) -> int:
        asked.append(1)
        return 11

    word, number = ctypes.c_void_p, ctypes.c_int64
    create = ctypes.CFUNCTYPE(ctypes.c_int, word, word, word, word)(refuse)
    place = team.state + team_ir.STATE["pthread_create"]
    ctypes.c_void_p.from_address(place).value = ctypes.cast(create, word).value
    done: list[int] = []
    body = ctypes.CFUNCTYPE(None, word, number, number, number)(
        lambda _, begin, end, worker: done.extend(range(begin, end))
    )
    run = ctypes.CFUNCTYPE(None, word, word, word, number, number, number)(team.run)
    for _ in range(3):
        run(team.state, ctypes.cast(body, word), None, 20, 3, 4)
    assert done == [*range(20)] * 3 and len(asked) == 1


def test_workers_keep_off_the_callers_processor() -> None:
    code = load_code(llvm.compile_object(team_ir.team_module(threads.machine())), NAMES)
    team = threads.Team(code)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(team))  # its workers never end
    word, number = ctypes.c_void_p, ctypes.c_int64
    here = 0
    get = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: here)
    ctypes.c_void_p.from_address(team.state + team_ir.STATE["sched_getcpu"]).value = ctypes.cast(
        get, word
    ).value
    body = ctypes.CFUNCTYPE(None, word, number, number, number)(lambda *_: None)
    run = ctypes.CFUNCTYPE(None, word, word, word, number, number, number)(team.run)

    def masks() -> list[set[int]]:
        numbers = (ctypes.c_int32 * 2).from_address(team.state + team_ir.STATE["tids"])
        return [os.sched_getaffinity(n) for n in numbers]

    def told(name: str) -> int:
        return ctypes.c_int32.from_address(team.state + team_ir.STATE[name]).value

    mine, deadline = os.sched_getaffinity(0), time.monotonic() + 30
    while told("registered") < 2 or not told("avoided"):
        run(team.state, ctypes.cast(body, word), None, 100, 3, 3)
        assert time.monotonic() < deadline
    before = masks()
    for here in (*sorted(mine), *sorted(mine), max(mine) + 1, -1):
        run(team.state, ctypes.cast(body, word), None, 100, 3, 3)
        after = mine - {here} if here >= 0 else before[0]
        before = [after, after] if after else before
        assert masks() == before


def test_a_forked_child_starts_workers_of_its_own(counter: Counter) -> None:
    config.num_threads = 3
    counts = np.zeros(100, np.int32)
    counter(counts, 100, 3, 10)
    child = os.fork()
    if child == 0:
        try:
            fresh = thread_team().stats()["started"] == 0
            counts[:] = 0
            counter(counts, 100, 3, 100)
            right = fresh and (counts == 100).all() and thread_team().stats()["started"] == 2
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    counter(counts, 100, 3, 10)
    assert (counts == 20).all()


PROGRAM = """
import sys, threading, time
import numpy as np
import symgraph as sg
x = sg.vector("x")
f = sg.compile([x], sg.exp(x))
a = np.ones(300_000)
f(a)
from symgraph.executor import thread_team
assert thread_team().stats()["started"] == 2, thread_team().stats()
how = sys.argv[1]
if how == "sleeping":
    time.sleep(0.1)
elif how == "spinning":
    thread_team().spin = 10**9
    f(a)
elif how == "running":
    def forever():
        while True:
            f(a)
    threading.Thread(target=forever, daemon=True).start()
    time.sleep(0.05)
elif how == "error":
    sys.exit(3)
print("done")
"""


@pytest.mark.parametrize("how", ["sleeping", "spinning", "running", "error"])
def test_a_process_ends_whatever_its_workers_do(how: str) -> None:
    environment = {**os.environ, "SYMGRAPH_NUM_THREADS": "3", "SYMGRAPH_PARALLEL_FROM": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    wanted = (3, "", "") if how == "error" else (0, "done\n", "")
    assert (done.returncode, done.stdout, done.stderr) == wanted
