"""The figures as text: lines while it runs, and the table of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SLOW_START = 0.02  # seconds of a first call from the cache that are said to be many
ORDER = ("symgraph", "numpy", "numexpr", "numba", "jax", "torch", "torch.compile", "pytensor")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
PROCESSORS = ("family 25", "family 26", "Intel")  # Zen 4, Zen 5; the page has a table for each


def seconds(value: float | None) -> str:
    """Three digits and a unit: 75.1 ns, 2.40 ms."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def megabytes(value: float | None) -> str:
    """Bytes as megabytes: 12, 0.3."""
    return "-" if value is None else f"{value / 1e6:.0f}" if value >= 1e7 else f"{value / 1e6:.1f}"


def cell(row: dict[str, Any], name: str) -> str:
    """The median of a contender, "failed" or nothing."""
    if name in row["contenders"]:
        return seconds(row["contenders"][name]["median"])
    return "failed" if name in row["failed"] else "-"


def fresh_pair(row: dict[str, Any], name: str) -> tuple[str, str, str]:
    """First call cold and cached, and peak megabytes of both, of a contender; "-" where not
    measured."""
    found = row["fresh"].get(name) or {}
    most = [megabytes(found.get(k)) for k in ("peak", "cached_peak")]
    return seconds(found.get("cold")), seconds(found.get("cached")), " / ".join(most)


def slow_starts(summary: dict[str, Any]) -> str:
    """The workloads whose first call from the cache takes long, with what every call takes."""
    found = []
    for row in summary["rows"]:
        fresh = row["fresh"].get("symgraph") or {}
        if fresh.get("cached", 0) > SLOW_START:
            every = fresh.get("later") or row["contenders"].get("symgraph", {}).get("median")
            found.append((fresh["cached"], f"{row['name']} {seconds(fresh['cached'])} "
                          f"({seconds(every)})"))  # fmt: skip
    told = ", ".join(words for _, words in sorted(found, reverse=True))
    return (f"First calls of symgraph from the cache above {seconds(SLOW_START)}, in brackets what "
            f"later calls of theirs take: {told or 'none'}.")  # fmt: skip


def share(row: dict[str, Any]) -> str:
    """The share of the limit that symgraph reaches, where the workload tells one."""
    value = row["contenders"].get("symgraph", {}).get("share")
    return "-" if value is None else f"{value:.0%}"


def text_row(row: dict[str, Any], header: bool = False) -> str:
    """One line of the table; ``header`` puts the titles above it."""
    lines = []
    if header:
        lines.append(f"{'workload':33s}" + "".join(f"{n:>14s}" for n in ORDER)
                     + f"{'ratio':>8s}{'limit':>7s} |{'cold':>9s}{'cached':>9s}{'MB':>11s} |"
                     f"{'jax cold':>9s}{'cached':>9s}{'MB':>11s}")  # fmt: skip
    cells = "".join(f"{cell(row, n):>14s}" for n in ORDER)
    ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
    ours, jax = fresh_pair(row, "symgraph"), fresh_pair(row, "jax")
    ends = " |".join(f"{a:>9s}{b:>9s}{c:>11s}" for a, b, c in (ours, jax))
    lines.append(f"{row['name']:33s}{cells}{ratio:>8s}{share(row):>7s} |{ends}")
    lines += [f"    {name}: {why}" for name, why in row["failed"].items()]
    lines += [f"    {n} in a fresh process: {f['failed']}" for n, f in row["fresh"].items()
              if "failed" in f]  # fmt: skip
    return "\n".join(lines)


def closing(summary: dict[str, Any]) -> str:
    """The means and the workloads that lose most."""
    if not summary.get("mean"):
        return ""
    lost = sorted((r for r in summary["rows"] if (r["ratio"] or 9) < 0.9), key=lambda r: r["ratio"])
    lines = [
        f"geometric mean of the ratios to the best peer: {summary['mean']:.2f}",
        "to each alone: " + ", ".join(f"{n} {m:.2f}" for n, m in summary["means"].items()),
    ]
    lines += [f"  behind: {r['name']:33s} {r['ratio']:.2f} ({r['best_peer']})" for r in lost]
    return "\n".join(lines)


def markdown(summary: dict[str, Any]) -> str:
    """The table of the documentation, with the machine, the versions and the means."""
    machine = ", ".join(f"{k} {v}" for k, v in summary["machine"].items())
    versions = ", ".join(f"{k} {v}" for k, v in summary["versions"].items())
    limits = summary["limits"]
    titles = [*ORDER, "ratio", "of the limit", "first call cold", "cached", "MB", "JAX cold",
              "cached", "MB"]  # fmt: skip
    out = [
        f"{machine}.  ", f"{versions}.  ",
        f"Limits: {limits['fma_float32'] / 1e9:.0f} GFLOP/s in float32, "
        f"{limits['fma_float64'] / 1e9:.0f} in float64; memory in GB/s: read "
        f"{limits['stream_read'] / 1e9:.0f}, copy {limits['stream_plain'] / 1e9:.0f}, with "
        f"non-temporal stores {limits['stream_nontemporal'] / 1e9:.0f}; first touch of 80 MB "
        f"{seconds(limits['first_touch_80MB'])}.", "",
        "| workload | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles),
    ]  # fmt: skip
    for row in summary["rows"]:
        timed = row["contenders"]
        cells = [seconds(timed[n]["median"]) if n in timed else "" for n in ORDER]
        cells += [f"{row['ratio']:.2f}" if row["ratio"] else "", share(row)]
        cells += [c if c != "-" else "" for n in ("symgraph", "jax") for c in fresh_pair(row, n)]
        out.append(f"| {row['name']}: {row['what']} | {' | '.join(cells)} |")
    means = ", ".join(f"{n} {m:.2f}" for n, m in summary["means"].items())
    mean = f"{summary['mean']:.2f}" if summary["mean"] else "-"
    last = f"Geometric mean of the ratio to the best peer: **{mean}**; to each alone: {means}."
    return "\n".join([*out, "", last, "", slow_starts(summary)])


def write_table(summary: dict[str, Any]) -> None:
    """Put the table between the markers of the page that are for such processors. Raises
    ValueError where the page has none."""
    text, cpu = PAGE.read_text(), summary["machine"]["cpu"]
    name = next((p for p in PROCESSORS if p in cpu), "")
    begin, end = f"<!-- table {name}: begin -->", f"<!-- table {name}: end -->"
    if begin not in text:
        raise ValueError(f"{PAGE.name} has no table for {cpu}")
    before, rest = text.split(begin, 1)
    PAGE.write_text(f"{before}{begin}\n{markdown(summary)}\n{end}{rest.split(end, 1)[1]}")
