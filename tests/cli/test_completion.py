"""`symgraph completion`: each shell that is installed reads its script and completes by it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from symgraph.cli.main import STAGES

SHELLS = [s for s in ("bash", "zsh", "fish") if shutil.which(s)]
VERBS = {"dir", "ls", "stats", "verify", "prune", "clear", "why"}
BASH = """\
source {script}
COMP_WORDS=({words} {last}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_symgraph
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# without a line editor: what completes is replaced by what prints
ZSH = """\
compdef() {{ : }}
compadd() {{ shift; print -l -- "$@" }}
_describe() {{ [[ $1 == -o ]] && shift; print -l -- "${{(@P)2%%:*}}" }}
_files() {{ print -- FILES }}
source {script}
words=({words} {last}); CURRENT=$#words; PREFIX={last}
_symgraph
"""
FISH = 'source {script}; complete -C "{words} {plain}"'


@pytest.fixture
def offered(run: Callable, tmp_path: Path) -> Callable[..., set[str]]:
    def offered(shell: str, words: str, last: str) -> set[str]:
        script = tmp_path / f"completion.{shell}"
        script.write_text(run("completion", shell).out)
        program = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
        text = program.format(script=script, words=words, last=f"'{last}'", plain=last)
        options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
        command = [shell, *options, "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stderr == ""
        found = {line.partition("\t")[0] for line in done.stdout.splitlines() if line}
        return {f for f in found if f.startswith(last)}

    return offered


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_well_formed(run: Callable, tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(run("completion", shell).out)
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_choices(offered: Callable, shell: str) -> None:
    assert offered(shell, "symgraph", "du") == {"dump"}
    assert {"dump", "view", "cache"} <= offered(shell, "symgraph", "")
    assert offered(shell, "symgraph cache", "") & VERBS == VERBS
    assert offered(shell, "symgraph completion", "") >= {"bash", "zsh", "fish"}
    assert offered(shell, "symgraph dump", "--st") == {"--stage"}
    assert "--json" in offered(shell, "symgraph cache ls", "--")
    assert set(STAGES) <= offered(shell, "symgraph dump some.py:y --stage", "")
    assert offered(shell, "symgraph explain --stage", "opt") == {"optimized"}


@pytest.mark.parametrize("shell", SHELLS)
def test_no_words_where_a_file_is_meant(offered: Callable, shell: str) -> None:
    """The shell offers its files itself then."""
    found = offered(shell, "symgraph dump -o", "")
    assert not found & {"--stage", "graph", "dump"}


def test_what_the_scripts_are_made_of(run: Callable) -> None:
    found = json.loads(run("completion", "bash", "--json").out)
    assert (found["schema"], found["version"]) == ("symgraph.completion", 1)
    assert ["cache", "ls"] in [level["words"] for level in found["levels"]]
