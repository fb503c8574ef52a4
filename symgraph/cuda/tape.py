"""A recipe with known sizes as the tape that the walker goes over (cuda/walker_ir.py).

Every buffer that owns memory has a slot in the table of addresses. Slots of inputs, outputs and
shared variables are filled at each call, those of rows inside loops by the walker, the others once:
constants, and temporaries by their places in the arena.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.cuda.host import HostRunner
from symgraph.cuda.sizes import number
from symgraph.cuda.walker_ir import BRANCH, CALL, COPY, HOST, LAUNCH, LOOP, WORDS
from symgraph.loops.memory import ALIGNMENT
from symgraph.records import NamedTuple
from symgraph.runtime.cuda.device import Device
from symgraph.runtime.cuda.protocol import DeviceError
from symgraph.runtime.cuda.routines import CHOOSE, MOST_WORDS, ROUTINES, NativeCall, Operand

MOST_BLOCKS = 2**31 - 1
_LIBRARIES = 256  # bytes of which the memory that libraries work in begins at a multiple
assert MOST_WORDS == WORDS


class Code(NamedTuple):
    """A function's code, loaded: its recipe, the launch handles of kernels by name, the host's
    steps, the addresses of constants (large ones by number, others by their text)."""

    recipe: Mapping[str, Any]
    functions: Mapping[str, int]
    host: HostRunner | None
    large: Sequence[int]
    small: Mapping[str, int]


class HostWork(NamedTuple):
    """A step for the host: its number, the sizes it takes, slots of the buffers, their bytes, what
    is read and written."""

    number: int
    sizes: tuple[int, ...]
    slots: tuple[int, ...]
    spans: tuple[int, ...]
    read: tuple[bool, ...]
    written: tuple[bool, ...]


class Tape:
    """The tape of a function for one set of sizes. ``slots`` of the program's inputs and outputs by
    name, ``shared`` by position; ``fixed`` are (slot, address), ``arena`` (slot, offset); ``room``
    bytes of the arena are used; ``host`` has the host's steps by number; ``waits``: some step asks
    the device, or the host does it, so the whole cannot become a graph."""

    def __init__(self, device: Device, code: Code, sizes: Mapping[str, int]) -> None:
        self.device, self.code, self.sizes = device, code, sizes
        self.out: list[int] = []
        self.pointers: list[tuple[int, int]] = []  # words that are addresses of words of the tape
        self.count = self.room = self.launches = 0
        self.fixed: list[tuple[int, int]] = []
        self.arena: list[tuple[int, int]] = []
        self.shared: dict[int, int] = {}
        self.host: list[HostWork] = []
        self.kept: list[Any] = []
        self.spare: list[int] = []  # slots of the workspace of libraries
        self.spare_room = 0
        self.waits = False
        self.calls = 0  # of libraries
        program = code.recipe["program"]
        self.slots = {n: self._slot() for n in (*program["inputs"], *program["outputs"])}
        _Program(self, program, self.slots, 0)
        top = -(-self.room // _LIBRARIES) * _LIBRARIES
        self.arena += [(s, top) for s in self.spare]
        self.room = top + self.spare_room if self.spare else self.room

    def _slot(self) -> int:
        self.count += 1
        return self.count - 1

    def finished(self) -> np.ndarray:
        """The words. They stay where they are, since some are addresses of others."""
        words = np.array(self.out, np.int64)
        for place, target in self.pointers:
            words[place] = words.ctypes.data + 8 * target
        return words


class _Program:
    """Writes one program at the end of a tape; ``given`` are the slots of its inputs and outputs,
    ``base`` is where its temporaries begin in the arena."""

    def __init__(self, tape: Tape, p: Mapping[str, Any], given: dict[str, int], base: int) -> None:
        self.tape, self.p, self.given = tape, p, given
        self.offsets = []
        offset = base
        for rows in p["slots"]:
            self.offsets.append(offset)
            offset += -(-self.size(rows) // ALIGNMENT) * ALIGNMENT
        tape.room = max(tape.room, offset)
        self.own: dict[str, int] = {}
        self._steps(p["steps"])

    def _steps(self, steps: Sequence[Any]) -> None:
        k = 0
        while k < len(steps):
            word, *rest = steps[k]
            k += 1
            if word == CHOOSE:
                first, second = rest
                middle, end = k + first, k + first + second
                if not self._by_library(steps[k:middle]):
                    self._steps(steps[middle:end])
                k = end
            else:
                getattr(self, f"_{word}")(*rest)

    def _by_library(self, steps: Sequence[Any]) -> bool:
        """Write steps, if libraries know all their calls."""
        found = [self._prepared(*s[1:4]) if s[0] == "call" else None for s in steps]
        if any(f is None and s[0] == "call" for f, s in zip(found, steps, strict=True)):
            return False
        for made, step in zip(found, steps, strict=True):
            if made is None:
                self._steps([step])
            else:
                self._foreign(made, step[2])
        return True

    def size(self, rows: Any) -> int:
        return number(rows, self.tape.sizes)

    def bytes_of(self, name: str) -> int:
        dtype, shape = self.p["buffers"][name][:2]
        count = dtypes.itemsize(dtype)
        for rows in shape:
            count *= self.size(rows)
        return count

    def slot(self, name: str) -> int:
        """The slot of a buffer's memory."""
        home = self.p["buffers"][name][4]
        found = self.given.get(home, self.own.get(home))
        if found is None:
            found = self.own[home] = self._new_slot(home)
        return found

    def _new_slot(self, home: str) -> int:
        tape = self.tape
        _, _, role, position, _, data = self.p["buffers"][home]
        if role == "shared":
            if position not in tape.shared:
                tape.shared[position] = tape._slot()
            return tape.shared[position]
        slot = tape._slot()
        if role == "constant":
            code = tape.code
            address = code.large[position] if data is None else code.small[data]
            tape.fixed.append((slot, address))
        else:
            place = self.p["slot_of"].get(home)
            tape.arena.append((slot, 0 if place is None else self.offsets[place]))
        return slot

    def _inner_base(self, key: str) -> int:
        place = self.p["slot_of"].get(key)
        return 0 if place is None else self.offsets[place]

    # steps ----------------------------------------------------------------------------------------

    def _launch(self, name: str, buffers: list[str]) -> None:
        kernel = self.tape.code.recipe["kernels"][name]
        blocks = self.size(kernel["blocks"])
        if not blocks:
            return
        if blocks > MOST_BLOCKS:
            raise DeviceError(f"{name}: {blocks} blocks are more than a GPU launches")
        slots = [self.slot(n) for n in buffers]
        sizes = [self.tape.sizes[n] for n in kernel["sizes"]]
        words = [0] * len(slots) + sizes
        out = self.tape.out
        values = len(out) + 8 + len(slots)
        pointers = values + len(words)
        self.tape.pointers += [(pointers + k, values + k) for k in range(len(words))]
        length = 8 + len(slots) + 2 * len(words)
        out += [LAUNCH, length, self.tape.code.functions[name], blocks, kernel["threads"]]
        out += [self.size(kernel["bytes"]), len(slots), len(words), *slots, *words]
        out += [0] * len(words)
        self.tape.launches += 1

    def _copy(self, target: str, source: str) -> None:
        size = self.bytes_of(target)
        if size:
            self.tape.out += [COPY, 5, self.slot(target), self.slot(source), size]
            self.tape.launches += 1

    def _host(self, number: int, homes: list[str], read: list[bool], written: list[bool]) -> None:
        slots, spans = [self.slot(n) for n in homes], [self.bytes_of(n) for n in homes]
        self.tape.out += [HOST, 3, len(self.tape.host)]
        sizes = tuple(self.tape.sizes[n] for n in self.p["sizes"])
        work = HostWork(number, sizes, tuple(slots), tuple(spans), tuple(read), tuple(written))
        self.tape.host.append(work)
        self.tape.waits = True

    def _call(self, routine: str, buffers: list[str], params: Any, host: list[Any]) -> None:
        """A routine of a library on the device, where there is one; else the host's."""
        found = self._prepared(routine, buffers, params)
        if found is None:
            self._host(*host[1:])
        else:
            self._foreign(found, buffers)

    def _prepared(
        self, routine: str, buffers: list[str], params: Mapping[str, Any]
    ) -> Sequence[NativeCall] | None:
        prepare = ROUTINES.get(routine)
        if prepare is None:
            return None
        rows = [self.p["buffers"][n] for n in buffers]
        operands = [Operand(r[0], tuple(map(self.size, r[1]))) for r in rows]
        known = {k: [self.size(n) for n in v["sizes"]] if isinstance(v, dict) else v
                 for k, v in params.items()}  # fmt: skip
        return prepare(self.tape.device, operands, known)

    def _foreign(self, calls: Sequence[NativeCall], buffers: list[str]) -> None:
        tape, slots = self.tape, [self.slot(n) for n in buffers]
        for found in calls:
            words, patches = [0] * WORDS, []
            for k, word in enumerate(found.words):
                match word:
                    case int():
                        words[k] = word
                    case ("buffer", j, offset):
                        patches += [k, slots[j], offset]
                    case ("workspace", offset):
                        patches += [k, self._spare(found.workspace), offset]
                    case _:
                        words[k] = tape.device.stream
            length = 4 + len(patches) + WORDS
            tape.out += [CALL, length, found.address, len(patches) // 3, *patches, *words]
            tape.kept.append(found.kept)
            tape.launches += 1
            tape.calls += 1
            tape.waits |= not found.captured

    def _spare(self, size: int) -> int:
        """A slot of memory that libraries share."""
        slot = self.tape._slot()
        self.tape.spare.append(slot)
        self.tape.spare_room = max(self.tape.spare_room, size)
        return slot

    def _loop(
        self, turns: Any, flag: str, body: Any, rows: list[Any], finals: list[Any], key: str
    ) -> None:
        tape, given, bound = self.tape, {}, []
        for name, row in zip([*body["inputs"], *body["outputs"]], rows, strict=True):
            if not row[6]:  # the whole buffer
                given[name] = self.slot(row[0])
            else:
                given[name] = tape._slot()
                bound += [given[name], *self._row(row)]
        ends = []
        for target, *row in finals:
            ends += [self.slot(target), self.bytes_of(target), *self._row(row)]
        begin = len(tape.out)
        asked = self.slot(flag) if flag else -1
        count = self.size(turns)
        tape.out += [LOOP, 0, count, asked, len(bound) // 7, len(ends) // 8, *bound, *ends]
        before = tape.launches
        _Program(tape, body, given, self._inner_base(key))
        tape.launches += (tape.launches - before) * (min(count, 1000) - 1) + len(finals)
        tape.out[begin + 1] = len(tape.out) - begin
        tape.waits |= bool(flag)

    def _row(self, row: Sequence[Any]) -> list[int]:
        buffer, start, step, modulo, each, first, _ = row
        begin = self.slot(first) if first else -1
        return [self.slot(buffer), self.size(start), step, modulo, self.size(each), begin]

    def _branch(
        self, both: bool, pred: str, then: Any, otherwise: Any, inputs: list[str],
        outputs: list[str], key: str,
    ) -> None:  # fmt: skip
        tape, base = self.tape, self._inner_base(key)
        slots = [self.slot(n) for n in (*inputs, *outputs)]
        arms = [dict(zip((*p["inputs"], *p["outputs"]), slots, strict=True))
                for p in (then, otherwise)]  # fmt: skip
        if both:  # they do something only under their guards, and one after the other
            _Program(tape, then, arms[0], base)
            _Program(tape, otherwise, arms[1], base)
            return
        begin = len(tape.out)
        tape.out += [BRANCH, 0, self.slot(pred), 0]
        _Program(tape, then, arms[0], base)
        tape.out[begin + 3] = len(tape.out) - begin - 4
        _Program(tape, otherwise, arms[1], base)
        tape.out[begin + 1] = len(tape.out) - begin
        tape.waits = True
