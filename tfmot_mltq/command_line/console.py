"""Where commands print."""

from __future__ import annotations

from rich.console import Console

_WIDTH_OF_FILES = 140


def stdout_console() -> Console:
    """Standard output: colours and its width on a terminal, plain and wide in a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_FILES)
