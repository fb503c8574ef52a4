"""Giving compiled functions their profile, and the list of all profiles of the process.

What a call does in Python is timed here and booked as rows of its own: the conversion of arguments
that native code does not take as they are, the packing of nested results, and the operations
between the parts of a function whose sizes depend on data.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgraph.function import Definition, StructuredFunction
from symgraph.profiling.compiling import CompileRecord
from symgraph.profiling.counters import Counters
from symgraph.profiling.report import Part, Profile
from symgraph.segments import Parted, Step

PROFILES: list[Profile] = []  # of all functions compiled so far, in order
traced_events = 0  # of every function compiled from now on so many steps are kept for a trace

__all__ = ["PROFILES", "CompileRecord", "Counters", "joined", "native", "packed", "slowly"]


def native(function: Any, counters: Counters, meta: Mapping[str, Any]) -> None:
    """Give a native function its profile."""
    d = function.definition
    part = Part(d, meta["profile"]["rows"], counters, meta["profile"]["compile"])
    profile = Profile(d.name, [part])
    function.set_profile(profile, functools.partial(slowly, profile))
    if "whole" not in d.options:  # else a part of a function
        _enter(profile)


def _enter(profile: Profile) -> None:
    PROFILES.append(profile)
    if traced_events:
        profile.trace_calls(traced_events)


def slowly(profile: Profile, work: Callable[..., Any], args: Any, keywords: Any) -> Any:
    """A call whose arguments have to be converted; native code's own time is booked by itself."""
    return _timed(profile, "conversion of arguments", functools.partial(work, args, keywords))


def _timed(profile: Profile, name: str, work: Callable[[], Any]) -> Any:
    start, (seconds, ticks) = time.perf_counter(), profile.booked()
    try:
        return work()
    finally:
        spent = time.perf_counter() - start
        inside, counted = profile.booked()
        profile.book(name, spent - (inside - seconds), counted - ticks)


class ProfiledStructure(StructuredFunction):
    """A function of nested values that books the packing."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        call = functools.partial(StructuredFunction.__call__, self, *args, **keywords)
        return _timed(self.profile, "packing", call)


def packed(d: Definition, inner: Any) -> StructuredFunction:
    """The function for nested inputs and outputs around one with a profile."""
    function = ProfiledStructure(d, inner)
    function.set_profile(inner.profile)
    return function


class ProfiledParted(Parted):
    """A function in parts that books what it does between them."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        call = functools.partial(Parted.__call__, self, *args, **keywords)
        return _timed(self.profile, "between parts", call)

    def _step(self, part: Any, function: Any) -> Step:
        step = super()._step(part, function)
        makers = tuple(
            (functools.partial(self._made, node.op.name, reference), operands, k)
            for node, (reference, operands, k) in zip(part.makers, step.makers, strict=True)
        )
        return step._replace(makers=makers)

    def _made(self, name: str, reference: Callable[..., Any], *operands: Any) -> Any:
        return _timed(self.profile, name, functools.partial(reference, *operands))


def joined(d: Definition, parts: Sequence[Any], functions: Sequence[Any]) -> Parted:
    """A function in parts with one profile of all of them."""
    function = ProfiledParted(d, list(parts), functions)
    profile = Profile(d.name, [p for f in functions for p in f.profile.parts])
    function.set_profile(profile)
    _enter(profile)
    return function
