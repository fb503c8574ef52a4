"""Rules of complex numbers and Fourier transforms: what undoes itself goes."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ops.complex_parts import complex_number, conjugate_part, imag_part, real_part
from symgraph.ops.fourier import FFT, IRFFT, RFFT, Cosine
from symgraph.rewrite.pattern import attr, wild
from symgraph.rewrite.rules import EXACT, STABLE, rule, rule_function

z = wild("z", "c")  # complex numbers
f, g = wild("f", "f"), wild("g", "f")
a, b, c, d, m = (attr(n) for n in "abcdm")

PARTS = (
    rule(conjugate_part(conjugate_part(z)), z, klass=EXACT),
    rule(real_part(conjugate_part(z)), real_part(z), klass=EXACT),
    rule(imag_part(conjugate_part(z)), -imag_part(z), klass=EXACT),
)


def _real_of_made(f: Variable, g: Variable, root: Variable) -> Variable | None:
    """both parts have the shape of the number"""
    return f if f.type == root.type else None


def _imag_of_made(f: Variable, g: Variable, root: Variable) -> Variable | None:
    """both parts have the shape of the number"""
    return g if g.type == root.type else None


def _undone(z: Variable, b: bool, d: bool) -> Variable | None:
    """one direction after the other, with one scale"""
    return z if b is not d else None


def _same_size(f: Variable, root: Variable) -> Variable | None:
    """the size that was transformed"""
    return f if f.type == root.type else None


def _other_type(f: Variable, a: Any, b: Any) -> Variable | None:
    """types 2 and 3 undo each other, type 4 itself"""
    return f if (a, b) in ((2, 3), (3, 2), (4, 4)) else None


INVERSES = (
    rule_function(real_part(complex_number(f, g)), _real_of_made, klass=EXACT),
    rule_function(imag_part(complex_number(f, g)), _imag_of_made, klass=EXACT),
    rule_function(FFT(a, b, c)(FFT(a, d, c)(z)), _undone, klass=STABLE),
    rule_function(IRFFT(a, m, c)(RFFT(a, c)(f)), _same_size, klass=STABLE),
    rule_function(Cosine(c, a, d)(Cosine(c, b, d)(f)), _other_type, klass=STABLE),
)

TRANSFORMS = (*PARTS, *INVERSES)
