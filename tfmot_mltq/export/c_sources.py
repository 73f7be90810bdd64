"""The C sources of the operators, as they come with the package."""

from __future__ import annotations

import pathlib

_PACKAGED = pathlib.Path(__file__).parents[1] / "c_sources"
_REPOSITORY = pathlib.Path(__file__).parents[2] / "tflite_ops"
# What generated code is compiled with.
_PARTS = ("core", "stock")


def c_sources() -> list[pathlib.Path]:
    """Sources and headers that generated code needs.

    Raises:
      FileNotFoundError: The package was built without them.
    """
    root = _PACKAGED if _PACKAGED.is_dir() else _REPOSITORY
    found = sorted(path for part in _PARTS for path in (root / part).glob("*.[ch]"))
    if not found:
        raise FileNotFoundError(
            f"The C sources of the operators are not in {root}; install tfmot-mltq again."
        )
    return found
