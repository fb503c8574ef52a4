"""The tally of Keras' own tests: what each folder's tests did, and why some did not pass."""

from __future__ import annotations

import collections
import datetime
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

Outcomes = dict[tuple[str, str], dict[str, Any]]

_RANK = {"passed": 0, "skipped": 1, "failed": 2}
NETWORK = "needs a file of the network"
_KINDS = (  # the reasons of skipped tests, by words in what they say; in the order of looking
    ("excluded: ", "left out by conformance_skips.txt"),
    ("sparse", "sparse tensors: the tests make those of TensorFlow or JAX"),
    ("ragged", "ragged tensors: the tests make those of TensorFlow"),
    ("tensorflow", "needs TensorFlow"),
    ("torch", "needs torch"),
    ("grain", "needs grain"),
    ("no network", NETWORK),
    ("onnx", "needs ONNX"),
    ("orbax", "needs Orbax"),
    ("devices", "needs several devices"),
    ("custom_gradient", "the test has a function for each of three backends, by name"),
    ("jax only", "tests of the JAX backend itself"),
    ("only for the jax backend", "tests of the JAX backend itself"),
    ("only jax", "tests of the JAX backend itself"),
    ("supported with jax", "tests of the JAX backend itself"),
    ("export", "exporters for some backends, by name"),
    ("litert", "needs LiteRT"),
    ("tf", "needs TensorFlow"),
    ("not supported", "what no backend does"),
    ("does not support channels first", "what no backend does"),
)


def read(log: Path) -> tuple[Outcomes, set[str]]:
    """The worst outcome of each (module, test) in a log, and the modules that were done."""
    outcomes: Outcomes = {}
    done: set[str] = set()
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        row = json.loads(line)
        if "done" in row:
            done.update(row["done"])
            continue
        key = row["module"], row["id"].partition("::")[2]
        before = outcomes.get(key)
        if before is None or _RANK[row["outcome"]] > _RANK[before["outcome"]]:
            outcomes[key] = row
    return outcomes, done


def left(outcomes: Outcomes) -> list[tuple[str, str]]:
    """The tests that did not pass."""
    return [k for k, row in outcomes.items() if row["outcome"] != "passed"]


def judged(outcomes: Outcomes) -> list[tuple[str, str]]:
    """Those of them that another backend may pass: files of the network are there for none."""
    return [k for k in left(outcomes) if kind(outcomes[k]) != NETWORK]


def _folder(module: str) -> str:
    """``layers/core`` of ``keras.src.layers.core.dense_test``."""
    parts = module.split(".")[2:-1]
    return "/".join(parts[:2] if parts[0] in ("layers", "backend", "trainers") else parts[:1])


def kind(row: dict[str, Any]) -> str:
    """Why a test did not pass, in a few words."""
    if row["outcome"] == "failed":
        return "failed"
    text = row["error"].lower()
    return next((name for word, name in _KINDS if word in text), "other")


def tally(here: Outcomes, jax: Outcomes, done: set[str]) -> str:
    """The tally as Markdown. ``jax`` has the outcomes of those that did not pass here; ``done``
    names the modules that ran to their end."""
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("keras", "jax", "numpy"))
    passes = {k for k in left(here) if jax.get(k, {}).get("outcome") == "passed"}
    passed = sum(row["outcome"] == "passed" for row in here.values())
    lines = [
        "# Keras' own tests on symgraph",
        "",
        f"Written by `make conformance-keras` on {datetime.date.today()} with {versions}, Python "
        f"{platform.python_version()}.",
        "The last column counts tests that pass with Keras' JAX backend but not with this one.",
        "",
        "| folder | passed | failed | skipped | passes with JAX only |",
        "|---|---:|---:|---:|---:|",
    ]
    rows: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for key, row in here.items():
        rows[_folder(key[0])].update([row["outcome"], *(["jax"] if key in passes else [])])
    total: collections.Counter[str] = sum(rows.values(), collections.Counter())
    for name, counts in [*sorted(rows.items()), ("**all**", total)]:
        cells = [str(counts[k]) for k in ("passed", "failed", "skipped", "jax")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    unrun = [k for k in left(here) if k not in jax and k[1] != "collection"]
    own = sum(_own(here[k]) for k in passes)
    unknown = sum(_own(here[k]) for k in unrun)
    lines += ["", _verdict(passed, len(passes), own, unknown, len(unrun)), ""]
    if cut := sorted({module for module, _ in here} - done):
        lines += [f"Not run to the end: {', '.join(cut)}.", ""]
    lines += [
        *_reasons(here, passes),
        *_listed(here, passes),
    ]
    return "\n".join(lines) + "\n"


def _verdict(passed: int, only_jax: int, own: int, unknown: int, unrun: int) -> str:
    """The share of the tests that pass with one of the backends; ``own`` of those that pass with
    JAX only say something about this one, ``unknown`` of those that were not run with it may."""

    def share(others: int) -> str:
        return f"{100 * passed / max(passed + others, 1):.2f} %"

    if not unknown:
        return (
            f"Of the {passed + only_jax} tests that pass with one of the two backends, {passed} "
            f"({share(only_jax)}) pass with symgraph. {only_jax - own} of the others make tensors "
            "of JAX or another library, test the JAX backend itself or ask for it by name; of the "
            f"{passed + own} without these {share(own)} pass. {unrun} more need another package or "
            "backend, or a file of the network, and were not run with JAX."
        )
    return (
        f"{passed} tests pass. {unknown} of the others have not been run with JAX (`--jax`): the "
        "columns that speak of JAX are not complete, and the share is not known."
    )


def _reasons(here: Outcomes, passes: set[tuple[str, str]]) -> list[str]:
    """A table of why tests did not pass."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for key in left(here):
        counts[kind(here[key])].update(["all", *(["jax"] if key in passes else [])])
    rows = sorted(counts.items(), key=lambda item: -item[1]["all"])
    head = ["| why a test did not pass | tests | of these pass with JAX |", "|---|---:|---:|"]
    return [*head, *(f"| {why} | {n['all']} | {n['jax']} |" for why, n in rows), ""]


def _own(row: dict[str, Any]) -> bool:
    """Whether a test that did not pass says something about this backend, or may."""
    return kind(row) in ("failed", "other", _KINDS[0][1])


def _listed(here: Outcomes, passes: set[tuple[str, str]]) -> list[str]:
    """The tests that failed, and those that are skipped here for a reason of this backend."""
    names = [
        k for k in left(here) if _own(here[k]) and (k in passes or here[k]["outcome"] == "failed")
    ]
    return [
        "One by one, without those that need another package or make tensors of another library:",
        "",
        *(f"* `{m}::{n}`: {_one_line(here[m, n]['error'])}" for m, n in sorted(names)),
    ]


def _one_line(error: str) -> str:
    """The reason in a tuple of (file, line, reason), or the error."""
    text = error.rpartition("Skipped: ")[2].rstrip("')\"")
    return text.replace("|", "/")[:160]
