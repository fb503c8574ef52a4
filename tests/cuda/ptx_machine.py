"""PTX run on the host, all blocks at once: one lane of NumPy arrays for each thread of the grid.

The threads with the lowest instruction go first, so that those that took different ways meet again
where a GPU would let them. Barriers hold all threads of a block, shuffles need all of a warp; what
does not come, or waits elsewhere, is a Trap, as are the accesses that ptx_memory.py refuses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.cuda import ptx_arithmetic as arithmetic
from tests.cuda.ptx_arithmetic import UNSIGNED, kind_of
from tests.cuda.ptx_instructions import Instructions
from tests.cuda.ptx_memory import Memory, Trap
from tests.cuda.ptx_text import Entry, Instruction, entry

WARP = 32
MOST_STEPS = 2_000_000


def run(text: str, blocks: int, threads: int, buffers: Sequence[tuple[np.ndarray, bool]],
        sizes: Sequence[int], conflicts: Counter[str] | None = None) -> None:  # fmt: skip
    """Run a kernel on arrays, each with whether it may be written, and sizes; ``conflicts`` counts
    those of banks, by instruction.

    Raises Trap for what a GPU must not do, and ValueError for an instruction not known here.
    """
    kernel = entry(text)
    assert kernel.threads == threads, f"launched with {threads}, made for {kernel.threads}"
    if blocks:
        with np.errstate(all="ignore"):
            machine = _Machine(kernel, blocks, threads, buffers, sizes)
            machine.memory.conflicts = conflicts
            machine.run()


class _Machine(Instructions):
    def __init__(
        self, kernel: Entry, blocks: int, threads: int,
        buffers: Sequence[tuple[np.ndarray, bool]], sizes: Sequence[int],
    ) -> None:  # fmt: skip
        self.kernel, self.blocks, self.threads = kernel, blocks, threads
        self.count = blocks * threads
        self.memory = Memory()
        given = [
            self.memory.add(f"buffer {k}", a.reshape(-1).view(np.uint8), w)
            for k, (a, w) in enumerate(buffers)
        ]
        self.symbols: dict[str, np.ndarray] = {}
        self.who = np.arange(self.count)
        for v in kernel.variables:
            if v.space == "global":
                start = self.memory.add(v.name, np.frombuffer(v.data, np.uint8).copy(), False)
                self.symbols[v.name] = np.full(self.count, start, np.uint64)
                continue
            each = blocks if v.space == "shared" else self.count
            starts = [
                self.memory.add(
                    v.name, np.zeros(v.size, np.uint8), True, False, v.space == "shared"
                )
                for _ in range(each)
            ]
            per = threads if v.space == "shared" else 1
            self.symbols[v.name] = np.repeat(np.array(starts, np.uint64), per)
        self.memory.seal(threads)
        values = [*given, *sizes]
        assert len(values) == len(kernel.params), "the number of arguments"
        self.params = {n: v for (n, _, _), v in zip(kernel.params, values, strict=True)}
        self.registers: dict[str, np.ndarray] = {}
        named = Counter(r for c in kernel.code for r in re.findall(r"%\w+", c.text))
        self.read = {r for r, n in named.items() if n > 1}  # by an instruction other than its own
        self.at = np.zeros(self.count, np.int64)
        self.waiting = np.zeros(self.count, bool)
        self.alive = np.ones(self.count, bool)
        self.epoch = np.zeros(self.count, np.int64)
        self.carry = np.zeros(self.count, bool)
        self.held = np.zeros(self.count, bool)  # waiting for the rest of their warps
        thread = self.who % threads
        self.special = {
            "%tid.x": thread, "%ctaid.x": self.who // threads, "%laneid": thread % WARP,
            "%ntid.x": np.full(self.count, threads), "%nctaid.x": np.full(self.count, blocks),
        }  # fmt: skip

    # running --------------------------------------------------------------------------------------

    def run(self) -> None:
        for _ in range(MOST_STEPS):
            running = self.alive & ~self.waiting & ~self.held
            if not running.any():
                if self.held.any():
                    place = int(self.at[self.held].min())
                    text = self.kernel.code[place].text
                    raise Trap(f"not all threads of a warp come by: {text}")
                if not self.alive.any():
                    self.memory.give_back()
                    return
                self._release()
                continue
            place = int(self.at[running].min())
            mask = running & (self.at == place)
            if place >= len(self.kernel.code):
                self.alive[mask] = False
                continue
            self._step(self.kernel.code[place], mask)
        raise Trap("the kernel does not end")

    def _release(self) -> None:
        """All threads of each block have arrived."""
        places = np.where(self.alive, self.at, -1).reshape(self.blocks, self.threads)
        going = np.zeros(self.blocks, bool)
        for b, row in enumerate(places):
            if (row >= 0).any():
                if len(set(row.tolist())) > 1:
                    ended = " (some have ended)" if (row < 0).any() else ""
                    raise Trap(f"threads of a block wait at different places{ended}")
                going[b] = True
        released = np.repeat(going, self.threads)
        self.at[released] += 1
        self.epoch[released] += 1
        self.waiting[released] = False

    def _step(self, s: Instruction, mask: np.ndarray) -> None:
        if s.guard:
            held = self.registers[s.guard]
            taken = mask & (~held if s.negated else held)
        else:
            taken = mask
        word = s.words[0]
        self.at[mask] += 1
        if not taken.any():
            return
        if word == "bra":
            self.at[taken] = self.kernel.labels[s.operands[0]]
        elif word in ("ret", "exit"):
            self.alive[taken] = False
        elif word in ("bar", "barrier") and "warp" not in s.words:
            self.at[taken] -= 1
            self.waiting |= taken
        elif word in ("shfl", "bar", "mma"):
            self._by_warps(s, taken)
        else:
            handler = getattr(self, f"_{word}", None)
            if handler is None:
                raise ValueError(f"an instruction that is not known: {s.text}")
            self.index = np.flatnonzero(taken)
            handler(s)

    # registers ------------------------------------------------------------------------------------

    def get(self, operand: str, kind: Any) -> np.ndarray:
        """The operand of the threads that run, as numbers of a type."""
        kind, n = np.dtype(kind), len(self.index)
        if operand.startswith("-%") or operand.startswith("!"):
            raise ValueError(f"an operand that is not known: {operand}")
        if operand in self.special:
            return self.special[operand][self.index].astype(kind)
        if operand in self.symbols:
            return self.symbols[operand][self.index].astype(kind)
        if operand.startswith("%"):
            raw = self.registers[operand][self.index]
            return raw if kind.kind == "b" else raw.astype(UNSIGNED[8 * kind.itemsize]).view(kind)
        if operand.startswith(("0f", "0d")):
            bits = UNSIGNED[32 if operand[1] == "f" else 64](int(operand[2:], 16))
            return np.full(n, bits.astype(UNSIGNED[8 * kind.itemsize])).view(kind)
        value = int(operand.rstrip("U"), 0) & (1 << 8 * kind.itemsize) - 1
        return np.full(n, value, UNSIGNED[8 * kind.itemsize]).view(kind)

    def put(self, register: str, value: np.ndarray) -> None:
        """Bits into a register of the threads that run."""
        if register == "_":
            return
        if value.dtype == bool:
            room = self.registers.setdefault(register, np.zeros(self.count, bool))
            room[self.index] = value
            return
        raw = np.ascontiguousarray(value).view(UNSIGNED[8 * value.itemsize])
        room = self.registers.setdefault(register, np.full(self.count, 0xCDCD, np.uint64))
        room[self.index] = raw

    def _operands(self, s: Instruction, kind: Any = None, start: int = 1) -> list[np.ndarray]:
        kind = kind or kind_of(s.types[-1])
        return [self.get(o, kind) for o in s.operands[start:]]

    # memory ---------------------------------------------------------------------------------------

    def _address(self, operand: str) -> np.ndarray:
        found = re.fullmatch(r"\[([%\w$]+)(?:\+(-?\d+))?\]", operand)
        assert found is not None, operand
        base = self.get(found[1], np.uint64)
        return base + np.array(int(found[2] or 0)).astype(np.uint64)

    def _ld(self, s: Instruction) -> None:
        kind = kind_of(s.types[-1])
        size = np.dtype(kind).itemsize
        if "param" in s.words:
            value = np.uint64(self.params[s.operands[1].strip("[]")] & (1 << 64) - 1)
            self.put(s.operands[0], np.full(len(self.index), value))
            return
        names = [r.strip() for r in s.operands[0].strip("{}").split(",")]
        address = self._address(s.operands[1])
        rows = self._loaded(address, size, [n in self.read for n in names], s.text)
        for k, name in enumerate(names):
            part = np.ascontiguousarray(rows[:, k * size : (k + 1) * size])
            value = part.view(kind).reshape(-1)
            if value.dtype.kind == "i":  # a register may be wider than what is read
                value = value.astype(np.int64)
            self.put(name, value)

    def _loaded(self, address: np.ndarray, size: int, wanted: list[bool], what: str) -> np.ndarray:
        """The bytes of vectors of elements. LLVM makes a vector of four out of three elements that
        lie in one piece of 16 bytes: the fourth, which nobody reads, need not be there."""
        who, epoch, count = self.who[self.index], self.epoch[self.index], len(wanted)
        if all(wanted) or count == 1:
            return self.memory.load(address, size * count, who, epoch, what)
        if (address % np.uint64(size * count)).any():
            raise Trap(f"misaligned: {what}")
        rows = np.full((len(address), size * count), 0xCD, np.uint8)
        for k, there in enumerate(wanted):
            if there:
                part = self.memory.load(address + np.uint64(k * size), size, who, epoch, what)
                rows[:, k * size : (k + 1) * size] = part
        return rows

    def _st(self, s: Instruction) -> None:
        kind = np.dtype(UNSIGNED[int(s.types[-1][1:])])
        names = [r.strip() for r in s.operands[1].strip("{}").split(",")]
        rows = np.stack([self.get(n, kind) for n in names], axis=1)
        self.memory.store(
            self._address(s.operands[0]), np.ascontiguousarray(rows).view(np.uint8),
            self.who[self.index], self.epoch[self.index], s.text,
        )  # fmt: skip

    def _mov(self, s: Instruction) -> None:
        target, source = s.operands
        kind = kind_of(s.types[-1])
        if source.startswith("{"):
            parts = [p.strip() for p in source.strip("{}").split(",")]
            width = np.dtype(kind).itemsize * 8 // len(parts)
            both = [self.get(p, UNSIGNED[width]) for p in parts]
            self.put(target, np.ascontiguousarray(np.stack(both, axis=1)).view(kind).reshape(-1))
        elif target.startswith("{"):
            parts = [p.strip() for p in target.strip("{}").split(",")]
            width = np.dtype(kind).itemsize * 8 // len(parts)
            value = self.get(source, kind).view(UNSIGNED[width]).reshape(-1, len(parts))
            for k, p in enumerate(parts):
                self.put(p, value[:, k])
        elif kind == np.bool_ and not source.startswith("%"):
            self.put(target, np.full(len(self.index), source not in ("0", "false")))
        else:
            self.put(target, self.get(source, kind))

    def _cvta(self, s: Instruction) -> None:
        self.put(s.operands[0], self.get(s.operands[1], np.uint64))

    # warps ----------------------------------------------------------------------------------------

    def _by_warps(self, s: Instruction, taken: np.ndarray) -> None:
        """Whole warps go on; where threads are missing, the others wait for them here."""
        if s.words[0] != "mma" and int(s.operands[-1], 0) & 0xFFFFFFFF != 0xFFFFFFFF:
            raise ValueError(f"some threads of a warp only: {s.text}")
        place = int(self.at[taken][0]) - 1
        here = taken | (self.held & (self.at == place))
        whole = np.repeat(here.reshape(-1, WARP).all(axis=1), WARP)
        self.held = (self.held & ~here) | (here & ~whole)
        self.at[here & ~whole] = place
        self.at[whole] = place + 1
        self.index = np.flatnonzero(whole)
        if len(self.index):
            getattr(self, f"_{s.words[0]}")(s)

    def _shfl(self, s: Instruction) -> None:
        value = self.get(s.operands[1], np.uint32)
        by = self.get(s.operands[2], np.uint32).astype(np.int64)
        lane = self.index % WARP
        wanted = {"down": lane + by, "up": lane - by, "bfly": lane ^ by, "idx": by}[s.words[2]]
        wanted = np.where((wanted >= 0) & (wanted < WARP), wanted, lane)
        room = np.zeros(self.count, np.uint32)
        room[self.index] = value
        self.put(s.operands[0].split("|")[0], room[self.index - lane + wanted])

    def _bar(self, s: Instruction) -> None:
        if self.threads == WARP:
            self.epoch[self.index] += 1

    def _mma(self, s: Instruction) -> None:
        """The product of fragments that each warp holds, in float64, rounded once to float32."""
        names = [[r.strip() for r in o.strip("{}").split(",")] for o in s.operands]
        shape, kind = s.words[3], s.words[7]
        a, b = (np.stack([self.get(n, np.uint32) for n in group], 1) for group in names[1:3])
        c = np.stack([self.get(n, np.float32) for n in names[3]], 1)
        if (shape, kind) not in (("m16n8k8", "tf32"), ("m16n8k16", "bf16"), ("m16n8k16", "f16")):
            raise ValueError(f"an instruction that is not known: {s.text}")
        found = arithmetic.fragments_product(a, b, c, kind)
        for k, name in enumerate(names[0]):
            self.put(name, found[:, k])
