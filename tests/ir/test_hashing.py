"""The structural hash: what it sees, what it does not, that it is the same in every process."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import VerifyError
from symgraph.ir.graph import Graph, Input, constant
from symgraph.ir.hashing import large_constants, shared_variables, structural_hash
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType

BIG = np.arange(2000.0)


def hash_of(inputs: Any, *outputs: Any) -> str:
    return structural_hash(Graph(inputs, outputs))


def pair(
    first: str = "x", second: str = "y", size: str | None = "n", dtype: str = "float64"
) -> Any:
    return [sg.tensor(n, dtype=dtype, shape=(size, 3)) for n in (first, second)]


def test_names_do_not_matter() -> None:
    hashes = set()
    for x, y in (pair(), pair("a", "b"), pair(size="batch")):
        e = x * 2 + y
        hashes.add(hash_of([x, y], e))
        e.name = "result"
        hashes.add(hash_of([x, y], e))
    assert len(hashes) == 1


def test_unnamed_sizes_count_by_place() -> None:
    def one() -> str:
        x, y = sg.matrix("x"), sg.matrix("y")
        return hash_of([x, y], sg.sum(x), sg.reshape(y, (y.shape[0] * y.shape[1],)))

    assert one() == one()


def variations() -> dict[str, str]:
    x, y = pair()
    f, g = pair(dtype="float32")
    k, m = pair(size="n")[0], pair(size="m")[1]
    w, v = (sg.shared(np.zeros(3), name=n) for n in "wv")
    big, other = constant(BIG), constant(BIG.astype("float32"))
    body = sg.scan(lambda r, s: s + r, [x[:, 0]], [constant(0.0)])
    again = sg.scan(lambda r, s: s * r, [x[:, 0]], [constant(0.0)])
    return {
        "sum": hash_of([x, y], x + y),
        "order of operands": hash_of([x, y], y + x),
        "other op": hash_of([x, y], x - y),
        "dtype": hash_of([f, g], f + g),
        "sizes": hash_of([k, m], k + m),
        "two outputs": hash_of([x, y], x + y, x),
        "other order": hash_of([x, y], x, x + y),
        "parameter": hash_of([x], sg.sum(x, axis=0)),
        "other parameter": hash_of([x], sg.sum(x, axis=1)),
        "constant": hash_of([x], x + 1),
        "other constant": hash_of([x], x + 2),
        "negative zero": hash_of([x], x + constant(-0.0)),
        "zero": hash_of([x], x + constant(0.0)),
        "large": hash_of([], big * 2),
        "large of other type": hash_of([], other * 2),
        "one shared": hash_of([], w + w),
        "two shared": hash_of([], w + v),
        "scan": hash_of([x], body),
        "other body": hash_of([x], again),
    }


def test_every_difference_counts() -> None:
    found = variations()
    assert len(set(found.values())) == len(found)


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "import sys; sys.path[:0] = [{!r}, {!r}]\n"
        "import numpy as np, symgraph as sg\n"
        "for _ in range(5): sg.matrix('other')\n"
        "from conftest import rich_graph\n"
        "from symgraph.ir.hashing import structural_hash\n"
        "print(structural_hash(rich_graph()))"
    )
    here = __file__.rsplit("/", 1)[0]
    root = here.rsplit("/", 2)[0]
    runs = [
        subprocess.run(
            [sys.executable, "-c", code.format(here, root)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1] and len(runs[0].strip()) == 64


def test_values_of_large_constants_and_shared_variables_are_data() -> None:
    def one(values: np.ndarray) -> tuple[Graph, str]:
        c, w = constant(values), sg.shared(values, name="w")
        graph = Graph([], [c * w, c + constant(values)])
        return graph, structural_hash(graph)

    (a, first), (b, second) = one(BIG), one(BIG + 1)
    assert first == second
    assert [c.data[0] for c in large_constants(b)] == [1.0, 1.0]
    assert len(large_constants(a)) == 2 and len(shared_variables(a)) == 1


def test_large_constants_of_inner_graphs_are_found_in_order(graph: Graph) -> None:
    x = sg.vector("x", shape=(2000,))
    first, second = constant(BIG), constant(BIG * 2)
    looped = sg.scan(lambda s: s * first, None, [x], n_steps=3)
    found = large_constants(Graph([x], [looped + second]))
    assert [c.data[1] for c in found] == [1.0, 2.0]


def test_a_parameter_without_a_portable_form_is_refused() -> None:
    class Calls(Op):
        """An op of this test that holds a function."""

        name = "test_calls"
        function: Any
        nondifferentiable = "a test"

        def infer(self, x: TensorType) -> TensorType:
            return x

        def reference(self, x: Any) -> Any:
            return self.function(x)

        def lower(self, out: TensorType, x: Any) -> None:
            raise AssertionError("never lowered")

    x = sg.scalar("x")
    with pytest.raises(VerifyError, match="test_calls: parameter function has no portable form"):
        hash_of([x], Calls(np.sin)(x))


def test_inner_graphs_count_by_what_they_compute() -> None:
    def one(name: str) -> str:
        x = Input(TensorType("float64", ("n" and sg.vector("q", shape=("n",)).shape[0], 3)), name)
        return hash_of([x], sg.cond(x[0, 0] > 0, lambda: x + 1, lambda: x))

    assert one("x") == one("y")


def test_the_hash_of_a_deep_chain(chain: Graph) -> None:
    start = time.perf_counter()
    structural_hash(chain)
    assert time.perf_counter() - start < 10  # 0.1 s; quadratic behaviour would take minutes
