"""Where commands write."""

from __future__ import annotations

import pathlib


def check_output(path: pathlib.Path, overwrite: bool | None = None) -> pathlib.Path:
    """The path, if it may be written to.

    Args:
      path: File or folder.
      overwrite: What the command's flag says; None if it has none.

    Raises:
      ValueError: It is there already, or its folder is not.
    """
    if path.exists() and not overwrite:
        choice = "choose" if overwrite is None else "pass --overwrite or"
        raise ValueError(f"{path} already exists; {choice} another --output.")
    if not path.parent.is_dir():
        raise ValueError(f"Folder not found: {path.parent}.")
    return path
