"""The profile of a compilation: seconds of each stage, pass and rule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from symgraph.passes.pipeline import PassRecord

STAGES = ("load", "optimize", "lower", "emit", "llvm")


class CompileRecord(PassRecord):
    """A record that also keeps the time: ``rules`` and ``passes`` map names to seconds, and the
    attempts, firings or turns that took them."""

    def __init__(self) -> None:
        super().__init__()
        self.rules: dict[str, list[Any]] = {}
        self.passes: dict[str, list[Any]] = {}
        self.seconds = self.rules
        self.pass_seconds = self.passes

    def summary(self, moments: Sequence[float]) -> dict[str, Any]:
        """Seconds of the stages between these moments, of passes and of rules that were tried, the
        slowest first."""
        spans = [b - a for a, b in itertools.pairwise(moments)]
        rules = [
            {"rule": n, "pass": p, "seconds": s, "attempts": a, "firings": f}
            for n, (p, s, a, f) in self.rules.items()
        ]
        passes = [{"pass": n, "seconds": s, "turns": k} for n, (s, k) in self.passes.items()]
        return {
            "stages": dict(zip(STAGES, spans, strict=True)),
            "passes": sorted(passes, key=lambda r: -r["seconds"]),
            "rules": sorted(rules, key=lambda r: -r["seconds"]),
        }
