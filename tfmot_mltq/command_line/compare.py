"""Compares .tflite files on the same samples.

  mltq compare MODEL.tflite OTHER.tflite ... --data=SAMPLES [flags]

Size, arena, accuracy, and how far their outputs are from those of the first.

  mltq compare int8.tflite ternary.tflite --data=test.npz --data_key=x --labels=y
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags
from rich.table import Table

from tfmot_mltq.command_line.answers import (
    accuracy,
    answers,
    classes,
    define_answer_flags,
    load_labels,
    open_model,
)  # fmt: skip
from tfmot_mltq.command_line.console import stdout_console
from tfmot_mltq.command_line.samples import define_sample_flags, load_samples

FILES = "compare takes two or more .tflite files"
FEWEST_FILES, MOST_FILES = 2, 100


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    define_sample_flags(values, "Samples: an .npz or .npy file, or a folder of images.")
    define_answer_flags(values)
    flags.mark_flag_as_required("data", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Compares the models."""
    table = Table(title=f"{len(files)} models on {values.data}", title_justify="left")
    table.add_column("model", overflow="fold")
    for column in ("bytes", "arena", "accuracy", "same class", "largest difference"):
        table.add_column(column, justify="right")
    first = samples = None
    for file in files:
        interpreter = open_model(values, file)
        shape = interpreter.input_details[0].shape
        if samples is None or samples.shape[1:] != shape[1:]:
            samples = load_samples(values, shape)
            labels = load_labels(values, len(samples))
        outputs = answers(interpreter, samples, file).reshape(len(samples), -1)
        first = outputs if first is None else first
        if outputs.shape != first.shape:
            raise ValueError(
                f"{file} has {outputs.shape[1]} outputs, {files[0]} has {first.shape[1]}."
            )
        found = classes(outputs)
        table.add_row(
            file,
            f"{pathlib.Path(file).stat().st_size:,}",
            f"{interpreter.arena_bytes:,}" if values.runtime == "tflm" else "",
            "" if labels is None else f"{accuracy(found, labels):.2%}",
            f"{accuracy(found, classes(first)):.2%}",
            f"{np.abs(outputs - first).max():.4g}",
        )
    stdout_console().print(table)
