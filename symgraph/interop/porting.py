"""What a Theano or PyTensor script uses, and what to write for it in symgraph.

The script is read, never run: its imports say what its names mean. `theano_words.py` holds the
names that differ; all others are the same ones here, and are looked up among the public names.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator

from symgraph.interop.theano_words import KEYWORDS, METHODS, MODULES, PLACES, WORDS
from symgraph.records import NamedTuple

PACKAGES = ("theano", "pytensor", "aesara")
_DTYPES = {
    "b": "int8", "w": "int16", "i": "int32", "l": "int64",
    "f": "float32", "d": "float64", "c": "complex64", "z": "complex128",
}  # fmt: skip
_TYPED = re.compile(r"([bwilfdcz]?)(scalar|vector|matrix|matrice|row|col|tensor[3-7])(s?)")
_LISTS = re.compile(r"(\w+_(types|dtypes)|\w+_type)")


class Answer(NamedTuple):
    """What to write: ``found`` is False when symgraph has nothing of the kind."""

    found: bool
    write: str
    remark: str


class Use(NamedTuple):
    """One name of a script: how it is spelled, in full, on which lines, and the answer to it."""

    spelled: str
    full: str
    lines: tuple[int, ...]
    answer: Answer


def equivalent(full: str) -> Answer:
    """The answer to a name in full, as `theano.tensor.nnet.relu`, whichever package it is from.

    >>> equivalent("theano.tensor.neq").write, equivalent("pytensor.tensor.exp").write
    ('sg.not_equal', 'sg.exp')
    """
    path = full.split(".", 1)[1] if full.split(".", 1)[0] in PACKAGES and "." in full else full
    for module, table in MODULES.items():
        if module and path.startswith(module + "."):
            return _in_table(table, path[len(module) + 1 :])
    return _in_table("top", path)


def _in_table(table: str, rest: str) -> Answer:
    name = rest.split(".")[0]
    listed = WORDS[table].get(name)
    if listed is not None:
        return Answer(True, *listed)
    typed = _TYPED.fullmatch(name)
    if typed and table in ("tensor", "top"):
        return _typed(*typed.groups())
    if name.endswith("_inplace"):
        plain = _in_table(table, name.removesuffix("_inplace"))
        return plain._replace(remark="work in place is the compiler's business")
    place = _public(name, PLACES[table])
    if place:
        return Answer(True, place, "")
    if _LISTS.fullmatch(name):
        return Answer(True, "", "lists of types; a type here is a dtype and a shape")
    return Answer(False, "", "")


def _typed(prefix: str, rank: str, plural: str) -> Answer:
    dtype = f', dtype="{_DTYPES[prefix]}"' if prefix else ""
    remark = "one call for each variable" if plural or rank == "matrice" else ""
    rank = "matrix" if rank == "matrice" else rank
    if rank in ("row", "col"):
        shape = '(1, "n")' if rank == "row" else '("n", 1)'
        return Answer(True, f"sg.matrix(name{dtype}, shape={shape})", remark)
    if rank.startswith("tensor"):
        shape = "(" + ", ".join(f'"{c}"' for c in "abcdefg"[: int(rank[-1])]) + ")"
        return Answer(True, f"sg.tensor(name{dtype}, shape={shape})", remark)
    return Answer(True, f"sg.{rank}(name{dtype})", remark)


def _public(name: str, places: tuple[str, ...]) -> str:
    top = importlib.import_module("symgraph.api")
    for place in places:
        module = getattr(top, place, None) if place else top
        if module is not None and name in getattr(module, "__all__", ()):
            return ".".join(p for p in ("sg", place, name) if p)
    return ""


# reading a script ---------------------------------------------------------------------------------


def uses(source: str, filename: str = "<script>") -> list[Use]:
    """Every name of Theano, Aesara or PyTensor in a script, in the order of first use.

    Raises SyntaxError when the script is not Python 3.

    >>> script = "import theano.tensor as T\\nx = T.dmatrix()\\ny = T.sqr(x).dimshuffle(1, 0)\\n"
    >>> [(u.spelled, u.answer.write) for u in uses(script)][1:]
    [('T.sqr', 'sg.square'), ('.dimshuffle', 'sg.transpose')]
    """
    tree = ast.parse(source, filename)
    meanings = _meanings(tree)
    found: dict[tuple[str, str], tuple[list[int], Answer]] = {}
    for spelled, full, line, answer in _found(tree, meanings):
        found.setdefault((spelled, full), ([], answer))[0].append(line)
    made = [Use(s, f, tuple(sorted(set(lines))), a) for (s, f), (lines, a) in found.items()]
    return sorted(made, key=lambda u: (u.lines[0], u.spelled.startswith("."), u.spelled))


def _meanings(tree: ast.AST) -> dict[str, str]:
    """What every imported name stands for, in full; other packages' names too."""
    meanings: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    meanings[alias.asname] = alias.name
                else:
                    root = alias.name.split(".")[0]
                    meanings[root] = root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                meanings[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return meanings


def _found(tree: ast.AST, meanings: dict[str, str]) -> Iterator[tuple[str, str, int, Answer]]:
    inner: set[ast.AST] = set()  # parts of longer chains
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _keywords(node, meanings)
        if node in inner or not isinstance(node, ast.Name | ast.Attribute):
            continue
        chain = _chain(node, inner)
        root = meanings.get(chain[0]) if chain[0] else None
        if root is None:
            yield from _methods(node, chain[1:])
        elif root.split(".")[0] in PACKAGES:
            words = [*root.split("."), *chain[1:]]
            count = _module_length(words) + 1
            if count > len(words):
                continue  # a module by itself
            extra = len(words) - count  # attributes of what the name stands for
            kept = chain[: len(chain) - extra]
            full = ".".join(words[:count])
            yield ".".join(kept), full, node.lineno, equivalent(full)
            yield from _methods(node, chain[len(kept) :])


def _chain(node: ast.expr, inner: set[ast.AST]) -> list[str]:
    """`a.b.c` as its words; the first is "" when the root is no plain name."""
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.append(node.attr)
        node = node.value
        inner.add(node)
    words.append(node.id if isinstance(node, ast.Name) else "")
    return words[::-1]


def _methods(node: ast.expr, words: list[str]) -> Iterator[tuple[str, str, int, Answer]]:
    for word in words:
        if word in METHODS:
            yield f".{word}", f".{word}", node.lineno, Answer(True, *METHODS[word])


def _keywords(
    node: ast.Call, meanings: dict[str, str]
) -> Iterator[tuple[str, str, int, Answer]]:  # fmt: skip
    chain = _chain(node.func, set())
    root = meanings.get(chain[0], "")
    full = ".".join([root, *chain[1:]])
    if root.split(".")[0] not in PACKAGES:
        return
    for keyword in node.keywords:
        answer = KEYWORDS.get(full.rsplit(".", 1)[-1], {}).get(keyword.arg or "")
        if answer is not None:
            yield f"{chain[-1]}({keyword.arg}=)", full, node.lineno, Answer(True, *answer)


def _module_length(words: list[str]) -> int:
    """How many of the words name the package and its module."""
    for module in MODULES:
        parts = module.split(".") if module else []
        if words[1 : len(parts) + 1] == parts:
            return len(parts) + 1
    return 1
