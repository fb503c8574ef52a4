"""Colours and type of the pictures, light and dark.

Every family has a fill and a stroke; the text on a fill has a contrast of at least 7 to 1.
"""

from __future__ import annotations

TITLE, LINE = 12.5, 11.0  # font sizes
CHARACTER = 6.63  # width of a character at the size LINE: 0.602 em in nearly all monospaced fonts

# family -> (light fill, light stroke, dark fill, dark stroke)
COLOURS = {
    "input": ("#dbeafe", "#2563eb", "#172f57", "#60a5fa"),
    "shared": ("#fef3c7", "#b45309", "#42320c", "#fbbf24"),
    "constant": ("#f3f4f6", "#6b7280", "#272b33", "#9ca3af"),
    "elementwise": ("#dcfce7", "#15803d", "#10351f", "#4ade80"),
    "reduction": ("#ede9fe", "#6d28d9", "#2b1f52", "#a78bfa"),
    "contraction": ("#ffe4e6", "#be123c", "#4a1523", "#fb7185"),
    "view": ("#ffffff", "#94a3b8", "#161b22", "#64748b"),
    "gather": ("#ccfbf1", "#0f766e", "#0d3532", "#2dd4bf"),
    "random": ("#fae8ff", "#a21caf", "#401646", "#e879f9"),
    "routine": ("#ffedd5", "#c2410c", "#45210d", "#fb923c"),
    "control": ("#f5f7ff", "#4f46e5", "#171a2b", "#818cf8"),
    "check": ("#fee2e2", "#b91c1c", "#471717", "#f87171"),
    "output": ("#1f2937", "#1f2937", "#e5e7eb", "#e5e7eb"),
}


def _rules(fill: int, stroke: int) -> str:
    return "".join(f".{n}{{fill:{c[fill]};stroke:{c[stroke]}}}" for n, c in COLOURS.items())


_MONO = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace'

STYLE = (
    f"svg{{font-family:{_MONO}}}"
    ".paper{fill:#fff}.heading{font-size:15px;font-weight:600;fill:#111827}"
    f".name{{font-size:{TITLE}px;font-weight:600;fill:#111827;text-anchor:middle}}"
    f".line{{font-size:{LINE}px;fill:#374151}}.mid{{text-anchor:middle}}.code{{white-space:pre}}"
    ".nth{font-size:9px;fill:#6b7280}"
    ".box{stroke-width:1.2}.view{stroke-dasharray:3 2}.again{stroke-dasharray:1.5 2.5}"
    ".edge{fill:none;stroke:#9ca3af;stroke-width:1.2}.tip{fill:#9ca3af}"
    + _rules(0, 1)
    + "rect.output~.name{fill:#fff}"
    "@media (prefers-color-scheme:dark){"
    ".paper{fill:#0d1117}.heading,.name{fill:#f3f4f6}.line{fill:#c9d1d9}.nth{fill:#8b949e}"
    ".edge{stroke:#6e7681}.tip{fill:#6e7681}" + _rules(2, 3) + "rect.output~.name{fill:#0d1117}}"
)


def fill_and_stroke(family: str) -> tuple[str, str]:
    """The light colours of a family, for formats without style sheets."""
    return COLOURS[family][:2]
