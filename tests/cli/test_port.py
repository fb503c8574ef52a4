"""`symgraph explain --port`: a Theano script, name by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

SCRIPT = """\
import numpy as np
import theano
import theano.tensor as T
from theano import function
from pytensor.tensor.random import normal

x = T.fmatrix("x")
w = theano.shared(np.zeros(3, theano.config.floatX), borrow=True)
y = T.nnet.softmax(T.dot(x, w)).dimshuffle(1, 0)
y = T.nnet.softmax(y) + np.trunc(2.5)
f = function([x], T.neq(y, 2), allow_input_downcast=True)
"""


def test_every_name_has_an_answer(run: Callable, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    said = run("explain", "--port", str(script))
    assert said.status == 0
    rows = [line.split(None, 3)[:3] for line in said.out.splitlines()[1:]]
    assert ["7", "T.fmatrix", "sg.matrix(name,"] in rows
    assert ["11", "T.neq", "sg.not_equal"] in rows
    assert ["9", ".dimshuffle", "sg.transpose"] in rows
    assert "9, 10  T.nnet.softmax" in said.out
    assert "trunc" not in said.out  # of NumPy
    assert said.out.endswith("\n10 names with an answer, 0 without\n")


def test_names_that_nothing_answers(run: Callable, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import theano.tensor as T\ny = T.no_such_thing(1)\n")
    said = run("explain", "--port", str(script), "--json")
    assert said.status == 1
    found = json.loads(said.out)
    assert found["lacking"] == 1
    assert found["names"][0]["full"] == "theano.tensor.no_such_thing"


def test_scripts_that_cannot_be_read(run: Callable, tmp_path: Path) -> None:
    assert "cannot be read" in run("explain", "--port", str(tmp_path / "none.py")).err
    old = tmp_path / "old.py"
    old.write_text("print 1\n")
    said = run("explain", "--port", str(old))
    assert said.status == 2 and "not Python 3" in said.err and "line 1" in said.err


def test_a_script_without_theano(run: Callable, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import numpy as np\nnp.zeros(3)\n")
    said = run("explain", "--port", str(script))
    assert said.status == 0 and "uses no name" in said.out
