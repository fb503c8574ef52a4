"""The house rules that a reader cannot see in one file: who imports whom, and how long files are.

The contract is data: the sections `symgraph:*` of setup.cfg. Files are only parsed, never imported.
"""

from __future__ import annotations

import ast
import configparser
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "symgraph"


def contract() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


CONTRACT = contract()
LAYERS = [line.split() for line in CONTRACT["symgraph:layers"]["order"].strip().splitlines()]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
ENTRY = CONTRACT["symgraph:entry"]["modules"].split()
THIRD_PARTY = {k: v.split() for k, v in CONTRACT["symgraph:third_party"].items()}
DOORS = {k: v.split() for k, v in CONTRACT["symgraph:doors"].items()}
FILES = sorted(PACKAGE.rglob("*.py"))
GUESTS = {k: v.split() for k, v in CONTRACT["symgraph:guests"].items()}
PUBLIC = GUESTS.pop("public")
GUEST_FILES = [f for guest in GUESTS for f in sorted((ROOT / guest).rglob("*.py"))]


class Import(NamedTuple):
    """One imported module: its dotted name, the line, and whether a function body holds it."""

    module: str
    line: int
    in_function: bool


def imports(tree: ast.Module, path: str) -> list[Import]:
    """All imports of a module but those that only a type checker sees. `path` is relative to the
    directory that holds the package, as in `symgraph/ir/graph.py`.
    """
    found: list[Import] = []

    def visit(node: ast.AST, in_function: bool) -> None:
        if isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.orelse:
                visit(child, in_function)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.extend(Import(m, node.lineno, in_function) for m in modules(node, path))
        inner = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(tree, False)
    return found


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def modules(node: ast.Import | ast.ImportFrom, path: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = path.split("/")[: -node.level]
        base = ".".join([*parents, base]) if base else ".".join(parents)
    if base == "symgraph":  # `from symgraph import errors` imports a module of that name
        yield from (f"symgraph.{alias.name}" for alias in node.names)
    else:
        yield base


def violations(tree: ast.Module, path: str) -> list[str]:
    """Sentences about the imports of one file that break the contract."""
    inner = path.removeprefix("symgraph/")
    here = inner.split("/")[0].removesuffix(".py")
    problems = []
    for module, line, in_function in imports(tree, path):
        top, _, rest = module.partition(".")
        if top == "symgraph":
            problem = own_problem(here, rest.split(".")[0], in_function)
        else:
            problem = foreign_problem(inner, top, in_function)
        if problem:
            problems.append(f"{path}:{line}: {problem} (import of {module})")
    return problems


def own_problem(here: str, there: str, in_function: bool) -> str:
    if in_function:
        return "an import of our own package inside a function"
    if here in ENTRY:
        return ""
    if there not in LEVEL:
        return f"{there or 'symgraph itself'} is no layer"
    if here not in LEVEL:
        return f"{here} is no layer"
    if here == there or LEVEL[there] < LEVEL[here]:
        return ""
    return f"{here} imports {there}, which is not below it"


def foreign_problem(inner: str, top: str, in_function: bool) -> str:
    if top in sys.stdlib_module_names or top == "numpy":
        return ""
    if any(fnmatch(inner, pattern) for pattern in DOORS.get(top, [])):
        return ""
    if not in_function:
        return f"{top} imported at the top of a file"
    if not any(fnmatch(inner, pattern) for pattern in THIRD_PARTY.get(top, [])):
        return f"{top} imported in a file that setup.cfg does not list for it"
    return ""


def guest_violations(tree: ast.Module, path: str) -> list[str]:
    """The same for a file of a package that is built on symgraph's public names."""
    guest = path.split("/")[0]
    problems = []
    for module, line, in_function in imports(tree, path):
        top, _, rest = module.partition(".")
        problem = ""
        if top == guest:
            problem = "an import of our own package inside a function" if in_function else ""
        elif top == "symgraph":
            name = rest.split(".")[0]
            private = (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()
            if rest and name not in PUBLIC and private:
                problem = f"{module} is not public"
        elif top not in (*sys.stdlib_module_names, "numpy", *GUESTS[guest]):
            problem = f"{top} is not among the packages that it is built on"
        if problem:
            problems.append(f"{path}:{line}: {problem} (import of {module})")
    return problems


def parse(source: str) -> ast.Module:
    return ast.parse(source)


# the rules, on our files --------------------------------------------------------------------------


def test_imports_point_down() -> None:
    problems = []
    for file in FILES:
        path = file.relative_to(ROOT).as_posix()
        problems += violations(parse(file.read_text(encoding="utf-8")), path)
    assert not problems, "\n" + "\n".join(problems)


def test_guests_use_public_names() -> None:
    problems = []
    for file in GUEST_FILES:
        path = file.relative_to(ROOT).as_posix()
        problems += guest_violations(parse(file.read_text(encoding="utf-8")), path)
    assert GUEST_FILES and not problems, "\n" + "\n".join(problems)


def test_every_module_has_a_layer() -> None:
    tops = {f.relative_to(PACKAGE).parts[0].removesuffix(".py") for f in FILES}
    assert tops <= {*LEVEL, *ENTRY}, f"not in setup.cfg: {sorted(tops - {*LEVEL, *ENTRY})}"


def test_every_directory_is_a_package() -> None:
    """Without an `__init__.py` a directory is missing from the wheel."""
    files = [*FILES, *GUEST_FILES]
    bare = {f.parent for f in files if not (f.parent / "__init__.py").exists()} - {PACKAGE}
    assert not bare, f"no __init__.py in {sorted(str(d.relative_to(ROOT)) for d in bare)}"


def test_files_are_short_and_named_for_what_they_hold() -> None:
    rules = CONTRACT["symgraph:files"]
    most, forbidden = rules.getint("max_lines"), rules["forbidden_names"].split()
    files = [*FILES, *GUEST_FILES]
    problems = [f"{f.relative_to(ROOT)}: forbidden name" for f in files if f.name in forbidden]
    for file in files:
        count = len(file.read_text(encoding="utf-8").splitlines())
        if count > most:
            problems.append(f"{file.relative_to(ROOT)}: {count} lines, at most {most}")
    assert not problems, "\n" + "\n".join(problems)


def test_third_party_table_lists_only_files_that_need_it() -> None:
    """A pattern without an import behind it is a door left open."""
    used: set[tuple[str, str]] = set()
    for file in FILES:
        path = file.relative_to(ROOT).as_posix()
        inner = path.removeprefix("symgraph/")
        for module, _, _ in imports(parse(file.read_text(encoding="utf-8")), path):
            top = module.split(".")[0]
            used |= {(top, p) for p in THIRD_PARTY.get(top, []) if fnmatch(inner, p)}
    unused = {(top, p) for top, patterns in THIRD_PARTY.items() for p in patterns} - used
    assert not unused, f"unused rows of setup.cfg: {sorted(unused)}"


# the rules, on files that break them --------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("symgraph/scalar/expr.py", "from symgraph.ir import graph", "not below"),
        ("symgraph/ir/graph.py", "import symgraph.loops.nest", "not below"),
        ("symgraph/ir/graph.py", "from ..loops import nest", "not below"),
        ("symgraph/errors.py", "from symgraph import dtypes", "not below"),
        ("symgraph/ops/a.py", "import symgraph", "no layer"),
        ("symgraph/ops/a.py", "from symgraph import exp", "no layer"),
        ("symgraph/stray.py", "from symgraph import errors", "stray is no layer"),
        ("symgraph/ops/a.py", "def f():\n    from symgraph.ops import b", "inside a function"),
        ("symgraph/ops/a.py", "class C:\n def f(s):\n  from . import b", "inside a function"),
        ("symgraph/ops/a.py", "import scipy", "top of a file"),
        ("symgraph/ops/a.py", "try:\n    import jax\nexcept E: pass", "top of a file"),
        ("symgraph/ops/a.py", "def f():\n    import llvmlite", "does not list"),
        ("symgraph/ops/a.py", "def f():\n    import jax.numpy", "does not list"),
        ("symgraph/api.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import jax", "top of a file"),
    ],
)
def test_violation_is_found(path: str, source: str, message: str) -> None:
    (problem,) = violations(parse(source), path)
    assert message in problem


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("from symgraph.ir.graph import Variable", "not public"),
        ("from symgraph import runtime", "not public"),
        ("import jax", "not among"),
        ("def f():\n    from keras_symgraph import hook", "inside a function"),
    ],
)
def test_violation_of_a_guest_is_found(source: str, message: str) -> None:
    (problem,) = guest_violations(parse(source), "keras_symgraph/src/a.py")
    assert message in problem
    allowed = "import symgraph as sg, numpy, keras.src\nfrom symgraph import Variable, errors"
    assert guest_violations(parse(allowed), "keras_symgraph/src/a.py") == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("symgraph/ops/a.py", "import os, numpy as np\nfrom symgraph.ir.graph import Variable"),
        ("symgraph/ops/a.py", "from . import b\nfrom .b import c\nfrom symgraph.errors import E"),
        ("symgraph/ops/sub/a.py", "from ..b import c\nfrom ...ir import graph"),
        ("symgraph/ir/graph.py", "if TYPE_CHECKING:\n    from symgraph.ops import a"),
        ("symgraph/ir/graph.py", "def f():\n    import json"),
        ("symgraph/__init__.py", "from symgraph import api"),
    ],
)
def test_allowed_import_is_accepted(path: str, source: str) -> None:
    assert violations(parse(source), path) == []
