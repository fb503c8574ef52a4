"""`symgraph dump`: every stage in every format, and what cannot be dumped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import symgraph as sg
from symgraph.cli.dump import _NOT, _PICTURES
from symgraph.cli.main import FORMATS, STAGES

FILE = "tests/cli/subjects.py"
ALL = [(s, f) for s in STAGES for f in FORMATS if f not in _NOT.get(s, ())]


@pytest.mark.parametrize("stage", ["graph", "optimized", "program", "loops", "scheduled"])
def test_text(run: Callable, golden: Callable, stage: str) -> None:
    said = run("dump", f"{FILE}:train", "--stage", stage)
    assert said.status == 0
    golden(f"cli/dump_{stage}", said.out)


def test_tree(run: Callable, golden: Callable) -> None:
    golden("cli/dump_tree", run("dump", f"{FILE}:both", "--format", "tree").out)


def test_machine_code(run: Callable) -> None:
    assert "define " in run("dump", f"{FILE}:total", "--stage", "llvm").out
    assert "\tret" in run("dump", f"{FILE}:total", "--stage", "asm").out


@pytest.mark.parametrize(("stage", "form"), ALL)
def test_every_format_is_well_formed(run: Callable, stage: str, form: str) -> None:
    said = run("dump", f"{FILE}:both", "--stage", stage, "--format", form)
    assert said.status == 0 and said.err == "printed while importing\n"
    if form == "json":
        found = json.loads(said.out)
        assert (found["schema"], found["version"]) == ("symgraph.dump", 1)
        assert found["stage"] == stage
    elif form == "svg":
        ElementTree.fromstring(said.out)
    elif form == "html":
        assert said.out.startswith("<!DOCTYPE html>") and said.out.endswith("</html>\n")
    elif form == "dot":
        assert said.out.startswith("digraph ") and said.out.endswith("}\n")
    else:
        assert said.out.strip()


@pytest.mark.parametrize(("stage", "form"), [(s, f) for s, fs in _NOT.items() for f in fs])
def test_formats_that_a_stage_lacks(run: Callable, stage: str, form: str) -> None:
    said = run("dump", f"{FILE}:total", "--stage", stage, "--format", form)
    assert said.status == 2 and said.out == ""
    assert said.err.startswith(f"SubjectError SG901: dump: stage {stage} has no format {form}\n")


def test_json_of_a_graph_names_the_results(run: Callable) -> None:
    found = json.loads(run("dump", f"{FILE}:train", "--json").out)
    assert found["results"] == ["result", "w ←"]
    assert found["graph"]["schema"] == "symgraph.graph"


def test_json_of_a_program_calls_kernels_by_name(run: Callable) -> None:
    found = json.loads(run("dump", f"{FILE}:scores", "--stage", "scheduled", "--json").out)
    program = found["program"]
    names = {k["name"] for k in program["kernels"]}
    assert {s["kernel"] for s in program["steps"] if s["kind"] == "Run"} == names
    assert all(k["body"] for k in program["kernels"])


def test_names_of_nested_results(run: Callable) -> None:
    tree = run("dump", f"{FILE}:both", "--format", "tree").out
    heads = [line for line in tree.splitlines() if line.endswith(":")]
    assert heads == ["scores:", "parts[0]:", "parts[1]:"]


def test_origins(run: Callable) -> None:
    line = f"{FILE}:13"
    assert line in run("dump", f"{FILE}:total", "--origins").out
    assert line not in run("dump", f"{FILE}:total").out


@pytest.mark.parametrize("form", sorted(_PICTURES))
def test_the_suffix_of_the_file_chooses_the_format(
    run: Callable, tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"picture.{form}"
    said = run("dump", f"{FILE}:total", "-o", str(path))
    assert said.status == 0 and said.out == ""
    assert path.read_text("utf-8") == run("dump", f"{FILE}:total", "--format", form).out


def test_a_saved_graph(run: Callable, tmp_path: Path) -> None:
    x = sg.vector("x", shape=("n",))
    path = tmp_path / "model.sg"
    sg.save(path, sg.Graph([x], [sg.exp(x)]))
    assert "%0 = exp(x) : float64[n]" in run("dump", str(path)).out


def test_a_graph_object_and_a_module(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(FILE).parent.resolve()))
    assert run("dump", "subjects:graph").out == run("dump", f"{FILE}:graph").out


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_names_are_inert(run: Callable, form: str) -> None:
    said = run("dump", f"{FILE}:hostile", "--format", form)
    assert said.status == 0
    assert "\x1b" not in said.out and "\u202e" not in said.out
    if form in ("svg", "html"):
        assert "<script>alert" not in said.out


# mistakes -----------------------------------------------------------------------------------------


MISTAKES = {
    FILE: "lacks a name",
    f"{FILE}:totl": "tests/cli/subjects.py has no name 'totl'\n  hint: did you mean total?",
    f"{FILE}:number": "tests/cli/subjects.py:number is an int, which cannot be shown",
    f"{FILE}:function": "is a Python function or class",
    f"{FILE}:x.y": "has no name 'x.y'",
    "nowhere.py:x": "there is no file nowhere.py",
    "nowhere": "there is no file nowhere",
    "no_such_module:x": "there is no module no_such_module",
    "numpy.no_such_module:x": "there is no module numpy.no_such_module",
    "a-b:x": "a-b is neither a Python file nor the name of a module",
    "tests": "tests is a directory",
    "": "no subject is given",
    "setup.cfg": "SG601: setup.cfg is not a saved graph",
}


@pytest.mark.parametrize("subject", MISTAKES)
def test_mistakes_have_a_message_and_no_traceback(run: Callable, subject: str) -> None:
    said = run("dump", subject)
    assert said.status == 2 and said.out == ""
    assert MISTAKES[subject] in said.err.replace("\n    ", " ")
    assert "Traceback" not in said.err and "  more: symgraph explain SG" in said.err


def test_the_names_that_could_be_meant_are_listed(run: Callable) -> None:
    message = " ".join(run("dump", FILE).err.split())
    assert "subjects.py has x, w, scores, total, both, train, graph, hostile more" in message


def test_a_file_that_fails_shows_its_line(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import json\n\nvalue = json.loads('{')\n")
    said = run("dump", f"{path}:value")
    assert said.status == 2
    assert "JSONDecodeError" in said.err


def test_our_errors_in_the_file_point_at_its_line(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(
        "import symgraph as sg\nx = sg.matrix('x', shape=(2, 3))\ny = x + sg.zeros((2, 5))\n"
    )
    said = run("dump", f"{path}:y")
    assert said.status == 1
    assert said.err.startswith("ShapeError SG101: add: sizes differ on axis 1: 3 and 5\n")
    assert "    y = x + sg.zeros((2, 5))\n        ^^^^^^^^" in said.err


def test_a_file_that_exits_is_reported(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import sys\nsys.exit(3)\n")
    said = run("dump", f"{path}:y")
    assert said.status == 2 and "SystemExit: 3" in said.err


def test_a_syntax_error_is_reported(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("x = (\n")
    said = run("dump", f"{path}:x")
    assert said.status == 2
    assert said.err.splitlines()[:3] == [
        "SubjectError SG901: broken.py cannot be imported: SyntaxError: '(' was never closed",
        f"  {path}:1",
        "    x = (",
    ]


def test_an_output_that_cannot_be_written(run: Callable, tmp_path: Path) -> None:
    said = run("dump", f"{FILE}:total", "-o", str(tmp_path / "no" / "where.svg"))
    assert said.status == 1 and said.err.splitlines()[-1].startswith("symgraph: ")


# as a process -------------------------------------------------------------------------------------


def test_nobody_reads_the_output() -> None:
    command = [sys.executable, "-m", "symgraph", "dump", f"{FILE}:both", "--stage", "llvm"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert running.returncode == 141
    assert said == b"printed while importing\n"


def test_an_output_that_cannot_spell_everything(process: Callable) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = process("dump", f"{FILE}:train", "--json", env=env)
    assert done.returncode == 0 and json.loads(done.stdout)["results"][1] == "w ←"


def test_colours_only_on_terminals(process: Callable) -> None:
    assert "\x1b" not in process("dump", "nowhere").stderr
