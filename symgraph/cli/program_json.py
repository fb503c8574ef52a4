"""Programs and loop nests as plain dicts and lists."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Graph
from symgraph.ir.text import graph_text
from symgraph.loops.program import Program
from symgraph.loops.statements import Kernel
from symgraph.loops.text import kernels
from symgraph.provenance import Origin
from symgraph.scalar import Expr


def program_json(program: Program, loops: bool = True) -> dict[str, Any]:
    """The program; records become dicts with their ``kind``, expressions their text. Kernels stand
    apart, in full with ``loops``, and are called by name.

    >>> program_json(Program("nothing", (), (), {}, (), (), ()))["name"]
    'nothing'
    """
    found = {"kernels": [_plain(k) if loops else _head(k) for k in kernels(program)]}
    return {**_body(program), **found}


def _body(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "sizes": list(program.sizes),
        "buffers": [_plain(b) for b in program.buffers.values()],
        "checks": [[str(a), str(b), what] for a, b, what in program.checks],
        "steps": [_step(s) for s in program.steps],
    }


def _step(step: Any) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(step, kernels_by_name=True)
    return plain


def _head(kernel: Kernel) -> dict[str, Any]:
    return {
        "kind": "Kernel", "name": kernel.name, "params": [_plain(p) for p in kernel.params],
        "sizes": list(kernel.sizes),
    }  # fmt: skip


def _plain(value: Any, kernels_by_name: bool = False) -> Any:
    """Nests are as deep as programs within programs, so recursion is safe."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Expr):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Origin):
        return value.text()
    if isinstance(value, Graph):
        return graph_text(value)
    if isinstance(value, Program):
        return _body(value)
    if isinstance(value, Kernel) and kernels_by_name:
        return value.name
    fields = getattr(value, "_fields", None)
    if fields is not None:
        parts = {f: _plain(getattr(value, f), kernels_by_name) for f in fields}
        return {"kind": type(value).__name__, **parts}
    if isinstance(value, tuple | list):
        return [_plain(v, kernels_by_name) for v in value]
    return repr(value)
