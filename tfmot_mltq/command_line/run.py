"""Runs a .tflite on samples, with the operators in C that a microcontroller runs.

  mltq run MODEL.tflite --data=SAMPLES [flags]

On TensorFlow Lite Micro, or LiteRT. Prints the classes of the samples, and the accuracy if labels
are given.

  mltq run digits.tflite --data=test.npz --data_key=x --labels=y
  mltq run digits.tflite --data=images/ --scale=0.00392157 --output=answers.npz
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags

from tfmot_mltq.command_line.interpreter_flags import (
    define_interpreter_flags,
    load_labels,
    open_model,
)
from tfmot_mltq.command_line.output_files import check_output
from tfmot_mltq.command_line.samples import define_sample_flags, load_samples
from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.report.predictions import accuracy, classes, predict

FILES = "run takes one .tflite file"
FEWEST_FILES = MOST_FILES = 1
_PRINTED_CLASSES = 20


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    define_sample_flags(values, "Samples: an .npz or .npy file, or a folder of images.")
    define_interpreter_flags(values)
    flags.DEFINE_string(
        "output", None, "File for the outputs, an .npz with 'outputs'.", flag_values=values
    )
    flags.DEFINE_bool("overwrite", False, "Overwrite an existing file.", flag_values=values)
    flags.mark_flag_as_required("data", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Runs the model."""
    output = None
    if values.output:
        output = check_output(pathlib.Path(values.output).with_suffix(".npz"), values.overwrite)
    interpreter = open_model(values, files[0])
    samples = load_samples(values, interpreter.input_details[0].shape)
    labels = load_labels(values, len(samples))
    outputs = predict(interpreter, samples, files[0])
    if output is not None:
        with replaced_file(output) as temporary:
            np.savez(temporary, outputs=outputs)
    found = classes(outputs)
    more = " ..." if len(found) > _PRINTED_CLASSES else ""
    print(f"classes: {' '.join(map(str, found[:_PRINTED_CLASSES]))}{more}")
    if labels is not None:
        print(f"accuracy: {accuracy(found, labels):.2%} of {len(labels):,} samples")
    if values.runtime == "tflm":
        print(f"arena: {interpreter.arena_bytes:,} bytes")
