"""A browser without a window, through chromedriver's HTTP protocol (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class Browser:
    """One window. `close` ends the browser and its driver."""

    def __init__(self, driver: str, binary: str, width: int = 1500, height: int = 950) -> None:
        self.process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        port = None
        while port is None:
            line = self.process.stdout.readline()
            assert line, "chromedriver did not start"
            port = re.search(r"successfully on port (\d+)", line)
        self.root = f"http://127.0.0.1:{port[1]}"
        options = {
            "binary": binary,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", f"--window-size={width},{height}"],
        }  # fmt: skip
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def open(self, page: Path, fragment: str = "") -> float:
        """Load a page; the seconds until it could be used."""
        self._send("POST", f"{self.session}/url", {"url": "about:blank"})
        start = time.perf_counter()
        url = f"file://{page}" + (f"#{fragment}" if fragment else "")
        self._send("POST", f"{self.session}/url", {"url": url})
        while not self.run("return document.body.dataset.ready"):
            assert time.perf_counter() - start < 60, self.log()
            time.sleep(0.02)
        return time.perf_counter() - start

    def processor_seconds(self) -> float:
        """What the browser has used of the processors, all its processes together; infinity where
        the system does not tell."""
        rows: dict[int, tuple[int, int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            rows[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
        if self.process.pid not in rows:
            return math.inf
        family = {self.process.pid}
        while more := {p for p, (parent, _) in rows.items() if parent in family} - family:
            family |= more
        return sum(rows[p][1] for p in family) / os.sysconf("SC_CLK_TCK")

    def run(self, script: str, *values: Any) -> Any:
        """The value of a script's body."""
        return self._send(
            "POST", f"{self.session}/execute/sync", {"script": script, "args": list(values)}
        )

    def key(self, *keys: str) -> None:
        """Press keys, one after another."""
        names = {
            "ArrowLeft": "\ue012", "ArrowRight": "\ue014", "ArrowDown": "\ue015",
            "ArrowUp": "\ue013", "Escape": "\ue00c", "Enter": "\ue007", "Home": "\ue011",
        }  # fmt: skip
        steps = []
        for k in keys:
            value = names.get(k, k)
            steps += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._act({"type": "key", "id": "keys", "actions": steps})

    def point(self, x: float, y: float, click: bool = False) -> None:
        """Move the pointer to a place of the window, and press it there."""
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        kind = {"pointerType": "mouse"}
        self._act({"type": "pointer", "id": "mouse", "parameters": kind,
                   "actions": [move, *(press if click else [])]})  # fmt: skip

    def _act(self, actions: dict[str, Any]) -> None:
        self._send("POST", f"{self.session}/actions", {"actions": [actions]})

    def log(self) -> list[str]:
        """What the console has said since the last call."""
        rows = self._send("POST", f"{self.session}/se/log", {"type": "browser"})
        return [row["message"] for row in rows]

    def screenshot(self, path: Path) -> None:
        """The window as a PNG file."""
        path.write_bytes(base64.b64decode(self._send("GET", f"{self.session}/screenshot")))

    def close(self) -> None:
        """End it."""
        try:
            self._send("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait(10)
            if self.process.stdout is not None:
                self.process.stdout.close()
