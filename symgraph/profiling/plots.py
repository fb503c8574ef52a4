"""The pictures of a profile as SVG: a flame graph and a roofline plot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from symgraph.profiling.tables import printable, time_text

WIDTH, ROW, LETTER = 1120, 24, 6.7
PLOT = (70, 20, 1090, 400)  # left, top, right, bottom of the roofline plot


class _Box:
    """A box of the flame graph: boxes above it are parts of it."""

    def __init__(self, kind: str = "whole") -> None:
        self.kind, self.seconds = kind, 0.0
        self.inner: dict[str, _Box] = {}

    def add(self, name: str, kind: str, seconds: float) -> _Box:
        box = self.inner.setdefault(name, _Box(kind))
        box.seconds += seconds
        return box


def flame(data: Mapping[str, Any]) -> str:
    """Source line, below it its operations, below these the steps that compute them; the width is
    the time."""
    whole = _Box()
    for r in data["rows"]:
        for s in r["ops"] or [{"op": "", "line": None, "weight": 1.0, "text": ""}]:
            seconds = s["weight"] * r["seconds"]
            whole.seconds += seconds
            if s["line"] is None:
                whole.add("symgraph itself", "entry", seconds).add(r["name"], r["kind"], seconds)
                continue
            place = s["line"].replace("\\", "/").rsplit("/", 1)[-1]
            line = whole.add(f"{place}  {s['text']}", "where", seconds)
            line.add(s["op"], "op", seconds).add(r["name"], r["kind"], seconds)
    if not whole.seconds:
        return "<p>Nothing was called yet.</p>"
    parts = list(_boxes(data["function"], whole, 0.0, WIDTH / whole.seconds, 0, whole.seconds))
    height = 4 * (ROW + 2) + 2
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(parts)}</svg>'


def _boxes(name: str, box: _Box, x: float, scale: float, level: int, whole: float) -> Iterator[str]:
    width, y = box.seconds * scale, level * (ROW + 2) + 1
    if width < 0.4:
        return
    name = printable(name)
    title = f"{name}: {time_text(box.seconds)}, {100 * box.seconds / whole:.1f} %"
    yield (
        f'<g><title>{escape(title)}</title><rect class="f {box.kind}" x="{x:.2f}" y="{y}" '
        f'width="{max(width - 1, 0.4):.2f}" height="{ROW}" rx="2"/>'
    )
    letters = int((width - 8) / LETTER)
    if letters >= 3:
        text = name if len(name) <= letters else name[: letters - 1] + "…"
        yield f'<text class="label" x="{x + 4:.2f}" y="{y + 16}">{escape(text)}</text>'
    yield "</g>"
    for inner_name, inner in sorted(box.inner.items(), key=lambda pair: -pair[1].seconds):
        yield from _boxes(inner_name, inner, x, scale, level + 1, whole)
        x += inner.seconds * scale


# roofline -----------------------------------------------------------------------------------------


def roofline(data: Mapping[str, Any]) -> str:
    """Steps by operations per byte and speed, below what the machine can do."""
    rows = [r for r in data["rows"] if r["flops"] and r["bytes"] and r["seconds"]]
    if not rows:
        return "<p>No step computes with floats.</p>"
    points = [(r["flops"] / r["bytes"], r["flops"] / r["seconds"] / 1e9, r) for r in rows]
    limits, threads = data["machine"], data["machine"]["threads"]
    narrow = any(r["dtype"] == "float32" for r in rows)
    dtype = "float32" if narrow else "float64"
    roofs = {n: _roof(limits[n], dtype) for n in dict.fromkeys(("1", str(threads)))}
    peak = max(p for _, p in roofs.values())
    xs = [x for x, _, _ in points] + [p / b for b, p in roofs.values()]
    ys = [y for _, y, _ in points] + [peak]
    axes = _Axes(min(xs) / 2, max(xs) * 4, min(ys) / 2, max(ys) * 1.6)
    parts = [*axes.lines()]
    for k, (n, (rate, top)) in enumerate(roofs.items()):
        parts += _roof_line(axes, rate, top, k, f"{n} thread{'s' * (n != '1')}, {dtype}")
    for x, y, r in sorted(points, key=lambda p: -p[2]["share"]):
        parts.append(_point(axes, x, y, r))
    return f'<svg viewBox="0 0 {WIDTH} 440" role="img">{"".join(parts)}</svg>'


def _roof(row: Mapping[str, Any], dtype: str) -> tuple[float, float]:
    """GB/s of memory, at the largest footprint, and GFLOP/s."""
    largest = max(row["bandwidth"], key=int)
    return row["bandwidth"][largest] / 1e9, row[dtype] / 1e9


class _Axes:
    def __init__(self, x0: float, x1: float, y0: float, y1: float) -> None:
        self.x0, self.x1, self.y0, self.y1 = (math.log10(v) for v in (x0, x1, y0, y1))

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = PLOT
        a = (math.log10(x) - self.x0) / (self.x1 - self.x0)
        b = (math.log10(y) - self.y0) / (self.y1 - self.y0)
        return left + a * (right - left), bottom - b * (bottom - top)

    def lines(self) -> Iterator[str]:
        left, top, right, bottom = PLOT
        for k in range(math.ceil(self.x0), math.floor(self.x1) + 1):
            x, _ = self.at(10.0**k, 10.0**self.y0)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
            yield (f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">'
                   f"{10.0**k:g}</text>")  # fmt: skip
        for k in range(math.ceil(self.y0), math.floor(self.y1) + 1):
            _, y = self.at(10.0**self.x0, 10.0**k)
            yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield (f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">'
                   f"{10.0**k:g}</text>")  # fmt: skip
        yield f'<path class="axis" fill="none" d="M{left},{top}V{bottom}H{right}"/>'
        yield (f'<text class="tick" x="{(left + right) / 2}" y="{bottom + 34}" '
               'text-anchor="middle">operations per byte</text>')  # fmt: skip
        yield f'<text class="tick" x="{left - 50}" y="{top - 6}">GFLOP/s</text>'


def _roof_line(axes: _Axes, rate: float, top: float, k: int, name: str) -> Iterator[str]:
    first, last = 10.0**axes.x0, 10.0**axes.x1
    start = max(first, 10.0**axes.y0 / rate)
    a, b, c = axes.at(start, rate * start), axes.at(top / rate, top), axes.at(last, top)
    path = "L".join(f"{x:.1f},{y:.1f}" for x, y in (a, b, c))
    many = " many" if k else ""
    yield f'<path class="roof{many}" d="M{path}"/>'
    words = f"{name}: {rate:.0f} GB/s, {top:.0f} GFLOP/s{', dashed' if k else ''}"
    yield (f'<text class="roofname" x="{c[0]:.1f}" y="{PLOT[3] - 10 - 16 * k}" '
           f'text-anchor="end">{escape(words)}</text>')  # fmt: skip


def _point(axes: _Axes, x: float, y: float, r: Mapping[str, Any]) -> str:
    at, up = axes.at(x, y)
    radius = 3 + 16 * math.sqrt(r["share"])
    ops = ", ".join(dict.fromkeys(s["op"] for s in r["ops"]))
    roof = f", {100 * r['roofline']:.0f} % of what is possible" if r["roofline"] else ""
    title = f"{r['name']} ({ops}): {y:.3g} GFLOP/s, {x:.3g} operations per byte{roof}"
    label = ""
    if r["share"] >= 0.03:
        label = (f'<text class="roofname" x="{at:.1f}" y="{up - radius - 5:.1f}" '
                 f'text-anchor="middle">{escape(printable(r["name"]))}</text>')  # fmt: skip
    return (
        f'<g><title>{escape(printable(title))}</title><circle class="{r["kind"]}" cx="{at:.1f}" '
        f'cy="{up:.1f}" r="{radius:.1f}" fill-opacity="0.8"/>{label}</g>'
    )
