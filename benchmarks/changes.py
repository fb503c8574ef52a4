"""What got slower or faster between two runs, by more than their noise.

The machine may have been in another mood. The peers run the same code in both runs, so a workload's
change is divided by the median change of its peers, and both are shown.
"""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

FLOOR = 0.08  # a change below this is never called one


class Change(NamedTuple):
    """Times as long as before: symgraph's, the peers', and their quotient with its noise."""

    name: str
    before: float
    after: float
    peers: float
    relative: float
    noise: float

    @property
    def slower(self) -> bool:
        return self.relative > 1 + self.noise

    @property
    def faster(self) -> bool:
        return self.relative < 1 / (1 + self.noise)


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """A change per workload that both runs timed, the worst first."""
    before = {row["name"]: row for row in old["rows"]}
    found = []
    for row in new["rows"]:
        was = before.get(row["name"])
        if was is not None and all("symgraph" in r["contenders"] for r in (was, row)):
            found.append(_change(was["contenders"], row["contenders"], row["name"]))
    return sorted(found, key=lambda c: -c.relative)


def _change(old: dict[str, Any], new: dict[str, Any], name: str) -> Change:
    ratios = {n: new[n]["median"] / old[n]["median"] for n in new if n in old}
    own = ratios.pop("symgraph")
    peers = statistics.median(ratios.values()) if ratios else 1.0
    spread = old["symgraph"]["spread"] + new["symgraph"]["spread"]
    noise = max(FLOOR, spread, abs(peers - 1) / 2)
    return Change(name, old["symgraph"]["median"], new["symgraph"]["median"], peers, own / peers,
                  noise)  # fmt: skip


def text(found: list[Change], seconds: Any) -> str:
    """The changes beyond noise, and how many workloads stayed as they were."""
    lines = []
    for title, chosen in (("slower", [c for c in found if c.slower]),
                          ("faster", [c for c in found[::-1] if c.faster])):  # fmt: skip
        for c in chosen:
            lines.append(
                f"{title}: {c.name:32s} {seconds(c.before):>9s} -> {seconds(c.after):>9s}  "
                f"x {c.relative:.2f} beside the peers (x {c.peers:.2f}), noise {c.noise:.0%}"
            )
    same = sum(not c.slower and not c.faster for c in found)
    return "\n".join([*lines, f"{same} of {len(found)} workloads are as fast as before"])
