"""The flags of commands that run models: the runtime, and the labels of the samples."""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags

from tfmot_mltq.command_line.samples import load_array
from tfmot_mltq.runtime.interpreter import RUNTIMES, Interpreter


def define_interpreter_flags(values: flags.FlagValues) -> None:
    """Defines --labels, --runtime and --reference_kernels."""
    flags.DEFINE_string(
        "labels", None,
        "Array of class labels (integers) in the --data file, or an .npz or .npy file.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_enum(
        "runtime", "tflm", RUNTIMES, "Runtime that runs the models.", flag_values=values
    )
    flags.DEFINE_bool(
        "reference_kernels", False,
        "For --runtime=litert: its reference kernels, whose results are TensorFlow Lite Micro's.",
        flag_values=values,
    )  # fmt: skip


def open_model(values: flags.FlagValues, path: str) -> Interpreter:
    """The interpreter of a file."""
    return Interpreter(path, values.runtime, reference_kernels=values.reference_kernels)


def load_labels(values: flags.FlagValues, count: int) -> np.ndarray | None:
    """Class numbers of the samples; None if no flag names them.

    Raises:
      ValueError: There is no such array, or it has another length.
    """
    if values.labels is None:
        return None
    path = pathlib.Path(values.labels)
    is_file = path.suffix in (".npz", ".npy")
    labels = load_array(path, None) if is_file else load_array(
        pathlib.Path(values.data), values.labels
    )  # fmt: skip
    if labels.reshape(-1).shape != (count,):
        raise ValueError(f"There are {labels.size} labels for {count} samples.")
    return labels.reshape(-1)
