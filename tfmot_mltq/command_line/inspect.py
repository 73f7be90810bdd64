"""Lists the operators of a .tflite with their weights, bits and predicted instructions.

  mltq inspect MODEL.tflite [flags]

Stock int8 models too: for their convolutions and fully connected layers, the prediction is that of
the int8 kernels that one would use on the microcontroller (CMSIS-NN, ESP-NN).

  mltq inspect digits.tflite
  mltq inspect digits.tflite --targets=cortex-m0,rv32imc
  mltq inspect digits.tflite --json
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
from absl import flags
from rich.table import Table

from tfmot_mltq.command_line.console import stdout_console
from tfmot_mltq.cost_model.predict import check_target
from tfmot_mltq.cost_model.tflite_operators import TfliteOperator, read_operators
from tfmot_mltq.kernels import family_of

FILES = "inspect takes one .tflite file"
FEWEST_FILES = MOST_FILES = 1


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    flags.DEFINE_list(
        "targets", ["cortex-m4", "rv32imc"], "Microcontrollers to predict for.", flag_values=values
    )
    flags.DEFINE_bool("json", False, "Print JSON.", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Prints the operators."""
    for target in values.targets:
        check_target(target)
    tflite = pathlib.Path(files[0]).read_bytes()
    rows = [_row(operator, values.targets) for operator in read_operators(tflite)]
    if values.json:
        print(json.dumps({"bytes": len(tflite), "operators": rows}, indent=1))
        return
    stdout_console().print(_table(rows, values.targets, f"{files[0]}, {len(tflite):,} bytes"))


def _row(operator: TfliteOperator, targets: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "op": operator.op,
        "name": operator.name,
        "output_shape": list(operator.output_shape),
        "macs": operator.macs,
        "constant_bytes": operator.constant_bytes,
        "instructions": {target: operator.instructions(target) for target in targets},
    }
    layer, call, counts = operator.layer, operator.call, operator.counts
    if layer is None or call is None or counts is None:
        return row
    return row | {
        "levels": layer.levels,
        "activation_levels": layer.activation_levels,
        "nonzero_bits": int(np.count_nonzero(layer.planes)),
        "bit_density": float(np.mean(layer.planes != 0)),
        "word_density": float(np.mean((layer.planes != 0).any(axis=0))),
        "encodings": operator.encodings,
        "kernel": family_of(call, counts).title,
    }


def _table(rows: list[dict[str, Any]], targets: list[str], title: str) -> Table:
    table = Table(title=title, title_justify="left", show_footer=True)
    columns = ("levels", "bits", "words", "bytes", "MACs", *targets)
    table.add_column("operator", footer="total")
    table.add_column("layer", overflow="fold")
    table.add_column("output")
    totals = {
        "bytes": f"{sum(row['constant_bytes'] for row in rows):,}",
        "MACs": f"{sum(row['macs'] or 0 for row in rows):,}",
    } | {target: f"{sum(row['instructions'][target] or 0 for row in rows):,}" for target in targets}
    for column in columns:
        table.add_column(column, justify="right", footer=totals.get(column, ""))
    for row in rows:
        has_levels = "levels" in row
        cut = f" x {row['activation_levels']}" if row.get("activation_levels") else ""
        table.add_row(
            row["op"],
            row["name"],
            "x".join(map(str, row["output_shape"][1:])),
            f"{row['levels']}{cut}" if has_levels else "",
            f"{row['bit_density']:.1%}" if has_levels else "",
            f"{row['word_density']:.1%}" if has_levels else "",
            f"{row['constant_bytes']:,}",
            _number(row["macs"]),
            *(_number(row["instructions"][target]) for target in targets),
        )
    return table


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
