"""`symgraph profile` and `symgraph completion` as a user calls them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from symgraph import config
from symgraph.cli.main import main, parser

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = "tests/cli/subjects.py:train"
SCRIPT = """\
import sys
import numpy as np
import symgraph as sg

x = sg.vector("x")
f = sg.compile([x], sg.sum(sg.exp(x)), name="first")
g = sg.compile([x], x + 1, name="never_called")
f(np.ones(10))
f(np.ones(20))
print("arguments", sys.argv[1:])
"""


class Said(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        sys.modules.pop("subjects", None)
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_a_subject(run: Callable[..., Said]) -> None:
    said = run("profile", "--seconds", "0.02", SUBJECT)
    assert said.status == 0
    assert said.out.startswith("train: ") and "exp" in said.out and "in these rows" in said.out


def test_a_subject_as_json_and_compared(run: Callable[..., Said], tmp_path: Path) -> None:
    said = run("profile", "--json", "--seconds", "0.02", "--size", "n=7", SUBJECT)
    found = json.loads(said.out)
    assert found["schema"] == "symgraph.profiles" and found["version"] == 1
    (profile,) = found["profiles"]
    assert profile["function"] == "train" and found["wall_seconds"] >= profile["seconds"] * 0.9
    old = tmp_path / "old.json"
    old.write_text(said.out)
    said = run("profile", "--seconds", "0.02", "--compare", str(old), SUBJECT)
    assert "a call took " in said.out and "ratio" in said.out


def test_a_script_gets_its_arguments(run: Callable[..., Said], script: Path) -> None:
    said = run("profile", "--by", "line", str(script), "--epochs", "3")
    assert said.status == 0 and "arguments ['--epochs', '3']" in said.out
    assert "first: 2 calls" in said.out and "script.py:6" in said.out
    assert "never_called" not in said.out
    assert not config.profile


def test_a_script_writes_pages_and_traces(
    run: Callable[..., Said], script: Path, tmp_path: Path
) -> None:
    page, trace = tmp_path / "p.html", tmp_path / "t.json"
    said = run("profile", "--json", "--html", str(page), "--trace", str(trace), str(script))
    assert json.loads(said.out)["profiles"][0]["calls"] == 2 and "arguments" in said.err
    assert "first" in page.read_text()
    slices = [e for e in json.loads(trace.read_text())["traceEvents"] if e["ph"] == "X"]
    assert sum(e["cat"] == "call of the function" for e in slices) == 2


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit(5)", 5), ("raise KeyboardInterrupt", 130), ("1 / 0", 1), ("sys.exit('no')", 1)],
)
def test_the_status_is_the_scripts(
    run: Callable[..., Said], script: Path, end: str, status: int
) -> None:
    script.write_text(SCRIPT + end)
    said = run("profile", str(script))
    assert said.status == status and "first: 2 calls" in said.out
    assert ("ZeroDivisionError" in said.err) == (end == "1 / 0")


def test_options_may_stand_behind_the_subject(run: Callable[..., Said]) -> None:
    said = run("profile", SUBJECT, "--json", "--seconds", "0.01")
    assert said.status == 0 and json.loads(said.out)["profiles"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([SUBJECT, "more"], "profile: only a script takes arguments"),
        (["--size", "q=3", SUBJECT], "no input has the size q"),
        (["--size", "n", SUBJECT], "NAME=NUMBER"),
        (["--compare", "setup.cfg", SUBJECT], "setup.cfg holds no profile"),
        (["nothing.py"], "there is no file nothing.py"),
    ],
)
def test_mistakes(run: Callable[..., Said], arguments: list[str], words: str) -> None:
    said = run("profile", *arguments)
    assert said.status == 2 and words in said.err and "SubjectError SG901: " in said.err


# completion ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_completed(run: Callable[..., Said], shell: str) -> None:
    text = run("completion", shell).out
    (commands,) = [a for a in parser()._actions if a.dest == "command"]
    for name, command in commands.choices.items():
        assert name in text
        for action in command._actions:
            for option in action.option_strings:
                assert option.lstrip("-") in text


def test_completion_as_json(run: Callable[..., Said]) -> None:
    found = json.loads(run("completion", "--json", "bash").out)
    assert found["schema"] == "symgraph.completion"
    assert {"words", "commands", "options", "choices"} == set(found["levels"][0])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["symgraph", "pro"], ["profile"]),
        (["symgraph", "cache", "ver"], ["verify"]),
        (["symgraph", "dump", "x", "--stage", "ll"], ["llvm"]),
        (["symgraph", "completion", "f"], ["fish"]),
        (["symgraph", "profile", "--h"], ["--help", "--html"]),
    ],
)
def test_bash_completes(run: Callable[..., Said], words: list[str], expected: list[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:  # the scripts are for those who have it
        return
    text = run("completion", "bash").out
    quoted = " ".join(f"'{w}'" for w in words)
    text += (
        f"\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _symgraph; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run([bash, "-c", text], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == expected


# terminals ----------------------------------------------------------------------------------------


def test_a_narrow_terminal_gets_short_lines() -> None:
    lines = on_terminal(["ops", "a"], COLUMNS="40").splitlines()
    assert len(lines) > 3 and all(len(line) <= 40 for line in lines)


def test_no_color_is_kept() -> None:
    assert "\x1b[" in on_terminal(["explain", "SG999"])
    assert "\x1b[" not in on_terminal(["explain", "SG999"], NO_COLOR="1")


def on_terminal(arguments: list[str], **environment: str) -> str:
    """What a command writes on a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "symgraph", *arguments], cwd=ROOT, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        text += part
    done.wait(60)
    os.close(ours)
    return text.decode()


def test_a_reader_that_goes_away() -> None:
    command = f"{sys.executable} -m symgraph ops; echo $? >&2"
    done = subprocess.run(
        ["sh", "-c", f"({command}) | true"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr and done.stderr.strip() in ("0", "141")


def test_the_words_of_the_cache_have_other_names(run: Callable[..., Said], tmp_path: Path) -> None:
    with config.change(cache_dir=str(tmp_path / "cache")):
        for one, other in (("dir", "where"), ("ls", "list"), ("stats", "size")):
            assert run("cache", one) == run("cache", other)


# help ---------------------------------------------------------------------------------------------


def test_the_kept_help_is_the_parsers(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, golden: Callable[..., None]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = ROOT / "symgraph" / "cli" / "help.txt"
    text = parser().format_help()
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    # the layout differs between versions of Python
    assert kept.split() == text.split(), "`pytest --update-golden tests/profile` writes it anew"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_loads_next_to_nothing(arguments: list[str]) -> None:
    program = (
        f"import sys; sys.argv = ['symgraph', *{arguments!r}]\n"
        "from symgraph.cli.start import main\nstatus = main()\n"
        "loaded = {'argparse', 're', 'json', 'numpy', 'symgraph.errors'} & set(sys.modules)\n"
        "sys.exit(status or len(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("usage: symgraph")
