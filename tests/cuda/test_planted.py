"""Faults put into good kernels on purpose: each of them must be found."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import cuda_stages
from symgraph.errors import VerifyError
from symgraph.loops.interpret import run_kernel
from symgraph.loops.launch import check_launch
from symgraph.loops.program import Program, Run
from symgraph.loops.statements import Alloc, Barrier, Fold, For, If, Kernel, Let, Stmt, Store
from symgraph.loops.text import kernels
from symgraph.loops.verify import verify_kernel
from symgraph.lower.cuda.frame import rewritten
from symgraph.scalar import Expr, rebuild, transform
from symgraph.scalar import functions as F
from tests.cuda import running
from tests.cuda.ptx_memory import Trap

ROWS, COLUMNS = 3, 300


def rows() -> tuple[cuda_stages.DeviceProgram, dict[str, np.ndarray], dict[str, int]]:
    """Sums of rows: shuffles, shared memory, one block for each."""
    x = sg.matrix("x", dtype="float32")
    d, program = running.scheduled(x.sum(axis=1))
    array = np.arange(ROWS * COLUMNS, dtype="float32").reshape(ROWS, COLUMNS)
    sizes = running.sizes_of(d, [array])
    made = cuda_stages.emit(program, running.ARCH)
    return made, {"p0": array, "p1": np.zeros(ROWS, "float32")}, sizes


def turned() -> tuple[cuda_stages.DeviceProgram, Kernel, dict[str, np.ndarray], dict[str, int]]:
    """A transpose: a square in shared memory, a barrier between its two halves."""
    x = sg.matrix("x", dtype="float32")
    d, program = running.scheduled(x.T + 1)
    array = np.arange(20 * 34, dtype="float32").reshape(20, 34)
    made = cuda_stages.emit(program, running.ARCH)
    (kernel,) = kernels(program)
    buffers = {"p0": array, "p1": np.zeros((34, 20), "float32")}
    return made, kernel, buffers, running.sizes_of(d, [array])


def without_barriers(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    kept = [s for s in body if not isinstance(s, Barrier)]
    return tuple(
        s._replace(body=without_barriers(s.body)) if isinstance(s, For | If) else s for s in kept
    )


def test_the_kernels_are_good() -> None:
    made, buffers, sizes = rows()
    running.emulate(made, "kernel0", buffers, sizes)
    np.testing.assert_allclose(buffers["p1"], buffers["p0"].sum(axis=1))
    made, _, buffers, sizes = turned()
    running.emulate(made, "kernel0", buffers, sizes)
    np.testing.assert_array_equal(buffers["p1"], buffers["p0"].T + 1)


def test_a_missing_barrier_of_a_fold() -> None:
    made, buffers, sizes = rows()
    text = made.kernels["kernel0"].ptx
    assert text.count("bar.sync") == 2
    with pytest.raises(Trap, match=r"race|nobody wrote"):
        running.emulate(made, "kernel0", buffers, sizes, ptx=re.sub(r"bar\.sync[^;]*;", "", text))


def test_a_missing_barrier_of_a_square_in_ptx() -> None:
    made, _, buffers, sizes = turned()
    text = re.sub(r"bar\.sync[^;]*;", "", made.kernels["kernel0"].ptx)
    with pytest.raises(Trap, match=r"race|nobody wrote"):
        running.emulate(made, "kernel0", buffers, sizes, ptx=text)


def test_a_missing_barrier_shows_in_some_order_of_threads() -> None:
    _, kernel, buffers, sizes = turned()
    bad = kernel._replace(body=without_barriers(kernel.body))
    found = []
    for order in ("forward", "reverse"):
        buffers["p1"][...] = 0
        run_kernel(bad, buffers, sizes, order)
        found.append(np.array_equal(buffers["p1"], buffers["p0"].T + 1))
    assert not all(found)


def test_one_element_too_many() -> None:
    made, buffers, sizes = rows()
    with pytest.raises(Trap, match=r"out of bounds: ld\.global"):
        running.emulate(made, "kernel0", buffers, {n: k + 1 for n, k in sizes.items()})


def test_one_block_too_many() -> None:
    made, buffers, sizes = rows()
    with pytest.raises(Trap, match="out of bounds"):
        running.emulate(made, "kernel0", buffers, sizes, blocks=ROWS + 1)


def test_one_block_too_few() -> None:
    made, buffers, sizes = rows()
    running.emulate(made, "kernel0", buffers, sizes, blocks=ROWS - 1)
    assert buffers["p1"][-1] == 0


def test_a_store_to_what_is_only_read() -> None:
    made, buffers, sizes = rows()
    text = made.kernels["kernel0"].ptx.replace("kernel0_param_1]", "kernel0_param_0]")
    with pytest.raises(Trap, match="only read"):
        running.emulate(made, "kernel0", buffers, sizes, ptx=text)


def test_a_shuffle_that_some_threads_do_not_reach() -> None:
    made, buffers, sizes = rows()
    text = made.kernels["kernel0"].ptx
    spot = text.index("shfl.sync.down")
    early = "setp.gt.u32 %p9999, %tid.x, 5; @%p9999 ret; "
    with pytest.raises(Trap, match="not all threads of a warp"):
        running.emulate(made, "kernel0", buffers, sizes, ptx=text[:spot] + early + text[spot:])


def test_threads_that_leave_before_a_barrier() -> None:
    made, _, buffers, sizes = turned()
    text = made.kernels["kernel0"].ptx
    spot = text.index("bar.sync")
    early = "setp.gt.u32 %p9999, %tid.x, 99; @%p9999 ret; "
    with pytest.raises(Trap, match="some have ended"):
        running.emulate(made, "kernel0", buffers, sizes, ptx=text[:spot] + early + text[spot:])


def test_two_blocks_that_write_one_place() -> None:
    made, buffers, sizes = rows()
    text = made.kernels["kernel0"].ptx.replace("st.global.b32 \t", "st.global.b32 ")
    target = re.search(r"st\.global\.b32\s+\[(%rd\d+)\]", text)
    assert target is not None
    same = f"ld.param.b64 {target[1]}, [kernel0_param_1];\n\t{target[0]}"
    with pytest.raises(Trap, match="race"):
        running.emulate(made, "kernel0", buffers, sizes, ptx=text.replace(target[0], same))


def test_a_barrier_under_a_condition_of_the_thread_is_refused() -> None:
    _, kernel, _, _ = turned()

    def guarded(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, Barrier):
                thread = next(x for x in kernel.body[0].body if isinstance(x, For)).index  # type: ignore[union-attr]
                out.append(If(F.lt(thread, 3), (s,)))
            else:
                out.append(s._replace(body=guarded(s.body)) if isinstance(s, For) else s)
        return tuple(out)

    with pytest.raises(VerifyError, match="not all threads"):
        verify_kernel(kernel._replace(body=guarded(kernel.body)))


# faults in the loops, all the way to PTX ---------------------------------------------------------


def changed(program: Program, change: Any) -> cuda_stages.DeviceProgram:
    """The PTX of a program whose kernels are changed."""
    steps = tuple(
        s._replace(kernel=s.kernel._replace(body=change(s.kernel.body)))
        if isinstance(s, Run) else s for s in program.steps
    )  # fmt: skip
    return cuda_stages.emit(program._replace(steps=steps), running.ARCH)


def everywhere(body: tuple[Stmt, ...], change: Any) -> tuple[Stmt, ...]:
    """``change`` gives the statements that take the place of one."""
    out: list[Stmt] = []
    for s in body:
        inner = getattr(s, "body", None)
        out += change(s._replace(body=everywhere(inner, change)) if inner is not None else s)  # type: ignore[union-attr]
    return tuple(out)


def no_barriers(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    return everywhere(body, lambda s: [] if isinstance(s, Barrier) else [s])


def product() -> tuple[Any, Program, list[np.ndarray]]:
    x, y = (sg.tensor(n, dtype="float32", shape=(64, 64)) for n in "xy")
    d, program = running.scheduled(x @ y)
    array = np.arange(64 * 64, dtype="float32").reshape(64, 64) / 1000
    return d, program, [array, array]


def test_a_product_without_barriers() -> None:
    d, program, arrays = product()
    good = running.emulated(d, cuda_stages.emit(program, running.ARCH), arrays)[0]
    np.testing.assert_allclose(good, arrays[0] @ arrays[1], rtol=1e-5)
    with pytest.raises(Trap, match=r"race|nobody wrote"):
        running.emulated(d, changed(program, no_barriers), arrays)


def test_a_product_that_writes_the_half_it_reads() -> None:
    """The next strip into the half of shared memory that others still read."""
    d, program, arrays = product()

    def wrong(s: Stmt) -> list[Stmt]:
        if isinstance(s, Store) and s.buffer.startswith("tile") and not s.indices[0].is_const:
            half = transform([s.indices[0]], lambda e, args: e.args[0] if e.op == "add" and
                             e.args[1].is_const else rebuild(e, args))[0]  # fmt: skip
            return [s._replace(indices=(half, *s.indices[1:]))]
        return [s]

    with pytest.raises(Trap, match="race"):
        running.emulated(d, changed(program, lambda body: everywhere(body, wrong)), arrays)


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_product_with_another_grid(blocks: int) -> None:
    _, program, arrays = product()
    made = cuda_stages.emit(program, running.ARCH)
    buffers = {"p0": arrays[0], "p1": arrays[1], "p2": np.zeros((64, 64), "float32")}
    if blocks:
        with pytest.raises(Trap, match="race"):
            running.emulate(made, "kernel0", buffers, {}, blocks=blocks)
    else:
        running.emulate(made, "kernel0", buffers, {}, blocks=blocks)
        assert not buffers["p2"].any()


def test_a_scan_that_is_off_by_one() -> None:
    """What is before a chunk is that of the chunk before it."""
    x = sg.tensor("x", dtype="int64", shape=(600,))
    d, program = running.scheduled(sg.cumsum(x))
    array = np.arange(600)

    def wrong(s: Stmt) -> list[Stmt]:
        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            return args[0] if e.op == "maximum" else rebuild(e, args)

        if isinstance(s, Let) and s.name.attr.startswith("_before"):
            shifted = rewritten((s,), lambda e: transform([e], visit)[0])
            return list(rewritten(shifted, lambda e: _next_chunk(e)))
        return [s]

    found = running.emulated(d, changed(program, lambda body: everywhere(body, wrong)), [array])[0]
    assert not np.array_equal(found, np.cumsum(array))
    good = running.emulated(d, cuda_stages.emit(program, running.ARCH), [array])[0]
    np.testing.assert_array_equal(good, np.cumsum(array))


def _next_chunk(root: Expr) -> Expr:
    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e.op == "load" and args:
            return rebuild(e, (*args[:-1], args[-1] + 1))
        return rebuild(e, args)

    return transform([root], visit)[0]


def test_a_fold_of_a_warp_under_a_condition_of_its_threads_is_refused() -> None:
    x = sg.tensor("x", dtype="float32", shape=(8, 256))
    _, program = running.scheduled(x.sum(axis=1))
    (kernel,) = kernels(program)

    def guarded(s: Stmt) -> list[Stmt]:
        if isinstance(s, Fold) and s.kind == "warp":
            lane = next(v.name for v in lets if v.name.attr.startswith("_thread"))
            return [If(F.lt(lane, 3), (s,))]
        return [s]

    lets: list[Let] = []
    everywhere(kernel.body, lambda s: (lets.append(s) if isinstance(s, Let) else None) or [s])
    said: list[str] = []
    check_launch(kernel, said.append)
    assert not said
    check_launch(kernel._replace(body=everywhere(kernel.body, guarded)), said.append)
    assert "not all of them come by" in said[0]


def test_a_square_without_its_extra_column_has_conflicts_of_banks() -> None:
    x = sg.tensor("x", dtype="float32", shape=(32, 32))
    _, program = running.scheduled(x.T + 1)
    array = np.arange(32 * 32, dtype="float32").reshape(32, 32)

    def narrow(s: Stmt) -> list[Stmt]:
        return [s._replace(shape=(32, 32))] if isinstance(s, Alloc) else [s]

    found = []
    for change in (lambda body: body, lambda body: everywhere(body, narrow)):
        made, conflicts = changed(program, change), Counter[str]()
        buffers = {"p0": array, "p1": np.zeros((32, 32), "float32")}
        running.emulate(made, "kernel0", buffers, {}, conflicts=conflicts)
        np.testing.assert_array_equal(buffers["p1"], array.T + 1)
        found.append(sum(conflicts.values()))
    assert found[0] == 0 and found[1] == 31 * 32  # all threads of a warp at one bank
