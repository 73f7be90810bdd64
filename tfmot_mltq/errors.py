"""Exceptions that callers may want to tell apart."""

from __future__ import annotations

import textwrap

_LONGEST_CAUSE = 160


class UnsupportedModelError(ValueError):
    """The model, or a layer of it, is of a kind that cannot be quantized."""


class ConversionError(RuntimeError):
    """A model could not be turned into a .tflite that keeps what was quantized."""


class RuntimeUnavailableError(RuntimeError):
    """A host runtime, or the operator library, is missing on this machine."""


def first_line(error: Exception) -> str:
    """What an error of other code says, short enough to be part of a message of ours."""
    return textwrap.shorten(str(error).strip().partition("\n")[0], _LONGEST_CAUSE)
