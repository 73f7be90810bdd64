"""What native code writes to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


class NativeOutput:
    """Text collected by ``capture_stderr``; complete once its block is left."""

    text = ""


@contextlib.contextmanager
def capture_stderr() -> Iterator[NativeOutput]:
    """Collects standard error at the level of the file descriptor: TensorFlow Lite Micro reports
    errors and its memory use there, and gives Python neither.
    """
    output = NativeOutput()
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield output
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            output.text = file.read().decode(errors="replace")
