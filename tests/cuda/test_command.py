"""The command for machines with a GPU, on machines without one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from symgraph.errors import TargetError
from symgraph.runtime.cuda.device import using
from tests.cuda import hardware
from tests.cuda.fake_driver import FakeDriver


def test_without_a_gpu_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing() -> Any:
        raise TargetError("libcuda.so.1 cannot be loaded", hint="install the driver")

    monkeypatch.setattr(hardware, "device", nothing)
    assert hardware.main([]) == 2
    said = capsys.readouterr().out
    assert "libcuda.so.1" in said and "install the driver" in said and "Nothing was tested" in said


def test_it_shows_what_it_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert hardware.main(["--emulated"]) == 0
    said = capsys.readouterr().out
    assert "--tool memcheck" in said and "-m benchmarks.cuda" in said and "-m gpu" in said


def test_results_are_written_with_date_and_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = hardware.Part("good", (sys.executable, "-c", "print('2 passed in 0.1s')"), 30)
    slow = hardware.Part("slow", (sys.executable, "-c", "import time; time.sleep(60)"), 1)
    monkeypatch.setattr(hardware, "parts", lambda sanitizer: [good, slow])
    monkeypatch.setattr(hardware, "RESULTS", tmp_path)
    with using(FakeDriver()):
        assert hardware.main(["--limit", "60"]) == 1
    found = json.loads((tmp_path / "cuda_tests_emulated_GPU.json").read_text())
    assert found["about"]["gpu"] == "emulated GPU" and "UTC" in found["about"]["date"]
    assert found["parts"]["good"]["counts"] == {"passed": 2}
    assert found["parts"]["slow"]["status"] == "ended after 1 s"


def test_all_parts_fit_into_eight_minutes() -> None:
    fixed = sum(p.seconds for p in hardware.parts("compute-sanitizer"))
    assert fixed < hardware.LIMIT - 180 and hardware.LIMIT < 480  # three minutes for benchmarks
