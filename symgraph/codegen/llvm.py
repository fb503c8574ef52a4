"""The only door to LLVM: text in, machine code out. The library is loaded when it is first needed.

No IR passes are run: our text is explicit vectors without redundancy, on which they cost twice the
time and gain nothing. Contexts live as long as a module; a target machine serves one module at a
time, and any thread the next one.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import itertools
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from symgraph.errors import TargetError, VerifyError
from symgraph.records import NamedTuple
from symgraph.runtime.crew import Crew, processors
from symgraph.runtime.digest import hexdigest


class HostTarget(NamedTuple):
    """The machine we compile for, as LLVM names it. Plain data, so that a cache can keep it."""

    cpu: str
    features: str
    vector_bits: int
    has_fma: bool
    triple: str
    llvm: str


class Instructions(NamedTuple):
    """What the writers of text ask of the processor: the bits of its vectors, and features by
    LLVM's names, those of `FEATURES` alone."""

    vector_bits: int
    features: frozenset[str]

    @property
    def words(self) -> str:
        """The features as LLVM writes them."""
        return ",".join(f"+{name}" for name in sorted(self.features))


class Known(NamedTuple):
    """A module that may come compiled with the package (`runtime/shipped.py`): its name there, and
    what writes its text."""

    name: str
    write: Callable[[], str]


Module = str | Known


#: LLVM's names of the features that text depends on, with those that Linux has for them
FEATURES = {
    **dict.fromkeys(
        "avx2 avx512bw avx512cd avx512dq avx512f avx512vl bmi2 f16c fma movbe popcnt sse2 sse4a"
        .split()
    ),
    "avxvnni": "avx_vnni", "bmi": "bmi1", "lzcnt": "abm", "neon": "asimd",
}  # fmt: skip
CALLS = 0  # the code generator's level for a function that mostly calls others: a tenth of the time
KERNELS = 2  # and for one with loops over elements
MOSTLY_CALLS = "; mostly calls\n"  # the first line of a kernel that is compiled like those
# and of one that loads, shuffles and stores in one block, of which other levels make the same
ONE_BLOCK = "; one block\n"
ASSEMBLED = "; assembled\n"  # and of one whose loops are in assembly language
SHARED_FROM = 5_000  # characters of text from which a second thread is worth it

# what LLVM sets up for its first loop over vectors, which takes as long as the loop itself
_TRIAL = """define void @f(ptr %p, i64 %n) nounwind {
  br label %l
l:
  %i = phi i64 [ 0, %0 ], [ %j, %l ]
  %q = getelementptr double, ptr %p, i64 %i
  %x = load <8 x double>, ptr %q, align 8
  %y = fadd <8 x double> %x, %x
  store <8 x double> %y, ptr %q, align 8
  %j = add i64 %i, 8
  %c = icmp slt i64 %j, %n
  br i1 %c, label %l, label %e
e:
  ret void
}
"""
_NOTHING = "define void @f() nounwind {\n  ret void\n}\n"
_idle: dict[int, list[Any]] = {}  # machines that nobody uses just now, by level
_library_numbers = itertools.count()
_host: HostTarget | None = None
_instructions: tuple[HostTarget | None, Instructions] | None = None  # with whose they are
_jit: Any = None
_setup_lock = threading.Lock()


def _library() -> Any:
    """LLVM itself. Our half of its door is imported here, since a warm start needs none of it."""
    with _setup_lock:
        return importlib.import_module("symgraph.codegen.libllvm").library()


def warm_up(opt: int = KERNELS) -> None:
    """Load LLVM and have it set itself up for a level: what a thread may do while others are
    busy."""
    _emit(_TRIAL if opt >= KERNELS else _NOTHING, opt, True)


def _binding() -> Any:
    """llvmlite.binding with the native target ready, for what is rare."""
    import llvmlite.binding

    llvmlite.binding.initialize_native_target()
    llvmlite.binding.initialize_native_asmprinter()
    return llvmlite.binding


# the host -----------------------------------------------------------------------------------------


def host() -> HostTarget:
    """The machine this process runs on. Asks LLVM (and so imports llvmlite) unless the answer was
    given by `remember_host`.

    Raises TargetError for a processor without fused multiply-add: without it every `llvm.fma` would
    be a call into the C library per element (x86-64 before 2013; all of aarch64 has it).
    """
    if _host is None:
        remember_host(_ask_host())
    assert _host is not None
    return _host


def remember_host(target: HostTarget) -> None:
    """Use a description kept from an earlier process with the same `host_fingerprint()`."""
    global _host
    _host = target
    _idle.clear()  # they are another host's


def _ask_host() -> HostTarget:
    library = _library()
    triple, cpu, features = library.host()
    flags = {f[1:] for f in features.split(",") if f[:1] == "+"}
    has_fma = "fma" in flags if triple.startswith(("x86_64", "i686")) else True
    return HostTarget(cpu, features, _bits(flags), has_fma, triple, library.version())


def _bits(features: Collection[str]) -> int:
    """The bits of a vector register."""
    return 512 if "avx512f" in features else 256 if "avx2" in features else 128


def instructions() -> Instructions:
    """What the processor can do, found without LLVM where the system tells: text is written while
    LLVM is loaded. Errors are those of `host`."""
    global _instructions
    if _instructions is None or _instructions[0] is not _host:
        found = _told_by_system() if _host is None else None
        if found is None:
            flags = {f[1:] for f in host().features.split(",") if f[:1] == "+"}
            found = flags & FEATURES.keys()
        _instructions = _host, Instructions(_bits(found), frozenset(found))
    return _instructions[1]


def _told_by_system() -> set[str] | None:
    """The features by what Linux says of the first processor."""
    flags = next((line for line in _processor() if line.startswith(("flags", "Features"))), "")
    told = set(flags.partition(":")[2].split())
    return {name for name, linux in FEATURES.items() if (linux or name) in told} if told else None


def can_generate(triple: str) -> bool:
    """Whether this LLVM has a code generator for the target of that name."""
    binding = _binding()
    try:
        binding.initialize_all_targets()
        binding.Target.from_triple(triple)
    except (RuntimeError, AttributeError):
        return False
    return True


@functools.cache
def host_fingerprint() -> str:
    """A short name of everything `host()` depends on, found without importing llvmlite: processor
    model and flags, operating system, the installed llvmlite. Part of every cache key."""
    parts = [sys.platform, _machine_name(), *_processor(), *_installed_llvmlite()]
    return hexdigest("\n".join(parts).encode())[:32]


def _machine_name() -> str:
    uname = getattr(os, "uname", None)
    return uname().machine if uname else os.environ.get("PROCESSOR_IDENTIFIER", "")


@functools.cache
def _processor() -> list[str]:
    """The lines about the first processor that say what it is, not how fast it runs just now."""
    try:
        with open("/proc/cpuinfo", "rb", 0) as file:
            first = file.read(8192).decode("utf-8", "replace").split("\n\n")[0]
    except OSError:
        return []
    names = (
        "vendor_id",
        "cpu family",
        "model",
        "stepping",
        "cache size",
        "flags",
        "Features",
        "CPU ",
    )
    return [line for line in first.splitlines() if line.startswith(names)]


def _installed_llvmlite() -> list[str]:
    spec = importlib.machinery.PathFinder.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        spec = importlib.util.find_spec("llvmlite")  # where other finders have it
    if spec is None or spec.origin is None:
        return ["no llvmlite"]
    try:
        path = os.path.join(os.path.dirname(spec.origin), "_version.py")
        with open(path, "rb", 0) as file:
            return [file.read().decode("utf-8", "replace")]
    except OSError:
        return [f"{os.stat(spec.origin).st_mtime_ns}"]


# compiling ----------------------------------------------------------------------------------------


def level(text: str) -> int:
    """The code generator's level for a kernel."""
    return CALLS if text.startswith((MOSTLY_CALLS, ONE_BLOCK, ASSEMBLED)) else KERNELS


def text_of(module: Module) -> str:
    """The text of a module."""
    return module if isinstance(module, str) else module.write()


def compile_object(text: str, opt: int = KERNELS) -> bytes:
    """The object file of a module: position-independent machine code for the host.

    `opt` is the code generator's level, 0 to 3. Raises TargetError for a processor without fused
    multiply-add and VerifyError for text that LLVM refuses, quoting the line.

    >>> compile_object("define i32 @f() {\\n  ret i32 7\\n}")[1:4]
    b'ELF'
    """
    return _emit(text, opt, True)


def compile_objects(texts: Mapping[str, tuple[str, int]]) -> dict[str, bytes]:
    """The object files of several modules, each a text with its level, by as many threads as there
    are processors; errors are compile_object's.

    >>> compile_objects({"f": ("define i32 @f() {\\n  ret i32 7\\n}", 0)})["f"][1:4]
    b'ELF'
    """
    done: dict[str, bytes] = {}

    def task(name: str) -> Callable[[], None]:
        def compile_one() -> None:
            done[name] = compile_object(*texts[name])

        return compile_one

    large = sum(len(text) for text, _ in texts.values()) >= SHARED_FROM
    with Crew(min(len(texts), processors()) - 1 if large else 0) as crew:
        for name in sorted(texts, key=lambda n: -cost(*texts[n])):
            crew.add(cost(*texts[name]), task(name))
        crew.finish()
    return {name: done[name] for name in texts}


def cost(text: str, opt: int) -> float:
    """How long a module takes, beside others; a level below that of kernels takes an eighth."""
    return len(text) * (1.0 if opt >= KERNELS else 0.125)


def assembly(text: str, opt: int = KERNELS) -> str:
    """The assembly language of a module for the host; errors are compile_object's."""
    return _emit(text, opt, False).decode()


def _machine(opt: int) -> Any:
    """A target machine that is nobody else's (with what it makes at first use 3 ms)."""
    try:
        return _idle.setdefault(opt, []).pop()
    except IndexError:
        pass
    target = host()
    if not target.has_fma:
        raise TargetError(
            f"the processor {target.cpu} has no fused multiply-add",
            hint="symgraph needs x86-64-v3 (2013) or aarch64",
        )
    library = _library()
    door = importlib.import_module("symgraph.codegen.libllvm")
    return door.Machine(library, target.triple, target.cpu, target.features, opt)


def _emit(text: str, opt: int, as_object: bool) -> bytes:
    machine = _machine(opt)
    try:
        data: bytes = machine.emit(text, as_object)
    except RuntimeError as error:
        raise VerifyError(_explain(text, str(error))) from None
    finally:
        _idle.setdefault(opt, []).append(machine)
    return data


def _explain(text: str, message: str) -> str:
    """LLVM's complaint with the line it is about and the function that holds it."""
    found = re.search(r"<string>:(\d+):\d+: error: (.*)", message)
    if found is None:
        return f"LLVM refuses the module: {message.strip()}"
    lines = text.splitlines()
    number = int(found[1])
    heads = [line for line in lines[:number] if line.startswith("define")]
    where = re.search(r"@([\w.$-]+)", heads[-1]) if heads else None
    place = f" in @{where[1]}" if where else ""
    quoted = lines[number - 1].strip() if number <= len(lines) else ""
    return f"LLVM refuses line {number}{place}: {found[2]}: {quoted}"


# loading ------------------------------------------------------------------------------------------


class OrcLibrary:
    """Machine code in this process, loaded by LLVM; alive as long as this object."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker

    def address(self, symbol: str) -> int:
        """Where a symbol lies."""
        found: int = self._tracker[symbol]
        return found


def load_orc(data: bytes, symbols: Sequence[str]) -> OrcLibrary:
    """Load an object file by LLVM's linker: the fallback where our own loader declines.

    `symbols` are those to be asked for.
    """
    global _jit
    lb, target = _binding(), host()
    with _setup_lock:
        if _jit is None:
            machine = lb.Target.from_triple(target.triple).create_target_machine(
                cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
            )
            _jit = lb.create_lljit_compiler(machine)
    builder = lb.JITLibraryBuilder().add_object_img(data).add_current_process()
    for symbol in symbols:
        builder.export_symbol(symbol)
    return OrcLibrary(builder.link(_jit, f"symgraph{next(_library_numbers)}"))
