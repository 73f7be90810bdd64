"""Compares .tflite files on the same samples.

  mltq compare MODEL.tflite OTHER.tflite ... --data=SAMPLES [flags]

Size, arena, accuracy, predicted instructions of the convolutions and fully connected layers (stock
int8 ones as CMSIS-NN or ESP-NN compute them), and how far the outputs are from those of the first.

  mltq compare int8.tflite ternary.tflite --data=test.npz --data_key=x --labels=y
"""

from __future__ import annotations

import pathlib

from absl import flags

from tfmot_mltq.command_line.console import stdout_console
from tfmot_mltq.command_line.interpreter_flags import (
    define_interpreter_flags,
    load_labels,
    open_model,
)
from tfmot_mltq.command_line.samples import define_sample_flags, load_samples
from tfmot_mltq.report.compare import comparison_table, measure

FILES = "compare takes two or more .tflite files"
FEWEST_FILES, MOST_FILES = 2, 100


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    define_sample_flags(values, "Samples: an .npz or .npy file, or a folder of images.")
    define_interpreter_flags(values)
    flags.DEFINE_list(
        "targets", ["cortex-m4", "rv32imc"], "Microcontrollers to predict for.", flag_values=values
    )
    flags.mark_flag_as_required("data", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Compares the models."""
    rows, first, samples = [], None, None
    for file in files:
        interpreter = open_model(values, file)
        shape = interpreter.input_details[0].shape
        if samples is None or samples.shape[1:] != shape[1:]:
            samples = load_samples(values, shape)
            labels = load_labels(values, len(samples))
        tflite = pathlib.Path(file).read_bytes()
        row, outputs = measure(file, tflite, interpreter, samples, labels, first, values.targets)
        first = outputs if first is None else first
        rows.append(row)
    table = comparison_table(rows)
    table.title = f"{len(files)} models on {values.data}"
    stdout_console().print(table)
