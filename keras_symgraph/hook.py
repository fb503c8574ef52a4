"""How Keras learns of this backend: an import hook that adds a branch to five of its modules.

Keras 3.15 chooses its backend in chains of ``if backend() == "tensorflow": ... else: raise``. When
one of the modules that hold such a chain is imported, its syntax tree gets one more branch. The
chains are found by their form, so that edits around them do not matter; a module without exactly
one is refused. From 3.16 on Keras imports ``keras_<name>.src`` by itself for the names in
``PLUGGABLE_BACKENDS``, and all that is done is to put the name there.

Nothing is written to Keras' files or to its cache of byte code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

NAME = "symgraph"

# What the new branch of each chain does.
BRANCHES = {
    "keras.src.backend": """
from keras_symgraph.src import *
from keras_symgraph.src.core import Variable as BackendVariable
""",
    "keras.src.layers.layer": "from keras_symgraph.src.layer import BackendLayer",
    "keras.src.models.model": "from keras_symgraph.src.trainer import Trainer",
    "keras.src.export.saved_model": """
from keras_symgraph.src.export import SavedModelExportArchive as BackendSavedModelExportArchive
""",
}
DYNAMIC = "keras.src.utils.backend_utils"
CONFIG = "keras.src.backend.config"
LIST = "PLUGGABLE_BACKENDS"


def _compares_backend(test: ast.expr) -> bool:
    """Whether an expression is ``backend() == "name"`` or ``backend.backend() == "name"``."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Call)
        and not test.left.args
        and ast.unparse(test.left.func).split(".")[-1] == "backend"
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
    )


def _last_of_chain(statement: ast.stmt) -> ast.If | None:
    """The last ``if`` of a chain over backends that ends by raising, else None."""
    while isinstance(statement, ast.If) and _compares_backend(statement.test):
        rest = statement.orelse
        if len(rest) == 1 and isinstance(rest[0], ast.Raise):
            return statement
        if len(rest) != 1:
            return None
        statement = rest[0]
    return None


def with_branch(tree: ast.Module, module: str) -> ast.Module:
    """The module with a branch for this backend. Raises ImportError where there is no chain."""
    ends = [end for s in tree.body if (end := _last_of_chain(s)) is not None]
    if len(ends) != 1:
        raise ImportError(
            f"keras_symgraph does not know this version of Keras: {module} has {len(ends)} places "
            "that choose a backend, expected one",
            name=module,
        )
    end = ends[0]
    source = f"if {ast.unparse(end.test.left)} == {NAME!r}:\n    pass"  # type: ignore[attr-defined]
    branch = ast.parse(source).body[0]
    assert isinstance(branch, ast.If)
    branch.body = ast.parse(BRANCHES[module].strip()).body
    branch.orelse = end.orelse
    for inner in ast.walk(branch):
        ast.copy_location(inner, end.orelse[0])
    end.orelse = [branch]
    return tree


def with_name(tree: ast.Module, module: str) -> ast.Module:
    """The module with this backend on its list of names; as it was where it has no such list."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == LIST:
            added = ast.parse(f"set({{{NAME!r}}})", mode="eval").body
            statement.value = ast.BinOp(statement.value, ast.BitOr(), added)
            ast.fix_missing_locations(ast.copy_location(statement.value, statement))
    return tree


class _Loader(SourceFileLoader):
    """Loads a module from its source after a change of its syntax tree."""

    def __init__(self, name: str, path: str, change: Callable[..., ast.Module] | None) -> None:
        super().__init__(name, path)
        self.change = change

    def get_code(self, fullname: str) -> CodeType | None:
        if self.change is None:
            return super().get_code(fullname)
        path = self.get_filename(fullname)
        tree = self.change(ast.parse(self.get_data(path), path), fullname)
        code: CodeType = compile(tree, path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if module.__name__ == DYNAMIC:
            _open_dynamic(module.DynamicBackend)


def _open_dynamic(kind: Any) -> None:
    """Let keras.src.utils.backend_utils.DynamicBackend, which image layers use, be this backend."""
    choose, look_up = kind.set_backend, kind.__getattr__

    def set_backend(self: Any, backend: str) -> None:
        if backend == NAME:
            self._backend = backend
        else:
            choose(self, backend)

    def get(self: Any, name: str) -> Any:
        if self.__dict__.get("_backend") == NAME:
            return getattr(sys.modules["keras_symgraph.src"], name)
        return look_up(self, name)

    kind.set_backend, kind.__getattr__ = set_backend, get


class Finder(MetaPathFinder):
    """Finds the modules of Keras that are changed, and no others."""

    pluggable: bool | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in BRANCHES and name not in (DYNAMIC, CONFIG):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None:
            return None
        if name in ("keras.src.backend", CONFIG):
            self.pluggable = _has_list(spec.origin)
        change: Callable[..., ast.Module] | None = with_branch if name in BRANCHES else None
        if self.pluggable:
            if name != CONFIG:
                return None
            change = with_name
        elif name == CONFIG:
            return None
        spec.loader = _Loader(name, spec.origin, change)
        return spec


def _has_list(origin: str) -> bool:
    """Whether this Keras takes backends from outside: told by its `backend/config.py`."""
    path = origin.replace("__init__.py", "config.py")
    with open(path, encoding="utf-8") as file:
        return LIST in file.read()


def arm() -> None:
    """Put the hook in place, once."""
    if not any(isinstance(f, Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, Finder())
