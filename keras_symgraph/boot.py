"""Makes an environment import this package before Keras by itself.

    python -m keras_symgraph.boot            # writes a line of Python's start-up files
    python -m keras_symgraph.boot --remove   # takes it away

The line arms the hook of `hook.py` at every start of Python, which costs about a millisecond; Keras
and symgraph are imported by who asks for them.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path

NAME = "keras_symgraph.pth"


def place() -> Path:
    """The file that Python reads when it starts in this environment."""
    return Path(sysconfig.get_paths()["purelib"]) / NAME


def line(root: Path) -> str:
    """What stands in it: nothing happens where the package is gone."""
    return (
        f"import sys; p = {str(root)!r}; sys.path.count(p) or sys.path.append(p); "
        "exec('try:\\n import keras_symgraph\\nexcept ImportError:\\n pass')\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Write or remove the file, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--remove", action="store_true", help="undo it")
    file = place()
    if parser.parse_args(arguments).remove:
        file.unlink(missing_ok=True)
        print(f"removed {file}")
        return
    file.write_text(line(Path(__file__).resolve().parents[1]), encoding="utf-8")
    print(f"wrote {file}; KERAS_BACKEND=symgraph now needs no import of keras_symgraph")


if __name__ == "__main__":
    main()
