"""The digest of the compiler's own sources."""

from __future__ import annotations

from pathlib import Path

import symgraph
from symgraph.runtime.sources import FOLDERS

PACKAGE = Path(symgraph.__file__).parent


def test_every_folder_of_the_compiler_counts() -> None:
    """An edit anywhere in it must never meet what the compiler made before."""
    tops = {folder.partition("/")[0] for folder in FOLDERS} - {""}
    packages = {p.parent.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("__init__.py")}
    assert set(FOLDERS) - {""} == {p for p in packages if p.partition("/")[0] in tops}
