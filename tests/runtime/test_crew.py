"""Tasks of helping threads."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from symgraph import config
from symgraph.runtime import crew as crews
from symgraph.runtime.crew import Crew


def helpers_alive() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "symgraph-llvm"]


@pytest.mark.parametrize("helpers", [0, 1, 3])
def test_all_tasks_are_done_and_nobody_stays(helpers):
    done = []
    with Crew(helpers) as crew:
        for k in range(20):
            crew.add(k % 7, lambda k=k: done.append(k))
        crew.finish()
        assert sorted(done) == list(range(20))
        crew.add(0, lambda: done.append(20))  # a crew goes on
        crew.finish()
    assert done[-1] == 20 and not helpers_alive()


def test_the_dearest_task_is_first():
    done = []
    with Crew(0) as crew:
        for cost in (2, 9, 4):
            crew.add(cost, lambda cost=cost: done.append(cost))
        crew.finish()
    assert done == [9, 4, 2]


def test_helpers_work_while_the_owner_does_something_else():
    began, go_on = threading.Event(), threading.Event()
    with Crew(1) as crew:
        crew.add(1, lambda: (began.set(), go_on.wait(10)))
        assert began.wait(10)
        go_on.set()
        crew.finish()


@pytest.mark.parametrize("helpers", [0, 2])
def test_the_first_error_is_raised_and_ends_the_work(helpers):
    done = []

    def fail() -> None:
        raise ValueError("this one")

    with Crew(helpers) as crew:
        crew.add(9, fail)
        for k in range(3):
            crew.add(k, lambda k=k: (time.sleep(0.01), done.append(k)))
        with pytest.raises(ValueError, match="this one"):
            crew.finish()
        crew.add(5, lambda: done.append("late"))
    assert "late" not in done and not helpers_alive()


def test_an_owner_that_gives_up_leaves_nobody_behind():
    done = []
    with pytest.raises(KeyError), Crew(1) as crew:
        for _ in range(50):
            crew.add(1, lambda: (time.sleep(0.01), done.append(1)))
        raise KeyError
    assert len(done) < 50 and not helpers_alive()


def test_without_threads_the_owner_does_it_all(monkeypatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Crew(3) as crew:
        for k in range(4):
            crew.add(k, lambda k=k: done.append(k))
        crew.finish()
    assert done == [3, 2, 1, 0]


def test_tasks_see_the_settings_of_the_block_around_them():
    seen = []
    with config.change(pool_size=12345), Crew(1) as crew:
        crew.add(1, lambda: seen.append(config.get("pool_size")))
        while not seen:
            time.sleep(0.001)
        crew.finish()
    assert seen == [12345]


def test_the_interpreter_changes_hands_sooner_only_while_there_is_a_crew():
    usual = sys.getswitchinterval()
    with Crew(1), Crew(1):
        assert sys.getswitchinterval() == pytest.approx(min(usual, crews.TURN))
    assert sys.getswitchinterval() == usual


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_has_no_crews_of_its_parent():
    usual = sys.getswitchinterval()
    with Crew(1):
        pid = os.fork()
        if not pid:
            same = sys.getswitchinterval() == usual
            with Crew(1) as crew:
                crew.add(1, lambda: None)
                crew.finish()
            os._exit(0 if same and sys.getswitchinterval() == usual else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert sys.getswitchinterval() == usual
