"""What is refused before LLVM would end the process, and how targets are named."""

from __future__ import annotations

import pytest

from symgraph.codegen.ptx.architecture import architecture, check_intrinsics, target_architecture
from symgraph.codegen.ptx.nvptx import ptx
from symgraph.errors import TargetError, VerifyError
from symgraph.loops.launch import launch
from symgraph.loops.statements import Alloc, Barrier, Fold, For, Kernel, Stmt
from symgraph.loops.verify import verify_kernel
from symgraph.scalar import as_expr, const, load, var

SM_75, SM_90 = architecture("sm_75"), architecture("sm_90")
HEAD = 'target triple = "nvptx64-nvidia-cuda"\n'


@pytest.mark.parametrize("name", ["llvm.exp.f32", "llvm.nvvm.no.such", "llvm.x86.avx512.max"])
def test_intrinsics_that_are_not_on_the_list(name: str) -> None:
    with pytest.raises(VerifyError, match="not known to be safe"):
        check_intrinsics(f"call float @{name}(float %x)", SM_90)


def test_intrinsics_of_later_architectures() -> None:
    call = "call void @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32 0)"
    check_intrinsics(call, SM_90)
    with pytest.raises(VerifyError, match="needs sm_80"):
        check_intrinsics(call, SM_75)


def test_functions_that_nobody_defines() -> None:
    text = HEAD + (
        "declare float @expf(float)\n"
        "define ptx_kernel void @k(ptr %p) {\n"
        "  %x = load float, ptr %p\n  %y = call float @expf(float %x)\n"
        "  store float %y, ptr %p\n  ret void\n}\n"
    )
    with pytest.raises(VerifyError, match="expf, which nobody defines"):
        ptx(text, SM_90)


def test_text_that_llvm_refuses() -> None:
    with pytest.raises(VerifyError, match="LLVM refuses"):
        ptx(HEAD + "define ptx_kernel void @k() {\n  %x = add i32 1, %y\n  ret void\n}\n", SM_90)


def test_names_of_targets() -> None:
    assert target_architecture("cpu") is None
    assert target_architecture("cuda:sm_80") == architecture("sm_80")
    for name in ("gpu", "cuda:sm_95", "cuda:90"):
        with pytest.raises(TargetError, match="unknown"):
            target_architecture(name)


def made(*inner: Stmt, threads: object = 64, shared: tuple[Stmt, ...] = ()) -> Kernel:
    block = For(var("_t"), threads, "block", inner)  # type: ignore[arg-type]
    return Kernel("k", (), (), (For(var("_b"), 3, "grid", (*shared, block)),))


def test_a_good_kernel() -> None:
    verify_kernel(made(Barrier()))
    assert launch(made(Barrier())).threads == 64  # type: ignore[union-attr]


PART = Fold((var("_s", "float32"),), "add", var("_w"), 64, "block", (), (const(1.0, "float32"),))


@pytest.mark.parametrize(
    ("kernel", "what"),
    [
        (made(threads=2000), "1 to 1024 threads"),
        (made(threads=as_expr(var("_b"))), "1 to 1024 threads"),
        (made(shared=(Alloc("a", "float64", (9000,)),)), "bytes of shared memory"),
        (made(shared=(Alloc("a", "float64", (var("_b"),)),)), "is not known"),
        (made(shared=(Barrier(),)), "shared memory only"),
        (made(For(var("_u"), 4, "block", ())), "inside the threads"),
        (made(For(var("_u"), var("_t"), "serial", (Barrier(),))), "not all threads"),
        (made(PART, threads=128), "takes one value of each thread"),
        (made(PART._replace(extent=20), threads=20), "whole warps"),
        (made(PART._replace(values=(load("a", (var("_w"),), "float32"),)),
              shared=(Alloc("a", "float32", (64,)),)), "reads its index"),
        (Kernel("k", (), (), (For(var("_t"), 4, "block", ()),)), "one loop over the grid"),
    ],
)  # fmt: skip
def test_kernels_against_the_rules(kernel: Kernel, what: str) -> None:
    with pytest.raises(VerifyError, match=what):
        verify_kernel(kernel)
