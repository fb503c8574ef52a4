"""Profiles as one HTML page that works offline, without scripts: plots are inline SVG.

A content security policy admits the page's own style sheet, by its hash, and nothing else. All
text of the user is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from symgraph.profiling.plots import flame, roofline
from symgraph.profiling.tables import bytes_text, number_text, printable, time_text

MOST = 200  # rows of a table


def html(profiles: Sequence[Mapping[str, Any]]) -> str:
    """The page of some profiles, given as their data.

    >>> "default-src 'none'" in html([])
    True
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    names = ", ".join(_text(p["function"]) for p in profiles[:3]) or "nothing"
    title = f"symgraph profile: {names}{', ...' if len(profiles) > 3 else ''}"
    return "\n".join([
        "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8"/>',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>{title}</title>", f"<style>{style}</style>", "</head>", "<body>",
        f"<header><h1>{title}</h1></header>", "<main>",
        *(_section(p) for p in profiles),
        "</main>", "</body>", "</html>", "",
    ])  # fmt: skip


def _section(data: Mapping[str, Any]) -> str:
    calls = data["calls"]
    facts = {
        "calls": str(calls), "time of all calls": time_text(data["seconds"]),
        "time of a call": time_text(data["seconds"] / calls) if calls else "",
        "most memory of a call": bytes_text(data["peak_bytes"]),
        **{f"{n} allocated": f"{a['calls']} times, {bytes_text(a['bytes'])}"
           for n, a in data["allocations"].items()},
    }  # fmt: skip
    cells = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())
    return "\n".join([
        f"<section><h2>{_text(data['function'])}</h2>", f'<dl class="facts">{cells}</dl>',
        "<h3>Time by source line, operation and step</h3>", flame(data),
        "<h3>Roofline: operations per byte against speed</h3>", roofline(data),
        '<p class="note">The line is what this machine can do at best, dashed with all threads; '
        "the area of a circle is its share of the time.</p>",
        "<h3>Steps</h3>", _steps(data),
        "<h3>Lines</h3>", _groups(data, "line"), "<h3>Operations</h3>", _groups(data, "op"),
        *(_compiling(part) for part in data["compile"]),
        "</section>",
    ])  # fmt: skip


def _steps(data: Mapping[str, Any]) -> str:
    head = ("step", "operations", "line", "calls", "time", "share", "each", "bytes",
            "GB/s", "GFLOP/s", "of roofline")  # fmt: skip
    depth = {-1: -1}
    rows = []
    for r in data["rows"]:
        depth[r["number"]] = depth[r["parent"]] + 1
        calls = r["calls"]
        if not calls and not r["seconds"]:
            continue
        rows.append((
            "  " * depth[r["number"]] + r["name"],
            ", ".join(dict.fromkeys(s["op"] for s in r["ops"]))[:40],
            ", ".join(dict.fromkeys(_base(s["line"]) for s in r["ops"] if s["line"]))[:30],
            str(calls), time_text(r["seconds"]), f"{100 * r['share']:.1f} %",
            time_text(r["seconds"] / calls) if calls else "",
            bytes_text(r["bytes"] / calls) if calls and r["bytes"] else "",
            number_text(r["gbytes_per_second"]), number_text(r["gflops_per_second"]),
            f"{100 * r['roofline']:.0f} %" if r["roofline"] is not None else "",
        ))  # fmt: skip
    return _table(head, rows, left=3)


def _groups(data: Mapping[str, Any], by: str) -> str:
    head = (by, "source" if by == "line" else "steps", "calls", "time", "share")
    rows = [
        (r[by], r["text"] if by == "line" else ", ".join(r["kernels"])[:80], str(r["calls"]),
         time_text(r["seconds"]), f"{100 * r['share']:.1f} %")
        for r in data[by + "s"]
    ]  # fmt: skip
    return _table(head, rows, left=2)


def _compiling(part: Mapping[str, Any]) -> str:
    stages = [(n, time_text(s)) for n, s in part.get("stages", {}).items()]
    passes = [(p["pass"], str(p["turns"]), time_text(p["seconds"])) for p in part.get("passes", ())]
    rules = [
        (r["rule"], r["pass"], str(r["attempts"]), str(r["firings"]), time_text(r["seconds"]))
        for r in part.get("rules", ())[:30]
    ]
    return "\n".join([
        f"<h3>Compilation of {_text(part['name'])}</h3>", _table(("stage", "time"), stages),
        "<h3>Passes</h3>", _table(("pass", "turns", "time"), passes),
        "<h3>Rules that took the most time</h3>",
        _table(("rule", "pass", "attempts", "firings", "time"), rules, left=2),
    ])  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        kinds = ['class="code"' if k < left else 'class="n"' for k in range(len(cells))]
        pairs = zip(kinds, cells, strict=True)
        return "<tr>" + "".join(f"<{tag} {k}>{_text(c)}</{tag}>" for k, c in pairs) + "</tr>"

    body = "".join(row(r, "td") for r in rows[:MOST])
    more = f'<p class="note">and {len(rows) - MOST} more</p>' if len(rows) > MOST else ""
    return f'<div class="scroll"><table>{row(head, "th")}{body}</table></div>{more}'


def _base(line: str) -> str:
    return line.replace("\\", "/").rsplit("/", 1)[-1]


def _text(text: str) -> str:
    return escape(printable(text))
