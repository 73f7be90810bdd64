"""Writing files so that they are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def replaced_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary name beside ``path``, with its suffix, to write to; moved to it at the end."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: pathlib.Path, content: bytes) -> None:
    """Writes a file under another name and moves it."""
    with replaced_file(path) as temporary:
        temporary.write_bytes(content)
