"""What PyTensor's Function calls: machine code that reads the cells of the inputs.

A function of PyTensor keeps its inputs in lists of one element and calls its "vm" without
arguments. The code below collects these elements and calls the compiled program with them, so no
Python frame lies between `Function.__call__` and the program. The results are returned, and put
into the lists of the outputs as well, where a Scan that runs in Python looks for those of its step.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

from symgraph.executor import cached_object, load_code
from symgraph.runtime.abi import HDR, native_entry_usable, pyaddr
from symgraph.runtime.callable import CTX, NativeBase, bind, enable_vectorcall

# The table: program, number of inputs, PyObject_Vectorcall, Py_IncRef, Py_DecRef, number of
# outputs, the lists of the inputs, those of the outputs.
_HEAD = 6
_TEXT = """\
define ptr @entry(ptr %self, ptr %args, i64 %flags, ptr %names) {
begin:
  %at = getelementptr i8, ptr %self, i64 $ctx$
  %table = load ptr, ptr %at
  %program = load ptr, ptr %table
  %pn = getelementptr i8, ptr %table, i64 8
  %n = load i64, ptr %pn
  %pcall = getelementptr i8, ptr %table, i64 16
  %call = load ptr, ptr %pcall
  %ptake = getelementptr i8, ptr %table, i64 24
  %take = load ptr, ptr %ptake
  %pdrop = getelementptr i8, ptr %table, i64 32
  %drop = load ptr, ptr %pdrop
  %values = alloca ptr, i64 %n
  br label %collect
collect:
  %i = phi i64 [0, %begin], [%i1, %one]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %one, label %ready
one:
  %k = add i64 %i, $head$
  %plist = getelementptr ptr, ptr %table, i64 %k
  %list = load ptr, ptr %plist
  %pitems = getelementptr i8, ptr %list, i64 $items$
  %items = load ptr, ptr %pitems
  %value = load ptr, ptr %items
  call void %take(ptr %value)
  %pv = getelementptr ptr, ptr %values, i64 %i
  store ptr %value, ptr %pv
  %i1 = add i64 %i, 1
  br label %collect
ready:
  %result = call ptr %call(ptr %program, ptr %values, i64 %n, ptr null)
  br label %release
release:
  %j = phi i64 [0, %ready], [%j1, %two]
  %rest = icmp slt i64 %j, %n
  br i1 %rest, label %two, label %done
two:
  %pw = getelementptr ptr, ptr %values, i64 %j
  %w = load ptr, ptr %pw
  call void %drop(ptr %w)
  %j1 = add i64 %j, 1
  br label %release
done:
  %none = icmp eq ptr %result, null
  br i1 %none, label %leave, label %found
found:
  %pm = getelementptr i8, ptr %table, i64 40
  %m = load i64, ptr %pm
  %base = add i64 %n, $head$
  %prows = getelementptr i8, ptr %result, i64 $items$
  br label %give
give:
  %g = phi i64 [0, %found], [%g1, %three]
  %left = icmp slt i64 %g, %m
  br i1 %left, label %three, label %leave
three:
  %rows = load ptr, ptr %prows
  %prow = getelementptr ptr, ptr %rows, i64 %g
  %row = load ptr, ptr %prow
  call void %take(ptr %row)
  %o = add i64 %base, %g
  %pcell = getelementptr ptr, ptr %table, i64 %o
  %cell = load ptr, ptr %pcell
  %pfirst = getelementptr i8, ptr %cell, i64 $items$
  %first = load ptr, ptr %pfirst
  %old = load ptr, ptr %first
  store ptr %row, ptr %first
  call void %drop(ptr %old)
  %g1 = add i64 %g, 1
  br label %give
leave:
  ret ptr %result
}
"""


@functools.cache
def _code() -> Any:
    text = _TEXT.replace("$ctx$", str(CTX)).replace("$head$", str(_HEAD))
    text = text.replace("$items$", str(HDR + 8))  # PyListObject: head, size, items
    return load_code(cached_object("runtime", {"module": text}, lambda: text), ["entry"])


class Fields:
    """What PyTensor looks for in a vm; it writes the updates of shared variables itself."""

    lazy = False

    def describe(
        self, jit_fn: Callable[..., Any], cells: Sequence[list[Any]], results: Sequence[list[Any]]
    ) -> None:
        """Set the attributes: ``jit_fn`` is what takes the values themselves."""
        self.jit_fn = jit_fn
        self.inputs = list(cells)
        self.outputs = list(results)
        self.storage_map: dict[Any, Any] = {}
        self.allow_gc: Any = True
        self.thunks: list[Any] = [self]
        self.nodes: list[Any] = []


@enable_vectorcall
class Machine(Fields, NativeBase):
    """The callable in machine code; the program returns a list."""

    def __init__(
        self, program: Callable[..., Any], cells: Sequence[list[Any]], results: Sequence[list[Any]]
    ) -> None:
        self.describe(program, cells, results)
        table = (ctypes.c_void_p * (_HEAD + len(cells) + len(results)))()
        table[0], table[1], table[5] = id(program), len(cells) or None, len(results) or None
        names = ("PyObject_Vectorcall", "Py_IncRef", "Py_DecRef")
        for k, name in enumerate(names, 2):
            table[k] = pyaddr(name)
        for k, cell in enumerate((*cells, *results), _HEAD):
            table[k] = id(cell)
        code = _code()
        held = (program, *cells, *results, table, code)
        bind(self, code.address("entry"), ctypes.addressof(table), held)


class PythonMachine(Fields):
    """The same in Python, where the interpreter's objects are laid out in another way."""

    def __init__(
        self, program: Callable[..., Any], cells: Sequence[list[Any]], results: Sequence[list[Any]]
    ) -> None:
        self.describe(program, cells, results)

    def __call__(self) -> Any:
        found = self.jit_fn(*[cell[0] for cell in self.inputs])
        for cell, value in zip(self.outputs, found, strict=True):
            cell[0] = value
        return found


def machine(
    program: Callable[..., Any], cells: Sequence[list[Any]], results: Sequence[list[Any]]
) -> Any:
    """The callable for a program over the cells of its inputs and outputs."""
    return (Machine if native_entry_usable() else PythonMachine)(program, cells, results)
