"""Where commands print."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_FILES = 140


def stdout_console() -> Console:
    """Standard output: colours and its width on a terminal, plain and wide elsewhere, notebooks
    included, which ask for colours.
    """
    if sys.stdout.isatty():
        return Console()
    return Console(width=_WIDTH_OF_FILES, force_terminal=False, no_color=True)
