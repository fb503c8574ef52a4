"""One model in one mode, in this process: compile logp and its gradient, then call it.

    python -m benchmarks.pymc.measure radon SYMGRAPH

prints a line of JSON: seconds to compile (wall, processor), microseconds per call, peak memory,
the value at a fixed point. `benchmarks.pymc.run` starts it with empty and with filled caches.
"""

from __future__ import annotations

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


def main(name: str, mode: str) -> dict[str, Any]:
    """Everything that is measured about one model in one mode."""
    warnings.simplefilter("ignore")
    if mode == "SYMGRAPH":
        import symgraph.interop.pytensor  # noqa: F401
    model = MODELS[name]()
    wall, processor = time.perf_counter(), time.process_time()
    function, point = compiled(model, mode)
    logp, gradient = (np.asarray(v) for v in function(point))
    row = {
        "model": name,
        "mode": mode,
        "compile_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - processor,
        "logp": float(logp),
        "gradient": float(np.sum(gradient)),
    }
    row["call_us"] = 1e6 * per_call(function, point)
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if mode == "SYMGRAPH":
        program = function.vm.program
        row["backend_s"] = program.seconds
        row["performed"] = sorted({type(n.op).__name__ for n, _ in program.performed})
    return row


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3])))
