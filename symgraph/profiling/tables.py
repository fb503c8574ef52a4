"""Profiles as text: plain columns, of which the less important ones go on a narrow terminal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

# columns in order, with the rank in which they are given up, the last first
_KERNEL = (("step", 0), ("op", 3), ("line", 2), ("calls", 5), ("time", 0), ("share", 0),
           ("each", 1), ("bytes", 7), ("GB/s", 5), ("GFLOP/s", 6), ("roof", 4))  # fmt: skip
_GROUP = {"op": (("op", 0), ("calls", 2), ("time", 0), ("share", 0), ("steps", 3)),
          "line": (("line", 0), ("calls", 3), ("time", 0), ("share", 0), ("source", 1)),
          }  # fmt: skip
_LEFT = frozenset(("step", "op", "line", "steps", "source"))
LONGEST = {"step": 24, "op": 22, "line": 20, "steps": 30, "source": 48}
MOST = 40  # rows of a table
LEAST = 0.0005  # of the time: rows with less are left out


def table(data: Mapping[str, Any], by: str = "kernel", width: int | None = None) -> str:
    """A profile's data as text, without control characters of names in it."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    columns = _KERNEL if by == "kernel" else _GROUP[by]
    rows = _kernel_rows(data) if by == "kernel" else _group_rows(data, by)
    lines = [_head(data), columns_text(columns, rows, width)]
    left = len(data["rows"] if by == "kernel" else data[by + "s"]) - len(rows)
    if left > 0:
        lines.append(f"and {left} more below 0.05 %")
    return "\n".join([*lines, *_compiling(data, width)])


def _head(data: Mapping[str, Any]) -> str:
    calls, seconds = data["calls"], data["seconds"]
    each = f", {time_text(seconds / calls)} each" if calls else ""
    peak = bytes_text(data["peak_bytes"])
    return (
        f"{printable(data['function'])}: {calls} calls in {time_text(seconds)}{each}; "
        f"a call takes at most {peak} for outputs and temporaries"
    )


def _kernel_rows(data: Mapping[str, Any]) -> list[dict[str, str]]:
    depth: dict[int, int] = {-1: -1}
    kept = {-1}
    rows = sorted_rows(data)
    wanted = {r["number"] for r in rows if r["share"] >= LEAST}
    above = {r["number"]: r["parent"] for r in rows}
    for number in list(wanted):
        while number != -1:
            kept.add(number)
            number = above[number]
    found: list[dict[str, str]] = []
    for r in rows:
        depth[r["number"]] = depth[r["parent"]] + 1
        if r["number"] in kept and len(found) < MOST:
            found.append(_kernel_row(r, depth[r["number"]]))
    return found


def _kernel_row(r: Mapping[str, Any], depth: int) -> dict[str, str]:
    ops = ", ".join(dict.fromkeys(s["op"] for s in r["ops"]))
    places = list(dict.fromkeys(_base(s["line"]) for s in r["ops"] if s["line"]))
    more = f" +{len(places) - 1}" if len(places) > 1 else ""
    calls = r["calls"]
    return {
        "step": "  " * depth + r["name"], "op": ops, "line": places[0] + more if places else "",
        "calls": str(calls), "time": time_text(r["seconds"]), "share": f"{100 * r['share']:.1f} %",
        "each": time_text(r["seconds"] / calls) if calls else "",
        "bytes": bytes_text(r["bytes"] / calls) if calls and r["bytes"] else "",
        "GB/s": number_text(r["gbytes_per_second"]), "GFLOP/s": number_text(r["gflops_per_second"]),
        "roof": f"{100 * r['roofline']:.0f} %" if r["roofline"] is not None else "",
    }  # fmt: skip


def _base(line: str) -> str:
    return line.replace("\\", "/").rsplit("/", 1)[-1]


def _group_rows(data: Mapping[str, Any], by: str) -> list[dict[str, str]]:
    return [
        {by: _base(r[by]), "calls": str(r["calls"]), "time": time_text(r["seconds"]),
         "share": f"{100 * r['share']:.1f} %", "steps": ", ".join(r["kernels"]),
         "source": r["text"]}
        for r in data[by + "s"] if r["share"] >= LEAST
    ][:MOST]  # fmt: skip


def sorted_rows(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of a profile, each before those inside it."""
    return list(data["rows"])


def columns_text(
    columns: Sequence[tuple[str, int]], rows: Sequence[Mapping[str, str]], width: int
) -> str:
    """Rows as columns of at most ``width`` characters; of the columns with the highest rank those
    are left out that do not fit, then texts are cut.

    >>> print(columns_text([("op", 0), ("time", 0), ("calls", 1)],
    ...                    [{"op": "exp", "time": "1 us", "calls": "7"}], 12))
    op   time
    exp  1 us
    """
    columns = [c for c in columns if any(r[c[0]] for r in rows) or not rows]
    while True:
        widths = {
            n: max(len(n), *(min(len(printable(r[n])), LONGEST.get(n, 99)) for r in rows), 0)
            for n, _ in columns
        }
        over = sum(widths.values()) + 2 * (len(widths) - 1) - width
        worst = max((rank for _, rank in columns), default=0)
        if over <= 0 or worst == 0:
            break
        last = max(k for k, (_, rank) in enumerate(columns) if rank == worst)
        columns = [c for k, c in enumerate(columns) if k != last]
    if over > 0 and columns:
        first = columns[0][0]
        widths[first] = max(8, widths[first] - over)
    lines = [_line({n: n for n, _ in columns}, widths)]
    return "\n".join(lines + [_line(r, widths) for r in rows])


def _line(row: Mapping[str, str], widths: Mapping[str, int]) -> str:
    cells = []
    for name, width in widths.items():
        text = printable(row[name])
        text = text if len(text) <= width else text[: width - 1] + "~"
        cells.append(text.ljust(width) if name in _LEFT else text.rjust(width))
    return "  ".join(cells).rstrip()


def _compiling(data: Mapping[str, Any], width: int) -> list[str]:
    lines: list[str] = []
    for part in data["compile"]:
        stages = part.get("stages", {})
        if stages:
            words = ", ".join(f"{n} {time_text(s)}" for n, s in stages.items())
            lines.append(f"compiled in {time_text(sum(stages.values()))}: {words}")
        passes = [p for p in part.get("passes", ()) if p["seconds"] >= 1e-4][:4]
        if passes:
            words = ", ".join(f"{p['pass']} {time_text(p['seconds'])}" for p in passes)
            lines.append(f"  passes: {words}")
        rules = [r for r in part.get("rules", ()) if r["seconds"] >= 1e-4][:3]
        lines += [
            f"  rule {time_text(r['seconds'])} in {r['attempts']} attempts, {r['firings']} firings:"
            f" {printable(r['rule'])}"
            for r in rules
        ]
    return [x if len(x) <= width else x[: width - 1] + "~" for x in lines]


def compared(old: Mapping[str, Any], new: Mapping[str, Any], width: int | None = None) -> str:
    """Two profiles of one function side by side, by step: seconds of a call and their ratio."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    before, after = _each(old), _each(new)
    rows = []
    for key in dict.fromkeys([*after, *before]):
        a, b = before.get(key), after.get(key)
        ratio = f"{b / a:.2f}" if a and b else "new" if a is None else "gone" if b is None else ""
        rows.append((abs((b or 0) - (a or 0)), {
            "step": key[0], "op": key[1], "before": time_text(a) if a is not None else "",
            "after": time_text(b) if b is not None else "", "ratio": ratio,
        }))  # fmt: skip
    total = [sum(_each(d).values()) for d in (old, new)]
    head = f"a call took {time_text(total[0])}, now {time_text(total[1])}"
    if total[0]:
        head += f": {total[1] / total[0]:.2f} times"
    rows.sort(key=lambda pair: -pair[0])
    names = (("step", 0), ("op", 1), ("before", 0), ("after", 0), ("ratio", 0))
    return head + "\n" + columns_text(names, [r for _, r in rows[:MOST]], width)


def _each(data: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Seconds of a call by step and its operations: names of kernels alone say little."""
    found: dict[tuple[str, str], float] = {}
    for r in data["rows"]:
        key = r["name"], ", ".join(dict.fromkeys(s["op"] for s in r["ops"]))
        found[key] = found.get(key, 0.0) + r["seconds"] / max(1, data["calls"])
    return found


# numbers ------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """One line without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def time_text(seconds: float) -> str:
    """
    >>> time_text(0.00123), time_text(12), time_text(3.4e-8), time_text(0)
    ('1.23 ms', '12.0 s', '34.0 ns', '0 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= scale or (unit == "ns" and seconds > 0):
            return f"{number_text(seconds / scale)} {unit}"
    return "0 s"


def number_text(value: float) -> str:
    """Three digits; nothing for zero.

    >>> number_text(1.234), number_text(12.34), number_text(1234.5), number_text(0)
    ('1.23', '12.3', '1234', '')
    """
    if not value:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def bytes_text(count: float) -> str:
    """
    >>> bytes_text(512), bytes_text(2048)
    ('512 B', '2.0 KiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    units = ["KiB", "MiB", "GiB", "TiB"]
    count /= 1024
    while count >= 1024 and len(units) > 1:
        count /= 1024
        del units[0]
    return f"{count:.1f} {units[0]}"
