"""The user's line is shown wherever the program stands: in a script, behind `python -c`, in a cell
of a notebook; and what Python prints of an uncaught error has no frames of symgraph."""

from __future__ import annotations

import linecache
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import symgraph as sg
from symgraph.errors import SymgraphError
from symgraph.provenance import capture

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """\
import numpy as np
import symgraph as sg

def loss(x, w):
    return sg.sum(x @ w)  # <-

x = sg.matrix("x", shape=("batch", 784))
w = sg.shared(np.zeros((10, 784)), "w")
f = sg.compile([x], loss(x, w))
"""
AT_A_CALL = """\
import numpy as np, symgraph as sg
x, i = sg.matrix("x"), sg.vector("i", dtype="int64")
rows = [sg.exp(x[i]) for _ in range(1)]  # <-
f = sg.compile([x, i], sg.sum(rows[0]))
f(np.ones((3, 2)), np.array([0, 7]))
"""


def said(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "SYMGRAPH_VERIFY": "0"},
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("program", [PROGRAM, AT_A_CALL])
def test_behind_python_c(program: str) -> None:
    text = said("-c", program)
    line = next(line for line in program.splitlines() if line.endswith("# <-"))
    assert f"    {line.strip()}\n     " in text
    assert re.search(r"^ +\^+$", text, re.MULTILINE)


def test_a_script_prints_the_users_frames_only(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM)
    text = said(str(script))
    frames = re.findall(r'File "(.*)", line (\d+)', text)
    assert [(Path(f).name, n) for f, n in frames] == [("train.py", "9"), ("train.py", "5")]
    assert "symgraph.errors.ShapeError: SG101: matmul: inner sizes differ: 784 and 10" in text
    assert "hint: w transposed fits: w.mT" in text
    assert len(text.splitlines()) <= 16


def test_a_cell_of_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "/tmp/ipykernel_4711/1234567890.py"
    linecache.cache[name] = (len(PROGRAM), None, PROGRAM.splitlines(True), name)
    shell = SimpleNamespace(compile=SimpleNamespace(format_code_name=lambda _: ("Cell", "In[3]")))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with pytest.raises(SymgraphError) as caught:
        exec(compile(PROGRAM, name, "exec"), {"__name__": "__main__"})
    lines = caught.value.report().splitlines()
    assert lines[1:4] == [
        "  Cell In[3], line 5 in loss", "    return sg.sum(x @ w)  # <-", "                  ^^^^^"
    ]  # fmt: skip
    assert "x: float64[batch, 784] (Cell In[3], line 7)" in lines[4]


def test_text_given_to_exec_has_a_line_number_only() -> None:
    with pytest.raises(SymgraphError) as caught:
        exec('import symgraph as sg\nx = sg.vector("x")\nfloat(x)', {"__name__": "__main__"})
    assert caught.value.report().splitlines()[1] == "  <string>:3"


@pytest.mark.parametrize(
    "program",
    [
        lambda x: [x @ w for w in [sg.matrix("w", shape=(3, 3))]],
        lambda x: {k: x @ sg.matrix("w", shape=(3, 3)) for k in "a"},
        lambda x: sorted([1], key=lambda k: x @ sg.matrix("w", shape=(3, 3))),
        lambda x: sg.vmap(lambda r: r @ sg.matrix("w", shape=(3, 3)))(x),
    ],
)
def test_inside_comprehensions_and_callbacks(program: object) -> None:
    x = sg.matrix("x", shape=(2, 4))
    with pytest.raises(SymgraphError) as caught:
        program(x)  # type: ignore[operator]
    assert caught.value.origin is not None
    place = caught.value.origin.location()
    assert place.file == __file__ and "matrix product" not in place.source_line
    assert re.search(r"[xr] @ (w|sg)", place.source_line[place.col : place.end_col])


def test_the_interned_origin_survives_a_copy() -> None:
    origin = capture()
    assert origin is not None and origin.location().file == __file__


# errors that stay Python's own, at the user's line ------------------------------------------------


@pytest.mark.parametrize(
    ("program", "kind", "text"),
    [
        ('sg.sum(sg.matrix("x"), dim=1)', TypeError, "unexpected keyword argument 'dim'"),
        ("sg.compile([], [], update={})", TypeError, "unexpected keyword argument 'update'"),
        ('sg.grad(sg.scalar("x"))', TypeError, "missing 1 required positional argument: 'wrt'"),
        ('a, b = sg.vector("x", shape=(3,))', ValueError, "too many values to unpack"),
        ('sg.scalar("x")(1.0)', TypeError, "not callable"),
        ('sg.vector("x").dtype = "int64"', AttributeError, "no setter"),
        ('sg.load("no_such_file.sg")', FileNotFoundError, "no_such_file.sg"),
    ],
)
def test_what_python_says_itself(program: str, kind: type, text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        exec(program, {"sg": sg})


def test_an_error_of_a_python_op_says_which() -> None:
    @sg.python_op(infer="float64[n] -> float64[n]")
    def half(a: object) -> object:
        return {}["missing"]

    x = sg.vector("x")
    with pytest.raises(KeyError) as caught:
        sg.compile([x], half(x))([1.0])
    assert "raised by the Python op half" in caught.value.__notes__
