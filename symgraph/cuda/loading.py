"""From a definition to a function's code on the device: out of the disk cache, or compiled now.

A finished function is found by the user's graph and options (as for the CPU), the architecture, and
what makes machine code for the driver. The compiler itself is only loaded when nothing is found.
"""

from __future__ import annotations

import base64
import importlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from symgraph import callbacks, config
from symgraph.codegen.ptx.architecture import Architecture
from symgraph.cuda.host import HostObjects, HostRunner
from symgraph.cuda.images import assembler
from symgraph.cuda.sizes import renamed, size_names
from symgraph.cuda.tape import Code
from symgraph.function import Definition
from symgraph.ir.hashing import large_constants
from symgraph.records import NamedTuple
from symgraph.runtime.artifact import Key
from symgraph.runtime.cache import open_cache
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.array import Array, upload
from symgraph.runtime.cuda.device import Device
from symgraph.runtime.cuda.protocol import Driver


class Ready(NamedTuple):
    """A function's code on a device: ``failures`` are records by number (from 1; those of checks on
    the device first, ``checks`` in all), ``status`` the output with the number of the one that
    happened; ``constants`` are kept alive."""

    code: Code
    failures: list[dict[str, Any]]
    checks: int
    status: str
    constants: list[Array]
    statistics: dict[str, Any]


def ready(d: Definition, arch: Architecture, device: Device, key: Key | None) -> Ready:
    """A definition's code, loaded. ``key`` is what the disk cache has it under, without the target;
    None where it must not be kept."""
    start = time.perf_counter()
    cache, full = open_cache(), None
    if key is not None and cache is not None:
        full = _key(key, arch, device.driver)
        found = cache.get(full)
        if found is not None:
            sections = {n: bytes(b) for n, b in found.sections.items()}
            read = [callbacks.from_text(c) for c in found.meta["callbacks"]]
            return _loaded(d, device, found.meta, sections, read, (start, time.perf_counter()))
    building = importlib.import_module("symgraph.cuda.building")
    made = building.build(d, arch, device.driver)
    if full is not None and cache is not None and made.kept:
        cache.put(full, made.meta, made.sections)
    clock = (start, time.perf_counter())
    found_now = _loaded(d, device, made.meta, made.sections, made.callbacks, clock)
    return found_now._replace(
        statistics={**found_now.statistics, "cached": False, **made.meta["seconds"]}
    )


def _key(key: Key, arch: Architecture, driver: Driver) -> Key:
    more = {
        "arch": arch.name, "ptx": str(arch.ptx), "assembler": assembler(arch, driver) or "driver",
        "generation": str(driver.properties.capability[0]),
        "libraries": libraries.names(), "products": str(config.get("products")),
    }  # fmt: skip
    return Key("cuda", {**key.ingredients, **more})


def _loaded(
    d: Definition, device: Device, meta: Mapping[str, Any], sections: Mapping[str, bytes],
    python: list[Any], clock: tuple[float, float],
) -> Ready:  # fmt: skip
    """The kernels on the device, the host's steps as native code, constants uploaded."""
    start = time.perf_counter()
    parts: dict[str, dict[str, bytes]] = {"kernel": {}, "host": {}}
    for name, blob in sections.items():
        kind, _, rest = name.partition(" ")
        parts[kind][rest] = blob
    names = dict(zip(meta["names"], size_names(d), strict=True))
    recipe = meta["recipe"]
    if any(a != b for a, b in names.items()):
        recipe = renamed(recipe, names)
    functions = {n: device.function(blob, n) for n, blob in parts["kernel"].items()}
    objects = HostObjects(parts["host"], meta["layout"], python)
    host = HostRunner(objects) if parts["host"] else None
    constants = [upload(device, c.data) for c in large_constants(d.graph)]
    large = [a.address for a in constants]
    small: dict[str, int] = {}
    for text in dict.fromkeys(_texts(recipe["program"])):
        constants.append(upload(device, np.frombuffer(_bytes(text), np.uint8)))
        small[text] = constants[-1].address
    end = time.perf_counter()
    statistics = {
        "cached": True, "kernels": len(functions), "total": end - clock[0],
        "load": end - start, "bytes": sum(map(len, sections.values())),
    }  # fmt: skip
    code = Code(recipe, functions, host, large, small)
    failures = list(meta["failures"])
    return Ready(code, failures, meta["checks"], meta["status"], constants, statistics)


def _texts(program: Mapping[str, Any]) -> list[str]:
    """The bytes of small constants, as text, of a program and those inside it."""
    found = [row[5] for row in program["buffers"].values() if row[2] == "constant" and row[5]]
    for step in program["steps"]:
        inner = [s for s in step if isinstance(s, dict) and "buffers" in s]
        for p in inner:
            found += _texts(p)
    return found


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
