"""Machine code for the runtime's tests, emitted by llvmlite from a few lines of IR."""

from __future__ import annotations

import functools

import pytest


@functools.cache
def emit_object(ir: str, level: int = 2) -> bytes:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(ir)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        opt=level, cpu=llvm.get_host_cpu_name(), reloc="pic", codemodel="small"
    )
    return machine.emit_object(module)


@pytest.fixture
def emit():
    return emit_object
