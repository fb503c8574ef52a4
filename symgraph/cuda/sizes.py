"""The sizes of a recipe: read from rows, and named as this process names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from symgraph.function import Definition
from symgraph.loops.statements import Size
from symgraph.scalar import Expr, evaluate_size, variables
from symgraph.scalar.expr import node


def size_of(rows: Any) -> Size:
    """The size of rows.

    >>> str(size_of([["const", [], "int64", 2], ["var", [], "int64", "n"], ["mul", [0, 1], "int64",
    ...     None]])), size_of(3)
    ('2*n', 3)
    """
    if isinstance(rows, int):
        return rows
    made: list[Expr] = []
    for op, args, dtype, attr in rows:
        made.append(node(op, tuple(made[k] for k in args), dtype, attr))
    return made[-1]


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A recipe with other names of sizes, which is done where a recipe is read."""
    return _walk(value, lambda name: names.get(name, name))


def _walk(value: Any, name: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            k: [name(n) for n in v] if k == "sizes" else _walk(v, name) for k, v in value.items()
        }
    if isinstance(value, list):
        if len(value) == 4 and value[0] == "var" and value[1] == []:
            return [*value[:3], name(value[3])]
        return [_walk(v, name) for v in value]
    return value


def number(rows: Any, sizes: Mapping[str, int]) -> int:
    """The value of a size."""
    return rows if isinstance(rows, int) else int(evaluate_size(size_of(rows), sizes))


def size_names(d: Definition) -> list[str]:
    """The names of the sizes in the types of inputs and shared variables, in order of first sight:
    those without a name of the user's have another one in each process."""
    sizes = [s for v in (*d.arguments, *d.shared) for s in v.shape if isinstance(s, Expr)]
    sizes.sort(key=lambda s: s.op != "var")
    return list(dict.fromkeys(x.attr for s in sizes for x in variables(s)))
