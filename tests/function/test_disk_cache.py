"""The disk cache seen from compile(): what hits, what misses, and that nothing can break it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.runtime.cache import open_cache, settle

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path) -> Iterator[Path]:
    with sg.config.change(cache_dir=str(tmp_path), cache=True):
        yield tmp_path


def cached(build: Callable[[], Any]) -> bool:
    return bool(build().statistics["cached"])


def program(
    number: float = 2.0, dtype: str = "float64", op: Any = None, shape: Any = (None,),
    name: str = "x", table: Any = None, container: Any = list, updates: int = 0,
) -> Any:  # fmt: skip
    """A function with much that can be varied."""
    x = sg.tensor(name, dtype, shape)
    y = (op or sg.exp)(x) * number
    if table is not None:
        y = y + sg.sum(sg.constant(table))
    w = sg.shared(np.zeros(3), "w")
    changed = {w: w + 1} if updates == 1 else {w: w * 2} if updates else {}
    return sg.compile([x], container([y, sg.sum(y)]), updates=changed)


def test_the_second_compilation_hits() -> None:
    assert not cached(program) and cached(program)
    first = program()
    assert set(first.statistics) >= {"cached", "total", "cache", "link"}
    np.testing.assert_allclose(first([0.0, 1.0])[0], [2, 2 * np.e])


VARIANTS: dict[str, dict[str, Any]] = {
    "a number": {"number": 3.0},
    "a dtype": {"dtype": "float32"},
    "an op": {"op": sg.sin},
    "a known size": {"shape": (3,)},
    "another rank": {"shape": (None, None)},
    "a constant": {"table": [1.0, 2.0]},
    "the container": {"container": tuple},
    "an update": {"updates": 1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_changes_the_code_misses(variant: str) -> None:
    program()
    assert not cached(lambda: program(**VARIANTS[variant]))
    assert cached(lambda: program(**VARIANTS[variant])) and cached(program)


def test_another_update_misses() -> None:
    program(updates=1)
    assert not cached(lambda: program(updates=2))


def test_names_do_not_matter() -> None:
    program()
    assert cached(lambda: program(name="another"))
    np.testing.assert_allclose(program(name="another")(another=[0.0])[0], [2])


def test_named_and_unnamed_sizes_are_one() -> None:
    program()
    assert cached(lambda: program(shape=("batch",)))


def test_how_sizes_are_shared_matters() -> None:
    def two(a: str, b: str) -> Any:
        x, y = sg.vector("x", shape=(a,)), sg.vector("y", shape=(b,))
        return sg.compile([x, y], [x * 2, y])

    two("n", "n")
    assert not cached(lambda: two("n", "m")) and cached(lambda: two("p", "q"))
    with pytest.raises(sg.errors.InputValueError):
        two("n", "n")([1.0], [1.0, 2.0])
    assert len(two("n", "m")([1.0], [1.0, 2.0])) == 2


def test_large_constants_are_data() -> None:
    a, b = np.arange(5000.0), np.ones(5000)
    first = program(table=a)
    assert cached(lambda: program(table=b))
    second = program(table=b)
    np.testing.assert_allclose(first([0.0])[0], [2 + a.sum()])
    np.testing.assert_allclose(second([0.0])[0], [2 + 5000])
    assert not cached(lambda: program(table=np.ones(5001)))
    assert not cached(lambda: program(table=np.ones(5000, "float32")))


def test_code_does_not_depend_on_large_constants() -> None:
    """Not on all of its elements being one number, nor on its indices being in range."""

    def scaled(table: Any) -> Any:
        x = sg.vector("x", shape=(1000,))
        return sg.compile([x], [x * sg.constant(table), x + sg.constant(table)])

    x = np.arange(1000.0)
    np.testing.assert_array_equal(scaled(np.ones(1000))(x)[0], x)
    f = scaled(np.full(1000, 3.0))
    assert f.statistics["cached"]
    np.testing.assert_array_equal(f(x)[0], 3 * x)
    np.testing.assert_array_equal(scaled(np.zeros(1000))(x)[1], x)

    def picked(places: Any) -> Any:
        x = sg.vector("x", shape=(10,))
        taken = sg.compile([x], sg.take(x, sg.constant(places), 0))
        return taken(np.arange(10.0))

    assert picked(np.full(600, 9)).sum() == 9 * 600
    with pytest.raises(sg.errors.IndexOutOfRange):
        picked(np.full(600, 10))


def test_values_of_shared_variables_are_data() -> None:
    def scaled(value: float) -> Any:
        return sg.compile([], sg.shared(np.full(3, value), "w") * 2)

    assert not cached(lambda: scaled(1.0)) and cached(lambda: scaled(5.0))
    assert scaled(5.0)().tolist() == [10] * 3


def test_the_order_of_inputs_matters() -> None:
    def difference(swapped: bool) -> Any:
        x, y = sg.vector("x", shape=("n",)), sg.vector("y", shape=("n",))
        return sg.compile([y, x] if swapped else [x, y], x - y)

    assert difference(False)([3.0], [1.0]) == 2
    assert not cached(lambda: difference(True))
    assert difference(True)([3.0], [1.0]) == -2


def test_messages_come_from_the_present_program() -> None:
    """A hit finds line and names in the graph at hand."""

    def pick(name: str) -> Any:
        x, i = sg.vector(name), sg.scalar("i", dtype="int64")
        return sg.compile([x, i], x[i])

    pick("first")
    f = pick("second")
    assert f.statistics["cached"]
    with pytest.raises(sg.errors.IndexOutOfRange) as error:
        f([1.0], 5)
    text = str(error.value)
    assert "second: float64" in text and "x[i]" in text and "first" not in text


def files(folder: Path) -> list[Path]:
    settle()  # what is written a moment later
    return [p for p in folder.rglob("*") if p.is_file() and p.stat().st_size > 500]


@pytest.mark.parametrize("damage", ["empty", "half", "flip", "text", "directory"])
def test_damaged_files_are_misses(fresh: Path, damage: str) -> None:
    program()
    assert files(fresh)
    for file in files(fresh):
        data = bytearray(file.read_bytes())
        file.chmod(0o600)
        if damage == "empty":
            file.write_bytes(b"")
        elif damage == "half":
            file.write_bytes(data[: len(data) // 2])
        elif damage == "flip":
            data[len(data) // 2] ^= 0x40
            file.write_bytes(data)
        elif damage == "text":
            file.write_text("not an object file")
        else:
            file.unlink()
            file.mkdir()
    f = program()
    assert not f.statistics["cached"]
    np.testing.assert_allclose(f([0.0])[0], [2])
    if damage != "directory":
        assert cached(program)


def test_an_unusable_directory_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with sg.config.change(cache_dir=str(place)):
            f = program()
            assert not f.statistics["cached"]
            np.testing.assert_allclose(f([0.0])[0], [2])


def test_the_cache_can_be_turned_off(fresh: Path) -> None:
    with sg.config.change(cache=False):
        assert open_cache() is None
        assert not cached(program) and not cached(program)
    assert not files(fresh)
    program()
    assert files(fresh)


SCRIPT = """
import sys
import numpy as np
import symgraph as sg
x, y = sg.matrix("x"), sg.vector("y", dtype="int64")
w = sg.shared(np.zeros((4, 3)), "w")
loss = sg.mean(sg.nn.softmax_cross_entropy(x @ w, y)) + sg.mean(sg.log(1 + w * w) / (2 + w * w))
f = sg.compile([x, y], {"loss": loss}, updates={w: w - sg.grad(loss, w)})
for _ in range(3):
    out = f(np.eye(4), np.array([0, 1, 2, 0]))
cold = (
    "llvmlite", "symgraph.codegen.libllvm", "symgraph.stages", "symgraph.passes.pipeline",
    "symgraph.passes.before_derivatives", "symgraph.rewrite.engine", "symgraph.rewrite.rules",
    "symgraph.ir.parse", "symgraph.lower.build", "networkx",
)  # fmt: skip
print(f.statistics["cached"], [m for m in cold if m in sys.modules], float(out["loss"]))
"""


def run(folder: Path, **environment: str) -> list[str]:
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(folder), **environment}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, cwd=ROOT)
    assert not done.returncode, done.stderr
    return done.stdout.strip().rsplit(" ", 1)


def test_a_fresh_process_starts_warm(fresh: Path) -> None:
    cold, loss = run(fresh)
    assert cold.startswith("False") and "libllvm" in cold and "llvmlite" not in cold
    assert run(fresh) == ["True []", loss]
    assert run(fresh, SYMGRAPH_CACHE="0")[0].startswith("False")


def test_processes_compile_at_once(fresh: Path) -> None:
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(fresh)}
    command = [sys.executable, "-c", SCRIPT]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        for _ in range(3)
    ]
    results = [p.communicate(timeout=120)[0].split()[-1] for p in started]
    assert len(set(results)) == 1 and all(p.returncode == 0 for p in started)
    assert run(fresh)[0] == "True []"
