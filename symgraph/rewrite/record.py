"""What a rewriting run tells of itself."""

from __future__ import annotations

from typing import Any

from symgraph.records import NamedTuple
from symgraph.rewrite.rules import Rule


class Firing(NamedTuple):
    """A rule replaced ``before`` by ``after``."""

    rule: Rule
    before: Any
    after: Any
    pass_name: str

    def __str__(self) -> str:
        owner = self.before.owner
        place = f"  {owner.origins[0].brief()}" if owner is not None and owner.origins else ""
        return f"{self.pass_name}: {self.rule.equation()}{place}"


class NearMiss(NamedTuple):
    """A rule whose pattern matched ``value`` and that did not fire, with the reason."""

    rule: Rule
    value: Any
    reason: str


class Record:
    """What happened, for ``explain`` and the viewer; near misses only when asked for.

    ``moves``: a value, the same over operands that rules have changed, and the number of firings
    before; ``seconds``, where it is a dict: of each rule the pass, the time that it took, attempts
    and firings."""

    seconds: dict[str, list[Any]] | None = None

    def __init__(self, near_misses: bool = False) -> None:
        self.firings: list[Firing] = []
        self.moves: list[tuple[int, Any, Any]] = []
        self.near_misses: list[NearMiss] | None = [] if near_misses else None
