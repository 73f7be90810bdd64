"""Loading Keras models, of whichever Keras saved them."""

from __future__ import annotations

import importlib
import json
import pathlib
import zipfile

from tfmot_mltq.errors import first_line
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.frameworks import FRAMEWORKS, import_with_extra

# What every message about a wrong file ends with.
_CONVERTIBLE = (
    "Supported files are whole Keras models, saved by model.save('model.keras') or as .h5, and "
    "SavedModel folders of tf_keras."
)


def load_keras_model(path: pathlib.Path) -> Model:
    """A model from a .keras or .h5 file or a SavedModel folder, not compiled.

    Raises:
      OSError: There is no such file.
      ValueError: It is not a Keras model, or one with classes or functions of the user's.
      ImportError: The Keras that saved it is missing.
    """
    if not path.exists():
        raise FileNotFoundError(f"File not found: {path}.")
    framework = _framework_of_file(path)
    _, packages, extra = FRAMEWORKS[framework]
    models = import_with_extra(framework, packages, extra, f"{path}").models
    importlib.import_module("tfmot_mltq")
    try:
        model = models.load_model(path, compile=False)
    except Exception as error:  # Keras and TensorFlow raise any kind
        raise ValueError(
            f"{path} cannot be loaded ({type(error).__name__}: {first_line(error)}). If it "
            "uses custom layers, functions or classes, load it in Python where they are defined, "
            f"and call mltq.convert there. {_CONVERTIBLE}"
        ) from error
    if not isinstance(model, models.Model):
        raise ValueError(
            f"{path} is a SavedModel without Keras layers, as model.export of Keras 3 and "
            f"tf.saved_model.save write it. {_CONVERTIBLE}"
        )
    return model


def _framework_of_file(path: pathlib.Path) -> str:
    """Which Keras saved it: "keras" is Keras 3, "tf_keras" Keras 2."""
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise ValueError(
                f"{path} is not a SavedModel: it has no saved_model.pb. {_CONVERTIBLE}"
            )
        return "tf_keras"
    if zipfile.is_zipfile(path):
        version = _version_in_zip(path)
    elif path.read_bytes()[:4] == b"\x89HDF":
        version = _version_in_h5(path)
    else:
        raise ValueError(f"{path} is neither a .keras nor an .h5 file. {_CONVERTIBLE}")
    return "keras" if int(version.split(".")[0]) >= 3 else "tf_keras"


def _version_in_zip(path: pathlib.Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("metadata.json"))["keras_version"]
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is a ZIP archive, but not a Keras model ({first_line(error)}). {_CONVERTIBLE}"
        ) from error


def _version_in_h5(path: pathlib.Path) -> str:
    h5py = importlib.import_module("h5py")
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError(f"{path} holds only weights, without a model. {_CONVERTIBLE}")
        version = file.attrs.get("keras_version", "2")
    return version.decode() if isinstance(version, bytes) else version
