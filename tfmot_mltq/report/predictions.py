"""What .tflite files predict on samples."""

from __future__ import annotations

import sys

import numpy as np
from rich.console import Console
from rich.progress import track

from tfmot_mltq.runtime.interpreter import Interpreter

_SAMPLES_AT_ONCE = 16


def predict(interpreter: Interpreter, samples: np.ndarray, name: str) -> np.ndarray:
    """Outputs for all samples, with a progress bar on a terminal.

    Raises:
      ValueError: The model has several inputs or outputs, or there is no sample.
    """
    counts = len(interpreter.input_details), len(interpreter.output_details)
    if counts != (1, 1):
        raise ValueError(
            f"{name} has {counts[0]} inputs and {counts[1]} outputs; it must have one of each."
        )
    if len(samples) == 0:
        raise ValueError("There are no samples.")
    starts = range(0, len(samples), _SAMPLES_AT_ONCE)
    return np.concatenate(
        [
            interpreter.predict(samples[start : start + _SAMPLES_AT_ONCE])
            for start in track(
                starts,
                f"Running {name}",
                console=Console(stderr=True),
                disable=not sys.stderr.isatty(),
            )
        ]
    )


def classes(outputs: np.ndarray) -> np.ndarray:
    """The largest output of every sample."""
    return np.argmax(outputs.reshape(len(outputs), -1), axis=1)


def accuracy(found: np.ndarray, labels: np.ndarray) -> float:
    """Share of the samples whose class is the label."""
    return float(np.mean(found == labels))
