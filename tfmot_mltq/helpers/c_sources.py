"""The C sources of the operators, as they come with the package."""

from __future__ import annotations

import pathlib

_PACKAGED = pathlib.Path(__file__).parents[1] / "tflite_ops"
_REPOSITORY = pathlib.Path(__file__).parents[2] / "tflite_ops"


def c_folder(part: str) -> pathlib.Path:
    """A folder of tflite_ops.

    Raises:
      FileNotFoundError: The package was built without it.
    """
    folder = (_PACKAGED if _PACKAGED.is_dir() else _REPOSITORY) / part
    if not folder.is_dir():
        raise FileNotFoundError(
            f"The C sources of the operators are not in {folder}; reinstall tfmot-mltq."
        )
    return folder


def c_sources(part: str) -> list[pathlib.Path]:
    """Sources and headers of a folder of tflite_ops.

    Raises:
      FileNotFoundError: The package was built without them.
    """
    return sorted(c_folder(part).glob("*.[ch]"))
