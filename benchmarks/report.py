"""The figures as an aligned table and as one page of bars (HTML with inline SVG)."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

ORDER = ("symgraph", "numpy", "numexpr", "numba", "jax", "torch", "torch.compile", "pytensor")
COLOURS = {
    "symgraph": "#c2410c", "numpy": "#64748b", "numexpr": "#94a3b8", "numba": "#0e7490",
    "jax": "#4338ca", "torch": "#a16207", "torch.compile": "#ca8a04", "pytensor": "#15803d",
}  # fmt: skip


def seconds(value: float | None) -> str:
    """Three digits and a unit: 75.1 ns, 2.40 ms."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def _cell(row: dict[str, Any], name: str) -> str:
    if name in row["contenders"]:
        return seconds(row["contenders"][name]["median"])
    return "failed" if name in row["failed"] else "-"


def text_row(row: dict[str, Any], header: bool = False) -> str:
    """One line of the table; ``header`` puts the titles above it."""
    lines = []
    if header:
        lines.append(f"{'workload':27s}" + "".join(f"{n:>14s}" for n in ORDER)
                     + f"{'ratio':>8s}  {'first call':>10s} {'cached':>8s}")  # fmt: skip
    timed = row["contenders"]
    cells = "".join(f"{_cell(row, n):>14s}" for n in ORDER)
    ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
    first = timed.get("symgraph", {}).get("first")
    lines.append(
        f"{row['name']:27s}{cells}{ratio:>8s}  {seconds(first):>10s} {seconds(row['cached']):>8s}"
    )
    lines += [f"    {name}: {why}" for name, why in row["failed"].items()]
    return "\n".join(lines)


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the documentation."""
    out = ["| workload | " + " | ".join(ORDER) + " | ratio | first call |",
           "|---|" + "---:|" * (len(ORDER) + 2)]  # fmt: skip
    for row in rows:
        timed = row["contenders"]
        cells = [seconds(timed[n]["median"]) if n in timed else "" for n in ORDER]
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
        first = seconds(timed["symgraph"]["first"]) if "symgraph" in timed else ""
        out.append(f"| {row['name']}, {row['what']} | {' | '.join(cells)} | {ratio} | {first} |")
    return "\n".join(out)


def write_page(path: Path, summary: dict[str, Any]) -> None:
    """Bars of the median times, one group for each workload, the fastest peer as the unit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = ", ".join(f"{k} {v}" for k, v in summary["machine"].items())
    versions = ", ".join(f"{k} {v}" for k, v in summary["versions"].items())
    body = "\n".join(_bars(row) for row in summary["rows"] if row["contenders"])
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>symgraph benchmarks</title>"
        "<style>body{font:14px system-ui;margin:2em auto;max-width:60em}"
        "h2{font-size:1em;margin:1.5em 0 0}"
        "p{color:#475569}text{font:12px system-ui;fill:#0f172a}</style>"
        f"<h1>Benchmarks</h1><p>{html.escape(machine)}</p><p>{html.escape(versions)}</p>\n{body}\n"
    )


def _bars(row: dict[str, Any]) -> str:
    timed = [(n, row["contenders"][n]["median"]) for n in ORDER if n in row["contenders"]]
    slowest = max(value for _, value in timed)
    lines = []
    for k, (name, value) in enumerate(timed):
        y, width = 20 * k, max(1.0, 560 * value / slowest)
        lines += [
            f'<text x="100" y="{y + 14}" text-anchor="end">{name}</text>',
            f'<rect x="110" y="{y + 3}" width="{width:.1f}" height="14" fill="{COLOURS[name]}"/>',
            f'<text x="{116 + width:.1f}" y="{y + 14}">{seconds(value)}</text>',
        ]
    title = html.escape(f"{row['name']}: {row['what']}")
    height = 20 * len(timed) + 4
    return f'<h2>{title}</h2><svg width="800" height="{height}">{"".join(lines)}</svg>'
