"""SVG: one file without scripts, readable in light and dark surroundings.

Colours and fonts are CSS classes, so the same markup serves the HTML page. All text is escaped
here; nothing that a user names can become markup.
"""

from __future__ import annotations

from html import escape

from symgraph.drawing.layout import Layout, Point, layered
from symgraph.drawing.scene import FAMILIES, Box, Scene, columns
from symgraph.drawing.theme import CHARACTER, LINE, STYLE, TITLE
from symgraph.drawing.untangle import untangled
from symgraph.records import NamedTuple

PAD_X, PAD_Y = 10.0, 7.0
MARGIN = 24.0
CAPTION = 20.0
PITCH = LINE + 3.5


class Placed(NamedTuple):
    """A scene with places; ``inner`` has the placed scenes inside each box."""

    scene: Scene
    layout: Layout
    sizes: list[tuple[float, float]]
    inner: list[list[tuple[str, Placed]]]


def place(scene: Scene) -> Placed:
    """Everything that the picture of a scene needs to know."""
    scene = untangled(scene)
    inner = [[(word, place(s)) for word, s in box.inner] for box in scene.boxes]
    sizes = [_size(box, parts) for box, parts in zip(scene.boxes, inner, strict=True)]
    layout = layered(sizes, [(e.source, e.target) for e in scene.edges])
    return Placed(scene, layout, sizes, inner)


def _size(box: Box, inner: list[tuple[str, Placed]]) -> tuple[float, float]:
    title = columns(box.title) * CHARACTER * TITLE / LINE
    width = max([title, *(columns(t) * CHARACTER for t in (*box.lines, *box.code))])
    height = text_height(box)
    if inner:
        width = max(width, sum(p.layout.width + MARGIN for _, p in inner))
        height += CAPTION + max(p.layout.height for _, p in inner) + PAD_Y
    return width + 2 * PAD_X, height


def text_height(box: Box) -> float:
    """The height of a box down to what is drawn inside it."""
    code = PAD_Y if box.code else 0.0
    return 2 * PAD_Y + TITLE + (len(box.lines) + len(box.code)) * PITCH + code


def svg(scene: Scene) -> str:
    """The picture of a scene as a complete SVG file.

    >>> svg(Scene("<none>", [], [])).splitlines()[1]
    '<title>&lt;none&gt;</title>'
    """
    placed = place(scene)
    width, height = canvas(placed)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">'
    )
    parts = [head, f"<title>{escape(scene.title)}</title>", f"<style>{STYLE}</style>"]
    parts += [f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>']
    parts += body(placed)
    return "\n".join([*parts, "</svg>", ""])


def canvas(placed: Placed) -> tuple[float, float]:
    """Width and height of the whole picture."""
    wide = max(placed.layout.width, _heading_width(placed.scene), _legend(placed.scene)[1])
    return wide + 2 * MARGIN, placed.layout.height + 3 * MARGIN + 2 * CAPTION


def body(placed: Placed) -> list[str]:
    """Heading, legend, edges and boxes, for a canvas of that size."""
    wide, _ = canvas(placed)
    left = (wide - placed.layout.width) / 2
    parts = [
        f'<text class="heading" x="{MARGIN}" y="{MARGIN + 8}">{escape(placed.scene.title)}</text>'
    ]
    parts += [
        f'<g transform="translate({MARGIN} {MARGIN + CAPTION})">',
        *_legend(placed.scene)[0],
        "</g>",
    ]
    parts += [f'<g transform="translate({left:.1f} {2 * MARGIN + 2 * CAPTION})">']
    return [*parts, *_picture(placed, ""), "</g>"]


def _heading_width(scene: Scene) -> float:
    return columns(scene.title) * 9.0


def _legend(scene: Scene) -> tuple[list[str], float]:
    used = _families(scene)
    parts, x = [], 0.0
    for name, word in FAMILIES.items():
        if name in used:
            parts.append(
                f'<rect class="box {name}" x="{x:.1f}" y="0" width="14" height="12" rx="3"/>'
            )
            parts.append(f'<text class="line" x="{x + 19:.1f}" y="10">{word}</text>')
            x += 19 + len(word) * CHARACTER + 18
    return parts, x


def _families(scene: Scene) -> set[str]:
    found = {box.family for box in scene.boxes}
    for box in scene.boxes:
        for _, inner in box.inner:
            found |= _families(inner)
    return found


# boxes and edges ----------------------------------------------------------------------------------


def _picture(placed: Placed, prefix: str) -> list[str]:
    layout, scene = placed.layout, placed.scene
    parts = []
    swapped = _swapped(placed)
    for number, (edge, route) in enumerate(zip(scene.edges, layout.routes, strict=True)):
        ends = f'data-s="{prefix}{edge.source}" data-t="{prefix}{edge.target}"'
        parts.append(f'<path class="edge" {ends} d="{_curve(route)}"/>')
        parts.append(f'<path class="tip" {ends} d="{_tip(route[-1])}"/>')
        if number in swapped:
            x, y = route[-1]
            parts.append(
                f'<text class="nth" x="{x + 6:.1f}" y="{y - 3:.1f}">{edge.position}</text>'
            )
    for k, box in enumerate(scene.boxes):
        parts += _box(box, f"{prefix}{k}", layout.boxes[k], placed.sizes[k], placed.inner[k])
    return parts


def _swapped(placed: Placed) -> set[int]:
    """Edges whose target reads them in another order than they stand in the picture."""
    entering: dict[int, list[tuple[float, int]]] = {}
    for k, e in enumerate(placed.scene.edges):
        entering.setdefault(e.target, []).append((placed.layout.routes[k][-1][0], k))
    found: set[int] = set()
    for arriving in entering.values():
        numbers = [k for _, k in sorted(arriving)]
        positions = [placed.scene.edges[k].position for k in numbers]
        if positions != sorted(positions):
            found.update(numbers)
    return found


def _box(
    box: Box, key: str, corner: Point, size: tuple[float, float], inner: list[tuple[str, Placed]]
) -> list[str]:
    (x, y), (w, h) = corner, size
    look = f"box {box.family}" + (" again" if box.again else "")
    middle = w / 2
    parts = [f'<g class="node" data-k="{key}" transform="translate({x:.1f} {y:.1f})">']
    tooltip = "\n".join(f"{word}: {text}" for word, text in box.details)
    if tooltip:
        parts.append(f"<title>{escape(_printable(tooltip))}</title>")
    radius = h / 2 if box.family == "output" else 7
    parts.append(f'<rect class="{look}" width="{w:.1f}" height="{h:.1f}" rx="{radius:.1f}"/>')
    at = PAD_Y + TITLE - 2
    parts.append(f'<text class="name" x="{middle:.1f}" y="{at:.1f}">{escape(box.title)}</text>')
    for line in box.lines:
        at += PITCH
        parts.append(f'<text class="line mid" x="{middle:.1f}" y="{at:.1f}">{escape(line)}</text>')
    at += PAD_Y
    for line in box.code:
        at += PITCH
        parts.append(f'<text class="line code" x="{PAD_X}" y="{at:.1f}">{escape(line)}</text>')
    left, top = MARGIN / 2, text_height(box) + CAPTION
    for n, (word, placed) in enumerate(inner):
        parts.append(f'<text class="line" x="{left:.1f}" y="{top - 6:.1f}">{escape(word)}</text>')
        parts.append(f'<g transform="translate({left:.1f} {top:.1f})">')
        parts += [*_picture(placed, f"{key}.{n}."), "</g>"]
        left += placed.layout.width + MARGIN
    return [*parts, "</g>"]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _curve(route: list[Point]) -> str:
    """A smooth path: vertical at every point, straight where the points stand above each other."""
    points = [route[0], *route[1:-1], (route[-1][0], route[-1][1] - 6.0)]  # room for the tip
    (x, y) = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for u, v in points[1:]:
        if abs(u - x) < 0.5:
            if abs(v - y) > 0.05:
                parts.append(f"L{u:.1f} {v:.1f}")
        else:
            bend = (v - y) / 2
            parts.append(f"C{x:.1f} {y + bend:.1f} {u:.1f} {v - bend:.1f} {u:.1f} {v:.1f}")
        x, y = u, v
    return "".join(parts)


def _tip(point: Point) -> str:
    x, y = point
    return f"M{x - 3.5:.1f} {y - 7:.1f}L{x + 3.5:.1f} {y - 7:.1f}L{x:.1f} {y:.1f}Z"
