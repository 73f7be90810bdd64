"""Compares every operator of a .tflite with the quantized Keras model that it was converted from.

  mltq debug MODEL.keras MODEL.tflite --data=SAMPLES [flags]

For each operator: the largest and the mean difference from the Keras model, in steps of its output,
and the signal-to-noise ratio in dB, worst first. Errors of earlier operators are part of it, so a
fault is where errors begin. MODEL.keras is a model that mltq.quantize_model returned, saved.

  mltq debug quantized.keras model.tflite --data=test.npz --data_key=x
  mltq debug quantized.keras model.tflite --data=images/ --plot=errors.png --runtime=litert
"""

from __future__ import annotations

import pathlib

from absl import flags

from tfmot_mltq.command_line.console import stdout_console
from tfmot_mltq.command_line.keras_models import load_keras_model
from tfmot_mltq.command_line.samples import define_sample_flags, load_samples
from tfmot_mltq.verification.debug import debug

FILES = "debug takes a quantized Keras model and a .tflite file"
FEWEST_FILES = MOST_FILES = 2


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    define_sample_flags(values, "Samples: an .npz or .npy file, or a folder of images.")
    flags.DEFINE_enum(
        "runtime", "tflm", ["tflm", "litert"], "What runs the operators.", flag_values=values
    )
    flags.DEFINE_string("plot", None, "File for a plot, such as errors.png.", flag_values=values)
    flags.mark_flag_as_required("data", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Compares the operators."""
    model = load_keras_model(pathlib.Path(files[0]))
    samples = load_samples(values, tuple(model.inputs[0].shape))
    debug(
        model,
        pathlib.Path(files[1]),
        samples,
        runtime=values.runtime,
        plot=values.plot,
        console=stdout_console(),
    )
