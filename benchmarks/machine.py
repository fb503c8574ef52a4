"""The machine that figures were taken on, and how many of its cores may be used."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path


def use_cores(count: int | None) -> None:
    """Start over on the first ``count`` usable cores: libraries count them when they are loaded."""
    usable = sorted(os.sched_getaffinity(0))
    if count is not None and count < len(usable):
        os.sched_setaffinity(0, usable[:count])
        os.execv(sys.executable, sys.orig_argv)


def describe() -> dict[str, str | int]:
    """CPU, cores, system, interpreter, day, and the load when asked."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    rows = {k.strip(): v.strip() for k, v in rows.items()}
    name = rows.get("model name", platform.machine())
    family = rows.get("cpu family"), rows.get("model")
    wide = ", AVX-512" if "avx512f" in rows.get("flags", "") else ""
    return f"{name} (family {family[0]} model {family[1]}{wide})"
