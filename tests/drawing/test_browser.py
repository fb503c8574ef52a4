"""The page in a real browser: the script runs under its own policy, and names stay inert."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import symgraph as sg
from symgraph.drawing.html import html
from symgraph.drawing.tensor_scene import tensor_scene


@pytest.mark.browser
def test_a_box_is_chosen_by_the_address(browser: str, tmp_path: Path) -> None:
    name = '</script><script>document.title="evil"</script><img src=x onerror=alert(1)>'
    x = sg.vector(name, shape=("n",))
    page = tmp_path / "page.html"
    page.write_text(html(tensor_scene(sg.Graph([x], [sg.exp(x)]), ["y"], "good")), "utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               f"--user-data-dir={tmp_path / 'profile'}", f"file://{page}#1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "<title>good</title>" in done.stdout and "<img" not in done.stdout
    panel = re.search(r"<aside>.*?</aside>", done.stdout, re.DOTALL)
    assert panel is not None
    assert "<h2>exp</h2>" in panel[0] and "<h3>reads</h3>" in panel[0]
    assert "&lt;/script&gt;" in panel[0]
    assert re.search(r'id="world" transform="translate', done.stdout)
