"""What tests of native code share: this processor, and one of half its width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from symgraph import config
from symgraph.codegen import llvm


@pytest.fixture(params=["this", "half"])
def registers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Bits of a register; with half of them a processor without masks of its own."""
    host = llvm.host()
    if request.param == "half":
        flags = [f for f in host.features.split(",") if "avx512" not in f and "avx10" not in f]
        narrow = host._replace(
            cpu="generic",
            features=",".join(flags),
            vector_bits=max(128, host.vector_bits // 2),
        )
        llvm.remember_host(narrow)
    with config.change(cache_dir=str(tmp_path)):
        yield llvm.host().vector_bits
    llvm.remember_host(host)
