"""Machine code for four architectures, where an assembler is installed."""

from __future__ import annotations

import re
from typing import Any

import pytest

import symgraph as sg
from symgraph import config, cuda_stages
from symgraph.codegen.ptx.architecture import architecture
from symgraph.codegen.ptx.assemble import assemble, assemblers, disassembler, sass
from symgraph.errors import TargetError
from tests.cuda import running
from tests.cuda.cases import CASES

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100")
FOUND = assemblers()
needs_one = pytest.mark.skipif(not FOUND, reason="neither ptxas nor nvJitLink is installed")
needs_names = pytest.mark.skipif(
    not FOUND or disassembler() is None, reason="nvdisasm or an assembler is not installed"
)


def tensor(*shape: int, name: str = "x") -> Any:
    return sg.tensor(name, dtype="float32", shape=shape)


def emitted(*outputs: Any, arch: str = "sm_90") -> list[cuda_stages.DeviceKernel]:
    _, program = running.scheduled(*outputs)
    return list(cuda_stages.emit(program, architecture(arch)).kernels.values())


@needs_one
@pytest.mark.parametrize("assembler", FOUND)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kernels_assemble_without_spills(arch: str, assembler: str) -> None:
    names = ("elementwise", "rows", "softmax", "transposed", "running")
    outputs = [x for n in names for x in CASES[n].outputs]
    for kernel in emitted(*outputs, arch=arch):
        made = kernel.cubin(architecture(arch), assembler)
        assert made.data[:4] == b"\x7fELF" and made.assembler == assembler
        assert made.spills <= 0 and made.stack <= 0, f"{kernel.name} spills"
        assert ".local" not in kernel.ptx, f"{kernel.name} has memory of its threads"


@needs_one
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("mode", ["ieee", "tf32", "bfloat16"])
def test_products_keep_their_sums_in_registers(arch: str, mode: str) -> None:
    """Two blocks of large tiles find room on a processor, which has 65536 registers."""
    x, y = tensor(1024, 256), tensor(256, 1024, name="y")
    with config.change(products=mode):
        (kernel,) = emitted(sg.maximum(x @ y, 0), arch=arch)
    made = kernel.cubin(architecture(arch), FOUND[0])
    assert made.spills <= 0 and made.stack <= 0 and ".local" not in kernel.ptx
    assert made.registers <= (128 if mode == "ieee" else 255)


@needs_names
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_sixteen_bytes_at_a_time_in_machine_code(arch: str) -> None:
    """What PTX says is what the machine does: 128 bits from and to the device's memory."""
    x, y = tensor(4096, 512), tensor(512, 4096, name="y")
    programs = {
        "elementwise": emitted(x * 2 + 1, arch=arch),
        "softmax": emitted(sg.nn.softmax(x, axis=1), arch=arch),
        "product": emitted(x @ y, arch=arch),
    }
    for name, (kernel,) in programs.items():
        text = sass(kernel.cubin(architecture(arch), FOUND[0]).data)
        loads = re.findall(r"LDG\.E[\w.]*", text)
        stores = re.findall(r"STG\.E[\w.]*", text)
        assert loads and all(".128" in w for w in loads), (name, set(loads))
        assert stores and all(".128" in w for w in stores), (name, set(stores))
        assert not re.search(r"\b(LDL|STL)\b", text), f"{name} has local memory"
        if name == "product":
            assert re.search(r"LDS(\.U)?\.128", text) and len(re.findall(r"\bFFMA\b", text)) >= 512


@needs_names
@pytest.mark.parametrize(("mode", "word"), [
    ("tf32", r"HMMA\.1688\.F32\.TF32"), ("bfloat16", r"HMMA\.16816\.F32\.BF16"),
    ("float16", r"HMMA\.16816\.F32\b"),
])  # fmt: skip
def test_tensor_cores_in_machine_code(mode: str, word: str) -> None:
    x, y = tensor(1024, 256), tensor(256, 1024, name="y")
    with config.change(products=mode):
        (kernel,) = emitted(x @ y)
    text = sass(kernel.cubin(running.ARCH, FOUND[0]).data)
    assert len(re.findall(word, text)) >= 16


@needs_one
@pytest.mark.parametrize("assembler", FOUND)
def test_what_an_assembler_refuses(assembler: str) -> None:
    (kernel,) = emitted(sg.vector("x", dtype="float32") + 1)
    broken = kernel.ptx.replace("add.rn.f32", "ad.rn.f32")
    with pytest.raises(TargetError, match=f"(?i){assembler}"):
        assemble(broken, running.ARCH, assembler)


def test_without_an_assembler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symgraph.codegen.ptx.assemble.assemblers", lambda: [])
    with pytest.raises(TargetError, match="no assembler") as found:
        assemble("", running.ARCH)
    assert "nvidia-nvjitlink" in str(found.value)
