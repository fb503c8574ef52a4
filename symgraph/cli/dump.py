"""`symgraph dump SUBJECT`: a program at one of its stages, in one of the formats."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symgraph import segments, stages
from symgraph.cli import dump_device, dump_diff, dump_filters
from symgraph.cli.console import fold, json_text, printable, write
from symgraph.cli.main import FORMATS
from symgraph.cli.problems import SubjectError
from symgraph.cli.program_json import program_json
from symgraph.cli.python_text import python_text
from symgraph.cli.subject import definition
from symgraph.codegen import llvm
from symgraph.drawing.dot import dot
from symgraph.drawing.html import html
from symgraph.drawing.program_scene import program_scene
from symgraph.drawing.scene import Scene
from symgraph.drawing.svg import svg
from symgraph.drawing.tensor_scene import tensor_scene
from symgraph.function import Definition
from symgraph.ir import made_sizes
from symgraph.ir.export import to_json
from symgraph.ir.graph import Graph
from symgraph.ir.text import graph_text, tree_text
from symgraph.loops.program import Program
from symgraph.loops.text import kernel_text, kernels, program_text
from symgraph.records import NamedTuple

_SUFFIXES = {".txt": "text", ".json": "json", ".dot": "dot", ".gv": "dot", ".svg": "svg",
             ".html": "html", ".htm": "html", ".py": "python"}  # fmt: skip
_PICTURES: dict[str, Callable[[Scene], str]] = {"dot": dot, "svg": svg, "html": html}
_OF_GRAPHS = ("tree", "python")
_WITH_DATA = {"python": True, "python without data": False}
_NOT = {
    "program": _OF_GRAPHS, "loops": _OF_GRAPHS, "scheduled": _OF_GRAPHS,
    "llvm": (*_OF_GRAPHS, *_PICTURES), "asm": (*_OF_GRAPHS, *_PICTURES),
    "ptx": (*_OF_GRAPHS, *_PICTURES), "sass": (*_OF_GRAPHS, *_PICTURES),
}  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Print the subject's stage, or write it to a file."""
    form = arguments.format or _SUFFIXES.get(Path(arguments.output or "").suffix.lower(), "text")
    stage = arguments.stage
    if form in _NOT.get(stage, ()):
        able = ", ".join(f for f in FORMATS if f not in _NOT[stage])
        raise SubjectError(f"dump: stage {stage} has no format {form}", hint=f"it has {able}")
    if arguments.diff:
        return _diff(arguments, stage, form)
    if arguments.subject is None:
        raise SubjectError("dump: no subject is given", hint="or two, behind --diff")
    if arguments.only is not None and form != "text":
        raise SubjectError("dump: --only is for --format text", hint="leave --format out")
    asked = Asked(arguments.subject, stage, form, arguments.origins, arguments.after,
                  arguments.redact, arguments.target)  # fmt: skip
    text = shown(asked)
    if arguments.only is not None:
        text = dump_filters.only(text, arguments.only, stage)
    if arguments.output and arguments.output != "-":
        Path(arguments.output).write_text(text if text.endswith("\n") else text + "\n", "utf-8")
    else:
        write(fold(text) if form in ("text", "tree") else text)
    return 0


class Asked(NamedTuple):
    """What is to be shown."""

    subject: str
    stage: str
    form: str
    origins: bool = False
    after: str | None = None
    redact: bool = False
    target: str = "cpu"


def shown(asked: Asked) -> str:
    """The text of a stage in a format."""
    d, words = definition(asked.subject)
    if not asked.redact:
        return _of_definition(asked, d, words)
    with dump_filters.redacted(d, words) as (hidden, others):
        if asked.form == "python":  # a program whose names were replaced in its text may not run
            bare = asked._replace(subject="subject", form="python without data")
            return _of_definition(bare, hidden, others)
        text = _of_definition(asked._replace(subject="subject"), hidden, others)
        return dump_filters.without_sizes_and_data(text, d)


def _of_definition(asked: Asked, d: Definition, words: list[str]) -> str:
    subject, stage, form, origins = asked[:4]
    if asked.after is not None:
        if stage not in ("graph", "optimized"):
            raise SubjectError("dump: --after shows a graph", hint="leave --stage out")
        if made_sizes.in_graph(d.graph):
            d = segments.simplified(d)
        graph = dump_filters.graph_after(d, asked.after)
        return _graph(subject, f"after {asked.after}", form, d, words, graph, origins)
    if stage != "graph" and made_sizes.in_graph(d.graph):
        simple = segments.simplified(d)
        if segments.has_parts(simple.graph):
            return _parts(asked, segments.cut(simple))
        d = simple
    return _shown(asked, d, words)


def _diff(arguments: argparse.Namespace, stage: str, form: str) -> int:
    """Print what differs between two subjects; 1 when something does."""
    if form not in ("text", "json"):
        raise SubjectError("dump: --diff is for --format text and json")
    first, second = arguments.diff
    if stage in ("graph", "optimized"):
        lines = dump_diff.graph_lines(_graph_of(first, stage), _graph_of(second, stage))
    else:
        lines = dump_diff.text_lines(
            *(_unnamed(s, stage, arguments.target) for s in (first, second))
        )
    if form == "json":
        content = {"first": first, "second": second, "stage": stage, "lines": lines}
        text = json_text("dump.diff", {**content, "equal": not lines})
    else:
        text = "\n".join(lines) if lines else f"no difference at stage {stage}"
    write(fold(text))
    return 1 if lines else 0


def _unnamed(subject: str, stage: str, target: str) -> str:
    """The text of a stage without the name of the function."""
    d, words = definition(subject)
    asked = Asked(subject, stage, "text", target=target)
    return _of_definition(asked, d._replace(name="function"), words)


def _graph_of(subject: str, stage: str) -> Graph:
    d, _ = definition(subject)
    return d.graph if stage == "graph" else stages.optimized_graph(d)


def _parts(asked: Asked, parts: list[segments.Part]) -> str:
    """A stage of a program in parts: each by itself, with what runs between them."""
    subject, stage, form = asked[:3]
    if form in (*_PICTURES, *_WITH_DATA):
        what = "picture" if form in _PICTURES else "program in Python"
        raise SubjectError(
            f"dump: {subject} is a program in {len(parts)} parts, which has no {what}",
            hint="its stage graph has, and text, tree and json show the parts",
        )
    shown = []
    for part in parts:
        d = part.definition
        words = [v.label() for v in part.gives]
        shown.append((part, _shown(asked, d, words)))
    if form == "json":
        found = [
            {"part": json.loads(text), "then": [n.op.name for n in part.makers]}
            for part, text in shown
        ]
        return _json(subject, stage, {"parts": found})
    lines = []
    for part, text in shown:
        between = [f"# then {n.op.name} of {n.inputs[0].label()}" for n in part.makers]
        lines += [f"# part {part.definition.name}", text, *between]
    return "\n".join(lines)


def _shown(asked: Asked, d: Definition, words: list[str]) -> str:
    """The text of a stage of one native program."""
    subject, stage, form, origins = asked[:4]
    if dump_device.device_stage(asked.target, stage, form):
        return dump_device.shown(subject, asked.target, stage, form, d)
    if stage == "graph":
        return _graph(subject, stage, form, d, words, d.graph, origins)
    optimized = stages.optimized_graph(d)
    if stage == "optimized":
        return _graph(subject, stage, form, d, words, optimized, origins)
    program = stages.lower(d, optimized, scheduled=stage != "loops")
    if stage in ("program", "loops", "scheduled"):
        return _program(subject, stage, form, d, words, program)
    low = stages.emit(d, optimized, program)
    if form == "json":
        modules = {**low.kernels, "function": low.main}
        if stage == "asm":
            modules = {name: llvm.assembly(text) for name, text in modules.items()}
        return _json(subject, stage, {"modules": modules})
    return low.assembly() if stage == "asm" else low.text


def _json(subject: str, stage: str, content: dict[str, Any]) -> str:
    return json_text("dump", {"subject": subject, "stage": stage, **content})


def _graph(
    subject: str,
    stage: str,
    form: str,
    d: Definition,
    words: list[str],
    graph: Graph,
    origins: bool,
) -> str:
    if form == "text":
        return graph_text(graph, origins=origins)
    if form == "tree":
        parts = zip(words, graph.outputs, strict=True)
        if len(words) == 1:
            return tree_text(graph.outputs)
        return "\n".join(f"{printable(word)}:\n{tree_text([v])}" for word, v in parts)
    if form == "json":
        return _json(subject, stage, {"results": words, "graph": to_json(graph)})
    if form in _WITH_DATA:
        return python_text(graph, f"{subject}: {stage}", d.updates, _WITH_DATA[form])
    return _PICTURES[form](tensor_scene(graph, words, f"{d.name}: {stage}"))


def _program(
    subject: str, stage: str, form: str, d: Definition, words: list[str], program: Program
) -> str:
    if form == "text":
        if stage == "program":
            return program_text(program).partition("\n\n")[0]
        return "\n\n".join(map(kernel_text, kernels(program)))
    if form == "json":
        return _json(subject, stage, {"program": program_json(program, loops=stage != "program")})
    scene = program_scene(program, buffer_words(d, words, program), stage != "program",
                          f"{d.name}: {stage}")  # fmt: skip
    return _PICTURES[form](scene)


def buffer_words(d: Definition, words: list[str], program: Program) -> dict[str, str]:
    """The user's words for the buffers of a program."""
    given = {
        "input": [v.name or "input" for v in d.arguments],
        "shared": [s.label() for s in d.shared],
        "output": words,
    }
    return {
        b.name: given[b.role][b.position]
        for b in program.buffers.values()
        if b.position < len(given.get(b.role, ())) and not b.alias
    }
