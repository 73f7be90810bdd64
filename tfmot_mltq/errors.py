"""Exceptions that callers may want to tell apart."""

from __future__ import annotations


class UnsupportedModelError(ValueError):
    """The model, or a layer of it, is of a kind that cannot be quantized."""


class ConversionError(RuntimeError):
    """A model could not be turned into a .tflite that keeps what was quantized."""


class RuntimeUnavailableError(RuntimeError):
    """A host runtime, or the operator library, is missing on this machine."""
