"""The thread team as Python sees it: its state, its limits, what a fork does to it.

`install` takes the loaded object of `team_ir`'s module and makes the process's one team. Its
workers start at the first run that is worth them; they sleep on a futex between runs, know nothing
of Python, and are never ended: the process ends over them. Team, state and code are immortal.

How many threads a run may use is the setting `num_threads`: assigned or from the environment for
the whole process, changed in a `with` block for the thread that runs the block.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading

from symgraph import config
from symgraph.runtime import abi
from symgraph.runtime.elf import LoadedCode

# the layout of the state, as team_ir writes it; a test holds the two against each other
_AT = {
    "region": 128, "busy": 192, "sleepers": 256, "entered": 320, "runs": 424, "threads": 448,
    "spin": 456, "started": 464, "most": 472, "overrides": 480, "main": 488, "polled": 496,
    "functions": 512, "sched_getcpu": 592, "registered": 600, "avoided": 604, "table": 640,
    "tids": 1664,
}  # fmt: skip
_C_FUNCTIONS = (
    "syscall", "pthread_create", "pthread_detach", "pthread_sigmask", "sigfillset",
    "pthread_self", "clock_gettime",
)  # fmt: skip
_PY_FUNCTIONS = ("PyGILState_Ensure", "PyErr_CheckSignals", "PyGILState_Release")
_OVERRIDES = 64
_TOLD = 16  # workers whose numbers are known
_SIZE = _AT["tids"] + 4 * _TOLD
_MOST = 1 << 10  # workers at most

SPIN = 4000  # pauses, some 50 to 200 us, that a worker spins before it sleeps


class Team:
    """The process's thread team. `state` and the addresses `run`, `share`, `threads`, `awake` and
    `poll` are what compiled functions need; they are valid for the life of the process."""

    def __init__(self, code: LoadedCode) -> None:
        self._code = code
        self._memory = ctypes.create_string_buffer(_SIZE + 64)
        self.state = (ctypes.addressof(self._memory) + 63) & ~63
        self.run = code.address("team_run")
        self.share = code.address("team_share")
        self.threads = code.address("team_threads")
        self.awake = code.address("team_awake")
        self.poll = code.address("team_poll")
        self._rows: dict[int, int] = {}  # threads with a limit of their own: their row
        self._lock = threading.Lock()
        self._fill()

    def _fill(self) -> None:
        process = ctypes.CDLL(None)
        addresses = [_address(process, name) for name in _C_FUNCTIONS]
        addresses += [abi.pyaddr(name) for name in _PY_FUNCTIONS]
        for k, address in enumerate(addresses):
            self._word(_AT["functions"] + 8 * k).value = address
        usable = all(addresses)
        self._word(_AT["sched_getcpu"]).value = _address(process, "sched_getcpu")
        self._word(_AT["most"]).value = _MOST if usable else 0
        self._word(_AT["spin"]).value = SPIN
        self._word(_AT["threads"]).value = config.get("num_threads")
        self._word(_AT["main"]).value = threading.main_thread().ident or 0

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self.state + offset)

    # limits ---------------------------------------------------------------------------------------

    def limit_changed(self, limit: int, own: int | None) -> None:
        """The process's limit, and that of the calling thread where it has one of its own."""
        me = threading.get_ident()
        with self._lock:
            self._word(_AT["threads"]).value = limit
            if own is None:
                self._drop(me)
                return
            row = self._rows.get(me, self._free_row())
            if row is None:  # 64 blocks at once: the process's limit serves the others
                return
            self._rows[me] = row
            place = _AT["table"] + 16 * row
            self._word(place + 8).value = own
            self._word(place).value = me
            self._word(_AT["overrides"]).value = max(self._rows.values()) + 1

    def _free_row(self) -> int | None:
        taken = set(self._rows.values())
        return next((k for k in range(_OVERRIDES) if k not in taken), None)

    def _drop(self, thread: int) -> None:
        row = self._rows.pop(thread, None)
        if row is not None:
            self._word(_AT["table"] + 16 * row).value = 0
            self._word(_AT["overrides"]).value = max(self._rows.values(), default=-1) + 1

    # looking and testing --------------------------------------------------------------------------

    @property
    def spin(self) -> int:
        """Pauses before a worker sleeps; may be assigned."""
        return int(self._word(_AT["spin"]).value)

    @spin.setter
    def spin(self, pauses: int) -> None:
        self._word(_AT["spin"]).value = max(0, int(pauses))

    def stats(self) -> dict[str, int]:
        """How many workers there are (`started`), how many of them sleep, and how many runs were
        shared out."""
        sleepers = ctypes.c_int32.from_address(self.state + _AT["sleepers"]).value
        started, runs = (int(self._word(_AT[n]).value) for n in ("started", "runs"))
        return {"started": started, "sleeping": sleepers, "runs": runs}

    def after_fork(self) -> None:
        """In a forked child there are no workers, and the forking thread is the main one."""
        words = [_AT[n] for n in ("region", "busy", "sleepers", "entered", "registered", "avoided")]
        for offset in [*words, *range(_AT["tids"], _SIZE, 4)]:
            ctypes.c_int32.from_address(self.state + offset).value = 0
        self._word(_AT["started"]).value = 0
        if self._word(_AT["most"]).value:
            self._word(_AT["most"]).value = _MOST
        self._word(_AT["main"]).value = threading.get_ident()
        self._lock = threading.Lock()
        me = threading.get_ident()
        for thread in [t for t in self._rows if t != me]:
            self._drop(thread)


def _address(process: ctypes.CDLL, name: str) -> int:
    """The address of a C function, 0 where this system has none of that name."""
    try:
        return abi.address_in(process, name)
    except AttributeError:
        return 0


_current: Team | None = None


def current() -> Team | None:
    """The process's team, None before `install`."""
    return _current


def machine() -> str:
    """For which machine `team_ir` should write its module: empty where there is no futex."""
    return platform.machine() if sys.platform.startswith("linux") else ""


def install(code: LoadedCode) -> Team:
    """Make the process's team from loaded code; later calls return the same team.

    Raises KeyError when the code lacks a function of the team.
    """
    global _current
    if _current is None:
        team = Team(code)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(team))  # workers stand in its code
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=team.after_fork)
        config.watch("num_threads", team.limit_changed)
        _current = team
    return _current
