"""From a group of roots to one kernel in the loop language.

Values that no other step reads stay in a named scalar when they are used at the place where they
are made. When they are needed again inside the same row they stay in memory: in the row of a result
that is written after their last use (softmax keeps its exponentials there), else in a scratch row.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from symgraph.loops.statements import Alloc, Fold, For, If, Kernel, Let, Param, Size, Stmt, Store
from symgraph.lower.groups import Group
from symgraph.lower.partition import Root
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, const, load, node, postorder, rebuild, transform

BufferShape = Callable[[str], tuple[str, tuple[Size, ...]]]


class Nest(NamedTuple):
    """A kernel, the buffers bound to its parameters, and the scratch buffers it wants."""

    kernel: Kernel
    buffers: tuple[str, ...]
    scratch: dict[str, tuple[str, tuple[Size, ...]]]


class _Segment:
    """Members of a row group that share one inner loop (or a single fold or scalar)."""

    __slots__ = ("extents", "members")

    def __init__(self, root: Root, extents: tuple[Size, ...] | None) -> None:
        self.members, self.extents = [root], extents


def build(
    group: Group, read_outside: set[str], fresh: Set[str], buffer_type: BufferShape, name: str
) -> Nest:
    """The kernel of a group. ``read_outside`` are the buffers that other steps or callers read,
    ``fresh`` those with memory of their own that holds nothing yet; ``buffer_type(name)`` gives
    (dtype, shape)."""
    builder = _Builder(group, read_outside, fresh)
    body = builder.column() if group.kind == "column" else builder.row()
    return _close(body, builder, buffer_type, name)


class _Builder:
    def __init__(self, group: Group, read_outside: set[str], fresh: Set[str]) -> None:
        self.group, self.read_outside, self.fresh = group, read_outside, fresh
        self.depth = len(group.outer)
        self.outer = tuple(node("var", (), "int64", f"_i{k}") for k in range(self.depth))
        self.members = {m.buffer: m for m in group.members}
        self.scalars: dict[str, Expr] = {}  # buffer -> its value at the present place
        self.scratch: dict[str, Root] = {}
        self.hosts: dict[str, str] = {}  # results whose rows hold other values first

    # the two forms ------------------------------------------------------------------------------

    def column(self) -> tuple[Stmt, ...]:
        """All members in one loop nest over the outer axes."""
        body: list[Stmt] = []
        for root in self.group.members:
            body += self._member(root, "serial")
        # All stores last: an update may be written over a buffer that another member still reads.
        body.sort(key=lambda s: isinstance(s, Store))
        return self._loops(self.outer, self.group.outer, tuple(body), "vector")

    def row(self) -> tuple[Stmt, ...]:
        """The outer axes serially; inside, one loop per segment."""
        segments = self._segments()
        place = {m.buffer: k for k, s in enumerate(segments) for m in s.members}
        users: dict[str, list[tuple[int, Root]]] = {}
        for k, segment in enumerate(segments):
            for m in segment.members:
                for b in m.sources:
                    users.setdefault(b, []).append((k, m))
        for root in self.group.members:
            read = users.get(root.buffer, [])
            inner = segments[place[root.buffer]].extents is not None
            elsewhere = any(k != place[root.buffer] for k, _ in read)
            if inner and elsewhere and root.buffer not in self.read_outside:
                host = self._host(root, segments, read)
                if host:
                    self.hosts[root.buffer] = host
                else:
                    self.scratch[root.buffer] = root
        body: list[Stmt] = []
        for segment in segments:
            body += self._segment(segment)
        return self._loops(self.outer, self.group.outer, tuple(body), "serial")

    def _host(self, root: Root, segments: list[_Segment], users: list[tuple[int, Root]]) -> str:
        """A result that nothing here reads, whose row is written after the last use of this one,
        or with it, in the same turns of a loop. ``users``: what reads this one, with the number of
        its segment."""
        last, final = users[-1]
        reads = [x for k, m in users if k == last for x in m.reads if x.attr == root.buffer]
        in_turn = all(_at_place(x, root, final) for x in reads)
        used = self.group.sources | set(self.hosts.values())
        later = [m for s in segments[last + 1 :] for m in s.members]
        for m in [*([final] if in_turn else []), *later]:
            alike = m.reduction is None and m.dtype == root.dtype and m.extents == root.extents
            own = m.target == m.axes and root.target == root.axes
            if alike and own and m.buffer in self.fresh and m.buffer not in used:
                return m.buffer
        return ""

    def _segments(self) -> list[_Segment]:
        out: list[_Segment] = []
        place: dict[str, int] = {}
        for root in self.group.members:
            inner = root.extents[self.depth :]
            pointwise = root.reduction is None or not root.reduction.axes
            wanted = [(place[x.attr], x) for x in root.reads if x.attr in place]
            earliest = max((k for k, _ in wanted), default=-1)
            spot = len(out)
            if pointwise and inner:
                same = [k for k in range(max(earliest, 0), len(out)) if out[k].extents == inner]
                for k in same:
                    here = [x for at, x in wanted if at == k]
                    if all(_at_place(x, self.members[x.attr], root) for x in here):
                        spot = k
                        break
            if spot == len(out):
                out.append(_Segment(root, inner if pointwise and inner else None))
            else:
                out[spot].members.append(root)
            place[root.buffer] = spot
        return out

    def _segment(self, segment: _Segment) -> list[Stmt]:
        if segment.extents is None:
            return self._member(segment.members[0], "vector")
        body: list[Stmt] = []
        for root in segment.members:
            body += self._member(root, "vector")
        axes = segment.members[0].axes[self.depth :]
        for root in segment.members:
            self.scalars.pop(root.buffer, None)  # beyond the loop its row is in memory
        return list(self._loops(axes, segment.extents, tuple(body), "vector"))

    # one member ---------------------------------------------------------------------------------

    def _member(self, root: Root, fold_kind: str) -> list[Stmt]:
        body: list[Stmt] = []
        values = [self._local(b) for b in root.body]
        reduction = root.reduction
        if reduction is not None and reduction.axes:
            fold = self._fold(root, values, fold_kind)
            body.append(fold)
            value = fold.names[-1]
        else:
            value = values[-1] if reduction is None else _single(root, values)
        name = node("var", (), root.dtype, f"_{root.buffer}")
        if value.op in ("const", "var"):
            name = value
        else:
            body.append(Let(name, value))
        self.scalars[root.buffer] = name
        if root.buffer in self.read_outside or root.buffer in self.scratch:
            body.append(Store(root.buffer, self._place(root), name))
        elif root.buffer in self.hosts:
            body.append(Store(self.hosts[root.buffer], root.target, name))
        return body

    def _fold(self, root: Root, values: list[Expr], kind: str) -> Fold:
        reduction = root.reduction
        assert reduction is not None
        inner: tuple[Stmt, ...] = ()
        yields = tuple(values)
        for depth in reversed(range(len(reduction.axes))):
            suffix = f"_{root.buffer}_{depth}" if depth else f"_{root.buffer}"
            names = tuple(
                node("var", (), v.dtype, f"{suffix}{'' if k == len(yields) - 1 else 'v'}")
                for k, v in enumerate(yields)
            )
            last = depth == len(reduction.axes) - 1
            fold = Fold(
                names, reduction.combiner, reduction.axes[depth], reduction.extents[depth],
                kind if last else "serial", inner, yields,
            )  # fmt: skip
            inner, yields = (fold,), names
        return fold

    def _place(self, root: Root) -> tuple[Expr, ...]:
        if root.buffer in self.scratch:
            return root.axes[self.depth :]
        return root.target

    def _local(self, body: Expr) -> Expr:
        """Loads of members become scalars or rows of scratch."""

        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op not in ("load", "load_if") or e.attr not in self.members:
                return rebuild(e, args)
            scalar = self.scalars.get(e.attr)
            if scalar is not None:
                if e.op == "load":
                    return scalar
                return node("select", (args[0], scalar, const(0, e.dtype)), e.dtype)
            if e.attr in self.hosts:
                return node(e.op, args, e.dtype, self.hosts[e.attr])
            root = self.scratch.get(e.attr)
            if root is None:
                return rebuild(e, args)
            inner = set(root.axes[self.depth :])
            indices = args if e.op == "load" else args[1:]
            kept = tuple(i for t, i in zip(root.target, indices, strict=True) if t in inner)
            if e.op == "load":
                return load(e.attr, kept, e.dtype)
            return node("load_if", (args[0], *kept), e.dtype, e.attr)

        return transform([body], visit)[0]

    def _loops(
        self, axes: tuple[Expr, ...], extents: tuple[Size, ...], body: tuple[Stmt, ...], kind: str
    ) -> tuple[Stmt, ...]:
        for k in reversed(range(len(axes))):
            body = (For(axes[k], extents[k], kind if k == len(axes) - 1 else "serial", body),)
        return body


def _single(root: Root, values: list[Expr]) -> Expr:
    """A fold over axes that all have size 1: the value itself, or position 0."""
    assert root.reduction is not None
    return const(0) if root.reduction.combiner in ("argmax", "argmin") else values[-1]


def _at_place(read: Expr, member: Root, root: Root) -> bool:
    """Whether the read is exactly the element that the shared loop has just made."""
    indices = read.args if read.op == "load" else read.args[1:]
    return all(a is b for a, b in zip(member.target, indices, strict=True))


# closing: parameters in order of first use under canonical names, so that equal nests are equal ---


def _close(body: tuple[Stmt, ...], builder: _Builder, buffer_type: BufferShape, name: str) -> Nest:
    order: dict[str, str] = {}
    stored: dict[str, bool] = {}
    names: dict[Expr, Expr] = {}

    def parameter(buffer: str) -> str:
        return order.setdefault(buffer, f"p{len(order)}")

    def expr(e: Expr) -> Expr:
        def visit(n: Expr, args: tuple[Expr, ...]) -> Expr:
            if n.op in ("load", "load_if"):
                stored.setdefault(n.attr, False)
                return node(n.op, args, n.dtype, parameter(n.attr))
            return names.get(n, n) if n.op == "var" else rebuild(n, args)

        return transform([e], visit)[0]

    def bind(v: Expr) -> Expr:
        return names.setdefault(v, node("var", (), v.dtype, f"_t{len(names)}"))

    def stmt(s: Stmt) -> Stmt:
        match s:
            case For():
                return s._replace(body=tuple(map(stmt, s.body)))
            case Fold():
                inner = tuple(map(stmt, s.body))
                values = tuple(map(expr, s.values))
                return s._replace(names=tuple(map(bind, s.names)), body=inner, values=values)
            case Let():
                value = expr(s.value)
                return Let(bind(s.name), value)
            case Store():
                value, indices = expr(s.value), tuple(map(expr, s.indices))
                stored[s.buffer] = True
                return Store(parameter(s.buffer), indices, value)
        return s

    closed = tuple(map(stmt, body))
    scratch = {}
    for buffer, root in builder.scratch.items():
        scratch[buffer] = (root.dtype, root.extents[builder.depth :])
    params = []
    for buffer, p in order.items():
        dtype, shape = scratch.get(buffer) or buffer_type(buffer)
        mode = "out" if stored.get(buffer) else "in"
        params.append(Param(p, dtype, shape, mode))
    kernel = Kernel(name, tuple(params), sizes_of(closed, params), closed)
    return Nest(kernel, tuple(order), scratch)


def sizes_of(body: tuple[Stmt, ...], params: list[Param]) -> tuple[str, ...]:
    """The names of the sizes that a kernel reads, in order of first use."""
    from_params = [s for p in params for s in p.shape if isinstance(s, Expr)]
    found: dict[str, None] = {}
    bound: set[str] = set()

    def visit(statements: tuple[Stmt, ...]) -> None:
        for s in statements:
            roots: list[Expr] = []
            match s:
                case For():
                    roots = [s.extent] if isinstance(s.extent, Expr) else []
                    bound.add(s.index.attr)
                case Fold():
                    roots = [s.extent] if isinstance(s.extent, Expr) else []
                    bound.update((s.index.attr, *(n.attr for n in s.names)))
                    roots += s.values
                case Let():
                    roots = [s.value]
                    bound.add(s.name.attr)
                case Store():
                    roots = [*s.indices, s.value]
                case If():
                    roots = [s.cond]
                case Alloc():
                    roots = [n for n in s.shape if isinstance(n, Expr)]
            found.update({v.attr: None for v in postorder(roots) if v.op == "var"})
            if isinstance(s, For | Fold | If):
                visit(s.body)

    visit(body)
    found.update({v.attr: None for v in postorder(from_params) if v.op == "var"})
    return tuple(n for n in found if n not in bound)
