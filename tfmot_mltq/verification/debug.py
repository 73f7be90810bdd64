"""mltq.debug."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from tfmot_mltq import calibration
from tfmot_mltq.helpers.framework_types import Dataset, Model
from tfmot_mltq.helpers.kept_samples import KeptSamples
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.quantize import check_quantized
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.plots import new_figure, save_figure
from tfmot_mltq.verification.operator_errors import OperatorError, operator_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SAMPLES = 32


def debug(
    model: Model,
    tflite: bytes | str | os.PathLike[str],
    samples: Dataset,
    *,
    runtime: str = "tflm",
    plot: str | os.PathLike[str] | None = None,
    print_table: bool = True,
    console: Console | None = None,
) -> list[Figures]:
    """Prints and returns how far each operator of a converted model is from the Keras model.

    The output of each operator is compared with the tensor of the quantized Keras model that it
    stands for, on the same samples, so errors of the operators before it are part of it: a fault is
    where errors begin. It is modelled on TFLite's quantization debugger.

    Args:
      model: The quantized Keras model.
      tflite: What it was converted to (pass ``verify=False`` to ``convert`` if it refuses to), as
        bytes or as a path.
      samples: As the representative dataset of ``convert``; the first 32 are used.
      runtime: "tflm" or "litert".
      plot: File for a plot, for example "errors.png".
      print_table: False only returns the figures.
      console: Where to print; standard output by default.

    Returns:
      One dict per operator, the largest error in dB first, then those that could not be compared:
      {"number" (in the main graph), "op", "layer" ("" if the tensor has no counterpart in the Keras
      model), "tensor", "shape", "scale", "largest" and "mean" (differences in steps of the output,
      real ones where it is float), "snr" (dB; None if not compared)}.

    Raises:
      UnsupportedModelError: The model is not quantized.
      TypeError, ValueError: The samples have a wrong form, shape or content; or the model has no
        int8 ranges yet, so that it is not what was converted.
      RuntimeUnavailableError: The runtime is not installed.

    Example:
      q = mltq.quantize_model(model)
      tflite = mltq.convert(q, samples, verify=False)
      mltq.debug(q, tflite, samples, plot="errors.png")
    """
    adapter = adapter_of(model)
    check_quantized(model, adapter)
    if not calibration.is_calibrated(model, adapter):
        raise ValueError(
            "The model has no int8 activation ranges, so it is not the one that was converted: "
            "pass that one, or call mltq.calibrate with the same samples first."
        )
    content = tflite if isinstance(tflite, bytes) else pathlib.Path(tflite).read_bytes()
    kept = KeptSamples(_MOST_SAMPLES)
    kept.fill(calibration.batches(model, adapter, samples))
    assert kept.arrays is not None  # an empty dataset is refused
    errors = operator_errors(model, adapter, content, kept.arrays, runtime)
    if plot is not None:
        save_figure(_figure(errors), plot)
    worst_first = sorted(errors, key=lambda e: math.inf if e.snr is None else e.snr)
    worst_first.sort(key=lambda error: error.snr is None)
    if print_table:
        (console or Console()).print(_table(worst_first))
    return [dataclasses.asdict(error) for error in worst_first]


def _table(errors: Sequence[OperatorError]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
        title="Operators against the quantized Keras model, worst first",
        caption="Differences in steps of the output. Operators without figures are inside a "
        "layer: Keras has no such tensor.",
    )
    table.add_column("#", justify="right")
    table.add_column("operator")
    table.add_column("layer", overflow="fold")
    table.add_column("shape")
    for column in ("largest", "mean", "dB"):
        table.add_column(column, justify="right")
    for error in errors:
        compared = error.snr is not None
        table.add_row(
            str(error.number),
            error.op,
            error.layer if compared else error.tensor,
            "x".join(map(str, error.shape[1:])),
            f"{error.largest:.3g}" if compared else "",
            f"{error.mean:.3g}" if compared else "",
            f"{error.snr:.1f}" if compared else "",
        )
    return table


def _figure(errors: Sequence[OperatorError]) -> Figure:
    """Largest and mean difference by operator, in the order of the graph."""
    compared = [error for error in errors if error.snr is not None]
    figure, axes = new_figure([["errors"]], (6.4, 1.2 + 0.22 * max(len(compared), 6)))
    axis = axes["errors"]
    places = range(len(compared))
    largest = [error.largest for error in compared if error.largest is not None]
    mean = [error.mean for error in compared if error.mean is not None]
    axis.barh(places, largest, color="#E69F00", label="largest")
    axis.barh(places, mean, color="#0072B2", label="mean")
    axis.set_yticks(
        places, [f"{e.number} {e.op} ({_short(e.layer)})" for e in compared], fontsize=7
    )
    axis.invert_yaxis()
    axis.set_xlabel("difference from the quantized Keras model, in steps of the output")
    axis.legend(frameon=False)
    axis.grid(axis="x", alpha=0.3)
    return figure


def _short(name: str) -> str:
    """A name that fits, without what Matplotlib would take for a formula."""
    return (name if len(name) <= 28 else f"{name[:25]}...").replace("$", r"\$")
