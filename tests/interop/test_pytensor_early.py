"""Graphs that are taken before PyTensor's rewrites, and programs with callbacks, on the disk."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytensor = pytest.importorskip("pytensor")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():  # of PyTensor's about its own past and compilers that are not there
    warnings.simplefilter("ignore")
    import pytensor.tensor as pt
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op
    from pytensor.tensor.random.utils import RandomStream

    import symgraph.pytensor as door
    from symgraph.interop.pytensor.digest import Digester, Unstable

X = np.eye(3) / 3 + 0.01


class Doubled(Op):  # type: ignore[misc]
    """A user's op."""

    __props__ = ("factor",)

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def make_node(self, x: Any) -> Any:
        return Apply(self, [pt.as_tensor(x)], [pt.dvector()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        output_storage[0][0] = self.factor * inputs[0]


def graph(data: np.ndarray = X) -> tuple[list[Any], list[Any]]:
    """A graph large enough to be taken early, with what only callbacks can compute."""
    x = pt.matrix("x", dtype="float64")
    y = x
    for k in range(5):
        y = pt.tanh(y @ x) + k + pt.constant(data)
    draw = RandomStream(3).normal(size=(3,))
    return [x], [y.sum(), pt.grad(y.sum(), x), pt.unique(pt.floor(y)), draw, Doubled()(y[0])]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def ops(f: Any) -> list[str]:
    return [type(n.op).__name__ for n in f.maker.fgraph.apply_nodes]


def made(*args: Any) -> Any:
    return pytensor.function(*graph(*args), mode="SYMGRAPH")


@pytest.mark.usefixtures("own_cache")
def test_a_second_function_needs_no_rewriting() -> None:
    first, second = made(), made()
    assert "Captured" not in ops(first)
    assert ops(second) == ["Captured"]
    named = [
        sorted(type(n.op).__name__ for n, _ in f.vm.program.performed) for f in (first, second)
    ]
    assert named[0] == named[1] == ["Doubled", "NormalRV", "Unique"]
    for _ in range(2):  # streams go on
        for a, b in zip(first(X), second(X), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("own_cache")
def test_other_data_find_the_machine_code() -> None:
    made()
    other = made(X + 1)
    assert "Captured" not in ops(other)
    assert other.vm.program.function.statistics["cached"]
    plain = pytensor.function(*graph(X + 1), mode="FAST_COMPILE")
    for a, b in zip(other(X), plain(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.usefixtures("own_cache")
def test_copies_and_pickles_of_taken_graphs() -> None:
    made()
    f = made()
    g, h = f.copy(), pickle.loads(pickle.dumps(f))
    for a, b, c in zip(f(X)[:3], g(X)[:3], h(X)[:3], strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


@pytest.mark.usefixtures("own_cache")
def test_the_mode_without_it() -> None:
    mode = door.mode(exclude=("symgraph_early",))
    for _ in range(2):
        assert "Captured" not in ops(pytensor.function(*graph(), mode=mode))


def test_what_a_digest_tells() -> None:
    def digest(*args: Any) -> str:
        inputs, outputs = graph(*args)
        shared = [v for v in outputs[3].owner.inputs if hasattr(v, "get_value")]
        return Digester().graph([*inputs, *shared], outputs)

    assert digest() == digest()
    assert digest() != digest(X + 1)
    of = Digester().op
    assert of(Doubled()) == of(Doubled(2.0)) != of(Doubled(3.0))

    class Local(Doubled):
        """An op that no other process finds."""

    with pytest.raises(Unstable):
        of(Local())


PROGRAM = """
import warnings
warnings.simplefilter("ignore")
import sys
import numpy as np
import {name}
import pytensor
from {home} import X, made, ops
assert symgraph.pytensor.mode
f = made()
f.trust_input = True
assert ops(f) == ["Captured"], ops(f)
np.save({path!r}, f(X)[3])
"""


@pytest.mark.parametrize("name", ["symgraph.pytensor", "symgraph.interop.pytensor, symgraph"])
def test_a_new_process(own_cache: Path, name: str) -> None:
    f = made()
    path = str(own_cache / "draw.npy")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[1:3]))}
    code = PROGRAM.format(name=name, path=path, home=__name__)
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    np.testing.assert_array_equal(np.load(path), f(X)[3])
