"""Loading Keras models, of whichever Keras saved them."""

from __future__ import annotations

import importlib
import json
import pathlib
import zipfile
from typing import Any

from tfmot_mltq.frameworks import FRAMEWORKS, import_with_extra


def load_keras_model(path: pathlib.Path) -> Any:
    """A model from a .keras or .h5 file or a SavedModel folder, not compiled.

    Raises:
      OSError: There is no such file.
      ValueError: It is no Keras model.
      ImportError: The Keras that saved it is missing.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    framework = _framework_of_file(path)
    _, packages, extra = FRAMEWORKS[framework]
    models = import_with_extra(framework, packages, extra, f"{path}").models
    importlib.import_module("tfmot_mltq")
    return models.load_model(path, compile=False)


def _framework_of_file(path: pathlib.Path) -> str:
    """Which Keras saved it: "keras" is Keras 3, "tf_keras" Keras 2."""
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise ValueError(f"{path} is no SavedModel: it has no saved_model.pb.")
        return "tf_keras"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    elif path.read_bytes()[:4] == b"\x89HDF":
        h5py = importlib.import_module("h5py")
        with h5py.File(path) as file:
            version = file.attrs.get("keras_version", "2")
    else:
        raise ValueError(f"{path} is neither a .keras nor an .h5 file, nor a SavedModel folder.")
    version = version.decode() if isinstance(version, bytes) else version
    return "keras" if int(version.split(".")[0]) >= 3 else "tf_keras"
