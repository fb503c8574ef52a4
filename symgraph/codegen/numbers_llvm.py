"""Arguments of an entry that are numbers: a 0-d input may be given as one of Python's or NumPy's.

A number of NumPy's, and of Python's one that is as wide, holds its value where the element of a 0-d
array could be. Python's integers become what the input is, if they fit; its floats float32.
What does not fit is left to the slow path, which knows what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen.literals import ELEMENTS, memory_type
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.records import NamedTuple
from symgraph.runtime import abi

if TYPE_CHECKING:
    from symgraph.codegen.entry_llvm import Entry

_PYTHONS = {"float64": "float", "complex128": "complex"}  # which hold the same as NumPy's
#: what is made of Python's numbers, by the kind of the input
_MADE = {"b": ("bool",), "i": ("int",), "u": ("int",), "f": ("int",), "c": ()}


class Given(NamedTuple):
    """Flags that tell what an argument is: whether a number that holds the value, and for each of
    Python's types of which the value is made."""

    held: Value
    made: dict[str, Value]


def given(entry: Entry, dtype: str, type_: Value) -> Given:
    """What an argument of that type is to a 0-d input."""
    fn = entry.fn

    def is_(name: str) -> Value:
        return fn.val(f"icmp eq ptr {type_}, {_type(entry, name)}")

    held = "false"
    if dtype != "bfloat16":  # whose numbers are another package's
        held = is_(dtype)
    if dtype in _PYTHONS:
        held = fn.val(f"or i1 {held}, {is_(_PYTHONS[dtype])}")
    names = () if dtypes.is_narrow(dtype) else _MADE[dtypes.kind(dtype)]
    more = ("float",) if dtype == "float32" else ()
    return Given(held, {name: is_(name) for name in (*names, *more)})


def any_of(fn: FunctionWriter, flags: Given, is_array: Value) -> Value:
    """Whether an argument is an array or a number."""
    for flag in (flags.held, *flags.made.values()):
        is_array = fn.val(f"or i1 {is_array}, {flag}")
    return is_array


def address(
    entry: Entry, dtype: str, o: Value, flags: Given, of_array: Callable[[], Value]
) -> Value:
    """The address of an argument's value, null where it does not fit."""
    fn, slot = entry.fn, entry.fn.slot("i64", 1, 8)
    inside = fn.val(f"getelementptr i8, ptr {o}, i64 {abi.HDR}")

    def made(names: list[str]) -> list[Value]:
        if not names:
            return [of_array()]
        name, *rest = names
        write = {"int": _integer, "float": _rounded, "bool": _truth}[name]

        def one() -> list[Value]:
            fits = write(entry, dtype, o, slot)
            return [fn.fresh(f"select i1 {fits}, ptr {slot}, ptr null")]

        return fn.if_(flags.made[name], one, lambda: made(rest), ["ptr"])

    return fn.if_(flags.held, lambda: [inside], lambda: made([*flags.made]), ["ptr"])[0]


def _type(entry: Entry, name: str) -> Value:
    return entry.table.load(entry.fn, "object", name, entry.context)


# what writes the value to a place, and tells whether it fits --------------------------------------


def _integer(entry: Entry, dtype: str, o: Value, place: Value) -> Value:
    fn, kind, (_, letter, bits) = entry.fn, memory_type(dtype), ELEMENTS[dtype]
    over = fn.slot("i32", 1, 8)
    function = entry.table.load(fn, "api", "PyLong_AsLongLongAndOverflow", entry.context)
    value = fn.fresh(f"call i64 {function}(ptr {o}, ptr {over})")
    fits = fn.fresh(f"icmp eq i32 {fn.fresh(f'load i32, ptr {over}')}, 0")
    stored = value
    if letter == "f":
        stored = fn.fresh(f"sitofp i64 {value} to {kind}")
    elif bits < 64:
        stored = fn.fresh(f"trunc i64 {value} to {kind}")
        back = fn.fresh(f"{'sext' if letter == 'i' else 'zext'} {kind} {stored} to i64")
        fits = fn.fresh(f"and i1 {fits}, {fn.fresh(f'icmp eq i64 {back}, {value}')}")
    elif letter == "u":
        fits = fn.fresh(f"and i1 {fits}, {fn.fresh(f'icmp sge i64 {value}, 0')}")
    fn.raw(f"store {kind} {stored}, ptr {place}")
    return fits


def _rounded(entry: Entry, dtype: str, o: Value, place: Value) -> Value:
    """A float as float32, where that is no infinity."""
    fn = entry.fn
    where = fn.val(f"getelementptr i8, ptr {o}, i64 {abi.HDR}")
    value = fn.fresh(f"fptrunc double {fn.fresh(f'load double, ptr {where}')} to float")
    fn.raw(f"store float {value}, ptr {place}")
    size = fn.call("float", "llvm.fabs.f32", [("float", value)])
    return fn.fresh(f"fcmp une float {size}, 0x7FF0000000000000")


def _truth(entry: Entry, dtype: str, o: Value, place: Value) -> Value:
    fn = entry.fn
    true = fn.fresh(f"icmp eq ptr {o}, {_type(entry, 'True')}")
    fn.raw(f"store i8 {fn.fresh(f'zext i1 {true} to i8')}, ptr {place}")
    return "true"
