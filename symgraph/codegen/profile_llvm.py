"""Counters in compiled code: which step took how long, for functions compiled with profile=True.

Every call has a frame on its stack; a *mark* after each step reads the clock once and books the
time since the mark before under the step's row, so that all time of a call is booked somewhere.

    frame:  last clock | trace cursor | trace end | tracing | 4 unused | rows
    buffer: trace cursor | trace end | busy | peak bytes | 4 unused | rows
    row:    calls | ticks | bytes | operations
    event:  row (-1: a call begins) | clock

The entry adds the frame to the function's buffer when the call ends, holding the GIL, so that calls
of several threads never mix. Events are written by one call at a time, while there is room.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from symgraph.codegen.tables import Table
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.records import NamedTuple

HEADER, WIDTH, EVENT = 8, 4, 16  # words, words, bytes
MOST_ROWS = 1 << 13  # further steps are booked under the last row: the frame lies on the stack
ENTRY_ROWS = ("arguments", "outputs", "temporaries", "return")


class Row(NamedTuple):
    """What is booked under one row: ``kind`` is entry, kernel, phase, call, copy, loop or branch;
    ``parent`` the row of the step that it is inside of, -1 for none."""

    kind: str
    name: str
    parent: int = -1
    origins: tuple[Any, ...] = ()
    dtype: str = ""
    shared: bool = False  # whether threads may take part


def has_cycle_counter() -> bool:
    """Whether the clock is the processor's own counter; else the system is asked."""
    return platform.machine().lower() in ("x86_64", "amd64")


class Profiler:
    """The rows of one function and the code that books under them. ``origins`` knows the lines of
    kernels that other steps run as their epilogue."""

    def __init__(self, origins: Mapping[str, tuple[Any, ...]] | None = None) -> None:
        self.origins = dict(origins or {})
        self.rows = [Row("entry", name) for name in ENTRY_ROWS]

    def lines_of(self, kernel: str) -> tuple[Any, ...]:
        """The lines of a kernel, also where lower/parallel.py has cut it for an epilogue."""
        return self.origins.get(kernel) or self.origins.get(kernel.split("_rows")[0], ())

    def row(self, row: Row) -> int:
        """The number of a new row."""
        if len(self.rows) < MOST_ROWS:
            self.rows.append(row)
        else:
            self.rows[-1] = Row("kernel", "further steps")
        return len(self.rows) - 1

    # marks ----------------------------------------------------------------------------------------

    def mark(
        self, fn: FunctionWriter, module: ModuleWriter, table: Table, row: int, *,
        count: int = 1, moved: Value = "0", flops: Value = "0", frame: Value = "%profile",
        at: Value = "%table",
    ) -> None:  # fmt: skip
        """Book the time since the last mark under a row, with a call, bytes and operations."""

        def build(inner: FunctionWriter) -> None:
            _write_mark(inner, table)

        params = [("ptr", "table", ""), ("ptr", "frame", ""), ("i64", "row", "")]
        params += [("i64", name, "") for name in ("count", "moved", "flops")]
        name = module.once("sg_mark", params, "void", build, "noinline nounwind")
        words = f"i64 {row}, i64 {count}, i64 {moved}, i64 {flops}"
        fn.raw(f"call void @{name}(ptr {at}, ptr {frame}, {words})")

    def clock(self, fn: FunctionWriter, table: Table, at: Value = "%table") -> Value:
        """The clock now."""
        return _clock(fn, table, at)

    def begin(self, fn: FunctionWriter, table: Table, start: Value, at: Value) -> Value:
        """The frame of a call that began at ``start``: zeros, and a part in the trace."""
        size = HEADER + WIDTH * len(self.rows)
        frame = fn.slot("i64", _rounded(size), 64)
        fn.declare("void", "llvm.memset.p0.i64", ["ptr", "i8", "i64", "i1"])
        fn.raw(f"call void @llvm.memset.p0.i64(ptr {frame}, i8 0, i64 {8 * _rounded(size)}, i1 0)")
        fn.raw(f"store i64 {start}, ptr {frame}")
        buffer = table.load(fn, "profile", "buffer", at)
        end = fn.fresh(f"load i64, ptr {_word(fn, buffer, 1)}")

        def claim() -> None:
            cursor = fn.fresh(f"load i64, ptr {buffer}")
            busy = fn.fresh(f"load i64, ptr {_word(fn, buffer, 2)}")
            room = fn.fresh(f"icmp ult i64 {cursor}, {end}")
            free = fn.fresh(f"icmp eq i64 {busy}, 0")

            def take() -> None:
                event = fn.fresh(f"inttoptr i64 {cursor} to ptr")
                fn.raw(f"store i64 -1, ptr {event}")
                fn.raw(f"store i64 {start}, ptr {_word(fn, event, 1)}")
                following = fn.fresh(f"add i64 {cursor}, {EVENT}")
                for k, value in ((1, following), (2, end), (3, "1")):
                    fn.raw(f"store i64 {value}, ptr {_word(fn, frame, k)}")
                fn.raw(f"store i64 1, ptr {_word(fn, buffer, 2)}")

            fn.if_(fn.fresh(f"and i1 {room}, {free}"), take)

        fn.if_(fn.fresh(f"icmp ne i64 {end}, 0"), claim, likely=False)
        return frame

    def peak(self, fn: FunctionWriter, table: Table, size: Value, at: Value) -> None:
        """Remember the largest number of bytes that a call took."""
        place = _word(fn, table.load(fn, "profile", "buffer", at), 3)
        fn.declare("i64", "llvm.umax.i64", ["i64", "i64"])
        held = fn.fresh(f"load i64, ptr {place}")
        most = fn.fresh(f"call i64 @llvm.umax.i64(i64 {held}, i64 {size})")
        fn.raw(f"store i64 {most}, ptr {place}")

    def finish(self, fn: FunctionWriter, table: Table, frame: Value, at: Value) -> None:
        """Add the frame to the buffer, and hand the trace on."""
        buffer = table.load(fn, "profile", "buffer", at)
        words = _rounded(HEADER + WIDTH * len(self.rows)) - HEADER

        def turn(k: Value, _: list[Value]) -> list[Value]:
            kind = f"<{HEADER} x i64>"
            at_frame = fn.fresh(f"getelementptr i64, ptr {frame}, i64 {k}")
            at_buffer = fn.fresh(f"getelementptr i64, ptr {buffer}, i64 {k}")
            a = fn.fresh(f"load {kind}, ptr {at_frame}, align 8")
            b = fn.fresh(f"load {kind}, ptr {at_buffer}, align 8")
            fn.raw(f"store {kind} {fn.fresh(f'add {kind} {a}, {b}')}, ptr {at_buffer}, align 8")
            return []

        fn.loop(HEADER, HEADER + words, HEADER, [], turn)

        def hand_on() -> None:
            cursor = fn.fresh(f"load i64, ptr {_word(fn, frame, 1)}")
            fn.raw(f"store i64 {cursor}, ptr {buffer}")
            fn.raw(f"store i64 0, ptr {_word(fn, buffer, 2)}")

        traced = fn.fresh(f"load i64, ptr {_word(fn, frame, 3)}")
        fn.if_(fn.fresh(f"icmp ne i64 {traced}, 0"), hand_on, likely=False)


def buffer_words(rows: int) -> int:
    """The words of the buffer of a function with so many rows."""
    return _rounded(HEADER + WIDTH * rows)


def clock_module() -> str:
    """A module with one function, ``i64 clock()``, that reads the processor's counter."""
    module = ModuleWriter()
    fn = module.function("clock", [], "i64", "", "nounwind")
    fn.ret("i64", _clock(fn, Table(), ""))
    return module.text()


def _rounded(words: int) -> int:
    return -(-words // HEADER) * HEADER


def _word(fn: FunctionWriter, base: Value, k: int) -> Value:
    return fn.fresh(f"getelementptr i64, ptr {base}, i64 {k}") if k else base


def _clock(fn: FunctionWriter, table: Table, at: Value) -> Value:
    if has_cycle_counter():
        fn.declare("i64", "llvm.readcyclecounter", [])
        return fn.fresh("call i64 @llvm.readcyclecounter()")
    place = fn.slot("i64", 2, 16)
    function = table.load(fn, "profile", "clock_gettime", at)
    fn.fresh(f"call i32 {function}(i32 1, ptr {place})")  # CLOCK_MONOTONIC on Linux
    seconds = fn.fresh(f"load i64, ptr {place}")
    nanoseconds = fn.fresh(f"load i64, ptr {_word(fn, place, 1)}")
    return fn.fresh(f"add i64 {fn.fresh(f'mul i64 {seconds}, 1000000000')}, {nanoseconds}")


def _write_mark(fn: FunctionWriter, table: Table) -> None:
    now = _clock(fn, table, "%table")
    last = fn.fresh("load i64, ptr %frame")
    fn.raw(f"store i64 {now}, ptr %frame")
    first = fn.val(f"add i64 {fn.val(f'mul i64 %row, {WIDTH}')}, {HEADER}")
    row = fn.val(f"getelementptr i64, ptr %frame, i64 {first}")
    kind = f"<{WIDTH} x i64>"
    added = "zeroinitializer"
    for k, value in enumerate(("%count", fn.val(f"sub i64 {now}, {last}"), "%moved", "%flops")):
        added = fn.val(f"insertelement {kind} {added}, i64 {value}, i32 {k}")
    held = fn.fresh(f"load {kind}, ptr {row}, align 8")
    fn.raw(f"store {kind} {fn.val(f'add {kind} {held}, {added}')}, ptr {row}, align 8")
    cursor = fn.fresh(f"load i64, ptr {_word(fn, '%frame', 1)}")
    end = fn.fresh(f"load i64, ptr {_word(fn, '%frame', 2)}")

    def event() -> None:
        place = fn.fresh(f"inttoptr i64 {cursor} to ptr")
        fn.raw(f"store i64 %row, ptr {place}")
        fn.raw(f"store i64 {now}, ptr {_word(fn, place, 1)}")
        following = fn.fresh(f"add i64 {cursor}, {EVENT}")
        fn.raw(f"store i64 {following}, ptr {_word(fn, '%frame', 1)}")

    fn.if_(fn.fresh(f"icmp ult i64 {cursor}, {end}"), event, likely=False)
