"""`symgraph ops`: every operation of the tensor graph, with how it is realised."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from symgraph import api
from symgraph.cli.console import cut, table, write, write_json
from symgraph.ir.op import OPS

assert api  # importing the public names fills the registry

_REALISED = {"lower": "fused", "extern": "routine", "inner": "graphs"}


def run(arguments: argparse.Namespace) -> int:
    """Print the registry as a table or as JSON."""
    wanted = arguments.pattern or ""
    rows = [_row(name) for name in sorted(OPS) if wanted in name]
    if arguments.json:
        write_json("ops", {"ops": rows})
        return 0 if rows else 1
    cells = [
        (r["name"], r["realised"], "yes" if r["differentiable"] else "no", r["summary"])
        for r in rows
    ]
    text = table(("op", "realised", "grad", "meaning"), cells)
    write(cut(text) if rows else "no such op")
    return 0 if rows else 1


def _row(name: str) -> dict[str, Any]:
    op = OPS[name]
    realised = next(w for r, w in _REALISED.items() if callable(getattr(op, r, None)))
    row = bool(op.elementwise)
    return {
        "name": name,
        "elementwise": row,
        "realised": realised,
        "differentiable": not op.nondifferentiable,
        "nondifferentiable": op.nondifferentiable,
        "parameters": [] if row else list(op.fields),
        "summary": _first_line(op),
    }


def _first_line(op: Any) -> str:
    paragraph = inspect.cleandoc(op.__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.split()).split(". ")[0].rstrip(".")[:90]
