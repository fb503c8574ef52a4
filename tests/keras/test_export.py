"""Predictors in files: they need symgraph and no Keras, and say what the model says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_symgraph
import symgraph as sg

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

if keras.backend.backend() != "symgraph":
    pytest.skip("Keras is in use with another backend", allow_module_level=True)

ROOT = Path(__file__).resolve().parent.parent.parent
ALONE = """
import sys
import numpy as np
import symgraph as sg
graph = sg.load("model.sg")
f = sg.compile(graph.inputs, graph.outputs)
np.savez("out.npz", *f(*np.load("in.npz").values()))
assert not {"keras", "keras_symgraph"} & set(sys.modules)
"""


def exported(model: Any, folder: Path, *arrays: np.ndarray) -> list[np.ndarray]:
    """What the exported model predicts in a process without Keras."""
    model.export(folder / "model.sg", format="symgraph", verbose=False)
    np.savez(folder / "in.npz", *arrays)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SYMGRAPH_CACHE_DIR": str(folder / "cache")}
    subprocess.run([sys.executable, "-c", ALONE], cwd=folder, env=env, check=True, timeout=120)
    return list(np.load(folder / "out.npz").values())


def test_trained_convolutions(tmp_path: Path) -> None:
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 8, 8, 1)).astype("float32")
    model.fit(images, rng.integers(0, 3, 40), epochs=1, verbose=0)
    for count in (40, 7):  # any number of rows
        (found,) = exported(model, tmp_path, images[:count])
        expected = model.predict(images[:count], verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    words = keras.Input((None,), dtype="int32", name="words")
    more = keras.Input((3,), name="more")
    seen = keras.layers.LSTM(5)(keras.layers.Embedding(11, 4)(words))
    both = keras.layers.Concatenate()([seen, more])
    outputs = {"kind": keras.layers.Dense(2)(both), "size": keras.layers.Dense(1)(seen)}
    model = keras.Model({"words": words, "more": more}, outputs)
    rng = np.random.default_rng(0)
    x = {
        "more": rng.normal(size=(6, 3)).astype("float32"),
        "words": rng.integers(0, 11, (6, 9)).astype("int32"),
    }
    expected = model.predict(x, verbose=0)
    graph_inputs = exported(model, tmp_path, x["more"], x["words"])
    for found, name in zip(graph_inputs, sorted(expected), strict=True):
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6)
    assert [v.name for v in sg.load(tmp_path / "model.sg").inputs] == ["more", "words"]


def test_refusals(tmp_path: Path) -> None:
    class Unbuilt(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ValueError, match="not yet been built"):
        Unbuilt().export(tmp_path / "m", format="symgraph")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="Unrecognized format"):
        model.export(tmp_path / "m", format="paper")
    assert keras_symgraph.hook.NAME == "symgraph"
    assert not (tmp_path / "m").exists()
