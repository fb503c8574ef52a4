"""NVIDIA architectures by name, and the intrinsics that each of them has.

LLVM ends the process when it meets an intrinsic that an architecture lacks, and turns a misspelt
one into a call of an unknown function. So the text is checked before LLVM sees it: what is not on
this list is an error of ours with a name.
"""

from __future__ import annotations

import difflib
import re

from symgraph.errors import TargetError, VerifyError
from symgraph.records import NamedTuple

DEFAULT = "sm_90"
# name: the PTX version that is asked of LLVM. All are at least what its own default would be, and
# what drivers and ptxas of CUDA 12 read but for the newest architectures.
_VERSIONS = {
    "sm_70": 63, "sm_75": 63, "sm_80": 70, "sm_86": 71, "sm_87": 74, "sm_89": 78, "sm_90": 80,
    "sm_90a": 80, "sm_100": 86, "sm_100a": 86, "sm_103": 88, "sm_110": 90, "sm_120": 87,
    "sm_120a": 87, "sm_121": 88,
}  # fmt: skip

# a pattern of intrinsics: the first architecture that has them
_FLOAT, _INTEGER = r"f(32|64)", r"i(8|16|32|64)"
_VECTOR = r"(v(2|4|8|16))?"
INTRINSICS: dict[str, int] = {
    rf"llvm\.(fma|fabs|copysign|sqrt|floor|ceil|trunc|roundeven)\.{_VECTOR}{_FLOAT}": 70,
    rf"llvm\.(smin|smax|umin|umax)\.{_VECTOR}{_INTEGER}": 70,
    rf"llvm\.fpto[su]i\.sat\.{_VECTOR}{_INTEGER}\.{_VECTOR}{_FLOAT}": 70,
    rf"llvm\.(ctlz|cttz|ctpop|fshl|fshr|bswap|bitreverse)\.{_VECTOR}{_INTEGER}": 70,
    rf"llvm\.vector\.reduce\.(or|and)\.{_VECTOR}i1": 70,
    r"llvm\.nvvm\.read\.ptx\.sreg\.(tid|ntid|ctaid|nctaid)\.[xyz]": 70,
    r"llvm\.nvvm\.barrier0": 70,
    r"llvm\.nvvm\.bar\.warp\.sync": 70,
    r"llvm\.nvvm\.shfl\.sync\.(down|up|bfly|idx)\.i32": 70,
    r"llvm\.nvvm\.mma\.m16n8k16\.row\.col\.(bf16|f32\.f32)": 80,
    r"llvm\.nvvm\.mma\.m16n8k8\.row\.col\.tf32": 80,
}  # fmt: skip


class Architecture(NamedTuple):
    """An architecture, as LLVM and ptxas name it, and the PTX version that is written for it."""

    name: str
    ptx: int

    @property
    def number(self) -> int:
        return int(self.name[3:].rstrip("af"))


def architecture(name: str = "") -> Architecture:
    """The architecture of this name, as ``sm_90``; without one, the default.

    Raises TargetError for a name that is not known.

    >>> architecture("sm_80").ptx
    70
    """
    name = name or DEFAULT
    if name not in _VERSIONS:
        near = difflib.get_close_matches(name, _VERSIONS, 1, 0.5)
        raise TargetError(
            f"unknown CUDA architecture {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"known are {', '.join(_VERSIONS)}",
        )
    return Architecture(name, _VERSIONS[name])


def target_architecture(target: str) -> Architecture | None:
    """The architecture of a target such as ``cuda:sm_90``; None for the CPU's.

    Raises TargetError for any other target.

    >>> target_architecture("cuda").name, target_architecture("cpu")
    ('sm_90', None)
    """
    if target == "cpu":
        return None
    kind, _, name = target.partition(":")
    if kind != "cuda":
        raise TargetError(f"unknown target {target!r}", hint="targets are cpu, cuda and cuda:sm_90")
    return architecture(name)


def check_intrinsics(text: str, found: Architecture) -> None:
    """Refuse a module with intrinsics that are not on the list for the architecture.

    Raises VerifyError naming the first.
    """
    for name in dict.fromkeys(re.findall(r"@(llvm\.[\w.]+)\(", text)):
        least = next((sm for row, sm in INTRINSICS.items() if re.fullmatch(row, name)), None)
        if least is None:
            raise VerifyError(f"the intrinsic {name} is not known to be safe for {found.name}")
        if found.number < least:
            raise VerifyError(f"the intrinsic {name} needs sm_{least}, the target is {found.name}")
