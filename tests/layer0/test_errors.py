"""One layout for all errors, and a manual page for each."""

from __future__ import annotations

import copy
import importlib
import pickle
import re
import subprocess
import sys
from itertools import combinations

import pytest

from symgraph import config, errors
from symgraph.cli import problems
from symgraph.errors import CODES, GradientError, ShapeError, SymgraphError
from symgraph.provenance import Location, Origin

PLACE = Origin.from_location(Location("train.py", 12, 12, 8, 13, "loss", "    y = x + w  # sum"))
X = ("x", "float32[batch, 784]", Origin.from_location(Location("train.py", 3, 3, 0, 1, "", "x")))
W = ("w", "float32[784, 10]", Origin.from_location(Location("train.py", 4, 4, 0, 1, "", "w")))


assert config.ConfigError and problems.SubjectError  # defined beside what they are about


def make(what: str = "add: sizes differ on axis 1: 784 and 10", hint: str = "") -> ShapeError:
    return ShapeError(what, origin=PLACE, operands=[X, W], hint=hint)


def test_layout() -> None:
    assert make(hint="transpose w").report() == (
        "ShapeError SG101: add: sizes differ on axis 1: 784 and 10\n"
        "  train.py:12 in loss\n"
        "    y = x + w  # sum\n"
        "        ^^^^^\n"
        "  operands: x: float32[batch, 784] (train.py:3)  w: float32[784, 10] (train.py:4)\n"
        "  hint: transpose w\n"
        "  more: symgraph explain SG101"
    )


def test_the_traceback_adds_the_class_name() -> None:
    error = make()
    assert error.report() == f"ShapeError {error}"
    assert str(error).startswith("SG101: add: sizes differ")


def test_shortest_layout() -> None:
    error = GradientError("grad: the cost is not a scalar")
    error.origin = None
    assert str(error) == "SG401: grad: the cost is not a scalar\n  more: symgraph explain SG401"


def test_the_place_is_found_without_help() -> None:
    error = ShapeError("add: sizes differ")
    assert error.origin is not None
    assert error.origin.location().function == "test_the_place_is_found_without_help"
    assert '    error = ShapeError("add: sizes differ")' in str(error).splitlines()[2:3].pop()


def test_operand_without_name_or_place() -> None:
    error = ShapeError(
        "add: no", origin=PLACE, operands=[("", "int64[]", None), ("b", "bool[]", None)]
    )
    assert "  operands: int64[]  b: bool[]" in str(error).splitlines()


@pytest.mark.parametrize("words", [30, 300])
@pytest.mark.parametrize("length", [5, 40, 1000])
@pytest.mark.parametrize("operands", [1, 9, 50])
def test_never_more_than_twelve_lines_of_a_hundred_columns(
    words: int, length: int, operands: int
) -> None:
    text = " ".join(["w" * length] * words)
    operand = ("name" * 20, "float32[" + "batch, " * 50 + "1]", PLACE)
    error = ShapeError(text, origin=PLACE, operands=[operand] * operands, hint=text)
    lines = error.report().splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "  more: symgraph explain SG101"
    assert any("..." in line for line in lines)


def test_what_was_left_out_can_still_be_read() -> None:
    error = make("word " * 1000)
    assert error.what.count("word") == 1000
    assert error.operands == (X, W)


@pytest.mark.parametrize("error", [make(hint="h"), GradientError("no")], ids=["all", "least"])
def test_pickle_and_copy(error: SymgraphError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert again.report() == error.report()
        assert again.operands == error.operands


def test_pickle_without_a_place_finds_none() -> None:
    error = make()
    error.origin = None
    error.add_note("in step 3")
    again = pickle.loads(pickle.dumps(error))
    assert again.origin is None
    assert again.__notes__ == ["in step 3"]


def test_builtin_bases() -> None:
    bases = {
        "SG101": ValueError,
        "SG102": TypeError,
        "SG103": ValueError,
        "SG104": (ValueError, IndexError),
        "SG105": (TypeError, OverflowError),
        "SG201": TypeError,
        "SG202": ValueError,
        "SG203": ValueError,
        "SG204": (TypeError, ValueError),
        "SG301": IndexError,
        "SG401": ValueError,
        "SG601": ValueError,
    }
    for code, wanted in bases.items():
        for base in wanted if isinstance(wanted, tuple) else (wanted,):
            assert issubclass(CODES[code], base)
    assert {"SG501", "SG502", "SG701"} <= CODES.keys()


def test_codes_are_unique_and_well_formed() -> None:
    assert all(re.fullmatch(r"SG\d{3}", code) for code in CODES)
    assert all(issubclass(cls, SymgraphError) and cls.code == code for code, cls in CODES.items())
    assert all(a is not b for a, b in combinations(CODES.values(), 2))


def test_a_code_cannot_be_taken_twice() -> None:
    with pytest.raises(ImportError, match="takes the code SG101 of ShapeError"):
        type("Impostor", (SymgraphError,), {"code": "SG101"})
    assert CODES["SG101"] is ShapeError


@pytest.mark.parametrize("code", sorted(CODES))
def test_manual_page(code: str) -> None:
    page = errors.explain(code)
    title, empty, summary, *_ = page.splitlines()
    assert title == f"{CODES[code].__name__} {code}"
    assert empty == "" and summary[0].isupper()
    assert max(map(len, page.splitlines())) <= 100
    assert ("Fails::" in page) == ("Mended::" in page)


def test_explain_takes_small_letters_and_refuses_unknown_codes() -> None:
    assert errors.explain("sg101") == errors.explain("SG101")
    with pytest.raises(KeyError):
        errors.explain("SG999")


PYTHON = sorted(c for c in CODES if c != "SG901")  # which shows commands: tests/errors


@pytest.mark.parametrize("code", PYTHON)
def test_the_failing_example_fails_and_the_mended_one_runs(code: str) -> None:
    found = errors.examples(code)
    assert found is not None
    failing, mended = ("import numpy as np\nimport symgraph as sg\n" + text for text in found)
    with pytest.raises(CODES[code]):
        exec(compile(failing, "<failing>", "exec"), {})
    exec(compile(mended, "<mended>", "exec"), {})


def test_every_code_has_a_page_without_loading_more_than_the_command_line_does() -> None:
    """`symgraph explain` knows all of them: none is defined in a module that it does not load."""
    program = "import symgraph.cli.explain, symgraph.errors as e; print(*sorted(e.CODES))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    importlib.import_module("symgraph.api")
    assert done.stdout.split() == sorted(CODES)
    assert all(errors.examples(c) for c in CODES)
