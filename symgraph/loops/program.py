"""The Program grammar: what one compiled function does, as steps over buffers.

    Program = program name(inputs -> outputs) { Buffer* Check* Step* }
    Step = Run(kernel, buffers)               a loop nest
         | Call(routine, buffers, params)     a library routine (gemm ...)
         | Copy(target, source)               same number of bytes
         | Loop(length, body, rows)           a scan: the body once for each t = 0 .. length-1;
                                              with a flag only as long as that holds; turns that
                                              stand apart may be done by several threads
         | Branch(pred, then, otherwise, buffers)
         | Require(flag, failure)             a run-time error when the flag is false

Every buffer is dense; its role says whose memory it is. A buffer with ``alias`` is another view of
the same memory (a reshape). The body of Loop and Branch is a Program whose inputs and outputs are
given memory by the step, so results are written where they belong.
"""

from __future__ import annotations

from typing import Any

from symgraph.loops.statements import Kernel, Size
from symgraph.records import NamedTuple


class Buffer(NamedTuple):
    """``role``: input | output | shared | constant | temp; ``position`` counts within the role.

    A constant either carries its bytes as ``data`` (small: part of the code) or is number
    ``position`` of the large constants, which are handed over as addresses.
    """

    name: str
    dtype: str
    shape: tuple[Size, ...]
    role: str
    position: int = 0
    alias: str = ""
    data: bytes | None = None


BEGIN, END = "_begin", "_end"  # the last two sizes of a kernel whose turns are shared out


class Phase(NamedTuple):
    """A part of a kernel's work. With ``turns`` the kernel does those from ``_begin`` to ``_end``
    of its outermost loop, and threads may do different ones at the same time; ``cost`` is the work
    of all in picoseconds, ``private`` the parameters of which each thread needs its own memory, and
    ranges are best a ``multiple`` of turns."""

    kernel: Kernel
    buffers: tuple[str, ...]
    turns: Size | None
    cost: Size
    private: tuple[int, ...] = ()
    multiple: int = 1


class Run(NamedTuple):
    """Run a kernel over buffers, in the order of its parameters; by its phases, one after another,
    where it has any: they do the same, and several threads can take part."""

    kernel: Kernel
    buffers: tuple[str, ...]
    origins: tuple[Any, ...] = ()
    phases: tuple[Phase, ...] = ()


class Call(NamedTuple):
    """Call a library routine; ``params`` are (name, value) pairs known when compiled."""

    routine: str
    buffers: tuple[str, ...]
    params: tuple[tuple[str, Any], ...]
    origins: tuple[Any, ...] = ()


class Copy(NamedTuple):
    """target = source."""

    target: str
    source: str


class Row(NamedTuple):
    """The memory that step t of a Loop gives to one input or output of its body.

    The whole buffer when ``step`` is 0 and ``rows`` is False; else row ``start + step * t``, modulo
    ``modulo`` when that is not 0; ``first`` names the buffer that takes its place at t = 0.
    """

    buffer: str
    start: Size = 0
    step: int = 0
    modulo: int = 0
    first: str = ""
    rows: bool = False


class Loop(NamedTuple):
    """A scan. ``rows`` bind the body's inputs, then its outputs; ``finals`` are (target, row)
    copied when the loop has ended, with the row taken at t = the number of turns.

    ``flag`` names a 0-d bool that is read before each turn: false ends the loop. No turn reads what
    another one of a loop that is ``apart`` writes, and what two of them write is the same; its body
    has kernels and products only, and loops of them, so that it cannot fail, and no product has
    another right operand in each turn."""

    length: Size
    body: Program
    rows: tuple[Row, ...]
    finals: tuple[tuple[str, Row], ...]
    flag: str = ""
    apart: bool = False


PRODUCTS = {"matmul": 2, "convolution": 4}  # routines: where the result is among the buffers
ENDLESS = 2**63 - 1  # the length of a loop that only its flag ends


class Branch(NamedTuple):
    """Run ``then`` where the 0-d bool ``pred`` holds, else ``otherwise``."""

    pred: str
    then: Program
    otherwise: Program
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


INTERRUPTED = -(2**31)  # the status of a program that a signal's handler has stopped


class Failure(NamedTuple):
    """A run-time error: its code, text and the user's lines."""

    code: str
    what: str
    hint: str = ""
    origins: tuple[Any, ...] = ()


class Require(NamedTuple):
    """Stop with the failure when the 0-d bool ``flag`` is false."""

    flag: str
    failure: Failure


Step = Run | Call | Copy | Loop | Branch | Require


class Program(NamedTuple):
    """Buffers by name, the sizes it reads, the size checks that come first, and the steps."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: dict[str, Buffer]
    sizes: tuple[str, ...]
    checks: tuple[tuple[Size, Size, str], ...]
    steps: tuple[Step, ...]
