"""FPCore is read and sampled as its standard says, and no benchmark gets worse."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stability import fpcore, suites
from benchmarks.stability.fpcore import Unsupported

SAMPLE = """\
; Our own examples of what the format has.
(FPCore (x) :name "difference of exponentials" :pre (< -700 x 700)
  :alt (* 2 (sinh x))
  (- (exp x) (exp (- x))))
(FPCore named (a b) :pre (and (< 1 a) (<= a 1e6) (> b 1/3) (< b 2.5e0))
  (let ([s (+ a b)] (d (- a b))) (let* ([p (* s d)] [q (/ p b)]) (fma q (sqrt q) (fabs p)))))
(FPCore (x y)
  (if (and (< x y) (not (== y 0))) (hypot x y) (! :precision binary64 (atan2 (* PI y) (fmax x 2)))))
(FPCore (n) (while (< i n) ([i 0 (+ i 1)]) i))
(FPCore ((A 3)) (ref A 0))
(FPCore (x) :name "powers" :pre (<= 1/2 x 2) (pow (log1p (cbrt x)) #| or so |# 3))
"""


def test_reading() -> None:
    first, second, *_, tensor, last = fpcore.cores(SAMPLE)
    assert (first.name, first.arguments, len(first.alternatives)) == (
        "difference of exponentials", ("x",), 1)  # fmt: skip
    assert (second.name, second.arguments) == ("named", ("a", "b"))
    assert isinstance(tensor, Unsupported)
    assert last.body == ["pow", ["log1p", ["cbrt", "x"]], "3"]


@pytest.mark.parametrize("text", ["(FPCore (x) x", "x)"])
def test_brackets_that_do_not_match(text: str) -> None:
    with pytest.raises(ValueError, match="bracket"):
        fpcore.parse(text)


def test_values() -> None:
    words = fpcore.floating(np)
    x = np.array([1.0, 3.0])

    def of(text: str) -> list[float]:
        return list(np.broadcast_to(fpcore.value(fpcore.parse(text)[0], {"x": x}, words), 2))

    assert of("(+ 1 x 1/2)") == [2.5, 4.5]
    assert of("(- x)") == [-1.0, -3.0]
    assert of("(if (< 0 x 2) x (* 2 x))") == [1.0, 6.0]
    assert of("(let* ([y x] [z (+ y 1)]) (* y z))") == [2.0, 12.0]
    assert of("(fdim x 2)") == [0.0, 1.0]
    assert of("0x1.8p1") == [3.0, 3.0]
    with pytest.raises(Unsupported):
        of("(lambda x)")


def test_the_truth_has_as_many_digits_as_it_takes() -> None:
    body = fpcore.parse("(/ (- 1 (cos x)) (* x x))")[0]
    assert suites.truth(body, {"x": 1e-200}) == 0.5
    assert np.isnan(suites.truth(fpcore.parse("(sqrt x)")[0], {"x": -1.0}))
    assert np.isnan(suites.truth(fpcore.parse("(exp (exp x))")[0], {"x": 1e9}))
    assert suites.truth(fpcore.parse("(pow x 1e7)")[0], {"x": 1.0}) == 1.0
    assert fpcore.floating(np).number(Fraction(1, 3)) == 1 / 3


def test_samples_fulfil_the_condition() -> None:
    core = fpcore.cores(SAMPLE)[1]
    assert isinstance(core, fpcore.Core)
    (a, b), true = suites._points(core, 30)
    assert len(true) == 30
    assert np.all((1 < a) & (a <= 1e6) & (1 / 3 < b) & (b < 2.5))


def test_report(tmp_path: Path) -> None:
    path = tmp_path / "sample.fpcore"
    path.write_text(SAMPLE, "utf-8")
    text = suites.report([path], ["symgraph", "numpy"], 24, verbose=False)
    row = next(line for line in text.splitlines() if line.startswith("| all"))
    _, _, count, ours, numpy, worse, gain, _ = (cell.strip() for cell in row.split("|"))
    assert (count, worse) == ("4", "0")
    assert float(ours) < float(numpy) and gain.startswith("100%")
    assert "left out: 2: 1 for while, 1 for (tensor arguments)" in text
