"""One seed from its graph to a verdict."""

from __future__ import annotations

import contextlib
import io
import traceback
import warnings
from collections.abc import Iterator

import numpy as np

from tests.fuzz import arrays, bodies, elements, rows  # each adds its operations
from tests.fuzz.case import Case
from tests.fuzz.maker import make
from tests.fuzz.oracles import check_case

OPERATIONS = (arrays, bodies, elements, rows)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without NumPy's warnings of what special values and overflow do."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def made(seed: int, steps: int = 0) -> Case:
    """The case of a seed; graphs have 4 to 30 steps, most of them about 10."""
    with quiet():
        return make(seed, steps or (4, 8, 8, 10, 12, 30)[seed % 6])


def checked(case: Case, seed: int, effort: str = "all") -> str:
    """What differs, or ""; a failure of another kind is one too."""
    try:
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            return check_case(case, seed, effort)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        return f"{type(error).__name__} at {place}: {error}"
