"""Settings of the process, read from the environment on demand, changed in a block or for good.

The module itself is the settings object. A setting is looked up at the moment it is needed: first
what `change` says in the running context, then what was assigned, then the environment, then the
default. Nothing is read while importing.

    >>> from symgraph import config
    >>> with config.change(num_threads=1, cache=False):
    ...     config.num_threads, config.cache
    (1, False)

| setting | environment | meaning |
|---|---|---|
| cache | SYMGRAPH_CACHE | 0 turns the disk cache off |
| cache_dir | SYMGRAPH_CACHE_DIR | where the disk cache lives; None: the user's cache directory |
| cache_size | SYMGRAPH_CACHE_SIZE | size cap of the disk cache in bytes (`512M`, `2G`) |
| libraries | SYMGRAPH_LIBRARIES | 0: no libraries of NVIDIA's on GPUs (cuBLAS, cuDNN ...) |
| matmul | SYMGRAPH_MATMUL | who multiplies real matrices: `own` kernels (default) or `blas` |
| num_threads | SYMGRAPH_NUM_THREADS | threads of a compiled function; default: usable CPUs |
| parallel_from | SYMGRAPH_PARALLEL_FROM | nanoseconds of work from which a loop is shared out |
| pool_size | SYMGRAPH_POOL_SIZE | bytes of freed outputs kept; None: a quarter of RAM; 0: no pool |
| products | SYMGRAPH_PRODUCTS | float32 on GPUs: `ieee`, or `tf32`, `bfloat16`, `float16` |
| profile | SYMGRAPH_PROFILE | 1 lets every compiled function count where its time goes |
| progress | SYMGRAPH_PROGRESS | 0: no line about long compilations on a terminal |
| verify | SYMGRAPH_VERIFY | 1 verifies every intermediate program |
| winograd | SYMGRAPH_WINOGRAD | 0: float32 convolutions of 3x3 are summed tap by tap |
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from types import MappingProxyType, ModuleType
from typing import Any

from symgraph.errors import SymgraphError
from symgraph.records import NamedTuple

cache: bool
cache_dir: str | None
cache_size: int
libraries: bool
matmul: str
num_threads: int
parallel_from: int
pool_size: int | None
products: str
profile: bool
progress: bool
verify: bool
winograd: bool


class ConfigError(SymgraphError, AttributeError, ValueError):
    """A setting has an unknown name or a value that it cannot take. The environment variable or the
    assignment that holds the value is named.

    Fails::

        with sg.config.change(threads=2):
            f = sg.compile([x], x + 1)

    Mended::

        x = sg.vector("x")
        with sg.config.change(num_threads=2):
            f = sg.compile([x], x + 1)
    """

    code = "SG801"


class Setting(NamedTuple):
    """One setting: its environment variable, how text and values become valid, and its default."""

    env: str
    parse: Callable[[Any], Any]
    default: Callable[[], Any]
    expects: str


_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _flag(value: Any) -> bool:
    if isinstance(value, bool | int):
        return bool(value)
    word = value.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError
    return word in _TRUE


def _count(value: Any) -> int:
    if isinstance(value, float | bool):
        raise ValueError
    count = int(value)
    if count < 1:
        raise ValueError
    return count


def _nanoseconds(value: Any) -> int:
    if isinstance(value, float | bool) or int(value) < 0:
        raise ValueError
    return int(value)


def _multiplier(value: Any) -> str:
    if value not in ("own", "blas"):
        raise ValueError
    return str(value)


def _arithmetic(value: Any) -> str:
    if value not in ("ieee", "tf32", "bfloat16", "float16"):
        raise ValueError
    return str(value)


def _bytes(value: Any) -> int:
    if isinstance(value, float | bool):
        raise ValueError
    scale = 1
    if isinstance(value, str):
        value = value.strip().upper().removesuffix("B").removesuffix("I")
        if value and value[-1] in "KMGT":
            scale = 1024 ** ("KMGT".index(value[-1]) + 1)
            value = value[:-1]
    size = int(value) * scale
    if size < 0:
        raise ValueError
    return size


def _optional_bytes(value: Any) -> int | None:
    return None if value is None else _bytes(value)


def _directory(value: Any) -> str | None:
    if value is None:
        return None
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError
    os.fsencode(path)  # a name that the file system cannot spell is a ValueError
    return os.path.expanduser(path)


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity mask where the system has one, or the time that
    its control group grants where that is less (containers)."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        return max(1, min(count, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no such group, or "max"
        return count


SETTINGS: dict[str, Setting] = {
    "cache": Setting("SYMGRAPH_CACHE", _flag, lambda: True, "0 or 1"),
    "cache_dir": Setting("SYMGRAPH_CACHE_DIR", _directory, lambda: None, "a directory"),
    "cache_size": Setting(
        "SYMGRAPH_CACHE_SIZE", _bytes, lambda: 1 << 30, "a number of bytes, as 1000000, 512M or 2G"
    ),
    "libraries": Setting("SYMGRAPH_LIBRARIES", _flag, lambda: True, "0 or 1"),
    "matmul": Setting("SYMGRAPH_MATMUL", _multiplier, lambda: "own", "'own' or 'blas'"),
    "num_threads": Setting("SYMGRAPH_NUM_THREADS", _count, usable_cpus, "an integer above 0"),
    "parallel_from": Setting(
        "SYMGRAPH_PARALLEL_FROM", _nanoseconds, lambda: 40_000, "a number of nanoseconds, 0 or more"
    ),
    "pool_size": Setting(
        "SYMGRAPH_POOL_SIZE", _optional_bytes, lambda: None, "a number of bytes, as 512M, 2G or 0"
    ),
    "products": Setting(
        "SYMGRAPH_PRODUCTS", _arithmetic, lambda: "ieee", "'ieee', 'tf32', 'bfloat16' or 'float16'"
    ),
    "profile": Setting("SYMGRAPH_PROFILE", _flag, lambda: False, "0 or 1"),
    "progress": Setting("SYMGRAPH_PROGRESS", _flag, lambda: True, "0 or 1"),
    "verify": Setting("SYMGRAPH_VERIFY", _flag, lambda: False, "0 or 1"),
    "winograd": Setting("SYMGRAPH_WINOGRAD", _flag, lambda: True, "0 or 1"),
}

_assigned: dict[str, Any] = {}
_changed: ContextVar[MappingProxyType[str, Any]] = ContextVar(
    "symgraph_config",
    default=MappingProxyType({}),
)


def get(name: str) -> Any:
    """The value of a setting now; also `config.NAME`. Raises ConfigError for an unknown name or an
    environment variable with a value that makes no sense.

    >>> get("cache_size") > 0
    True
    """
    _setting(name)
    changed = _changed.get()
    return changed[name] if name in changed else _standing(name)


def _standing(name: str) -> Any:
    """The value outside of any block."""
    if name in _assigned:
        return _assigned[name]
    setting = SETTINGS[name]
    text = os.environ.get(setting.env)
    # an empty variable means the default, as shells that cannot unset a variable write it
    return setting.default() if not text else _valid(name, text, setting.env)


class change:
    """Other settings inside a `with` block, for this thread or task only.

    Raises ConfigError, before anything is changed, for an unknown name or an unsuitable value.

    >>> with change(verify=True):
    ...     get("verify")
    True
    """

    __slots__ = ("_token", "_values")

    def __init__(self, **settings: Any) -> None:
        self._values = {name: _valid(name, value, name) for name, value in settings.items()}
        self._token: Token[MappingProxyType[str, Any]] | None = None

    def __enter__(self) -> None:
        self._token = _changed.set(MappingProxyType({**_changed.get(), **self._values}))
        _tell(self._values)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _changed.reset(self._token)
            self._token = None
            _tell(self._values)


def reset(*names: str) -> None:
    """Forget assigned values (of all settings when none is named): the environment counts again."""
    for name in names or tuple(SETTINGS):
        _setting(name)
        _assigned.pop(name, None)
    _tell(names or tuple(SETTINGS))


_watchers: dict[str, Callable[[Any, Any], None]] = {}


def watch(name: str, changed: Callable[[Any, Any], None]) -> None:
    """Call ``changed(value, own)`` after each change of a setting, for native code cannot ask: the
    value of the process, and that of the calling thread's `change` block or None. A setting has one
    watcher."""
    _setting(name)
    _watchers[name] = changed


def _tell(names: Iterable[str]) -> None:
    for name in names:
        if name in _watchers:
            with contextlib.suppress(ConfigError):  # whoever reads the setting will hear of it
                _watchers[name](_standing(name), _changed.get().get(name))


def unknown_environment() -> list[str]:
    """Environment variables that start with SYMGRAPH_ and that nothing reads, for `doctor`."""
    known = {setting.env for setting in SETTINGS.values()}
    return sorted(n for n in os.environ if n.startswith("SYMGRAPH_") and n not in known)


def _setting(name: str) -> Setting:
    try:
        return SETTINGS[name]
    except KeyError:
        import difflib  # only for the message

        near = difflib.get_close_matches(name, SETTINGS, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"settings: {', '.join(SETTINGS)}"
        raise ConfigError(f"config: unknown setting {name!r}", hint=hint) from None


def _valid(name: str, value: Any, where: str) -> Any:
    setting = _setting(name)
    try:
        return setting.parse(value)
    except (ValueError, TypeError, KeyError, AttributeError):
        what = f"config: {where} cannot be {value!r}"
        raise ConfigError(what, hint=f"{name} takes {setting.expects}") from None


class _Settings(ModuleType):
    """The class of this module: `config.NAME` reads and `config.NAME = value` is checked."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python's own questions, as __path__
            raise AttributeError(name)
        return get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        # importing sets submodules and tests patch functions: only settings are our business
        if name in SETTINGS:
            _assigned[name] = _valid(name, value, name)
            _tell((name,))
        elif name in self.__dict__ or name.startswith("_"):
            super().__setattr__(name, value)
        else:
            _setting(name)

    def __delattr__(self, name: str) -> None:
        if name in SETTINGS:
            reset(name)
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted(["ConfigError", "change", "get", "reset", *SETTINGS])


sys.modules[__name__].__class__ = _Settings
