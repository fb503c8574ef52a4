"""Whole training steps as one function on the emulated driver: results, what a step asks for."""

from __future__ import annotations

import gc
from itertools import chain
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.runtime.cuda.array import upload
from symgraph.runtime.cuda.device import using
from tests.cuda import programs
from tests.cuda.fake_driver import FakeDriver


@pytest.mark.parametrize("name", programs.STEPS)
def test_a_step_agrees_with_the_cpu_and_asks_for_nothing_but_its_work(name: str) -> None:
    """Once arguments are on the GPU and the loss stays there, a step is the launch of one graph;
    and the number of a failure, for which nobody waits, where labels are checked."""
    made = programs.STEPS[name]()
    _, expected, after = programs.results(programs.STEPS[name](), "cpu")
    driver: Any = FakeDriver()
    with using(driver) as gpu:
        f = sg.compile(made.inputs, made.outputs, updates=made.updates, target="cuda")
        found = [f(*args) for args in made.calls]
        for a, b in zip([*found, *(s.get_value() for s in made.updates)],
                        [*chain(*expected), *after], strict=True):  # fmt: skip
            np.testing.assert_allclose(a, b, rtol=5e-5, atol=5e-6, err_msg=name)
        assert driver.calls["synchronize"] == len(found) + len(after)
        assert not driver.calls["unpinned"]
        args = [upload(gpu, np.asarray(a)) for a in made.calls[0]]
        for _ in range(7):  # the loss before this one is given back when there is a new one
            loss = f.on_device(*args)
        driver.calls.clear()
        driver.replayed.clear()
        for _ in range(2):
            loss = f.on_device(*args)
        asked = dict(driver.calls)
        assert asked.pop("to_host", 0) == (2 if f.made.status else 0)
        assert asked == {"graph": 2} and set(driver.replayed) <= {"launch", "copy"}
        assert float(loss) < found[-1] < found[0]
        del f, loss, args, made
        gc.collect()
        gpu.give_up_workspace()
        assert not driver.executables and gpu.pool.statistics().used == 0
