"""The error of the command line: what was asked for cannot be found or shown."""

from __future__ import annotations

from symgraph.errors import SymgraphError
from symgraph.provenance import Origin


class SubjectError(SymgraphError, ValueError):
    """What a command was given cannot be found, or is nothing that it can show.

    A subject is `file.py:name` or `module:name`, where the name is a symbolic variable, a list,
    tuple or dict of them, a graph or a compiled function; or a file that `sg.save` wrote. The file
    or module is imported, not run: what stands under `if __name__ == "__main__":` is left out, so
    the name must be defined at the top level.

    Fails::

        symgraph dump examples/digits_mlp.py

    Mended::

        symgraph dump examples/digits_mlp.py:loss
    """

    code = "SG901"

    def __init__(self, what: str, *, origin: Origin | None = None, hint: str = "") -> None:
        super().__init__(what, origin=origin, hint=hint)
        self.origin = origin  # without one no line of the launching script is shown either
