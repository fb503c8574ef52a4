"""Every op of the samples has a schedule, and its kernels have PTX."""

from __future__ import annotations

import pytest

from symgraph import cuda_stages
from symgraph.ir import made_sizes
from symgraph.ir.graph import Graph
from symgraph.loops.launch import launch
from symgraph.loops.text import kernels
from symgraph.lower.cuda.program import needs_library
from tests.cuda import running
from tests.ops import evaluation
from tests.ops.samples import Sample
from tests.ops.test_registry import ALL, outputs_of

GROUP = 40


def is_launched(sample: Sample, symbolic: bool, ptx: bool) -> int:
    """The number of kernels of a sample, all of which are launches."""
    outputs = outputs_of(sample.build(*evaluation.inputs_for(list(sample.arrays), symbolic)))
    if made_sizes.in_graph(Graph((), outputs)):  # a program in parts
        return 0
    _, program = running.scheduled(*outputs)
    found = [k for k in kernels(program) if not needs_library(k)]
    assert all(launch(k) is not None for k in found), sample.op
    if ptx:
        assert len(cuda_stages.emit(program, running.ARCH).kernels) == len(found)
    return len(found)


def test_a_choice_of_samples_is_scheduled() -> None:
    chosen = ALL[::15]
    assert sum(is_launched(s, s.symbolic, False) for s in chosen) > len(chosen) // 2


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, len(ALL), GROUP))
def test_all_samples_have_ptx(start: int) -> None:
    for sample in ALL[start : start + GROUP]:
        for symbolic in {False, sample.symbolic}:
            is_launched(sample, symbolic, True)
