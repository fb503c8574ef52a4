"""The door of the command line: help at once, everything else by `cli/main.py`.

What `symgraph --help` prints is kept as a text (`help.txt`, which a test compares with the
parser's), since making a parser takes longer than starting Python.
"""

from __future__ import annotations

import importlib
import os
import sys


def main() -> int:
    """Run the command of the process; returns its exit status."""
    if sys.argv[1:] not in (["--help"], ["-h"]):
        try:
            status: int = importlib.import_module("symgraph.cli.main").main()
        except KeyboardInterrupt:  # while modules are loaded
            return 130
        return status
    with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:
        text = file.read()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # let what Python still flushes at its end go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0
