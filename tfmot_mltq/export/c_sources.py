"""The C sources of the operators, as they come with the package."""

from __future__ import annotations

import pathlib

_PACKAGED = pathlib.Path(__file__).parents[1] / "c_sources"
_REPOSITORY = pathlib.Path(__file__).parents[2] / "tflite_ops"


def c_sources(part: str) -> list[pathlib.Path]:
    """Sources and headers of a folder of tflite_ops.

    Raises:
      FileNotFoundError: The package was built without them.
    """
    root = _PACKAGED if _PACKAGED.is_dir() else _REPOSITORY
    found = sorted((root / part).glob("*.[ch]"))
    if not found:
        raise FileNotFoundError(
            f"The C sources of the operators are not in {root / part}; install tfmot-mltq again."
        )
    return found
