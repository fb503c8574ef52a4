"""How large the code is: lines and functions per file, totals per layer, against the house budgets.

    python benchmarks/size.py [--all]

Prints one row per directory of the package, the files and functions over budget, and the totals;
`--all` adds a row for every file. Source lines are lines that are neither blank nor only comment
or docstring.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FILE_BUDGET, FUNCTION_BUDGET = 400, 40
QUIET = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
QUIET |= {tokenize.ENCODING, tokenize.ENDMARKER}


class Function(NamedTuple):
    name: str
    line: int
    length: int  # lines of the body and the signature, without the docstring


class Measure(NamedTuple):
    path: str
    lines: int
    source_lines: int
    functions: list[Function]


def measure(path: Path) -> Measure:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    return Measure(
        path.relative_to(ROOT).as_posix(),
        len(text.splitlines()),
        len(code_lines(text) - docstring_lines(tree)),
        list(functions(tree)),
    )


def code_lines(text: str) -> set[int]:
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in QUIET:
            found.update(range(token.start[0], token.end[0] + 1))
    return found


def docstring_lines(tree: ast.AST) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        statement = docstring(node)
        if statement is not None:
            found.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    return found


def docstring(node: ast.AST) -> ast.stmt | None:
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, scopes) and ast.get_docstring(node, clean=False) is not None:
        return node.body[0]
    return None


def functions(tree: ast.AST) -> list[Function]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            text = docstring(node)
            if text is not None:
                length -= (text.end_lineno or text.lineno) - text.lineno + 1
            found.append(Function(node.name, node.lineno, length))
    return found


def quantile(values: list[int], q: float) -> int:
    return sorted(values)[min(int(q * len(values)), len(values) - 1)] if values else 0


def row(name: str, measures: list[Measure]) -> str:
    lengths = [f.length for m in measures for f in m.functions]
    files = [m.lines for m in measures]
    return (
        f"{name:36} {len(files):6} {sum(files):7} {sum(m.source_lines for m in measures):7}"
        f" {median(files):7.0f} {max(files):5} {len(lengths):6}"
        f" {median(lengths) if lengths else 0:6.0f} {quantile(lengths, 0.95):5}"
    )


def group(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else f"{parts[0]}/*.py"


def report(every_file: bool) -> None:
    paths = [
        p for top in ("symgraph", "keras_symgraph", "tests") for p in (ROOT / top).rglob("*.py")
    ]
    measures = [measure(p) for p in sorted(paths)]
    groups: dict[str, list[Measure]] = defaultdict(list)
    for m in measures:
        groups[group(m.path)].append(m)
    names = ("files", "lines", "source", "median", "max", "funcs", "median", "p95")
    print(f"{'':36} {names[0]:>6} {names[1]:>7} {names[2]:>7} {names[3]:>7} {names[4]:>5}", end="")
    print(f" {names[5]:>6} {names[6]:>6} {names[7]:>5}")
    for name, members in groups.items():
        print(row(name, members))
        for m in members if every_file else ():
            print(row("  " + m.path.split("/")[-1], [m]))
    for top in ("symgraph", "tests"):
        members = [m for m in measures if m.path.startswith(f"{top}/")]
        if members:
            print(row(f"total {top}", members))
    over_budget([m for m in measures if not m.path.startswith("tests/")])


def over_budget(measures: list[Measure]) -> None:
    for m in measures:
        if m.lines > FILE_BUDGET:
            print(f"over {FILE_BUDGET} lines: {m.path} ({m.lines})")
        for f in m.functions:
            if f.length > FUNCTION_BUDGET:
                print(f"over {FUNCTION_BUDGET} lines: {m.path}:{f.line} {f.name} ({f.length})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="a row for every file")
    report(parser.parse_args().all)
