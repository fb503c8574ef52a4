"""`symgraph explain CODE`: the manual page of an error. With a subject see node.py, with --port
port.py, with --rules rules.py."""

from __future__ import annotations

import argparse
import difflib
import importlib

from symgraph import config
from symgraph.cli import port, problems
from symgraph.cli.console import fold, table, write, write_json
from symgraph.errors import CODES, explain

# Two errors are defined beside what they are about; importing these modules puts them into CODES.
_ALSO = (config.ConfigError, problems.SubjectError)


def run(arguments: argparse.Namespace) -> int:
    """Print the page of a code, or all codes in a line each."""
    if arguments.port:
        return port.run(arguments)
    if arguments.rules:
        status: int = importlib.import_module("symgraph.cli.rules").run(arguments)
        return status
    code = arguments.code
    if arguments.node is not None or (code is not None and ":" in code):
        told: int = importlib.import_module("symgraph.cli.node").run(arguments)
        return told
    if code is None:
        rows = [(c, cls.__name__, _summary(c)) for c, cls in sorted(CODES.items())]
        if arguments.json:
            found = [{"code": c, "name": n, "summary": s} for c, n, s in rows]
            write_json("explain", {"codes": found})
        else:
            text = table(("code", "name", "meaning"), rows)
            write(fold(text, text.index("meaning")))
        return 0
    if code.upper() not in CODES:
        names = {cls.__name__.upper(): c for c, cls in CODES.items()}
        if code.upper() not in names:
            near = difflib.get_close_matches(code.upper(), [*CODES, *names], 1)
            hint = f"did you mean {names.get(near[0], near[0])}?" if near else ""
            raise problems.SubjectError(
                f"explain: there is no error code {code!r}",
                hint=hint or "symgraph explain lists all codes",
            )
        code = names[code.upper()]
    page = explain(code)
    if arguments.json:
        name = CODES[code.upper()].__name__
        write_json("explain", {"code": code.upper(), "name": name, "page": page})
    else:
        write(fold(page))
    return 0


def _summary(code: str) -> str:
    """The first sentence of a page."""
    text = " ".join(explain(code).split("\n\n")[1].split())
    return text.split(". ")[0].rstrip(".")[:100]
