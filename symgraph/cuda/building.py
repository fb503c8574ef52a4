"""The cold way to a function for a GPU: optimize, lower, guard, write PTX, assemble.

What comes out is what the disk cache keeps: a recipe, the failures that calls may end with, and as
sections the images of kernels and the object files of the host's steps.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

from symgraph import callbacks, config, cuda_stages, stages
from symgraph.codegen.ptx.architecture import Architecture
from symgraph.cuda.guards import STOP, guarded
from symgraph.cuda.host import HostCode, HostObjects, HostStep
from symgraph.cuda.images import image, kept_ptx
from symgraph.cuda.recipe import programs, recipe
from symgraph.cuda.sizes import size_names
from symgraph.cuda_stages import DeviceProgram
from symgraph.errors import VerifyError
from symgraph.function import Definition
from symgraph.loops.program import Call, Run
from symgraph.loops.text import kernels
from symgraph.loops.verify import verify_kernel
from symgraph.records import NamedTuple
from symgraph.runtime.cuda.protocol import Driver
from symgraph.runtime.cuda.routines import ALONE, CHOOSE


class Finished(NamedTuple):
    """A finished function: JSON's values, and bytes by name. ``callbacks`` are graphs that the
    host interprets; ``kept``: whether the disk cache can have all of it."""

    meta: dict[str, Any]
    sections: dict[str, bytes]
    callbacks: list[Any]
    kept: bool


def build(d: Definition, arch: Architecture, driver: Driver) -> Finished:
    """Compile a definition for an architecture, as a driver can load it."""
    clock = [time.perf_counter()]
    program = cuda_stages.scheduled(d, stages.optimized_graph(d))
    found = guarded(program)
    if config.get("verify"):
        for kernel in kernels(found.program):
            verify_kernel(kernel)
    clock.append(time.perf_counter())
    made = cuda_stages.emit(found.program, arch, kept_ptx)
    clock.append(time.perf_counter())
    sections = {f"kernel {n}": image(k.ptx, arch, driver) for n, k in made.kernels.items()}
    host, steps = _host_code(made)
    objects = host.finish() or HostObjects({}, [], [])
    sections |= {f"host {n}": blob for n, blob in objects.objects.items()}
    clock.append(time.perf_counter())
    failures = [*found.failures, *host.failures]
    meta = {
        "recipe": recipe(made, steps), "layout": objects.layout, "names": size_names(d),
        "failures": stages.failure_records(d.graph, failures), "checks": len(found.failures),
        "status": STOP if found.failures else "",
        "seconds": dict(zip(("lower", "ptx", "assemble"), _spans(clock), strict=True)),
    }  # fmt: skip
    kept = True
    try:
        meta["callbacks"] = [callbacks.to_text(*c) for c in objects.callbacks]
    except VerifyError:  # a Python function
        kept = False
    return Finished(meta, sections, objects.callbacks, kept)


def _spans(clock: list[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(clock)]


def _host_code(made: DeviceProgram) -> tuple[HostCode, Mapping[int, HostStep]]:
    host, steps = HostCode(), {}
    for program in programs(made.program):
        for step in program.steps:
            away = isinstance(step, Run) and step.kernel.name not in made.kernels
            own = isinstance(step, Call) and step.routine not in (*ALONE, CHOOSE)
            if own or away:
                steps[id(step)] = host.add(program, step)  # type: ignore[arg-type]
    return host, steps
