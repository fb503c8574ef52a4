"""`symgraph explain --rules [WORD]`: the rewrite rules, which `sg.compile(exclude=)` can name."""

from __future__ import annotations

import argparse

from symgraph.cli.console import fold, table, write, write_json
from symgraph.passes.pipeline import PIPELINE
from symgraph.rewrite.rules import RuleSet


def run(arguments: argparse.Namespace) -> int:
    """Print pass, class, place and equation of every rule that contains the word, or of a pass."""
    word = arguments.code or ""
    rules = {}
    for step in PIPELINE:
        if isinstance(step.work, RuleSet):
            found = [r for r in step.work if word in r.name or word == step.name]
            rules.update({r.name: (step.name, r) for r in found})
    if arguments.json:
        rows = [
            {"pass": p, "name": n, "class": r.klass, "where": r.location(), "doc": r.doc}
            for n, (p, r) in rules.items()
        ]
        write_json("rules", {"rules": rows})
    elif rules:
        cells = [(p, r.klass, r.location(), n) for n, (p, r) in rules.items()]
        text = table(("pass", "class", "where", "rule"), cells)
        write(fold(text, text.index("rule")))
    else:
        write(f"no rule contains {word!r}")
    return 0 if rules else 1
