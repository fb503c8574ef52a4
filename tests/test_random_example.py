"""The sampler among the examples: chains that agree, and a model that tells tumours apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_examples import run


def test_hamiltonian_monte_carlo(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="its data")
    printed = run("hmc_logistic", tmp_path)
    (accuracy,) = re.findall(r"accuracy  ([\d.]+)", printed)
    (worst,) = re.findall(r"r-hat  ([\d.]+)", printed)
    (accepted,) = re.findall(r"accepted  ([\d.]+)", printed)
    assert float(accuracy) > 0.96 and float(worst) < 1.03 and 0.6 < float(accepted) < 0.999
