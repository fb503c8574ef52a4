"""Where in the user's program something was made.

`capture()` finds the innermost frame that is not part of symgraph and remembers two things about
it: the code object and the index of the instruction being executed. Both are at hand, so a capture
costs a fraction of a microsecond and can be done for every node of a graph. File, line, columns and
the text of the line are looked up only when somebody asks (`Origin.location`, `Origin.text`).

    >>> import symgraph.provenance as provenance
    >>> origin = provenance.capture()
    >>> origin.location().function
    ''
"""

from __future__ import annotations

import os
import sys
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from symgraph.records import NamedTuple

WIDTH = 100  # columns of a printed source line; longer lines are cut around the caret
MAX_INTERNED = 1 << 16  # bounds what a process that makes new code objects for ever keeps alive


class Location(NamedTuple):
    """A range of source text. Lines count from 1, columns from 0 in characters; `None` where Python
    does not know.

    `source_line` is the first line of the range as it stands in the file, without its newline;
    empty when it cannot be read.
    """

    file: str
    line: int
    end_line: int
    col: int | None
    end_col: int | None
    function: str
    source_line: str


class Origin:
    """One instruction of the user's program: cheap to keep, resolved to a `Location` on demand.

    Origins are interned and immutable; equality means the same instruction. A pickled origin
    carries its resolved location, because code objects cannot be pickled and line numbers would not
    survive an edit of the file.
    """

    __slots__ = ("_location", "code", "lasti")

    code: CodeType | None
    lasti: int
    _location: Location | None

    def __init__(self, code: CodeType | None, lasti: int, location: Location | None = None) -> None:
        self.code = code
        self.lasti = lasti
        self._location = location

    @classmethod
    def from_location(cls, location: Location) -> Origin:
        """An origin without a code object, for graphs read from a file."""
        return cls(None, -1, location)

    def location(self) -> Location:
        """File, line, columns and source text, resolved at the first call and then kept."""
        if self._location is None:
            assert self.code is not None
            self._location = _resolve(self.code, self.lasti)
        return self._location

    def brief(self) -> str:
        """`file.py:12`, the file relative to the working directory when it lies below it."""
        location = self.location()
        place = _short_path(location.file)
        return f"{place}{', line ' if place.startswith('Cell ') else ':'}{location.line}"

    def text(self) -> str:
        """`file.py:12 in train`; the function is left out at module level."""
        function = self.location().function
        return f"{self.brief()} in {function}" if function else self.brief()

    def caret_lines(self, width: int = WIDTH) -> tuple[str, ...]:
        """The source line without its indentation and a line of carets under the expression; the
        carets are missing where the columns are unknown, both are missing where the source is
        unknown. Of an expression over several lines the first is shown.
        """
        return _caret_lines(self.location(), width)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Origin):
            return NotImplemented
        if self.code is None or other.code is None:
            return self.code is other.code and self._location == other._location
        return self.code is other.code and self.lasti == other.lasti

    def __hash__(self) -> int:
        # id() and not hash(): hashing a code object walks over its instructions
        return hash(self._location) if self.code is None else hash((id(self.code), self.lasti))

    def __reduce__(self) -> tuple[Any, ...]:
        return Origin.from_location, (self.location(),)

    def __repr__(self) -> str:
        return f"<Origin {self.text()}>"


# capture ------------------------------------------------------------------------------------------

_own_prefix = os.path.dirname(os.path.abspath(__file__)) + os.sep
_prefixes: tuple[str, ...] = (_own_prefix, "<frozen ")
# Python's own library stands between us and the user where it calls us (contextlib, statistics, a
# thread); an application frozen into one folder has the user's files there too.
_library = "" if hasattr(sys, "frozen") else os.path.dirname(os.__file__) + os.sep
_installed = ("site-packages" + os.sep, "dist-packages" + os.sep)
# By file name (is it none of the user's?) and not by code object, whose hash is never kept.
_is_inside: dict[str, bool] = {}
# By (id of the code object, instruction); the origin holds the code object, so the id stays valid.
_interned: dict[tuple[int, int], Origin] = {}


def exclude_package(path: str) -> None:
    """Treats the files under `path` (a package directory, or the `__file__` of its `__init__`) as
    part of symgraph, so that origins point at the caller of that package. For front doors that
    build graphs on behalf of their user.
    """
    global _prefixes
    path = os.path.abspath(path)
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    prefix = directory.rstrip(os.sep) + os.sep
    if prefix not in _prefixes:
        _prefixes = (*_prefixes, prefix)
        _is_inside.clear()


def capture() -> Origin | None:
    """The instruction of the innermost frame outside symgraph and Python's own library; `None`
    without such a frame."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        inside = _is_inside.get(code.co_filename)
        if inside is None:
            inside = _classify(frame, code.co_filename)
        if not inside:
            return _intern(code, frame.f_lasti)
        frame = frame.f_back
    return None


def called_by_user() -> tuple[str, dict[str, Any]]:
    """The function of symgraph that the user's frame called, and its arguments, by their names as
    they are now; empty without such a frame. For messages: an error that is raised deep inside
    says what it was given."""
    frame: FrameType | None = sys._getframe(1)
    inner: FrameType | None = None
    while frame is not None and is_own(frame):
        inner, frame = frame, frame.f_back
    if frame is None or inner is None:
        return "", {}
    code, held = inner.f_code, inner.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    return code.co_name, {n: held[n] for n in code.co_varnames[:count] if n in held}


def is_own(frame: FrameType) -> bool:
    """Whether a frame runs code of symgraph, of a package that hides behind it, or of Python's
    library."""
    inside = _is_inside.get(frame.f_code.co_filename)
    return _classify(frame, frame.f_code.co_filename) if inside is None else inside


def _classify(frame: FrameType, filename: str) -> bool:
    if filename == "<string>":
        # Both a `python -c` program and the methods that dataclasses and named tuples generate. The
        # latter live in a module with a file of its own and have no source: the frame that called
        # them is meant. Not remembered, because the name is shared.
        return "__file__" in frame.f_globals
    inside = filename.startswith(_prefixes) or _is_library(filename)
    _is_inside[filename] = inside
    return inside


def _is_library(filename: str) -> bool:
    """Whether a file came with Python."""
    below = filename[len(_library) :] if _library and filename.startswith(_library) else ""
    return bool(below) and not below.startswith(_installed)


def _intern(code: CodeType, lasti: int) -> Origin:
    key = (id(code), lasti)
    origin = _interned.get(key)
    if origin is None:
        if len(_interned) >= MAX_INTERNED:
            _interned.clear()
        origin = _interned[key] = Origin(code, lasti)
    return origin


# resolving ----------------------------------------------------------------------------------------


def _resolve(code: CodeType, lasti: int) -> Location:
    line, end_line, col, end_col = _position(code, lasti)
    source = _source_line(code, line)
    function = "" if code.co_name == "<module>" else code.co_qualname.replace("<locals>.", "")
    return Location(
        code.co_filename,
        line,
        end_line,
        _character_column(source, col),
        _character_column(_source_line(code, end_line), end_col),
        function,
        source,
    )


def _position(code: CodeType, lasti: int) -> tuple[int, int, int | None, int | None]:
    """Line, end line, column, end column; columns are missing under `-X no_debug_ranges`."""
    found = next(islice(code.co_positions(), max(lasti, 0) // 2, None), (None, None, None, None))
    line, end_line, col, end_col = found
    if line is None:
        line = code.co_firstlineno
    if end_line is None or end_line < line:
        end_line = line
    return line, end_line, col, end_col


def _source_line(code: CodeType, line: int) -> str:
    # Unrelated pieces of code share these names, and since Python 3.13 linecache answers for the
    # program given by `-c` whichever of them is asked for.
    if code.co_filename in ("<string>", "<stdin>"):
        lines = _command_line_program(code)
        return lines[line - 1] if line <= len(lines) else ""
    import linecache  # needed for messages only, and it brings tokenize along

    return linecache.getline(code.co_filename, line).rstrip("\r\n")


def _command_line_program(code: CodeType) -> list[str]:
    """The lines of the program given by `python -c`, when this code is a part of it."""
    words = sys.orig_argv
    if code.co_filename != "<string>" or "-c" not in words[1:-1]:
        return []
    text = words[words.index("-c", 1) + 1]
    try:
        waiting = [compile(text, "<string>", "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):  # newer Pythons take common indentation away first
        import textwrap

        try:
            text = textwrap.dedent(text)
            waiting = [compile(text, "<string>", "exec", dont_inherit=True)]
        except (SyntaxError, ValueError):
            return []
    while waiting:
        part = waiting.pop()
        if part == code:
            return text.splitlines()
        waiting += [c for c in part.co_consts if isinstance(c, CodeType)]
    return []


def _character_column(source: str, column: int | None) -> int | None:
    """Python counts columns in bytes of UTF-8."""
    if column is None or source.isascii():
        return column
    return len(source.encode()[:column].decode(errors="replace"))


# printing -----------------------------------------------------------------------------------------


def _short_path(path: str) -> str:
    if path.startswith("<"):
        return path
    if "IPython" in sys.modules and not os.path.exists(path):
        try:  # a cell of a notebook, whose file has a name that says nothing
            shell = sys.modules["IPython"].get_ipython()
            return " ".join(shell.compile.format_code_name(path))
        except (AttributeError, TypeError):
            pass
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):  # another drive, or the working directory is gone
        return path
    return path if relative.startswith(os.pardir) else relative


def _caret_lines(location: Location, width: int) -> tuple[str, ...]:
    text = location.source_line.rstrip().replace("\t", " ")
    indent = len(text) - len(text.lstrip())
    text = text[indent:]
    if not text:
        return ()
    if location.col is None:
        return (_cut(text, 0, width),)
    start = min(max(location.col - indent, 0), len(text))
    if location.end_line > location.line or location.end_col is None:
        stop = len(text)
    else:
        stop = min(max(location.end_col - indent, start + 1), len(text))
    first = max(0, min(stop + 3, len(text)) - width) if stop > width - 3 else 0
    first = min(first, max(start - 3, 0))
    stop = min(stop, first + width - 3) if len(text) - first > width else stop
    return _cut(text, first, width), " " * (start - first) + "^" * max(stop - start, 1)


def _cut(text: str, first: int, width: int) -> str:
    """`width` characters of `text` from `first` on, with dots where something was left out."""
    shown = text[first : first + width]
    if first:
        shown = "..." + shown[3:]
    return shown[:-3] + "..." if first + width < len(text) else shown
