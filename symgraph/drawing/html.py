"""HTML: one page that works offline, to move about in, to search, and to read each box's details.

The page is locked by a content security policy that admits its own script and style sheet, by their
hashes, and nothing else. Text of the user reaches it as escaped SVG text or as JSON that the script
turns into text nodes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from typing import Any

from symgraph.drawing.scene import Scene
from symgraph.drawing.svg import Placed, body, canvas, place
from symgraph.drawing.theme import STYLE

_HELP = (
    "Click a box for its details. Drag to move, turn the wheel to zoom, press f to see everything, "
    "/ to search and Enter for the next match."
)


def html(scene: Scene) -> str:
    """The whole page.

    >>> "<h1>&lt;b&gt;</h1>" in html(Scene("<b>", [], []))
    True
    """
    placed = place(scene)
    here = Path(__file__)
    script = here.with_name("page.js").read_text(encoding="utf-8")
    style = here.with_name("page.css").read_text(encoding="utf-8") + STYLE
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    title = escape(scene.title)
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8"/>',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>{title}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        f"<header><h1>{title}</h1>",
        f'<span id="count">{len(scene.boxes)} boxes</span>',
        '<input id="search" type="search" placeholder="search (/)" aria-label="search"/>',
        '<span id="hits" role="status"></span>',
        '<button id="fit" type="button" title="see everything (f)">fit</button></header>',
        '<main><svg xmlns="http://www.w3.org/2000/svg"><g id="world">',
        *body(placed),
        "</g></svg></main>",
        "<aside></aside>",
        f'<script type="application/json" id="data">{_json(_data(placed))}</script>',
        f"<script>{script}</script>",
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def _data(placed: Placed) -> dict[str, Any]:
    width, height = canvas(placed)
    boxes: dict[str, Any] = {}
    _collect(placed, "", boxes)
    return {"boxes": boxes, "width": round(width), "height": round(height), "help": _HELP}


def _collect(placed: Placed, prefix: str, boxes: dict[str, Any]) -> None:
    for k, box in enumerate(placed.scene.boxes):
        boxes[f"{prefix}{k}"] = {"title": box.title, "details": box.details}
        for n, (_, inner) in enumerate(placed.inner[k]):
            _collect(inner, f"{prefix}{k}.{n}.", boxes)


def _json(value: Any) -> str:
    """JSON that cannot end its script element, whatever the strings are."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
