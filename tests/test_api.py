"""The public names: complete, documented, and loaded only when asked for."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import symgraph
import symgraph as sg
from symgraph import autodiff, ops

ROOT = Path(__file__).resolve().parent.parent


def namespaces() -> list[ModuleType]:
    """Where public names are found: symgraph itself, symgraph.nn and its like."""
    inner = [v for n in sg.__all__ if isinstance(v := getattr(sg, n), ModuleType)]
    inner.append(sg.nn.initializers)
    return [sg, *(m for m in inner if m.__name__.startswith("symgraph.ops."))]


def offered() -> dict[str, list[str]]:
    """What the modules of ops and autodiff say they offer."""
    found = {}
    for package in (ops, autodiff):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            names = getattr(importlib.import_module(info.name), "__all__", None)
            if names is not None:
                found[info.name] = list(names)
    return found


@pytest.mark.parametrize("module", sorted(offered()))
def test_what_a_module_offers_is_public(module: str) -> None:
    source = importlib.import_module(module)
    for name in offered()[module]:
        found = [p for p in namespaces() if vars(p).get(name) is getattr(source, name)]
        assert found, f"{name} is in no public namespace"


def test_every_public_name_exists_and_is_documented() -> None:
    for name in sg.__all__:
        value = getattr(sg, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), name


def test_names_that_numpy_has_mean_the_same() -> None:
    x = np.linspace(0.1, 0.9, 6).reshape(2, 3)
    names = [n for n in sg.__all__ if isinstance(getattr(np, n, None), np.ufunc)]
    unary = [n for n in names if getattr(np, n).nin == 1 and getattr(np, n).nout == 1]
    assert len(unary) > 30
    for name in unary:
        truths = ("invert", "logical_not", "bitwise_not", "bitwise_invert")
        given = x > 0.5 if name in truths else x
        given = (100 * x).astype(int) if name == "bitwise_count" else given
        got = getattr(sg, name)(given).eval()
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(given)
        np.testing.assert_allclose(got, expected, rtol=1e-12, err_msg=name)


def test_dir_lists_them() -> None:
    assert {"exp", "compile", "nn", "config", "errors"} <= set(dir(sg))


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    for name, meant in {"exq": "sg.exp", "softmax": "sg.nn.softmax", "neq": "sg.not_equal"}.items():
        with pytest.raises(AttributeError, match=f"no attribute '{name}'") as caught:
            getattr(sg, name)
        assert caught.value.hint == f"did you mean {meant}?"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute .no_such_thing.") as caught:
        sg.no_such_thing  # noqa: B018
    assert not caught.value.hint  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from symgraph import no_such_thing")


@pytest.mark.parametrize(
    "program",
    [
        "import symgraph.scalar; import symgraph as sg",
        "import symgraph as sg; sg.exp; import symgraph.scalar",
        "from symgraph.ir.graph import Graph; import symgraph as sg",
    ],
)
def test_scalar_is_the_function_whatever_was_imported_first(program: str) -> None:
    text = f'{program}; assert sg.scalar("x").ndim == 0; from symgraph.scalar import var; var("n")'
    subprocess.run([sys.executable, "-c", text], cwd=ROOT, check=True)


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if "version" in project.get("dynamic", ()):
        assert symgraph.__version__[0].isdigit()
    else:
        assert symgraph.__version__ == project["version"]
