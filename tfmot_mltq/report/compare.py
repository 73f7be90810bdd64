"""mltq.compare."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from tfmot_mltq.cost_model.predict import check_target
from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.predictions import accuracy, classes, predict
from tfmot_mltq.runtime.interpreter import Interpreter

_WIDTH_OF_NAMES = 16


def compare(
    models: Mapping[str, bytes | str | os.PathLike[str]],
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    targets: Sequence[str] = ("cortex-m4", "rv32imc"),
    runtime: str = "tflm",
    print_table: bool = True,
    console: Console | None = None,
) -> list[Figures]:
    """Prints and returns size, accuracy and predicted instructions of .tflite models, stock ones
    too, on the same samples.

    Args:
      models: Bytes or paths, by the names to show. The outputs of the others are compared with
        those of the first.
      x: Samples, the batch first; as ``Interpreter.predict`` takes them.
      y: Class numbers of the samples, (samples,); None: no accuracy.
      targets: Microcontrollers to predict for, as in ``convert``.
      runtime: "tflm" or "litert", as for ``Interpreter``.
      print_table: False only returns the figures.
      console: Where to print; standard output by default.

    Returns:
      For each model {"model", "bytes", "arena_bytes" (None unless the runtime is "tflm"),
      "accuracy" (None without y), "same_class" (share of the samples; "agree" in the table),
      "largest_difference" (real values; "diff."), "instructions": {target: predicted, of the
      convolutions and fully connected layers}}.

    Raises:
      ValueError: There is no model, no sample or no such target; the numbers of labels or outputs
        differ; a model has several inputs or outputs, or cannot be read.
      RuntimeUnavailableError: The runtime is not installed.
    """
    if not models:
        raise ValueError("There are no models to compare.")
    rows, first = [], None
    for name, model in models.items():
        tflite = model if isinstance(model, bytes) else pathlib.Path(model).read_bytes()
        interpreter = Interpreter(tflite, runtime)
        row, outputs = measure(name, tflite, interpreter, x, y, first, targets)
        first = outputs if first is None else first
        rows.append(row)
    if print_table:
        (console or Console()).print(comparison_table(rows))
    return rows


def measure(
    name: str,
    tflite: bytes,
    interpreter: Interpreter,
    x: np.ndarray,
    y: np.ndarray | None,
    first: np.ndarray | None,
    targets: Sequence[str],
) -> tuple[Figures, np.ndarray]:
    """The figures of one model for ``compare``, and its outputs, (samples, values).

    Args:
      name: To show.
      tflite: The model.
      interpreter: Of the model.
      x: As in ``compare``.
      y: As in ``compare``.
      first: Outputs to compare with, (samples, values); None: its own.
      targets: As in ``compare``.

    Raises:
      ValueError: As ``compare``.
    """
    for target in targets:
        check_target(target)
    if y is not None and np.shape(y) != (len(x),):
        raise ValueError(f"There are {np.size(y)} labels for {len(x)} samples.")
    operators = read_operators(tflite)
    outputs = predict(interpreter, x, name).reshape(len(x), -1)
    first = outputs if first is None else first
    if outputs.shape != first.shape:
        raise ValueError(
            f"{name} has {outputs.shape[1]} outputs, the first model has {first.shape[1]}."
        )
    found = classes(outputs)
    row = {
        "model": name,
        "bytes": len(tflite),
        "arena_bytes": getattr(interpreter, "arena_bytes", None),
        "accuracy": None if y is None else accuracy(found, np.asarray(y)),
        "same_class": accuracy(found, classes(first)),
        "largest_difference": float(np.abs(outputs - first).max()),
        "instructions": {
            target: sum(operator.instructions(target) or 0 for operator in operators)
            for target in targets
        },
    }
    return row, outputs


def comparison_table(rows: Sequence[Figures]) -> Table:
    """What ``measure`` found, for people: one line per model."""
    table = Table(
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
        caption="Under the targets: millions of predicted instructions, of the convolutions and "
        "fully connected layers; stock int8 ones with CMSIS-NN or ESP-NN.",
    )
    longest = max(len(row["model"]) for row in rows)
    table.add_column("model", overflow="fold", min_width=min(longest, _WIDTH_OF_NAMES))
    targets = list(rows[0]["instructions"])
    for column in ("bytes", "arena", "accuracy", "agree", "diff."):
        table.add_column(column, justify="right")
    for target in targets:
        table.add_column(target, justify="right", min_width=len(target))
    for row in rows:
        table.add_row(
            row["model"],
            f"{row['bytes']:,}",
            "" if row["arena_bytes"] is None else f"{row['arena_bytes']:,}",
            "" if row["accuracy"] is None else f"{row['accuracy']:.2%}",
            f"{row['same_class']:.2%}",
            f"{row['largest_difference']:.3g}",
            *(f"{count / 1e6:.3g}" for count in row["instructions"].values()),
        )
    return table
