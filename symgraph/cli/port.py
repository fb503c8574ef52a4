"""`symgraph explain --port FILE`: a Theano or PyTensor script, name by name."""

from __future__ import annotations

import argparse
from pathlib import Path

from symgraph.cli.console import table, write, write_json
from symgraph.cli.problems import SubjectError
from symgraph.interop.porting import Use, uses


def run(arguments: argparse.Namespace) -> int:
    """Print what to write for every name; 1 when symgraph lacks one of them."""
    found = _read(arguments.port)
    lacking = sum(not u.answer.found for u in found)
    if arguments.json:
        names = [
            {"name": u.spelled, "full": u.full, "lines": u.lines, **u.answer._asdict()}
            for u in found
        ]
        write_json("port", {"file": arguments.port, "names": names, "lacking": lacking})
    elif not found:
        write(f"{arguments.port} uses no name of Theano, Aesara or PyTensor")
    else:
        rows = [(_lines(u), u.spelled, _answer(u), u.answer.remark) for u in found]
        write(table(("line", "in the script", "in symgraph", "remark"), rows))
        write(f"\n{_count(len(found) - lacking)} with an answer, {lacking} without")
    return 1 if lacking else 0


def _read(name: str) -> list[Use]:
    try:
        source = Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SubjectError(f"explain --port: {name} cannot be read: {error}") from error
    try:
        return uses(source, name)
    except SyntaxError as error:
        raise SubjectError(
            f"explain --port: {name} is not Python 3: {error.msg}, line {error.lineno}",
            hint="2to3 or python-modernize turns Python 2 into Python 3",
        ) from error


def _answer(use: Use) -> str:
    if not use.answer.found:
        return "(nothing of the kind)"
    return use.answer.write or "(leave out)"


def _lines(use: Use) -> str:
    shown = ", ".join(map(str, use.lines[:3]))
    return shown + (f" and {len(use.lines) - 3} more" if len(use.lines) > 3 else "")


def _count(n: int) -> str:
    return f"{n} name{'' if n == 1 else 's'}"
