"""The scene of a program: a box for each step, edges for the memory that it reads.

Inputs, shared variables and large constants are boxes too, under the user's names. What a function
returns or stores at the end of the call is a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symgraph.drawing.families import routine_family
from symgraph.drawing.scene import Box, Edge, Scene, shorten
from symgraph.loops.program import Branch, Call, Copy, Loop, Program, Require, Run, Step
from symgraph.loops.routine import Routine
from symgraph.loops.statements import Fold, Kernel, expressions, walk
from symgraph.loops.text import kernel_text, type_text
from symgraph.scalar import Expr, postorder

WIDEST = 34  # characters of a line in a box
WIDEST_CODE, LONGEST_CODE = 88, 40  # columns and lines of loops shown in a box
_ARITHMETIC = frozenset(
    "const var load load_if add sub mul div neg select cast lt le eq ne and or not fma".split()
)
_FOLDS = {"add": "Σ", "mul": "Π", "maximum": "max", "minimum": "min"}


def program_scene(
    program: Program,
    names: Mapping[str, str] | None = None,
    loops: bool = False,
    title: str = "",
    keys: Mapping[int, int] | None = None,
    gists: Mapping[int, str] | None = None,
) -> Scene:
    """The scene; ``names`` are the user's words for buffers, ``loops`` writes the loop nests into
    the boxes, ``keys`` gives a number to the ``id`` of each step, ``gists`` to some
    other words than their own.

    >>> program_scene(Program("nothing", (), (), {}, (), (), ())).title
    'nothing'
    """
    maker = _Maker(program, names or {}, loops, keys or {}, gists or {})
    return maker.scene(title or program.name)


class _Maker:
    def __init__(
        self, program: Program, names: Mapping[str, str], loops: bool, keys: Mapping[int, int],
        gists: Mapping[int, str],
    ) -> None:  # fmt: skip
        self.program, self.names, self.loops, self.keys = program, names, loops, keys
        self.gists = gists
        self.boxes: list[Box] = []
        self.edges: list[Edge] = []
        self.holder: dict[str, int] = {}  # memory -> the box that wrote it last

    def scene(self, title: str) -> Scene:
        before = dict(self.holder)
        written: dict[str, None] = {}
        for step in self.program.steps:
            read, wrote = reads(step), writes(step)
            sources = dict.fromkeys(self._source(b) for b in read)
            number = len(self.boxes)
            self.boxes.append(self._box(step)._replace(key=self.keys.get(id(step), -1)))
            self.edges += [Edge(s, number) for s in sources if s is not None]
            for b in wrote:
                self.holder[self._memory(b)] = number
                written[self._memory(b)] = None
        self._results(written, before)
        return Scene(title, self.boxes, self.edges)

    def _memory(self, name: str) -> str:
        while self.program.buffers[name].alias:
            name = self.program.buffers[name].alias
        return name

    def _source(self, name: str) -> int | None:
        memory = self._memory(name)
        if memory in self.holder:
            return self.holder[memory]
        b = self.program.buffers[memory]
        if b.role not in ("input", "shared", "constant"):
            return None
        word = shorten(self.names.get(memory, memory), WIDEST)
        kind = type_text(b.dtype, b.shape)
        details = (("buffer", f"{memory}, {b.role} {b.position}"), ("type", kind))
        self.boxes.append(Box(word, (shorten(kind, WIDEST),), b.role, details))
        self.holder[memory] = len(self.boxes) - 1
        return self.holder[memory]

    def _results(self, written: Mapping[str, None], before: Mapping[str, int]) -> None:
        for name in self.program.outputs:
            self._result(name, self.names.get(name, name))
        for memory in written:
            if self.program.buffers[memory].role == "shared":
                self._result(memory, f"{self.names.get(memory, memory)} ←")

    def _result(self, name: str, word: str) -> None:
        source = self._source(name)
        if source is not None:
            b = self.program.buffers[name]
            details = (("result", word), ("type", type_text(b.dtype, b.shape)))
            self.boxes.append(Box(shorten(word, WIDEST), (), "output", details))
            self.edges.append(Edge(source, len(self.boxes) - 1))

    def _word(self, name: str) -> str:
        memory = self._memory(name)
        return f"{name} ({self.names[memory]})" if memory in self.names else name

    # boxes

    def _box(self, step: Step) -> Box:
        kinds = [self.program.buffers[b] for b in writes(step)]
        lines = [shorten(type_text(b.dtype, b.shape), WIDEST) for b in kinds[:4]]
        if len(kinds) > 4:
            lines.append(f"… {len(kinds)} buffers")
        details = [("reads", ", ".join(map(self._word, reads(step))))]
        details.append(("writes", ", ".join(map(self._word, writes(step)))))
        details += [("line", o.text()) for o in getattr(step, "origins", ())]
        match step:
            case Run():
                return self._run(step, lines, details)
            case Call():
                params = [f"{k}={v}" for k, v in step.params if v is not False and k != "graph"]
                family = routine_family(Routine(step.routine))
                top = [shorten(", ".join(params), WIDEST)] if params else []
                return Box(step.routine, (*top, *lines), family, (("call", step.routine), *details))
            case Copy():
                return Box("copy", tuple(lines), "view", tuple(details))
            case Loop():
                inner = (("body", self._inner(step.body)),)
                title = f"loop of {step.length} steps"
                return Box(shorten(title, WIDEST), tuple(lines), "control", tuple(details), inner)
            case Branch():
                bodies = (("then", step.then), ("otherwise", step.otherwise))
                both = tuple((word, self._inner(p)) for word, p in bodies)
                return Box("branch", tuple(lines), "control", tuple(details), both)
            case Require():
                what = f"{step.failure.code}: {step.failure.what}"
                return Box(
                    "require", (shorten(what, 2 * WIDEST),), "check", (("else", what), *details)
                )

    def _inner(self, program: Program) -> Scene:
        return program_scene(program, {}, self.loops, "", self.keys, self.gists)

    def _run(self, step: Run, lines: list[str], details: list[tuple[str, str]]) -> Box:
        kernel = step.kernel
        text = kernel_text(kernel)
        words, folds = gist(kernel)
        words = self.gists.get(id(step), words)
        family = "reduction" if folds else "elementwise"
        details = [("kernel", kernel.name), *details, ("loops", text)]
        if not self.loops:
            top = [shorten(words, WIDEST)] if words else []
            return Box(kernel.name, (*top, *lines), family, tuple(details))
        code = [shorten(t, WIDEST_CODE) for t in text.splitlines()[1:-1]]
        if len(code) > LONGEST_CODE:
            code = [*code[: LONGEST_CODE - 1], f"… {len(code)} lines"]
        params = zip(kernel.params, step.buffers, strict=True)
        heads = tuple(shorten(f"{p.name} = {self._word(b)}", WIDEST_CODE) for p, b in params)
        return Box(kernel.name, (), family, tuple(details), (), False, (*heads, *code))


def gist(kernel: Kernel) -> tuple[str, bool]:
    """The functions and folds of a kernel in a few words, and whether it folds."""
    words: dict[str, None] = {}
    folds = False
    for s in walk(kernel.body):
        if isinstance(s, Fold):
            folds = True
            words[_FOLDS.get(s.combiner, s.combiner)] = None
        found: list[Expr] = postorder(expressions(s))
        words.update({e.op: None for e in found if e.op not in _ARITHMETIC})
    return " ".join(words), folds


def reads(step: Step) -> Sequence[str]:
    """The buffers that a step reads."""
    match step:
        case Run():
            pairs = zip(step.kernel.params, step.buffers, strict=True)
            return [b for p, b in pairs if p.mode != "out"]
        case Call():
            return step.buffers[: -_outputs(step)]
        case Copy():
            return [step.source]
        case Loop():
            rows = step.rows[: len(step.body.inputs)]
            first = [r.first for r in step.rows if r.first]
            return [*(r.buffer for r in rows if not r.first), *first]
        case Branch():
            return [step.pred, *step.inputs]
        case Require():
            return [step.flag]


def writes(step: Step) -> Sequence[str]:
    """The buffers that a step writes."""
    match step:
        case Run():
            pairs = zip(step.kernel.params, step.buffers, strict=True)
            return [b for p, b in pairs if p.mode != "in"]
        case Call():
            return step.buffers[-_outputs(step) :]
        case Copy():
            return [step.target]
        case Loop():
            rows = step.rows[len(step.body.inputs) :]
            return list(dict.fromkeys([*(r.buffer for r in rows), *(t for t, _ in step.finals)]))
        case Branch():
            return step.outputs
        case Require():
            return []


def _outputs(call: Call) -> int:
    """How many of the last buffers a routine writes."""
    params = dict(call.params)
    graph = params.get("graph")
    return int(params.get("results", 1)) if graph is None else len(graph.outputs)
