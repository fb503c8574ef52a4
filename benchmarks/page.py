"""One HTML page of bars that needs nothing from outside: inline SVG, light and dark."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

from report import ORDER, fresh_pair, megabytes, seconds, share

STYLE = """
:root{color-scheme:light dark;--ground:#fafaf9;--card:#fff;--ink:#1c1917;--soft:#78716c;
--line:#e7e5e4;--own:#c2410c;--peer:#94a3b8;--best:#475569;--limit:#15803d;--bad:#b91c1c;--good:#15803d}
@media(prefers-color-scheme:dark){:root{--ground:#171513;--card:#211e1c;--ink:#f5f5f4;--soft:#a8a29e;
--line:#3a3532;--own:#fb923c;--peer:#64748b;--best:#cbd5e1;--limit:#4ade80;--bad:#f87171;--good:#4ade80}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:78rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.7rem;margin:0 0 .25rem}
h2{font-size:1.1rem;margin:2.2rem 0 .8rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
p{margin:.2rem 0;color:var(--soft);font-size:.85rem}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.2rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.6rem .9rem}
.tile b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.78rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(23rem,1fr));gap:.9rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.75rem .9rem}
.card h3{margin:0;font-size:.92rem;display:flex;justify-content:space-between;gap:.5rem}
.card .ratio{font-variant-numeric:tabular-nums;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}
svg{display:block;width:100%;height:auto;margin:.35rem 0}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .name{fill:var(--soft)}
.own{fill:var(--own)}.peer{fill:var(--peer)}.best{fill:var(--best)}
.limit{stroke:var(--limit);stroke-width:1.5;stroke-dasharray:3 2}
table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right}
td:first-child,th:first-child{text-align:left}
th{color:var(--soft);font-weight:500}
.wide{overflow-x:auto}
"""
LEFT, WIDTH, ROW = 92, 400, 20
ROOM = 64  # for the figure behind the longest bar


def write(path: Path, summary: dict[str, Any]) -> None:
    """The whole page: means, all workloads by ratio, a card of bars for each, first calls."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [r for r in summary["rows"] if r["contenders"]]
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(row["name"].split(".")[0], []).append(row)
    parts = [_head(summary), _tiles(summary), _overview(rows)]
    for family, members in families.items():
        cards = "\n".join(_card(row) for row in members)
        parts.append(f'<h2>{html.escape(family)}</h2><div class="grid">{cards}</div>')
    parts.append(_first_calls(rows))
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>symgraph benchmarks</title><style>{STYLE}</style></head><body><main>"
        + "\n".join(parts)
        + "</main></body></html>\n"
    )


def _head(summary: dict[str, Any]) -> str:
    machine = ", ".join(f"{k} {v}" for k, v in summary["machine"].items())
    versions = ", ".join(f"{k} {v}" for k, v in summary["versions"].items())
    return (
        f"<h1>symgraph beside its peers</h1><p>{html.escape(machine)}</p>"
        f"<p>{html.escape(versions)}</p><p>Bars are medians of {summary['rounds']} interleaved "
        "rounds; shorter is better, and &#8811; marks a bar that is cut. The dashed line "
        "is the machine's limit: the bytes that must "
        "move at the measured bandwidth, or the arithmetic at the measured peak.</p>"
    )


def _tiles(summary: dict[str, Any]) -> str:
    limits = summary["limits"]
    tiles = [("to the best peer, geometric mean", _times(summary.get("mean")))]
    tiles += [(f"to {n} alone", _times(m)) for n, m in summary.get("means", {}).items()]
    tiles += [
        ("GFLOP/s float32", f"{limits['fma_float32'] / 1e9:.0f}"),
        ("GFLOP/s float64", f"{limits['fma_float64'] / 1e9:.0f}"),
        ("GB/s copy", f"{limits['stream_plain'] / 1e9:.0f}"),
        ("GB/s non-temporal", f"{limits['stream_nontemporal'] / 1e9:.0f}"),
    ]
    cells = "".join(
        f'<div class="tile"><b>{v}</b><span>{html.escape(k)}</span></div>' for k, v in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}&times;"


def _overview(rows: list[dict[str, Any]]) -> str:
    """All ratios in one picture, the best first: bars to the right of 1 are wins."""
    rated = sorted((r for r in rows if r["ratio"]), key=lambda r: -r["ratio"])
    if not rated:
        return ""
    left, middle, half, row = 250, 620, 330, 16
    lines = [f'<line x1="{middle}" y1="0" x2="{middle}" y2="{row * len(rated)}" '
             'stroke="var(--soft)"/>']  # fmt: skip
    for k, r in enumerate(rated):
        size = half * max(-1.0, min(1.0, _log16(r["ratio"])))
        x, y = (middle, row * k) if size >= 0 else (middle + size, row * k)
        kind = "own" if size >= 0 else "peer"
        label = middle + size + (5 if size >= 0 else -5)
        lines += [
            f'<text class="name" x="{left}" y="{y + 12}" text-anchor="end">'
            f"{html.escape(r['name'])}</text>",
            f'<rect class="{kind}" x="{x:.1f}" y="{y + 3}" width="{max(1.0, abs(size)):.1f}" '
            f'height="{row - 5}" rx="2"/>',
            f'<text x="{label:.1f}" y="{y + 12}" text-anchor="{"start" if size >= 0 else "end"}">'
            f"{r['ratio']:.2f} {html.escape(str(r['best_peer']))}</text>",
        ]
    return (
        "<h2>Ratio to the best peer</h2><p>Right of the line symgraph is the fastest of all; the "
        "scale is logarithmic and ends at 16.</p>"
        f'<svg viewBox="0 0 1080 {row * len(rated) + 4}">{"".join(lines)}</svg>'
    )


def _log16(ratio: float) -> float:
    return math.log(ratio, 16)


def _card(row: dict[str, Any]) -> str:
    timed = [(n, row["contenders"][n]["median"]) for n in ORDER if n in row["contenders"]]
    leading = max(v for n, v in timed if n in ("symgraph", row["best_peer"]))
    slowest = min(max(value for _, value in timed), 6 * leading)  # longer bars are cut
    lines = []
    for k, (name, value) in enumerate(timed):
        y, width = ROW * k, max(1.5, (WIDTH - LEFT - ROOM) * min(1.0, value / slowest))
        cut = "&#8811; " if value > slowest else ""
        kind = "own" if name == "symgraph" else "best" if name == row["best_peer"] else "peer"
        lines += [
            f'<text class="name" x="{LEFT - 6}" y="{y + 14}" text-anchor="end">{name}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="13" rx="2"/>',
            f'<text x="{LEFT + width + 5:.1f}" y="{y + 14}">{cut}{seconds(value)}</text>',
        ]
    height = ROW * len(timed)
    if row.get("limit"):
        x = LEFT + min(1.0, row["limit"] / slowest) * (WIDTH - LEFT - ROOM)
        lines.append(f'<line class="limit" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}"/>')
    ratio = ""
    if row["ratio"]:
        kind = "good" if row["ratio"] >= 1 else "bad"
        ratio = f'<span class="ratio {kind}">{row["ratio"]:.2f}&times;</span>'
    short = html.escape(row["name"].split(".", 1)[1])
    notes = [f"{share(row)} of the limit"] if row.get("limit") else []
    notes += [f"{n}: {html.escape(why)}" for n, why in row["failed"].items()]
    return (
        f'<div class="card"><h3><span>{short}</span>{ratio}</h3>'
        f"<p>{html.escape(row['what'])}</p>"
        f'<svg viewBox="0 0 {WIDTH} {height + 2}">{"".join(lines)}</svg>'
        f"<p>{'<br>'.join(notes)}</p></div>"
    )


def _first_calls(rows: list[dict[str, Any]]) -> str:
    """Seconds from the formula to the first result, and memory, of whoever was measured."""
    chosen = [r for r in rows if r["fresh"]]
    if not chosen:
        return ""
    names = [n for n in ORDER if any(n in r["fresh"] for r in chosen)]
    heads = "".join(f'<th colspan="4">{n}</th>' for n in names)
    titles = "<th>cold</th><th>cached</th><th>peak MB</th><th>running MB</th>" * len(names)
    body = []
    for row in chosen:
        cells = []
        for n in names:
            found = row["fresh"].get(n) or {}
            cells += [*fresh_pair(row, n), megabytes(found.get("running"))]
        body.append(f"<tr><td>{html.escape(row['name'])}</td>"
                    + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")  # fmt: skip
    return (
        "<h2>First call and memory, in fresh processes</h2><p>From the formula to the first result "
        "without imports; memory beyond what the process held with its arrays made: up to the "
        'first result, and while running.</p><div class="wide"><table>'
        f"<tr><th></th>{heads}</tr><tr><th>workload</th>{titles}</tr>{''.join(body)}</table></div>"
    )
