"""The page: a frame of HTML, a style sheet and a script from `assets/`, and the data as JSON.

A content security policy admits this script and this style sheet, by their hashes, and nothing
else: no request, no other script, no form. All text of the user is in the data, from where the
script brings it to the page as text nodes and canvas text.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from typing import Any

from symgraph.drawing.viewer.data import to_json

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SCRIPTS = ("model.js", "canvas.js", "texts.js", "memory.js", "viewer.js")  # in this order


def page(data: dict[str, Any]) -> str:
    """The whole page for data of `data.page_data`."""
    script = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (ASSETS / "viewer.css").read_text(encoding="utf-8")
    body = (ASSETS / "viewer.html").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(str(data['title']))} · symgraph</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        body,
        f'<script type="application/json" id="data">{to_json(data)}</script>',
        f"<script>{script}</script>",
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
