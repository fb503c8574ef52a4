"""What `symgraph dump --target cuda:sm_90` shows: the stages of a program for a GPU."""

from __future__ import annotations

from symgraph import cuda_stages, stages
from symgraph.cli.console import json_text
from symgraph.cli.problems import SubjectError
from symgraph.cli.program_json import program_json
from symgraph.codegen.ptx.architecture import target_architecture
from symgraph.codegen.ptx.assemble import sass
from symgraph.function import Definition
from symgraph.loops.text import kernel_text, kernels

ONLY_HERE = ("ptx", "sass")
_SAME = ("graph", "optimized", "program", "loops")  # stages that do not depend on the target


def device_stage(target: str, stage: str, form: str) -> bool:
    """Whether a stage is one of those here rather than one of the CPU's.

    Raises TargetError for an unknown target and SubjectError for what a target does not have.
    """
    arch = target_architecture(target)
    if arch is None and stage in ONLY_HERE:
        raise SubjectError(
            f"dump: the target cpu has no stage {stage}", hint="--target cuda or cuda:sm_90 has"
        )
    if arch is None or stage in _SAME:
        return False
    if stage == "asm":
        raise SubjectError("dump: the target cuda has no stage asm", hint="it has ptx and sass")
    if form not in ("text", "json"):
        raise SubjectError(f"dump: stage {stage} of the target cuda has no format {form}",
                           hint="it has text, json")  # fmt: skip
    return True


def shown(subject: str, target: str, stage: str, form: str, d: Definition) -> str:
    """The text of a stage: ``scheduled``, ``llvm``, ``ptx`` or ``sass``.

    Raises TargetError where the machine code is wanted and nothing installed makes or reads it.
    """
    arch = target_architecture(target)
    assert arch is not None
    program = cuda_stages.scheduled(d, stages.optimized_graph(d))
    if stage == "scheduled":
        if form == "text":
            return "\n\n".join(map(kernel_text, kernels(program)))
        return _json(subject, target, stage, {"program": program_json(program, loops=True)})
    found = cuda_stages.emit(program, arch)
    texts = {
        name: k.llvm if stage == "llvm" else k.ptx if stage == "ptx" else sass(k.cubin(arch).data)
        for name, k in found.kernels.items()
    }
    if form == "json":
        return _json(subject, target, stage, {"modules": texts})
    mark = ";" if stage == "llvm" else "//"
    return "\n".join(f"{mark} {name}\n{text}" for name, text in texts.items())


def _json(subject: str, target: str, stage: str, content: dict[str, object]) -> str:
    return json_text("dump", {"subject": subject, "target": target, "stage": stage, **content})
