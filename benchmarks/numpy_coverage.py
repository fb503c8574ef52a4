"""Which of NumPy's public functions symgraph has, and the share; writes docs/numpy.md.

    python -m benchmarks.numpy_coverage            prints the share and what is missing
    python -m benchmarks.numpy_coverage --write    also writes docs/numpy.md

Counted are the functions of numpy, numpy.linalg and numpy.fft (not classes, dtypes, constants).
Functions that make no sense on symbolic graphs are listed in EXCLUDED with the reason; nothing is
left out silently.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from symgraph import api

PAGE = Path(__file__).resolve().parent.parent / "docs" / "numpy.md"

_REASONS = {
    "files and text: a tensor is data only when a function runs": """array2string array_repr
        array_str base_repr binary_repr datetime_as_string format_float_positional
        format_float_scientific fromfile fromregex fromstring genfromtxt get_printoptions info
        load loadtxt printoptions save savetxt savez savez_compressed set_printoptions""",
    "settings and facts of NumPy's own machinery": """busday_count busday_offset datetime_data
        get_include getbufsize geterr geterrcall is_busday nested_iters setbufsize seterr
        seterrcall show_config show_runtime test isnat""",
    "memory layout: symgraph chooses it": """ascontiguousarray asfortranarray from_dlpack
        frombuffer isfortran may_share_memory require shares_memory""",
    "questions about dtypes and Python values: NumPy's answer is right for symgraph": """can_cast
        common_type isdtype iscomplexobj isrealobj isscalar issubdtype iterable min_scalar_type
        mintypecode promote_types result_type typename""",
    "depends on values for its type, or checks them while the graph is built": """
        asarray_chkfinite real_if_close""",
    "Python callables over elements or iterators: a graph has no elements yet": """fromiter
        frompyfunc mask_indices""",
    "the order of contraction is the compiler's business": "einsum_path",
    "the matrix class, which NumPy itself advises against": "asmatrix",
}
EXCLUDED = {name: reason for reason, names in _REASONS.items() for name in names.split()}

# what has another name here
RENAMED = {"apply_along_axis": "vmap"}


class Entry(NamedTuple):
    """One function: its module, name, counterpart ("" for none) and reason for being left out."""

    module: str
    name: str
    ours: str
    excluded: str


def _modules() -> list[tuple[str, Any, list[Any]]]:
    linalg, fft = getattr(api, "linalg", None), getattr(api, "fft", None)
    return [
        ("numpy", np, [api]),
        ("numpy.linalg", np.linalg, [linalg, api]),
        ("numpy.fft", np.fft, [fft]),
    ]


def _counterpart(name: str, places: list[Any]) -> str:
    name = RENAMED.get(name, name)
    for place in places:
        if place is not None and hasattr(place, name):
            prefix = "sg" if place is api else f"sg.{place.__name__.rsplit('.', 1)[-1]}"
            return f"{prefix}.{name}"
    return ""


def entries() -> Iterator[Entry]:
    """Every public function of the modules, in alphabetical order."""
    for label, module, places in _modules():
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if not callable(value) or isinstance(value, type):
                continue
            excluded = EXCLUDED.get(name, "") if label == "numpy" else ""
            ours = "" if excluded else _counterpart(name, places)  # sg.save is not np.save
            yield Entry(label, name, ours, excluded)


def share(rows: list[Entry]) -> tuple[int, int]:
    """How many of those that are counted have a counterpart, and how many are counted."""
    counted = [r for r in rows if not r.excluded]
    return sum(bool(r.ours) for r in counted), len(counted)


def page(rows: list[Entry]) -> str:
    """docs/numpy.md."""
    lines = [
        "# NumPy's functions in symgraph",
        "",
        "Written by `python -m benchmarks.numpy_coverage --write` from NumPy "
        f"{np.__version__}; do not edit. Functions that change an array in place return a changed "
        "copy here.",
        "",
        "| module | counted | in symgraph | share |",
        "|---|---|---|---|",
    ]
    labels = list(dict.fromkeys(r.module for r in rows))
    for label in [*labels, "all"]:
        have, count = share([r for r in rows if label in (r.module, "all")])
        lines.append(f"| {label} | {count} | {have} | {have / count:.1%} |")
    for label in labels:
        lines += ["", f"## {label}", "", "| NumPy | symgraph |", "|---|---|"]
        for r in rows:
            if r.module == label and not r.excluded:
                ours = f"`{r.ours}`" if r.ours else "-"
                lines.append(f"| `{r.name}` | {ours} |")
    lines += ["", "## Not counted", ""]
    for reason in _REASONS:
        names = [r.name for r in rows if r.excluded == reason]
        if names:
            lines.append(f"* {reason}: {', '.join(f'`{n}`' for n in names)}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the share and what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help="write docs/numpy.md")
    rows = list(entries())
    for label in dict.fromkeys(r.module for r in rows):
        own = [r for r in rows if r.module == label]
        have, count = share(own)
        missing = [r.name for r in own if not r.ours and not r.excluded]
        print(f"{label}: {have} of {count} ({have / count:.1%}); missing: {', '.join(missing)}")
    have, count = share(rows)
    print(f"all: {have} of {count} ({have / count:.1%})")
    if parser.parse_args().write:
        PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
