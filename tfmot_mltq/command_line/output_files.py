"""Where commands write."""

from __future__ import annotations

import pathlib


def check_output(path: pathlib.Path, overwrite: bool) -> pathlib.Path:
    """The path, if it may be written to.

    Raises:
      ValueError: It is there already, or its folder is not.
    """
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already; pass --overwrite or another --output.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent}.")
    return path
