"""LLVM IR for NVPTX as PTX, through llvmlite; needs no GPU and nothing of CUDA.

The usual passes are run, unlike for the CPU: what inlined functions leave behind is cleaned up, and
generic addresses become global and shared ones.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from symgraph.codegen.ptx.architecture import Architecture, check_intrinsics
from symgraph.codegen.ptx.kernel import TRIPLE
from symgraph.errors import TargetError, VerifyError

_LEVEL = 3
_lock = threading.Lock()
_machines: dict[Architecture, Any] = {}


def ptx(text: str, arch: Architecture) -> str:
    """The PTX of a module.

    Raises VerifyError for text that LLVM or our list of intrinsics refuses, and TargetError where
    this llvmlite cannot write PTX.
    """
    check_intrinsics(text, arch)
    with _lock:
        binding, machine = _machine(arch)
        try:
            module = binding.parse_assembly(_with_layout(text, str(machine.target_data)))
            module.verify()
        except RuntimeError as error:
            raise VerifyError(f"LLVM refuses the module: {str(error).strip()}") from None
        tuning = binding.create_pipeline_tuning_options(speed_level=_LEVEL)
        builder = binding.create_pass_builder(machine, tuning)
        builder.getModulePassManager().run(module, builder)
        found: str = machine.emit_assembly(module)
    unknown = re.search(r"\.extern \.func[^;]*?(\w+)\s*\(", found)
    if unknown is not None:
        raise VerifyError(f"the PTX calls the function {unknown[1]}, which nobody defines")
    return found


def _with_layout(text: str, layout: str) -> str:
    return f'target datalayout = "{layout}"\n{text}'


def _machine(arch: Architecture) -> tuple[Any, Any]:
    import llvmlite.binding

    binding = llvmlite.binding
    if arch not in _machines:
        try:
            binding.initialize_all_targets()
            binding.initialize_all_asmprinters()
            target = binding.Target.from_triple(TRIPLE)
        except RuntimeError as error:
            raise TargetError(f"this llvmlite writes no PTX: {error}") from None
        _machines[arch] = target.create_target_machine(
            cpu=arch.name, features=f"+ptx{arch.ptx}", opt=_LEVEL
        )
    return binding, _machines[arch]
