"""One model in one mode, in this process: compile logp and its gradient, then call it.

    python -m benchmarks.pymc.measure radon SYMGRAPH [seconds]

prints a line of JSON: seconds to compile (wall, processor), microseconds per call, peak memory,
the value at a fixed point. `benchmarks.pymc.run` starts it with empty and with filled caches.
The mode "symgraph.pymc" is no mode of PyTensor's: it is what `symgraph.pymc.sample` makes, and its
calls are those of C by the address.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
import time
import warnings
from typing import Any

import numpy as np

from benchmarks.pymc.models import MODELS


def compiled(model: Any, mode: str) -> tuple[Any, np.ndarray]:
    """PyTensor's function for logp and gradient of a model, and a point."""
    from pymc.blocking import DictToArrayBijection

    function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    function.set_extra_values({})
    start = model.initial_point()
    point = DictToArrayBijection.map({v.name: start[v.name] for v in model.value_vars}).data
    return function._pytensor_function, point + 0.05 * np.sin(np.arange(point.size))


def per_call(function: Any, point: np.ndarray, seconds: float = 1.0) -> float:
    """Seconds for a call: the best of blocks that last about ``seconds`` together."""
    function.trust_input = True
    t = time.perf_counter()
    for _ in range(5):
        _ready(function(point))
    count = max(1, int(0.02 / max((time.perf_counter() - t) / 5, 1e-7)))
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        t = time.perf_counter()
        for _ in range(count):
            result = function(point)
        _ready(result)
        best = min(best, (time.perf_counter() - t) / count)
    return best


def _ready(result: Any) -> None:
    for r in result:
        if hasattr(r, "block_until_ready"):
            r.block_until_ready()


_LOOP = """\
define void @repeat(ptr %f, i64 %n, i64 %dim, ptr %x, ptr %gradient, ptr %value, ptr %user) {
begin:
  br label %turn
turn:
  %i = phi i64 [0, %begin], [%j, %turn]
  %r = call i64 %f(i64 %dim, ptr %x, ptr %gradient, ptr %value, ptr %user)
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %n
  br i1 %more, label %turn, label %end
end:
  ret void
}
"""


def per_call_of_address(native: Any, point: np.ndarray, seconds: float = 1.0) -> float:
    """Seconds for a call by the address, from a loop in machine code."""
    from symgraph.codegen.llvm import compile_object
    from symgraph.executor import load_code

    code = load_code(compile_object(_LOOP), ["repeat"])
    words = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 4]
    repeat = ctypes.CFUNCTYPE(None, *words)(code.address("repeat"))
    gradient, value = np.empty_like(point), np.empty(())
    arrays = [a.ctypes.data for a in (point, gradient, value)]

    def block(count: int) -> float:
        t = time.perf_counter()
        repeat(native.address, count, point.size, *arrays, native.user)
        return time.perf_counter() - t

    count = max(1, int(0.02 / max(block(20) / 20, 1e-8)))
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, block(count) / count)
    return best


def measured_mode(model: Any, mode: str, seconds: float) -> dict[str, Any]:
    """One of PyTensor's modes."""
    wall, processor = time.perf_counter(), _processor()
    function, point = compiled(model, mode)
    logp, gradient = (np.asarray(v) for v in function(point))
    row = _row(wall, processor, logp, gradient)
    row["call_us"] = 1e6 * per_call(function, point, seconds)
    if mode == "SYMGRAPH":
        program = function.vm.program
        row["backend_s"] = program.seconds
        row["performed"] = sorted({type(n.op).__name__ for n, _ in program.performed})
    return row


def measured_address(model: Any, seconds: float) -> dict[str, Any]:
    """What `symgraph.pymc.sample` makes: stored values and a starting point as well."""
    wall, processor = time.perf_counter(), _processor()
    from symgraph.interop.pymc import densities

    made = densities(model)
    start = model.initial_point()
    point = np.concatenate([np.ravel(start[name]) for name in made.names[: made.free]])
    point = point + 0.05 * np.sin(np.arange(point.size))
    logp, gradient = made.logp_and_gradient(point)
    row = _row(wall, processor, logp, gradient)
    addresses = made.addresses()
    if addresses is not None:
        row["call_us"] = 1e6 * per_call_of_address(addresses[0], point, seconds)
    row["gradient_by"] = made.gradient_by
    return row


def _processor() -> float:
    """Seconds of processor time of this process and of the compilers that it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _row(wall: float, processor: float, logp: Any, gradient: Any) -> dict[str, Any]:
    return {
        "compile_s": time.perf_counter() - wall,
        "cpu_s": _processor() - processor,
        "logp": float(logp),
        "gradient": float(np.sum(gradient)),
    }


def main(name: str, mode: str, seconds: float = 1.0) -> dict[str, Any]:
    """Everything that is measured about one model in one mode."""
    warnings.simplefilter("ignore")
    if mode == "SYMGRAPH":
        import symgraph.interop.pytensor
    if mode == "symgraph.pymc":
        import symgraph.interop.pymc  # noqa: F401
    model = MODELS[name]()
    if mode == "symgraph.pymc":
        row = measured_address(model, seconds)
    else:
        row = measured_mode(model, mode, seconds)
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"model": name, "mode": mode, **row}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], float((sys.argv[3:] or ["1"])[0]))))
