"""From SUBJECT on the command line to a definition: import a file, look a name up, read a graph."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from symgraph import api, compiler, segments
from symgraph.cli.problems import SubjectError
from symgraph.definition import define
from symgraph.errors import SymgraphError
from symgraph.function import Compiled, Definition
from symgraph.ir import made_sizes
from symgraph.ir.graph import Graph, Variable
from symgraph.ir.save import load
from symgraph.provenance import Location, Origin
from symgraph.runtime.cache import Key
from symgraph.structure import Structure

assert api  # the operations that a saved graph names are defined by importing the public names


def definition(text: str) -> tuple[Definition, list[str]]:
    """The definition that a subject stands for, and words for its outputs and updates.

    Raises SubjectError; an error that symgraph raises while the file is imported passes through.
    """
    target, name = _split(text)
    if name is None:
        return _of_graph(load(target))
    module = _module(target)
    value = _attribute(module, target, name)
    if isinstance(value, Graph):
        return _of_graph(value)
    if isinstance(value, Compiled):
        return value.definition, result_words(value.definition, [])
    if not _is_nest(value):
        raise SubjectError(
            f"{text} is {_kind(value)}, which cannot be shown", hint=_candidates(module, target)
        )
    short = name.rsplit(".", 1)[-1]
    d = compiler.stage_definition(value, short)
    return d, result_words(d, [short] if isinstance(value, Variable) else [])


def cache_key_of(text: str) -> Key:
    """The key under which a subject's compiled function is stored; of several parts the last."""
    d, _ = definition(text)
    if made_sizes.in_graph(d.graph):
        simple = segments.simplified(d)
        d = segments.cut(simple)[-1].definition if segments.has_parts(simple.graph) else simple
    key = compiler.cache_key(d)
    if key is None:
        raise SubjectError(f"{text} holds an operation whose code cannot be kept on disk")
    return key


def _of_graph(graph: Graph) -> tuple[Definition, list[str]]:
    d = define(
        list(graph.inputs), list(graph.outputs), None, None, "graph", "ignore", {"mode": "run"}
    )
    return d, result_words(d, [])


def result_words(d: Definition, words: list[str]) -> list[str]:
    """A word for each output, from where it stands in the nest, and for each update."""
    if not words:
        paths = list(_paths(d.outputs.form, ""))
        pairs = zip(paths, d.graph.outputs, strict=False)
        words = [p if d.outputs.container == "nested" else v.name or p for p, v in pairs]
    return [*words, *(f"{s.label()} ←" for s in d.updates)]


def _paths(form: Any, prefix: str) -> Iterator[str]:
    if form is None:
        yield prefix or "result"
        return
    kind, keys, parts = form
    keys = keys if kind is dict else ()  # of a container they are what it wants to remember
    for k, part in zip(keys or range(len(parts)), parts, strict=True):
        step = f".{k}" if keys and prefix else str(k) if keys else f"[{k}]"
        yield from _paths(part, prefix + step if prefix or keys else f"output {k}")


# text to value ------------------------------------------------------------------------------------


def _split(text: str) -> tuple[str, str | None]:
    """File or module, and the name behind the colon; no name for a saved graph."""
    if not text:
        raise SubjectError("no subject is given")
    target, colon, name = text.rpartition(":")
    if colon and name and not Path(text).exists():
        return target, name
    path = Path(text.removesuffix(":"))
    if path.suffix == ".py" or text.endswith(":"):
        module = _module(text.removesuffix(":"))
        raise SubjectError(f"{text} lacks a name", hint=_candidates(module, path.name))
    if path.is_dir():
        raise SubjectError(f"{text} is a directory")
    if not path.exists():
        hint = "a subject is file.py:name, module:name or a file written by sg.save"
        raise SubjectError(f"there is no file {text}", hint=hint)
    return text, None


def _module(target: str) -> ModuleType:
    """Import a file or a module; what it prints goes to the standard error."""
    is_file = target.endswith(".py")
    path = Path(target)
    if is_file and not path.is_file():
        raise SubjectError(f"there is no file {target}")
    if not is_file and not all(part.isidentifier() for part in target.split(".")):
        hint = "a subject is file.py:name, module:name or a file written by sg.save"
        raise SubjectError(f"{target} is neither a Python file nor the name of a module", hint=hint)
    folder = str(path.resolve().parent) if is_file else str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with contextlib.redirect_stdout(sys.stderr), _failures(target):
        return _from_file(path) if is_file else importlib.import_module(target)


def _from_file(path: Path) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"{path.stem} (subject)"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _failures(target: str) -> Iterator[None]:
    """What an import raises, as one of our errors at the line that raised it."""
    try:
        yield
    except SymgraphError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and _is_target(error.name, target):
            hint = "modules are looked for in the working directory and where Python looks"
            raise SubjectError(f"there is no module {error.name}", hint=hint) from None
        said = " ".join(traceback.format_exception_only(error)[-1].split())
        name = Path(target).name
        raise SubjectError(f"{name} cannot be imported: {said}", origin=_raised_at(error)) from None


def _is_target(missing: str | None, target: str) -> bool:
    return missing is not None and (target == missing or target.startswith(missing + "."))


def _raised_at(error: BaseException) -> Origin | None:
    """The innermost line outside Python's and our own files; where the syntax is wrong."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        line, column = error.lineno, (error.offset or 1) - 1
        text = (error.text or "").rstrip()
        place = Location(error.filename, line, line, max(column, 0), None, "", text)
        return Origin.from_location(place)
    here: TracebackType | None = error.__traceback__
    found = None
    while here is not None:
        code = here.tb_frame.f_code
        own = code.co_filename.startswith("<frozen ") or "symgraph.cli" in str(
            here.tb_frame.f_globals.get("__name__", "")
        )
        if not own and "importlib" not in code.co_filename:
            found = Origin(code, here.tb_lasti)
        here = here.tb_next
    return found


def _attribute(module: ModuleType, target: str, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            near = difflib.get_close_matches(name, _shown(module), 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else _candidates(module, target)
            raise SubjectError(f"{target} has no name {name!r}", hint=hint) from None
    return value


def _is_nest(value: Any) -> bool:
    try:
        return isinstance(value, Variable) or bool(Structure(value).leaves)
    except SymgraphError:
        return False


def _shown(module: ModuleType) -> list[str]:
    """Names of a module that a command can show."""
    values = vars(module).items()
    return [
        n for n, v in values
        if not n.startswith("_") and (isinstance(v, Variable | Compiled | Graph) or (
            isinstance(v, list | tuple | dict) and v and _is_nest(v)))
    ]  # fmt: skip


def _candidates(module: ModuleType, target: str) -> str:
    names = _shown(module)
    if not names:
        return f"{target} defines no expression or compiled function at its top level"
    more = ", ..." if len(names) > 12 else ""
    return f"{target} has {', '.join(names[:12])}{more}"


def _kind(value: Any) -> str:
    if callable(value):
        return "a Python function or class"
    name = type(value).__name__
    return f"a{'n' * (name[0] in 'aeiou')} {name}"
