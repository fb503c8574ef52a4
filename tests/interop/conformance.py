"""PyTensor's own tests with symgraph's mode: a tally.

    python -m tests.interop.conformance PYTENSOR_CHECKOUT [FILES ...]

The checkout is PyTensor's source at the installed version's tag; only its tests are used. They run
in a folder of their own, so that the installed package is what they import.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = """
tests/tensor/test_elemwise.py tests/tensor/test_subtensor.py tests/tensor/test_basic.py
tests/tensor/test_math.py tests/tensor/test_math_scipy.py tests/tensor/test_extra_ops.py
tests/tensor/test_special.py tests/tensor/test_sort.py tests/tensor/test_shape.py
tests/tensor/test_blockwise.py tests/scan/test_basic.py tests/test_ifelse.py
tests/test_raise_op.py tests/test_gradient.py tests/test_rop.py
""".split()
LOADER = """
import importlib.util
spec = importlib.util.spec_from_file_location("conformance_plugin", {path!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
globals().update({{k: v for k, v in vars(module).items() if k.startswith("pytest_")}})
"""


def run(checkout: Path, file: str, folder: Path) -> collections.Counter[str]:
    """The outcomes of one file's tests; failures are printed."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT))),
        "CONFORMANCE_LOG": str(log),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "symgraph_conformance",
               "-p", "no:cacheprovider", file]  # fmt: skip
    subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for row in rows:
        if row["outcome"] == "failed":
            print(f"  {row['id']}: {row['error'][:150]}")
    return collections.Counter(row["outcome"] for row in rows)


def main() -> None:
    """Run all files and print a line for each and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    total: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(args.checkout / "tests", folder / "tests")
        for extra in ("conftest.py", "pyproject.toml"):
            shutil.copy(args.checkout / extra, folder)
        plugin = Path(__file__).with_name("conformance_plugin.py")
        (folder / "symgraph_conformance.py").write_text(LOADER.format(path=str(plugin)))
        for file in args.files or FILES:
            found = run(args.checkout, file, folder)
            total += found
            print(f"{file}: {found['passed']} passed, {found['failed']} failed", flush=True)
    judged = total["passed"] + total["failed"]
    print(f"{total['passed']} of {judged} ({100 * total['passed'] / max(judged, 1):.1f} %)")


if __name__ == "__main__":
    main()
