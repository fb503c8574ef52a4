"""Routine: the name and parameters of what an op runs when it is no single expression."""

from __future__ import annotations

from typing import Any

from symgraph.records import NamedTuple


class Routine(NamedTuple):
    """A routine of lower/routines by name; the parameters are known when compiling.

    >>> Routine("matmul", (("ta", False), ("tb", True))).get("tb")
    True
    """

    name: str
    params: tuple[tuple[str, Any], ...] = ()

    def get(self, key: str) -> Any:
        """The value of a parameter."""
        return dict(self.params)[key]
