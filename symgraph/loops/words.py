"""Words of 32 bits whose products are wanted in both halves, as random numbers are made of them.

A vector's product of 64 bits holds both halves, and reads the lower half of what it multiplies
alone. So such words are computed in 64 bits, of whose upper halves nothing is kept, and no vector
is widened or narrowed on the way.
"""

from __future__ import annotations

from symgraph.loops.statements import Kernel, expressions, replaced, walk
from symgraph.scalar import Expr, const, postorder
from symgraph.scalar import functions as F

_WORD, _WIDE = "uint32", "uint64"


def widen(kernel: Kernel) -> Kernel:
    """The kernel with words computed so."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    wide: dict[Expr, Expr] = {}
    for e in postorder(roots):
        if e.dtype == _WORD and e.op in ("mulhi", "mul", "xor", "add"):
            a, b = (wide.get(x) or F.cast(x, _WIDE) for x in e.args)
            wide[e] = _spelt(e.op, a, b)
    narrow = {e: F.cast(w, _WORD) for e, w in wide.items()}
    return kernel._replace(body=replaced(kernel.body, narrow))


def _spelt(op: str, a: Expr, b: Expr) -> Expr:
    if op in ("xor", "add"):
        return F.xor(a, b) if op == "xor" else F.add(a, b)
    product = F.mul(_lower(a), _lower(b))
    return F.shr(product, const(32, _WIDE)) if op == "mulhi" else product


def _lower(x: Expr) -> Expr:
    """The lower half alone, which a processor's product takes by itself."""
    return x if x.is_const else F.cast(F.cast(x, _WORD), _WIDE)
