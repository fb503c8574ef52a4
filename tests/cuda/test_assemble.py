"""Machine code for four architectures, where an assembler is installed."""

from __future__ import annotations

import pytest

import symgraph as sg
from symgraph import cuda_stages
from symgraph.codegen.ptx.architecture import architecture
from symgraph.codegen.ptx.assemble import assemble, assemblers
from symgraph.errors import TargetError
from tests.cuda import running
from tests.cuda.cases import CASES

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100")
FOUND = assemblers()


@pytest.mark.parametrize("assembler", FOUND)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kernels_assemble(arch: str, assembler: str) -> None:
    outputs = [x for n in ("elementwise", "rows", "softmax", "product") for x in CASES[n].outputs]
    _, program = running.scheduled(*outputs)
    for kernel in cuda_stages.emit(program, architecture(arch)).kernels.values():
        made = kernel.cubin(architecture(arch), assembler)
        assert made.data[:4] == b"\x7fELF" and made.assembler == assembler
        assert made.spills <= 0 and made.stack <= 0, f"{kernel.name} spills"
        assert ".local" not in kernel.ptx, f"{kernel.name} has memory of its threads"


@pytest.mark.parametrize("assembler", FOUND)
def test_what_an_assembler_refuses(assembler: str) -> None:
    x = sg.vector("x", dtype="float32")
    _, program = running.scheduled(x + 1)
    (kernel,) = cuda_stages.emit(program, running.ARCH).kernels.values()
    broken = kernel.ptx.replace("add.rn.f32", "ad.rn.f32")
    with pytest.raises(TargetError, match=f"(?i){assembler}"):
        assemble(broken, running.ARCH, assembler)


def test_without_an_assembler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symgraph.codegen.ptx.assemble.assemblers", lambda: [])
    with pytest.raises(TargetError, match="no assembler") as found:
        assemble("", running.ARCH)
    assert "nvidia-nvjitlink" in str(found.value)
