"""How dtypes and Python numbers are spelt in LLVM text.

In registers bool is i1; in memory it is a byte. A value of one lane is a scalar, of more a vector.
Signed and unsigned integers share a type: the instruction decides. The narrow floats are their bits
(codegen/narrow_llvm.py converts them).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from symgraph import dtypes
from symgraph.records import NamedTuple


class Element(NamedTuple):
    """What codegen knows of a dtype: its LLVM type, kind (b i u f) and width in bits."""

    llvm: str
    kind: str
    bits: int


ELEMENTS: dict[str, Element] = {
    "bool": Element("i1", "b", 1),
    "int8": Element("i8", "i", 8),
    "int16": Element("i16", "i", 16),
    "int32": Element("i32", "i", 32),
    "int64": Element("i64", "i", 64),
    "uint8": Element("i8", "u", 8),
    "uint16": Element("i16", "u", 16),
    "uint32": Element("i32", "u", 32),
    "uint64": Element("i64", "u", 64),
    "float16": Element("i16", "f", 16),
    "bfloat16": Element("i16", "f", 16),
    "float32": Element("float", "f", 32),
    "float64": Element("double", "f", 64),
    # in memory only: kernels see the parts, routines take addresses
    "complex64": Element("[2 x float]", "c", 64),
    "complex128": Element("[2 x double]", "c", 128),
}


def vector(element: str, lanes: int) -> str:
    """An LLVM type of so many lanes.

    >>> vector("i1", 1), vector("i1", 8)
    ('i1', '<8 x i1>')
    """
    return element if lanes == 1 else f"<{lanes} x {element}>"


def llvm_type(dtype: str, lanes: int = 1) -> str:
    """The type of a value in registers.

    >>> llvm_type("float64", 8), llvm_type("bool", 4), llvm_type("uint32")
    ('<8 x double>', '<4 x i1>', 'i32')
    """
    return vector(ELEMENTS[dtype].llvm, lanes)


def memory_type(dtype: str, lanes: int = 1) -> str:
    """The type in memory: bool takes a byte.

    >>> memory_type("bool"), memory_type("float32")
    ('i8', 'float')
    """
    return vector("i8" if dtype == "bool" else ELEMENTS[dtype].llvm, lanes)


def suffix(dtype: str, lanes: int = 1) -> str:
    """How intrinsics name the type.

    >>> suffix("float32", 16), suffix("uint8"), suffix("bool", 8)
    ('v16f32', 'i8', 'v8i1')
    """
    llvm, _, bits = ELEMENTS[dtype]
    name = f"{'i' if llvm[0] == 'i' else 'f'}{bits}"
    return name if lanes == 1 else f"v{lanes}{name}"


def element_literal(dtype: str, value: bool | int | float | complex) -> str:
    """One lane. Floats are written as bits, so that nothing is rounded on the way; integers wrap;
    complex numbers are arrays of their parts.

    >>> element_literal("float64", 0.1), element_literal("uint8", 255), element_literal("bool", 1)
    ('0x3FB999999999999A', '-1', 'true')
    """
    _, kind, bits = ELEMENTS[dtype]
    if kind == "b":
        return "true" if value else "false"
    if kind == "c":
        part, z = dtypes.real_of(dtype), complex(value)
        parts = (f"{ELEMENTS[part].llvm} {element_literal(part, x)}" for x in (z.real, z.imag))
        return f"[{', '.join(parts)}]"
    assert not isinstance(value, complex)
    if dtypes.is_narrow(dtype):
        value = int(np.asarray(value, dtypes.numpy_dtype(dtype)).view("int16"))
    elif kind == "f":
        x = float(value)
        if bits == 32:
            x = struct.unpack("<f", _float32(x))[0]  # LLVM wants a float32 as the equal double
        return f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}"
    wrapped = int(value) & ((1 << bits) - 1)
    return str(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped)


def _float32(x: float) -> bytes:
    try:
        return struct.pack("<f", x)
    except OverflowError:  # rounds to infinity, as a cast does
        return struct.pack("<f", float("inf") if x > 0 else float("-inf"))


def constant(dtype: str, lanes: int, value: bool | int | float) -> str:
    """A literal operand.

    >>> constant("float32", 8, 0.5), constant("int64", 1, -3), constant("bool", 4, False)
    ('splat (float 0x3FE0000000000000)', '-3', 'splat (i1 false)')
    """
    word = element_literal(dtype, value)
    return word if lanes == 1 else f"splat ({ELEMENTS[dtype].llvm} {word})"


def constants(dtype: str, values: Sequence[bool | int | float]) -> str:
    """A literal vector with a value for each lane (the value itself for one lane).

    >>> constants("int64", [0, 1, 2, 3])
    '<i64 0, i64 1, i64 2, i64 3>'
    """
    words = [element_literal(dtype, v) for v in values]
    if len(words) == 1:
        return words[0]
    element = ELEMENTS[dtype].llvm
    return "<" + ", ".join(f"{element} {w}" for w in words) + ">"


def lane_numbers(lanes: int, dtype: str = "int64") -> str:
    """The literal vector 0, 1, 2, ...

    >>> lane_numbers(2)
    '<i64 0, i64 1>'
    """
    return constants(dtype, range(lanes))


def literal_int(text: str) -> int | None:
    """The integer that an operand spells, if it is a literal with equal lanes.

    >>> literal_int("splat (i64 -5)"), literal_int("12"), literal_int("%v3")
    (-5, 12, None)
    """
    word = text[text.index(" ", 7) + 1 : -1] if text.startswith("splat (i") else text
    return int(word) if word.lstrip("-").isdigit() else None
