"""What `symgraph doctor` looks at without running a program: versions, threads, the cache."""

from __future__ import annotations

import ctypes.util
import glob
import importlib.util
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from symgraph import config
from symgraph.cli.console import bytes_text
from symgraph.codegen import llvm, tuned
from symgraph.records import NamedTuple
from symgraph.runtime import abi, blas, elf, pool
from symgraph.runtime.cache import Cache, open_cache

_VERSION = str(sys.modules["symgraph"].__version__)


class Check(NamedTuple):
    """One line: ``state`` is good, note or bad; ``fix`` is the mend, in a line."""

    name: str
    state: str
    what: str
    fix: str = ""


CHECKS: list[Callable[[], Check]] = []


def check(function: Callable[[], Check]) -> Callable[[], Check]:
    """Decorator: `doctor` runs this."""
    CHECKS.append(function)
    return function


def _good(name: str, what: str) -> Check:
    return Check(name, "good", what)


# versions -----------------------------------------------------------------------------------------


@check
def python() -> Check:
    what = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.hexversion < 0x030B0000:
        return Check("python", "bad", what, "use Python 3.11 or newer")
    if platform.python_implementation() != "CPython":
        return Check("python", "bad", what, "use CPython: compiled code reads its objects")
    return _good("python", what)


@check
def python_build() -> Check:
    words = [f"{8 * struct.calcsize('P')} bits"]
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        words.append("without the GIL")
        return Check("python build", "note", ", ".join(words), 'use mode="interpret" if calls fail')
    if hasattr(sys, "gettotalrefcount"):
        return Check("python build", "note", "a debug build", "calls are slow: use a release build")
    return _good("python build", ", ".join(words))


@check
def python_flags() -> Check:
    if "no_debug_ranges" in sys._xoptions or os.environ.get("PYTHONNODEBUGRANGES"):
        what = "-X no_debug_ranges: errors show a line without carets"
        return Check("python flags", "note", what, "leave the option out")
    return _good("python flags", "lines and columns of errors are known")


@check
def system() -> Check:
    what = platform.platform(terse=True)
    if not sys.platform.startswith("linux"):
        return Check("system", "note", what, "less is tested here than on Linux; report what fails")
    return _good("system", what)


@check
def installation() -> Check:
    home = os.path.dirname(os.path.abspath(config.__file__))
    try:
        installed = metadata.version("symgraph-compiler")
    except metadata.PackageNotFoundError:
        return _good("symgraph", f"{_VERSION}, from {home}, not installed as a package")
    if installed != _VERSION:
        what = f"{_VERSION} from {home}, {installed} is installed"
        return Check("symgraph", "note", what, "pip install -e . again, or leave the directory")
    return _good("symgraph", f"{_VERSION}, from {home}")


def _package(name: str, least: str, why: str = "") -> Check:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        if why:
            return Check(name, "good", f"is not installed; only {why} needs it")
        return Check(name, "bad", "is not installed", f"pip install '{name}>={least}'")
    numbers = [tuple(map(int, re.findall(r"\d+", v)[:2])) for v in (found, least)]
    if numbers[0] < numbers[1]:
        return Check(name, "bad", f"{found} is too old", f"pip install '{name}>={least}'")
    return _good(name, found)


@check
def numpy() -> Check:
    return _package("numpy", "2.0")


@check
def scipy() -> Check:
    return _package("scipy", "1.11")


@check
def llvmlite() -> Check:
    return _package("llvmlite", "0.45")


@check
def networkx() -> Check:
    return _package("networkx", "2.8")


@check
def ml_dtypes() -> Check:
    return _package("ml_dtypes", "0.4", "bfloat16")


@check
def copies_of_numpy() -> Check:
    spec = importlib.util.find_spec("numpy")
    home = os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else ""
    infos = glob.glob(f"{home}/numpy-*.dist-info")
    if len(infos) > 1:
        what = f"{len(infos)} versions share {home}"
        return Check(
            "copies of numpy", "bad", what, "pip uninstall numpy, repeatedly; install once"
        )
    return _good("copies of numpy", f"one, in {home}")


# the machine --------------------------------------------------------------------------------------


def _cpuinfo(*names: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(rf"^(?:{'|'.join(names)})\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else ""


@check
def processor() -> Check:
    host = llvm.host()  # raises TargetError where multiply-add is missing
    return _good("processor", f"{_cpuinfo('model name') or host.cpu} ({host.cpu} to LLVM)")


@check
def vectors() -> Check:
    host = llvm.host()
    what = f"of {host.vector_bits} bits, with fused multiply-add"
    if host.triple.startswith("x86_64") and host.vector_bits < 256:
        return Check(
            "vectors", "note", what, "half the speed: the processor, or its VM, lacks AVX2"
        )
    return _good("vectors", what)


@check
def processor_features() -> Check:
    flags = set(_cpuinfo("flags", "Features").split())
    if not flags:
        return _good("processor features", "as LLVM says")
    wanted = {"avx2": "avx2", "fma": "fma", "avx512f": "avx512f"}
    features = llvm.host().features.split(",")
    lost = [n for n, flag in wanted.items() if f"+{n}" in features and flag not in flags]
    if lost:
        what = f"LLVM reports {', '.join(lost)}, the kernel does not"
        return Check("processor features", "bad", what, "run on a newer kernel or another VM type")
    return _good("processor features", f"LLVM and the kernel agree on {', '.join(wanted)}")


def _cpu_quota() -> float | None:
    """The processors that a container may use, from cgroups 2 or 1."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None


@check
def processors() -> Check:
    usable, quota = config.usable_cpus(), _cpu_quota()
    what = f"{usable} of {os.cpu_count()} may be used"
    if quota is not None and quota < usable:
        fix = f"SYMGRAPH_NUM_THREADS={max(int(quota), 1)} (the container's share)"
        return Check("processors", "note", f"{what}, for {quota:g} of their time", fix)
    return _good("processors", what)


@check
def memory() -> Check:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return _good("memory", "the system does not say")
    held = {k: int(v) << 10 for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    total, free = held.get("MemTotal", 0), held.get("MemAvailable", 0)
    what = f"{bytes_text(free)} of {bytes_text(total)} available"
    if free < 512 << 20:
        return Check("memory", "note", what, "end other programs, or lower SYMGRAPH_POOL_SIZE")
    return _good("memory", what)


@check
def load() -> Check:
    try:
        busy = os.getloadavg()[0]
    except OSError:
        return _good("load", "the system does not say")
    what = f"{busy:.1f} runnable programs for {config.usable_cpus()} processors"
    if busy > config.usable_cpus():
        return Check("load", "note", what, "timings are worth little until the others end")
    return _good("load", what)


@check
def temporary_files() -> Check:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    what = f"{folder}, {bytes_text(free)} free"
    if free < 64 << 20:
        return Check("temporary files", "note", what, "set TMPDIR to a larger disk")
    return _good("temporary files", what)


# threads and BLAS ---------------------------------------------------------------------------------


def _loaded(pattern: str) -> list[str]:
    """Shared libraries of this process whose file name matches."""
    try:
        lines = Path("/proc/self/maps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    paths = {line[line.index("/") :] for line in lines if "/" in line and ".so" in line}
    return sorted(p for p in paths if re.search(pattern, os.path.basename(p)))


@check
def blas_library() -> Check:
    try:
        routine = blas.blas_routine("dgemm")
    except (KeyError, ImportError) as error:
        return Check("BLAS", "bad", f"no dgemm: {error}", "pip install scipy")
    return _good("BLAS", f"{routine.source}, {routine.int_bits}-bit integers")


@check
def lapack() -> Check:
    try:
        return _good("LAPACK", blas.blas_routine("dpotrf").source)
    except (KeyError, ImportError) as error:
        return Check("LAPACK", "bad", f"no dpotrf: {error}", "pip install scipy")


@check
def tiles_of_products() -> Check:
    found = tuned.summary()
    return _good("tiles of products", found or "the table's; symgraph tune measures others here")


@check
def blas_threads() -> Check:
    count, usable = blas.get_blas_threads(), config.usable_cpus()
    if count is None:
        return _good("BLAS threads", "the library does not say")
    what = f"{count} for {usable} usable processors"
    if count > usable:
        return Check("BLAS threads", "note", what, f"set OPENBLAS_NUM_THREADS={usable}")
    return _good("BLAS threads", what)


@check
def copies_of_blas() -> Check:
    found = _loaded(r"openblas|libblis|mkl_rt|libmkl_core|libatlas")
    if len(found) > 1:
        what = f"{len(found)} are loaded: {', '.join(map(os.path.basename, found))}"
        return Check("copies of BLAS", "note", what, "SciPy's is used only by SciPy; that is usual")
    return _good("copies of BLAS", f"{len(found)} loaded")


@check
def copies_of_openmp() -> Check:
    found = _loaded(r"libgomp|libiomp|libomp")
    kinds = {re.sub(r"[-.].*", "", os.path.basename(p)) for p in found}
    if len(kinds) > 1:
        fix = "take the packages from one source (all pip or all conda)"
        return Check("copies of OpenMP", "note", f"{', '.join(sorted(kinds))} are loaded", fix)
    return _good("copies of OpenMP", ", ".join(kinds) or "none is loaded")


@check
def threads() -> Check:
    count, usable = config.get("num_threads"), config.usable_cpus()
    what = f"{count} for {usable} usable processors"
    if count > usable:
        return Check("threads", "note", what, f"set SYMGRAPH_NUM_THREADS={usable} or unset it")
    return _good("threads", what)


@check
def thread_variables() -> Check:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    held = {n: os.environ[n] for n in names if os.environ.get(n)}
    wrong = [n for n, v in held.items() if not v.isdigit() or not int(v)]
    if wrong:
        what = f"{wrong[0]}={held[wrong[0]]!r} is no number of threads"
        return Check("thread variables", "bad", what, f"unset {wrong[0]}")
    return _good("thread variables", ", ".join(f"{n}={v}" for n, v in held.items()) or "none set")


# native code --------------------------------------------------------------------------------------


@check
def native_entry() -> Check:
    if abi.native_entry_usable():
        return _good("native entry", "arrays are read directly")
    what = "the layout of NumPy's arrays is not the known one"
    return Check("native entry", "bad", what, 'compile with mode="interpret", and report it')


@check
def loader() -> Check:
    if elf.supported_here():
        return _good("loader", "our own")
    return Check("loader", "note", "LLVM's, which is slower to start", "none is needed")


@check
def executable_memory() -> Check:
    """SELinux and hardened kernels forbid pages that were written to become code."""
    blob = llvm.compile_object("define i32 @answer() {\n  ret i32 42\n}")
    code = elf.load(blob) if elf.supported_here() else llvm.load_orc(blob, ["answer"])
    if ctypes.CFUNCTYPE(ctypes.c_int32)(code.address("answer"))() != 42:
        return Check("executable memory", "bad", "code does not run", "allow execmem in SELinux")
    return _good("executable memory", "compiled code runs")


@check
def llvm_version() -> Check:
    return _good("LLVM", f"{llvm.host().llvm}, for {llvm.host().triple}")


@check
def output_memory() -> Check:
    if not pool.handler_place_verified():
        what = "NumPy's memory handler is not where it was: freed outputs are not kept"
        return Check("output memory", "note", what, "none is needed; large results cost more")
    size = config.get("pool_size")
    cap = pool.default_cap() if size is None else size
    if not cap:
        what = "freed outputs are not kept"
        return Check("output memory", "note", what, "unset SYMGRAPH_POOL_SIZE to keep them")
    return _good("output memory", f"up to {bytes_text(cap)} of freed outputs are kept")


# the cache ----------------------------------------------------------------------------------------


def _without_cache(name: str) -> Check:
    return Check(name, "good", "there is no cache")


@check
def cache() -> Check:
    if open_cache() is None:
        return Check("cache", "note", "switched off", "unset SYMGRAPH_CACHE to use it")
    return _good("cache", "on")


@check
def cache_directory() -> Check:
    found = open_cache()
    if found is None:
        return _without_cache("cache directory")
    refused = found.refusal()
    if refused:
        fix = "set SYMGRAPH_CACHE_DIR to a directory of your own"
        return Check("cache directory", "bad", refused, fix)
    folder = Path(found.directory)
    while not folder.exists():  # it is made when it is first needed
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        what = f"{folder} cannot be written"
        return Check("cache directory", "bad", what, f"chmod u+w {folder}")
    return _good("cache directory", found.directory)


@check
def cache_size() -> Check:
    found = open_cache()
    if found is None:
        return _without_cache("cache size")
    stats = found.stats()
    what = f"{bytes_text(stats['bytes'])} of at most {bytes_text(found.cap)} "
    what += f"in {stats['entries']} entries"
    if stats["bytes"] > found.cap:
        return Check("cache size", "note", what, "symgraph cache prune, or SYMGRAPH_CACHE_SIZE=2G")
    return _good("cache size", what)


@check
def cache_age() -> Check:
    found = open_cache()
    entries = found.ls() if isinstance(found, Cache) else []
    if not entries:
        return _good("cache age", "it is empty")
    days = [(time.time() - e.used) / 86400 for e in entries]
    old = sum(d > 90 for d in days)
    what = f"last used {min(days):.0f} to {max(days):.0f} days ago"
    if old > len(days) / 2:
        return Check("cache age", "note", what, "symgraph cache clear: most of it is not used")
    return _good("cache age", what)


@check
def cache_disk() -> Check:
    found = open_cache()
    if found is None:
        return _without_cache("cache disk")
    folder = Path(found.directory)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < 256 << 20:
        fix = "symgraph cache prune, or SYMGRAPH_CACHE_DIR on another disk"
        return Check("cache disk", "note", f"{bytes_text(free)} free", fix)
    return _good("cache disk", f"{bytes_text(free)} free")


# settings -----------------------------------------------------------------------------------------


@check
def settings() -> Check:
    for name in config.SETTINGS:
        try:
            config.get(name)
        except config.ConfigError as error:
            return Check("settings", "bad", error.what, error.hint)
    return _good("settings", ", ".join(f"{n}={config.get(n)}" for n in config.SETTINGS))


@check
def environment() -> Check:
    unknown = config.unknown_environment()
    if unknown:
        known = ", ".join(s.env for s in config.SETTINGS.values())
        return Check(
            "environment", "note", f"nothing reads {', '.join(unknown)}", f"known: {known}"
        )
    return _good("environment", "every SYMGRAPH_ variable is known")


@check
def verification() -> Check:
    if config.get("verify"):
        what = "SYMGRAPH_VERIFY=1: every intermediate program is checked"
        return Check("verification", "note", what, "compiling is slower: unset it when not needed")
    return _good("verification", "off, as it should be outside tests")


# CUDA ---------------------------------------------------------------------------------------------


@check
def cuda_driver() -> Check:
    name = ctypes.util.find_library("cuda")
    try:
        driver = ctypes.CDLL(name or "libcuda.so.1")
    except OSError:
        return _good("CUDA driver", 'none is installed; target="cpu" does not need one')
    version = ctypes.c_int()
    status = driver.cuInit(0)
    if status:
        what = f"cuInit gives error {status}"
        return Check(
            "CUDA driver", "note", what, "reinstall the driver, or make the device visible"
        )
    driver.cuDriverGetVersion(ctypes.byref(version))
    return _good("CUDA driver", f"for CUDA {version.value // 1000}.{version.value % 1000 // 10}")


@check
def cuda_assembler() -> Check:
    path = shutil.which("ptxas")
    if path is None:
        return _good("CUDA assembler", "no ptxas on the path; the driver can assemble by itself")
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("CUDA assembler", "note", f"{path}: {error}", "reinstall the CUDA toolkit")
    release = re.search(r"release (\S+),", said.stdout)
    return _good("CUDA assembler", f"ptxas {release[1] if release else 'of unknown version'}")


@check
def cuda_code_generator() -> Check:
    if not llvm.can_generate("nvptx64-nvidia-cuda"):
        what = "llvmlite was built without NVPTX"
        return Check("CUDA code generator", "note", what, "pip install llvmlite, as a wheel")
    return _good("CUDA code generator", "LLVM's NVPTX")
