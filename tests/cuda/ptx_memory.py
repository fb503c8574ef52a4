"""The memory of an emulated GPU, which sees what a real one does not say.

Global, shared and local memory are pieces of one address space with room between them. An access
must lie in one piece, at a multiple of its size, and what is read must have been written. For each
byte it is known who wrote and read it last, and in which stretch between two barriers: two threads
that meet at a byte without a barrier between, one of them writing, are a race.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

FIRST, GAP = 1 << 20, 256


class Trap(RuntimeError):
    """What a GPU would do silently, or at the cost of the whole context."""


class Piece:
    """Some bytes with an address; ``known``: they count as written from the start."""

    def __init__(
        self, name: str, start: int, data: np.ndarray, writable: bool, known: bool
    ) -> None:
        self.name, self.start, self.data = name, start, data
        self.writable, self.known = writable, known
        self.shared = False


class Memory:
    """All pieces as one array of bytes, by addresses from FIRST on."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.end = FIRST
        self.conflicts: Counter[str] | None = None  # by instruction, when they are to be counted

    def add(
        self, name: str, data: np.ndarray, writable: bool = True, known: bool = True,
        shared: bool = False,
    ) -> int:  # fmt: skip
        """Give some bytes an address; unless ``known`` they count as never written."""
        start = -(-self.end // GAP) * GAP + GAP
        self.pieces.append(Piece(name, start, data, writable, known))
        self.pieces[-1].shared = shared
        self.end = start + data.size
        return start

    def seal(self, threads: int) -> None:
        """No more pieces: ``threads`` is the number of threads of a block."""
        size = self.end - FIRST + GAP
        self.threads = threads
        self.bytes = np.full(size, 0xCD, np.uint8)
        self.piece = np.full(size, -1, np.int32)
        self.written = np.zeros(size, bool)
        for k, p in enumerate(self.pieces):
            at = slice(p.start - FIRST, p.start - FIRST + p.data.size)
            self.bytes[at], self.piece[at] = p.data, k
            self.written[at] = p.known
        self.writable = np.array([p.writable for p in self.pieces] + [False])
        self.writer = np.full(size, -1, np.int64)
        self.reader = np.full(size, -1, np.int64)  # -2: several
        self.reader_block = np.full(size, -1, np.int64)
        self.write_epoch = np.full(size, -1, np.int64)
        self.read_epoch = np.full(size, -1, np.int64)

    def give_back(self) -> None:
        """What the grid has written, to the arrays it was given."""
        for p in self.pieces:
            if not p.writable:
                continue
            at = p.start - FIRST
            p.data[...] = self.bytes[at : at + p.data.size]

    def _count(self, at: np.ndarray, who: np.ndarray, what: str) -> None:
        """How often banks of shared memory are asked for more than one word at a time. Accesses of
        8 and 16 bytes are served for half and a quarter of a warp at a time."""
        pieces = self.piece[at[:, 0]]
        if self.conflicts is None or not self.pieces[int(pieces[0])].shared:
            return
        size = at.shape[1]
        start = np.array([p.start - FIRST for p in self.pieces])[pieces]
        together = 32 * 4 // max(4, size)  # threads
        word = (at - start[:, None]) // 4
        group = who // together
        for g in np.unique(group):
            words = np.unique(word[group == g])
            most = int(np.bincount(words % 32).max())
            self.conflicts[what] += most - 1

    def _places(self, address: np.ndarray, size: int, what: str) -> np.ndarray:
        at = address.astype(np.int64) - FIRST
        if (at < 0).any() or (at + size > len(self.bytes)).any():
            raise Trap(f"out of bounds: {what}")
        first, last = self.piece[at], self.piece[at + size - 1]
        if (first < 0).any() or (first != last).any():
            raise Trap(f"out of bounds: {what}")
        if (address % size).any():
            raise Trap(f"misaligned: {what}")
        return at[:, None] + np.arange(size)

    def load(
        self, address: np.ndarray, size: int, who: np.ndarray, epoch: np.ndarray, what: str
    ) -> np.ndarray:
        """The bytes of each thread, one row each."""
        at = self._places(address, size, what)
        self._count(at, who, what)
        if not self.written[at].all():
            raise Trap(f"read of memory that nobody wrote: {what}")
        writer, thread = self.writer[at], who[:, None]
        other = (writer >= 0) & (writer != thread)
        apart = writer // self.threads != thread // self.threads
        if (other & (apart | (self.write_epoch[at] == epoch[:, None]))).any():
            raise Trap(f"race, read without a barrier after the write: {what}")
        self._note_reads(at, who, epoch)
        return self.bytes[at]

    def _note_reads(self, at: np.ndarray, who: np.ndarray, epoch: np.ndarray) -> None:
        thread = np.broadcast_to(who[:, None], at.shape)
        block = thread // self.threads
        old, stretch = self.reader[at], np.broadcast_to(epoch[:, None], at.shape)
        same_block = (self.reader_block[at] == block) | (old == -1)
        same = (old == -1) | (old == thread) | (same_block & (self.read_epoch[at] < stretch))
        new = np.where(same, thread, -2)
        self.reader[at] = new
        if (self.reader[at] != new).any():  # several threads of this very instruction
            lost = self.reader[at] != new
            self.reader[at[lost]] = -2
        self.reader_block[at] = np.where(same_block, block, -2)
        if (self.reader_block[at] != np.where(same_block, block, -2)).any():
            self.reader_block[at[self.reader_block[at] != block]] = -2
        self.read_epoch[at] = stretch

    def store(
        self, address: np.ndarray, data: np.ndarray, who: np.ndarray, epoch: np.ndarray, what: str
    ) -> None:
        """Rows of bytes, one for each thread."""
        at = self._places(address, data.shape[1], what)
        if not self.writable[self.piece[at]].all():
            raise Trap(f"store to memory that is only read: {what}")
        self._count(at, who, what)
        thread, stretch = np.broadcast_to(who[:, None], at.shape), epoch[:, None]
        block = thread // self.threads
        writer, reader = self.writer[at], self.reader[at]
        wrote = (writer >= 0) & (writer != thread)
        wrote &= (writer // self.threads != block) | (self.write_epoch[at] == stretch)
        read = (reader != -1) & (reader != thread)
        read &= (self.reader_block[at] != block) | (self.read_epoch[at] == stretch)
        if (wrote | read).any():
            raise Trap(f"race, write without a barrier after another access: {what}")
        self.bytes[at], self.written[at] = data, True
        self.writer[at] = thread
        if (self.writer[at] != thread).any():
            raise Trap(f"race, two threads write one place: {what}")
        self.write_epoch[at] = stretch
        self.reader[at] = self.reader_block[at] = -1
