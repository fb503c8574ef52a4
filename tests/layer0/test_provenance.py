"""Origins point at the user's expression, whatever way the code came into being."""

from __future__ import annotations

import contextlib
import linecache
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from symgraph import provenance
from symgraph.provenance import Location, Origin, capture, exclude_package

# Code that seems to belong to the package: its frames are not the user's.
_INSIDE = """
def library(function):
    return function()

def record(places):
    places.append(capture())

class Traced:
    def __add__(self, other):
        return library(capture)
    def __neg__(self):
        return self + self
"""
_namespace: dict[str, Any] = {"capture": capture}
exec(compile(_INSIDE, provenance.__file__, "exec"), _namespace)
library: Callable[[Callable[[], Any]], Any] = _namespace["library"]
record: Callable[[list[Origin]], None] = _namespace["record"]
Traced: Callable[[], Any] = _namespace["Traced"]


def load(path: Path, source: str, **names: Any) -> dict[str, Any]:
    """Runs a file as a module and returns its names."""
    path.write_text(source, encoding="utf-8")
    namespace = {"__file__": str(path), "__name__": "user", **names}
    exec(compile(source, str(path), "exec"), namespace)
    return namespace


def origin_of(path: Path, source: str) -> Origin:
    """The origin captured by `mark()` in the source."""
    origin = load(path, source, mark=capture)["origin"]
    assert isinstance(origin, Origin)
    return origin


def shown(origin: Origin, width: int = 96) -> str:
    """What the carets stand under."""
    line, carets = origin.caret_lines(width)
    return line[carets.index("^") : len(carets)]


def test_location_of_a_call() -> None:
    origin = capture()
    assert origin is not None
    place = origin.location()
    assert place.file == __file__
    assert place.function == "test_location_of_a_call"
    assert place.source_line == "    origin = capture()"
    assert place.source_line[place.col : place.end_col] == "capture()"


def test_frames_of_the_package_are_passed_over() -> None:
    origin = library(lambda: library(capture))
    assert "lambda: library(capture)" in origin.location().source_line
    assert shown(origin) == "library(capture)"


def test_frames_of_pythons_library_are_passed_over() -> None:
    """Whoever has the standard library call our functions is meant, not the library."""
    places: list[Origin] = []
    with contextlib.ExitStack() as stack:
        stack.callback(record, places)
    place = places[0].location()
    assert place.file == __file__
    assert place.source_line.strip() == "with contextlib.ExitStack() as stack:"


def test_without_a_user_there_is_no_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_is_inside", {})
    monkeypatch.setattr(provenance, "_prefixes", ("",))
    monkeypatch.setattr(provenance, "_classify", lambda frame, filename: True)
    assert capture() is None


def test_the_same_instruction_is_the_same_object() -> None:
    first, second = [capture() for _ in range(2)]
    assert first is second
    assert first != capture()
    assert len({first, second, capture()}) == 2


def test_interning_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[Any, Origin] = {}
    monkeypatch.setattr(provenance, "_interned", table)
    monkeypatch.setattr(provenance, "MAX_INTERNED", 10)
    origins = [eval(f"{' ' * k}capture()", {"capture": capture}) for k in range(100)]
    assert len(table) <= 10
    assert len({id(o.code) for o in origins}) == 100


def test_equal_after_the_table_was_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = []
    for _ in range(2):
        origins.append(capture())
        monkeypatch.setattr(provenance, "_interned", {})
    assert origins[0] is not origins[1]
    assert origins[0] == origins[1]
    assert hash(origins[0]) == hash(origins[1])


def test_carets_stand_under_the_operator_and_its_operands(tmp_path: Path) -> None:
    source = "class Model:\n    def loss(self, x, w):\n        return [x  +  w, -w]\n"
    model = load(tmp_path / "model.py", source)["Model"]()
    add, negative = model.loss(Traced(), Traced())
    assert (shown(add), shown(negative)) == ("x  +  w", "-w")
    assert add.location()[:2] == (str(tmp_path / "model.py"), 3)
    assert add.location().function == "Model.loss"


def test_function_inside_a_function() -> None:
    def inner() -> Any:
        return capture()

    name = inner().location().function
    assert name == "test_function_inside_a_function.inner"


def test_expression_over_several_lines(tmp_path: Path) -> None:
    origin = origin_of(tmp_path / "m.py", "origin = mark(\n)\n")
    place = origin.location()
    assert (place.line, place.end_line) == (1, 2)
    assert origin.caret_lines() == ("origin = mark(", "         ^^^^^")


def test_columns_count_characters(tmp_path: Path) -> None:
    origin = origin_of(tmp_path / "m.py", "größe = 'ü'; origin = mark()\n")
    assert shown(origin) == "mark()"
    place = origin.location()
    assert place.source_line[place.col : place.end_col] == "mark()"


def test_tabs(tmp_path: Path) -> None:
    origin = origin_of(tmp_path / "m.py", "if True:\n\torigin\t=\tmark()\n")
    assert origin.caret_lines() == ("origin = mark()", "         ^^^^^^")


@pytest.mark.parametrize("before", [0, 10, 50, 85, 92, 300])
@pytest.mark.parametrize("after", [0, 10, 50, 85, 92, 300])
def test_long_lines_are_cut_around_the_caret(tmp_path: Path, before: int, after: int) -> None:
    source = f"a = '{'b' * before}'; origin = mark(); c = '{'d' * after}'\n"
    origin = origin_of(tmp_path / "m.py", source)
    assert all(len(line) <= 96 for line in origin.caret_lines(96))
    assert shown(origin) == "mark()"


def test_expression_longer_than_the_line(tmp_path: Path) -> None:
    origin = origin_of(tmp_path / "m.py", f"origin = (lambda x: mark())('{'b' * 300}'); c = 1\n")
    assert shown(origin) == "mark()"
    names = load(tmp_path / "n.py", f"origin = mark('{'b' * 300}'); c = 1\n", mark=lambda x: 0)
    assert names["origin"] == 0
    location = Location("n.py", 1, 1, 9, 9 + 308, "", f"origin = mark('{'b' * 300}'); c = 1")
    line, carets = Origin.from_location(location).caret_lines(96)
    assert len(line) == 96 and len(carets) <= 96
    assert line[carets.index("^") :].startswith("mark('bb")


def test_without_source() -> None:
    origin = eval("capture()", {"capture": capture})
    assert origin.text() == f"{origin.location().file}:1"
    assert origin.caret_lines() == ()


def test_without_columns() -> None:
    place = Location("m.py", 3, 3, None, None, "f", "    y = x + w")
    assert Origin.from_location(place).caret_lines() == ("y = x + w",)


def test_notebook_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    name, source = "<ipython-input-7>", "x = 1\norigin = mark()\n"
    monkeypatch.setitem(linecache.cache, name, (len(source), None, source.splitlines(True), name))
    namespace: dict[str, Any] = {"mark": capture}
    exec(compile(source, name, "exec"), namespace)
    assert namespace["origin"].text() == "<ipython-input-7>:2"
    assert shown(namespace["origin"]) == "mark()"


def test_generated_methods_are_passed_over() -> None:
    # dataclasses and named tuples make methods in the module's namespace, without source
    namespace: dict[str, Any] = {"__file__": __file__, "capture": capture}
    exec("def __init__(): return capture()", namespace)
    origin = namespace["__init__"]()
    assert origin.location().file == __file__
    assert shown(origin) == 'namespace["__init__"]()'


def run_python(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(provenance.__file__).parent.parent,
    )
    return done.stdout


PROGRAM = """
from symgraph.provenance import capture
def f():
    return capture()
print(f().location()[:2], f().location().function, f().caret_lines())
"""


def test_program_on_the_command_line() -> None:
    """Its text is among the words that Python was started with."""
    shown = "('return capture()', '       ^^^^^^^^^')"
    assert f"('<string>', 4) f {shown}" in run_python("-c", PROGRAM)


def test_text_given_to_exec_is_not_taken_for_the_program_on_the_command_line() -> None:
    inner = "from symgraph.provenance import capture\nprint(capture().caret_lines())"
    assert run_python("-c", f"pass\nexec({inner!r})").strip() == "()"


def test_program_on_standard_input() -> None:
    assert "('<stdin>', 4) f ()" in run_python("-", stdin=PROGRAM)


def test_debug_ranges_switched_off(tmp_path: Path) -> None:
    root = str(Path(provenance.__file__).parent.parent)
    path = tmp_path / "m.py"
    path.write_text(f"import sys; sys.path.insert(0, {root!r})\n" + PROGRAM.lstrip())
    assert "('return capture()',)" in run_python("-X", "no_debug_ranges", str(path))


@pytest.fixture
def excluded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(provenance, "_prefixes", provenance._prefixes)
    package = tmp_path / "door"
    package.mkdir()
    (package / "__init__.py").write_text("def build(mark):\n    return mark()\n")
    yield package
    provenance._is_inside.clear()


@pytest.mark.parametrize("named_by", ["", "__init__.py"])
def test_excluded_package(excluded: Path, named_by: str) -> None:
    init = excluded / "__init__.py"
    build = load(init, init.read_text())["build"]
    assert build(capture).location().file == str(init)
    exclude_package(str(excluded / named_by))
    assert build(capture).location().file == __file__
    neighbour = excluded.parent / "door_frame.py"
    assert load(neighbour, "origin = mark()", mark=capture)["origin"].code is not None


def test_pickle_keeps_the_place(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    origin = origin_of(path, "origin = mark()\n")
    data = pickle.dumps(origin)
    path.unlink()
    linecache.clearcache()
    again = pickle.loads(data)
    assert again.location() == origin.location()
    assert again.caret_lines() == ("origin = mark()", "         ^^^^^^")
    assert again == pickle.loads(data) and hash(again) == hash(pickle.loads(data))
    assert again != origin


def test_paths_below_the_working_directory_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = origin_of(tmp_path / "m.py", "origin = mark()\n")
    assert origin.brief() == f"{tmp_path / 'm.py'}:1"
    monkeypatch.chdir(tmp_path)
    assert origin.brief() == origin.text() == "m.py:1"
    assert repr(origin) == "<Origin m.py:1>"
