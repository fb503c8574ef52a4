"""`python -m symgraph`: the command line."""

from __future__ import annotations

import sys

from symgraph.cli.start import main

if __name__ == "__main__":
    sys.exit(main())
