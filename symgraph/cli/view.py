"""`symgraph view SUBJECT -o page.html`: one offline page about a program, from source to memory."""

from __future__ import annotations

import argparse
import json
import webbrowser
from pathlib import Path
from typing import Any

from symgraph.cli.console import write, write_json
from symgraph.cli.problems import SubjectError
from symgraph.cli.subject import definition
from symgraph.drawing.viewer import view_page


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and say where it is."""
    d, words = definition(arguments.subject)
    text = view_page(
        d, words, sizes=_sizes(arguments.size), until=_until(arguments),
        profile=_profile(arguments.profile), target=arguments.target,
    )  # fmt: skip
    path = Path(arguments.output or f"{_plain(d.name)}.html")
    path.write_text(text, encoding="utf-8")
    if arguments.json:
        row = {"subject": arguments.subject, "page": str(path), "bytes": path.stat().st_size}
        write_json("view", row)
    else:
        write(f"{path}  {len(text) / 1e6:.1f} MB")
    if arguments.open:
        webbrowser.open(path.resolve().as_uri())
    return 0


def _until(arguments: argparse.Namespace) -> str:
    """The last stage; each target has one of its own."""
    stage, on_cpu = arguments.until, arguments.target == "cpu"
    if stage == ("ptx" if on_cpu else "asm"):
        raise SubjectError(
            f"view: the target {arguments.target} has no stage {stage}",
            hint="--target cuda or cuda:sm_90 has" if on_cpu else "it has ptx",
        )
    return stage or "asm"


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80] or "page"


def _sizes(given: list[str] | None) -> dict[str, int]:
    sizes = {}
    for text in given or ():
        name, _, value = text.partition("=")
        if not name or not value.isdigit():
            raise SubjectError(f"view: {text!r} is no size", hint="sizes are given as batch=32")
        sizes[name] = int(value)
    return sizes


def _profile(path: str | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SubjectError(
            f"view: {path} cannot be read as a profile: {error}",
            hint="symgraph profile --json writes one",
        ) from None
