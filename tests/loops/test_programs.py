"""Programs: built by lower/, they print, verify and run like the graph they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import IndexOutOfRange, ShapeError, VerifyError
from symgraph.ir.graph import Graph, constant
from symgraph.ir.hashing import large_constants, shared_variables
from symgraph.ir.interpret import interpret
from symgraph.loops.interpret import run_program
from symgraph.loops.program import (
    Branch,
    Buffer,
    Call,
    Copy,
    Failure,
    Loop,
    Program,
    Require,
    Row,
    Run,
)
from symgraph.loops.statements import For, Kernel, Param, Store
from symgraph.loops.text import kernels, program_text
from symgraph.loops.verify import verify_program
from symgraph.lower.build import Builder, context
from symgraph.lower.routines import realise
from symgraph.scalar import const, load, var
from symgraph.scalar import functions as F

N, AT = var("n"), var("_i")


def matmul(params: dict[str, Any], a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    a = a.swapaxes(-1, -2) if params["ta"] else a
    out[...] = a @ (b.swapaxes(-1, -2) if params["tb"] else b)


def lowered(graph: Graph, scheduled: bool = True) -> Program:
    constants = {c: k for k, c in enumerate(large_constants(graph))}
    builder = Builder(graph, "f", shared_variables(graph), context((), constants, scheduled))
    return builder.build([], realise)


def cases() -> dict[str, Callable[[Any], Any]]:
    return {
        "pointwise": lambda x: sg.exp(x) * 2 + x,
        "views": lambda x: sg.transpose(x)[::-1, 1:],
        "joined": lambda x: sg.concatenate([x, x * 2], axis=1),
        "reduced": lambda x: sg.sum(x, axis=0),
        "rows": lambda x: sg.nn.softmax(x, axis=1),
        "positions": lambda x: sg.argmax(x, axis=1),
        "matrix product": lambda x: (x.T @ x) + 1,
        "prefix sums": lambda x: sg.cumsum(x, axis=1),
        "gathered": lambda x: x[:, constant([0, -1, 1])],
        "scattered": lambda x: x.at[:, constant([0, 0])].add(1.0),
        "reshaped": lambda x: sg.reshape(x, (x.shape[0] * 3,)) + 1,
        "scan": lambda x: sg.scan(lambda r, s: s * 0.5 + r.sum(), [x], [constant(1.0)]),
        "reversed scan": lambda x: sg.scan(
            lambda r, s: s + r, [x], [constant([0.0, 1.0, 2.0])], go_backwards=True
        ),
        "cond": lambda x: sg.cond(x.sum() > 0, lambda: sg.exp(x), lambda: x - 1),
        "large constant": lambda x: x @ constant(np.linspace(0, 1, 3000).reshape(3, 1000)),
        "the input itself": lambda x: x,
        "a constant": lambda x: constant([1, 2]),
    }


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("n", [1, 4])
def test_a_program_means_what_its_graph_means(name: str, scheduled: bool, n: int) -> None:
    x = sg.tensor("x", shape=("n", 3))
    w = sg.shared(np.array([1.0, 2.0, 3.0]), name="w")
    graph = Graph([x], [cases()[name](x), w * 2])
    program = lowered(graph, scheduled)
    verify_program(program)
    assert program_text(program) == program_text(lowered(graph, scheduled))
    data = np.random.default_rng(n).normal(size=(n, 3))
    state = [s.get_value() for s in shared_variables(graph)]
    large = [c.data for c in large_constants(graph)]
    got = run_program(program, [data], {"n": n}, state, large, {"matmul": matmul})
    for a, b in zip(got, interpret(graph, [data]), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_requirements_are_errors_with_their_code() -> None:
    x, i = sg.tensor("x", shape=("n", 3)), sg.vector("i", dtype="int64", shape=("k",))
    program = lowered(Graph([x, i], [x[:, i]]))
    verify_program(program)
    arrays = [np.ones((2, 3)), np.array([0, 3])]
    with pytest.raises(IndexOutOfRange):
        run_program(program, arrays, {"n": 2, "k": 2})
    assert "else SG301" in program_text(program)


KERNEL = Kernel(
    "double", (Param("p0", "float64", (N,), "in"), Param("p1", "float64", (N,), "out")), ("n",),
    (For(AT, N, "vector", (Store("p1", (AT,), F.mul(load("p0", (AT,), "float64"), 2.0)),)),),
)  # fmt: skip


def buffer(
    name: str, role: str, shape: tuple[Any, ...] = (N,), dtype: str = "float64", **more: Any
) -> Buffer:
    return Buffer(name, dtype, shape, role, **more)


def program(*steps: Any, buffers: tuple[Buffer, ...] = (), **changes: Any) -> Program:
    standard = (buffer("a", "input"), buffer("t", "temp"), buffer("o", "output"))
    known = {b.name: b for b in (*standard, *buffers)}
    whole = Program("f", ("a",), ("o",), known, ("n",), (), tuple(steps))
    return whole._replace(**changes)


DOUBLE = Run(KERNEL, ("a", "o"))
FLAG = buffer("p", "constant", (), "bool", data=b"\x01")
BODY = Program(
    "body", ("s",), ("r",),
    {"s": buffer("s", "input", ()), "r": buffer("r", "output", ())}, (), (), (Copy("r", "s"),),
)  # fmt: skip


def test_the_text_of_a_program() -> None:
    rows = (Row("a", N - 1, -1, 0, "", True), Row("o", N - 1, -1, 0, "", True))
    text = program_text(
        program(
            DOUBLE,
            Copy("t", "o"),
            Call("matmul", ("t", "t", "o"), (("ta", True), ("name", "x\ny"))),
            Loop(N, BODY, rows, (("c", Row("o", 0, 1, 2, "c", True)),)),
            Branch("p", BODY, BODY, ("c",), ("c",)),
            Require("p", Failure("SG301", "a\nb")),
            buffers=(FLAG, buffer("c", "temp", ())),
            checks=((N, 3, "sizes differ"),),
        )
    )
    assert (
        text
        == """\
program f(a -> o) sizes(n) {
  buffer a: float64[n] input 0
  buffer t: float64[n] temp
  buffer o: float64[n] output 0
  buffer p: bool constant 0x01
  buffer c: float64 temp
  check n == 3  # sizes differ
  run double(a, o)
  copy t = o
  call matmul{ta=True, name="x\\ny"}(t, t, o)
  loop t in 0 .. n {
    s = a[n - 1 + -1*t]
    r = o[n - 1 + -1*t]
    body body(s -> r) {
      buffer s: float64 input 0
      buffer r: float64 output 0
      copy r = s
    }
    finally c = o[(0 + 1*t) % 2] (at t = 0: c)
  }
  branch p (c -> c) {
    then body(s -> r) {
      buffer s: float64 input 0
      buffer r: float64 output 0
      copy r = s
    }
    otherwise body(s -> r) {
      buffer s: float64 input 0
      buffer r: float64 output 0
      copy r = s
    }
  }
  require p else SG301 a?b
}

kernel double(p0: in float64[n], p1: out float64[n]) sizes(n) {
  for _i in 0 .. n vector {
    p1[_i] = p0[_i]*2.0
  }
}"""
    )


def test_steps_do_what_they_say() -> None:
    ring = buffer("ring", "temp", (2,))
    start = buffer("start", "constant", (), data=np.array(1.0).tobytes())
    last = buffer("last", "output", (), position=1)
    alias = buffer("flat", "temp", (N, 1), alias="o")
    half = Kernel(
        "half", (Param("p0", "float64", (), "in"), Param("p1", "float64", (), "out")), (),
        (Store("p1", (), F.mul(load("p0", (), "float64"), 0.5)),),
    )  # fmt: skip
    body = BODY._replace(steps=(Run(half, ("s", "r")),))
    rows = (Row("ring", 0, 1, 2, "start", True), Row("ring", 1, 1, 2, "", True))
    whole = program(
        DOUBLE,
        Copy("t", "flat"),
        Loop(N, body, rows, (("last", Row("ring", 0, 1, 2, "start", True)),)),
        buffers=(ring, start, last, alias),
        outputs=("o", "last", "t", "flat"),
    )
    verify_program(whole)
    for n in (0, 1, 4):
        o, end, t, flat = run_program(whole, {"a": np.ones(n)}, {"n": n})
        assert o.tolist() == t.tolist() == [2.0] * n and flat.shape == (n, 1)
        assert end == 0.5**n
    assert kernels(whole) == [KERNEL, half]


def test_shared_state_is_updated_in_place() -> None:
    state = np.ones(3)
    whole = program(Run(KERNEL, ("s", "o")), Copy("s", "o"), buffers=(buffer("s", "shared"),))
    run_program(whole, [np.zeros(3)], {"n": 3}, [state])
    assert state.tolist() == [2, 2, 2]


def test_checks_come_first() -> None:
    whole = program(DOUBLE, checks=((N, 3, "sizes differ on axis 0"),))
    with pytest.raises(ShapeError, match="sizes differ on axis 0: 2 and 3"):
        run_program(whole, [np.zeros(2)], {"n": 2})
    with pytest.raises(VerifyError, match=r"buffer a is float64\[3\], given float64\[4\]"):
        run_program(whole, [np.zeros(4)], {"n": 3})


LOOP = Loop(N, BODY, (Row("a", 0, 1, 0, "", True), Row("o", 0, 1, 0, "", True)), ())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (program(), "output o is never written"),
        (program(DOUBLE, sizes=()), "the size n is not among the program's sizes"),
        (program(Run(KERNEL, ("a",))), "double takes 2 buffers, not 1"),
        (program(Run(KERNEL, ("a", "z"))), "unknown buffer z"),
        (program(Run(KERNEL, ("t", "o"))), "t is read before it is written"),
        (program(Run(KERNEL, ("a", "a"))), "a is written, but it is an input"),
        (program(Copy("o", "t")), "t is read before it is written"),
        (program(Copy("o", "p"), buffers=(FLAG,)), "between dtypes"),
        (program(Copy("p", "p"), buffers=(FLAG,)), "p is written, but it is an constant"),
        (program(DOUBLE, Require("a", Failure("SG301", ""))), "require: a is float64"),
        (program(DOUBLE, Require("p", Failure("SG999", "")), buffers=(FLAG,)), "code SG999"),
        (program(DOUBLE, Call("matmul", (), ())), "without buffers"),
        (program(DOUBLE, Call("matmul", ("a",), ())), "a is written, but it is an input"),
        (program(DOUBLE, buffers=(buffer("v", "temp", (N,), alias="w"),)), "alias of v is missing"),
        (program(DOUBLE, buffers=(buffer("v", "temp", (N,), alias="v"),)), "goes in a circle"),
        (program(DOUBLE, buffers=(buffer("v", "temp", (N,), "int8", alias="a"),)), "other dtype"),
        (program(DOUBLE, buffers=(buffer("v", "other"),)), "malformed buffer v"),
        (program(LOOP._replace(rows=LOOP.rows[:1])), "1 inputs and 1 outputs, given 1"),
        (program(LOOP._replace(length=var("m"))), "the size m is not among"),
        (program(LOOP._replace(rows=(Row("a"), LOOP.rows[1]))), "loop: a is float64"),
        (program(LOOP._replace(rows=(Row("t", 0, 1), LOOP.rows[1]))), "t is read before"),
        (program(Branch("a", BODY, BODY, ("a",), ("o",))), "branch: a is float64"),
        (program(Run(KERNEL._replace(sizes=("n", "m")), ("a", "o"))), "reads the size m"),
        (program(DOUBLE, checks=((load("a", (const(0),), "int64"), 3, ""),)), "is not a size"),
    ],
)  # fmt: skip
def test_malformed_programs_are_refused(bad: Program, message: str) -> None:
    verify_program(program(DOUBLE))
    verify_program(program(LOOP))
    with pytest.raises(VerifyError, match=message):
        verify_program(bad)
