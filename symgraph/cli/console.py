"""What commands print: text that survives every terminal, colours only where they are wanted."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


def write(text: str) -> None:
    """Text on the standard output, with a newline at its end. What the output's encoding cannot
    spell is escaped."""
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    safe = text.encode(encoding, "backslashreplace").decode(encoding)
    stream.write(safe if safe.endswith("\n") else safe + "\n")


def write_json(schema: str, content: Mapping[str, Any]) -> None:
    """One JSON object that says which schema it follows."""
    write(json_text(schema, content))


def json_text(schema: str, content: Mapping[str, Any]) -> str:
    """The object as text, with `schema` and `version` first."""
    return json.dumps({"schema": f"symgraph.{schema}", "version": 1, **content}, indent=2)


def printable(text: str) -> str:
    """One line without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns wide enough for their cells; those in ``right`` are aligned to the right.

    >>> print(table(["name", "size"], [["a", "10"], ["bc", "5"]], right=[1]))
    name  size
    a       10
    bc       5
    """
    cells = [[printable(c) for c in row] for row in (head, *rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        pairs = enumerate(zip(row, widths, strict=True))
        lines.append(
            "  ".join(c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in pairs).rstrip()
        )
    return "\n".join(lines)


def cut(text: str) -> str:
    """The lines as long as the terminal is wide; whole where the output is no terminal, since a
    reader further down the pipe wants all of them."""
    if not sys.stdout.isatty():
        return text
    width = max(20, shutil.get_terminal_size().columns)
    lines = text.split("\n")
    return "\n".join(x if len(x) <= width else x[: width - 1] + "~" for x in lines)


def fold(text: str, indent: int | None = None) -> str:
    """Long lines go on in the next, further to the right by 4 or from the column ``indent`` on,
    where the output is a terminal; words are left whole."""
    if not sys.stdout.isatty():
        return text
    return folded(text, max(20, shutil.get_terminal_size().columns), indent)


def folded(text: str, width: int, indent: int | None = None) -> str:
    """
    >>> print(folded("  one two three", 9))
      one two
          three
    """
    lines: list[str] = []
    for line in text.split("\n"):
        here = len(line) - len(line.lstrip()) + 4 if indent is None else indent
        here = min(here, width // 2)
        while len(line) > width and "\t" not in line:
            start = len(line) - len(line.lstrip())
            at = line.rfind(" ", max(start, here) + 1, width + 1)
            if at < 0:  # one long word: on to its end
                at = line.find(" ", width)
            if at < 0:
                break
            lines.append(line[:at].rstrip())
            line = " " * here + line[at:].lstrip()
        lines.append(line)
    return "\n".join(lines)


def bytes_text(count: float) -> str:
    """
    >>> bytes_text(512), bytes_text(2048), bytes_text(3 << 30)
    ('512 B', '2.0 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024 or unit == "GiB":
            break
    return f"{count:.1f} {unit}"


def coloured(stream: TextIO) -> bool:
    """Whether a stream wants colours: a terminal, without NO_COLOR (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, code: str, stream: TextIO) -> str:
    """The text in an ANSI colour where the stream wants it; ``code`` as in "1;31"."""
    return f"\x1b[{code}m{text}\x1b[0m" if coloured(stream) else text
