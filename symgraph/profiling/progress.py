"""One line on the terminal about a compilation that takes longer than a second: the stage, the time
gone by and about how much is left. It is taken away when the compilation ends.

Nothing is written unless the standard error is a terminal and the setting `progress` is on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

from symgraph import config

AFTER, EVERY = 1.0, 0.2  # seconds
# the usual part of each stage in a long compilation, from which the rest is guessed
SHARES = {"optimize": 0.35, "lower": 0.15, "emit": 0.25, "llvm": 0.25}


class Progress:
    """The line about one compilation; ``clock`` and ``stream`` are replaced by tests.

    >>> import io
    >>> out = io.StringIO()
    >>> p = Progress("train", out, iter([0.0, 0.7, 0.8]).__next__, 79)
    >>> p.stage("lower")
    >>> p.show()
    >>> out.getvalue().strip()
    'symgraph: compiling train: lower (2 of 4), 1 s, about 1 s left'
    """

    def __init__(
        self, name: str, stream: TextIO, clock: Callable[[], float], width: int | None = None
    ) -> None:
        self.name, self.stream, self.clock = name, stream, clock
        self.width, self.start = width, clock()
        self.current, self.shown, self.began = "optimize", False, self.start

    def stage(self, name: str) -> None:
        """From here on this stage runs."""
        self.current, self.began = name, self.clock()

    def left(self, gone: float) -> float:
        """Seconds that may be left: from what the stages before took, of their usual part."""
        names = list(SHARES)
        number = names.index(self.current)
        here = self.start + gone - self.began
        before = sum(SHARES[n] for n in names[:number])
        after = sum(SHARES[n] for n in names[number + 1 :])
        if not number:
            return here * (0.5 * SHARES[self.current] + after) / SHARES[self.current]
        whole = (self.began - self.start) / before  # of the compilation, as it began
        stage = max(whole * SHARES[self.current] - here, here / 4)
        return stage + max(whole, here / SHARES[self.current]) * after

    def show(self) -> None:
        """Write the line, in the place of the last."""
        names = list(SHARES)
        number = names.index(self.current)
        gone = self.clock() - self.start
        where = f"{self.current} ({number + 1} of {len(names)})"
        left = f"{gone:.0f} s, about {self.left(gone):.0f} s left"
        text = f"symgraph: compiling {self.name}: {where}, {left}"
        width = self.width or _columns()
        text = "".join(c if c.isprintable() else "?" for c in text)[: max(1, width - 1)]
        self._write("\r" + text.ljust(max(1, width - 1)))
        self.shown = True

    def end(self) -> None:
        """Take the line away."""
        if self.shown:
            width = self.width or _columns()
            self._write("\r" + " " * max(1, width - 1) + "\r")

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError, UnicodeError):  # a terminal that went away is no error here
            pass


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


def telling(name: str) -> AbstractContextManager[Callable[[str], None]]:
    """`progress` where it is wanted and seen, else nothing."""
    try:
        shown = config.get("progress") and sys.stderr.isatty()
    except (AttributeError, ValueError):  # no standard error, or a closed one
        shown = False
    return progress(name) if shown else nullcontext(lambda stage: None)


@contextmanager
def progress(name: str) -> Iterator[Callable[[str], None]]:
    """Show the progress meanwhile; yields what is to be told the name of each stage."""
    line = Progress(name, sys.stderr, time.perf_counter)
    over = threading.Event()

    def watch() -> None:
        if not over.wait(AFTER):
            while True:
                line.show()
                if over.wait(EVERY):
                    return

    thread = threading.Thread(target=watch, name="symgraph-progress", daemon=True)
    thread.start()
    try:
        yield line.stage
    finally:
        over.set()
        thread.join()
        line.end()
