"""Faults put into good kernels on purpose: each of them must be found."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symgraph as sg
from symgraph import cuda_stages
from symgraph.errors import VerifyError
from symgraph.loops.interpret import run_kernel
from symgraph.loops.statements import Barrier, For, If, Kernel, Stmt
from symgraph.loops.text import kernels
from symgraph.loops.verify import verify_kernel
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
