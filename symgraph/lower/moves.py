"""Kernels that only move elements, as kernels of words.

An element that is read, chosen and written but never computed with may be of any dtype of its size.
Code generation takes complex numbers apart and computes with narrow floats as float32; a word it
moves as it is, in squares, backwards, from afar (`tiling.py`, `codegen/strides_llvm.py`).
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.scalar import Expr, const, node, postorder, rebuild, transform

_LEAVES = ("load", "load_if", "var", "const")


def as_words(kernel: Kernel) -> Kernel:
    """The kernel with words instead of the complex and narrow numbers that it only moves; itself
    where it moves none, or has folds."""
    moved = {p.dtype for p in kernel.params if p.dtype in dtypes.WORDS}
    if not moved or any(isinstance(s, Fold) for s in walk(kernel.body)):
        return kernel
    for e in postorder([e for s in walk(kernel.body) for e in expressions(s)]):
        if e.op != "select" and e.op not in _LEAVES:
            moved -= {e.dtype, *(a.dtype for a in e.args)}
    if not moved:
        return kernel
    words = {dtype: dtypes.WORDS[dtype] for dtype in moved}
    params = tuple(p._replace(dtype=words.get(p.dtype, p.dtype)) for p in kernel.params)
    return kernel._replace(params=params, body=_block(kernel.body, words))


def _block(body: tuple[Stmt, ...], words: dict[str, str]) -> tuple[Stmt, ...]:
    return tuple(_statement(s, words) for s in body)


def _statement(s: Stmt, words: dict[str, str]) -> Stmt:
    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        word = words.get(e.dtype)
        if word is None:
            return rebuild(e, args)
        if e.op == "const":
            return const(_bits(e, word), word)
        return node(e.op, args, word, e.attr)

    def value(e: Expr) -> Expr:
        return transform([e], visit)[0]

    match s:
        case For():
            return s._replace(body=_block(s.body, words))
        case If():
            return If(value(s.cond), _block(s.body, words))
        case Let():
            return Let(value(s.name), value(s.value))
        case Store():
            return Store(s.buffer, tuple(map(value, s.indices)), value(s.value))
        case Alloc():
            return s._replace(dtype=words.get(s.dtype, s.dtype))
    return s


def _bits(e: Expr, word: str) -> int:
    return int(dtypes.numpy_dtype(e.dtype).type(e.value).view(word))
