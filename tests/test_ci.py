"""`.ci/run` runs what it says, with a browser and without one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / ".ci" / "run"


def run(folder: Path, **commands: str) -> subprocess.CompletedProcess[str]:
    """The script in a copy of its place, where only these commands exist beside the shell's."""
    tools = folder / "tools"
    tools.mkdir()
    (folder / ".ci").mkdir()
    script = Path(shutil.copy(RUN, folder / ".ci" / "run"))
    for name in ("bash", "env", "dirname", "rm", "timeout"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    for name, text in {"id": "echo 0", "make": 'echo "make $*"', **commands}.items():
        (tools / name).write_text(f"#!{tools / 'bash'}\n{text}\n")
        (tools / name).chmod(0o755)
    env = {"PATH": str(tools), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run([script], capture_output=True, text=True, env=env)


CHECKS = ["make lint types", "make assembler", "make test"]


def test_with_a_browser(tmp_path: Path) -> None:
    done = run(tmp_path, chromium="true", chromedriver="true")
    assert done.stdout.splitlines() == [*CHECKS, "make test-browser"]
    assert done.returncode == 0 and done.stderr == ""


def test_a_browser_is_installed_where_that_is_possible(tmp_path: Path) -> None:
    bring = f"""\
echo "apt-get $*"
case "$*" in
  *install*) for name in chromium chromedriver; do
    echo '#!{tmp_path}/tools/bash' > {tmp_path}/tools/$name
    {shutil.which("chmod")} +x {tmp_path}/tools/$name
  done ;;
esac"""
    done = run(tmp_path, **{"apt-get": bring})
    assert done.stdout.splitlines() == [*CHECKS, "make test-browser"]
    assert "install --no-install-recommends chromium chromium-driver" in done.stderr


@pytest.mark.parametrize("commands", [{}, {"apt-get": "exit 100"}, {"chromium": "exit 1"}])
def test_where_there_is_none_it_says_so_and_passes(
    tmp_path: Path, commands: dict[str, str]
) -> None:
    done = run(tmp_path, **commands)
    assert done.returncode == 0 and done.stdout.splitlines() == CHECKS
    assert done.stderr.splitlines()[-1].startswith("BROWSER TESTS NOT RUN: ")


def test_without_nvidias_assembler_it_says_so_and_goes_on(tmp_path: Path) -> None:
    make = 'echo "make $*"; [[ $* != assembler ]]'
    done = run(tmp_path, make=make, chromium="true", chromedriver="true")
    assert done.returncode == 0 and done.stdout.splitlines() == [*CHECKS, "make test-browser"]
    assert done.stderr.startswith("NO MACHINE CODE TESTED: ")


@pytest.mark.parametrize("target", ["lint", "test", "test-browser"])
def test_a_check_that_fails_fails_it(tmp_path: Path, target: str) -> None:
    make = f'echo "make $*"; [[ " $* " != *" {target} "* ]]'
    done = run(tmp_path, make=make, chromium="true", chromedriver="true")
    assert done.returncode != 0
    assert target in done.stdout.splitlines()[-1]
