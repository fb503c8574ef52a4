"""Keras' own tests on this backend: a tally.

    python -m tests.keras.conformance [FOLDERS OR MODULES ...] [--sample N] [--log FILE]

The tests are those of the installed wheel. An argument is a folder of `keras/src` or a module there
(``ops``, ``layers/core``, ``trainers/trainer_test``); without one all folders run, one process for
each. ``--sample 300`` runs that many tests in all, chosen by a hash of their names.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = """
ops backend/common layers/core layers/convolutional layers/reshaping layers/pooling
layers/attention layers/rnn layers/normalization layers/merging layers/regularization
layers/activations layers/layer_test layers/preprocessing losses metrics optimizers initializers
regularizers constraints activations random trainers models callbacks saving quantizers
dtype_policies wrappers utils tree testing distillation legacy
""".split()
FOREIGN = ("jax_layer_test", "torch_utils_test", "tf_dataset_adapter_test", "tfsm_layer_test")


def modules(source: Path, what: str) -> list[str]:
    """The test modules of a folder, or the one that is named."""
    place = source / what
    files = sorted(place.rglob("*_test.py")) if place.is_dir() else [place.with_suffix(".py")]
    parts = (f.relative_to(source.parents[1]).with_suffix("").parts for f in files)
    return [".".join(p) for p in parts if p[-1] not in FOREIGN]


def run(source: Path, what: str, sample: float, log: Path) -> collections.Counter[str]:
    """The outcomes of one folder's tests; failures are printed."""
    before = log.read_text().count("\n") if log.exists() else 0
    env = {
        **os.environ,
        "KERAS_BACKEND": "symgraph",
        "PYTHONPATH": str(ROOT),
        "CONFORMANCE_LOG": str(log),
        "CONFORMANCE_SHARE": str(sample),
        "OPENBLAS_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder,
                   "-p", "no:cacheprovider", "-p", "tests.keras.conformance_plugin",
                   "-W", "ignore", "--continue-on-collection-errors", "--pyargs",
                   *modules(source, what)]  # fmt: skip
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
    if done.returncode not in (0, 1, 5):
        print(done.stdout[-3000:], done.stderr[-3000:])
    lines = log.read_text().splitlines()[before:] if log.exists() else []
    rows = [json.loads(line) for line in lines]
    for row in rows:
        if row["outcome"] == "failed":
            print(f"  {row['module']} {row['id']}: {row['error'][:150]}")
    return collections.Counter(row["outcome"] for row in rows)


def main() -> None:
    """Run all folders and print a line for each and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--log", type=Path)
    args = parser.parse_args()
    found = importlib.util.find_spec("keras")
    if found is None or found.origin is None:
        sys.exit("keras is not installed: pip install keras jax scikit-learn pandas absl-py")
    source = Path(found.origin).parent / "src"
    share = args.sample / 13_500 if args.sample else 1.0  # of all tests
    log = args.log or Path(tempfile.mkdtemp()) / "log"
    total: collections.Counter[str] = collections.Counter()
    for what in args.folders or FOLDERS:
        outcomes = run(source, what, share, log)
        total += outcomes
        counts = ", ".join(f"{outcomes[k]} {k}" for k in ("passed", "failed", "skipped"))
        print(f"{what}: {counts}", flush=True)
    judged = total["passed"] + total["failed"]
    print(f"{total['passed']} of {judged} ({100 * total['passed'] / max(judged, 1):.2f} %)")
    sys.exit(bool(total["failed"]))


if __name__ == "__main__":
    main()
