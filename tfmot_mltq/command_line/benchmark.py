"""Runs a .tflite on this machine and on emulated microcontrollers, and says what it takes.

  mltq benchmark MODEL.tflite [flags]

On this machine: milliseconds of a run on TensorFlow Lite Micro and on LiteRT. On emulated
microcontrollers, for which a cross compiler and QEMU must be installed: the model is exported as C
code without an interpreter and built, its self-test runs, and its instructions are counted,
exactly. Flash is the code (with -Os) and the constants, without start-up code and C library;
instructions are those of code compiled with -O3.

  mltq benchmark digits.tflite
  mltq benchmark digits.tflite --targets=cortex-m0,cortex-m4,rv32imc
  mltq benchmark digits.tflite --targets= --runs=1000
  mltq benchmark digits.tflite --json
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import time
from typing import Any

import numpy as np
from absl import flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tfmot_mltq.command_line.console import stdout_console
from tfmot_mltq.emulation.targets import TARGETS
from tfmot_mltq.layout.frameworks import import_with_extra
from tfmot_mltq.runtime.interpreter import RUNTIMES, Interpreter

FILES = "benchmark takes one .tflite file"
FEWEST_FILES = MOST_FILES = 1


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    flags.DEFINE_list(
        "targets", None,
        f"Emulated microcontrollers to run on, out of {', '.join(TARGETS)}; by default all whose "
        "tools are installed.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer(
        "runs", 50, "Number of runs on this machine; the median is reported.", lower_bound=1,
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool("json", False, "Print JSON.", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Measures."""
    unknown = sorted(set(values.targets or []) - set(TARGETS))
    if unknown:
        raise ValueError(f"Unknown targets {unknown}; choose from {list(TARGETS)}.")
    tflite = pathlib.Path(files[0]).read_bytes()
    targets = _installed() if values.targets is None else values.targets
    on_host = {runtime: _milliseconds(tflite, runtime, values.runs) for runtime in RUNTIMES}
    report: dict[str, Any] = {
        "bytes": len(tflite),
        "host_milliseconds": on_host,
        "tflm_arena_bytes": Interpreter(tflite).arena_bytes,
        "targets": _emulate(tflite, targets),
    }
    if values.json:
        print(json.dumps(report, indent=1))
        return
    console = stdout_console()
    for runtime, milliseconds in on_host.items():
        console.print(f"{runtime} on this machine: {milliseconds:.3f} ms", highlight=False)
    console.print(
        f"arena of TensorFlow Lite Micro: {report['tflm_arena_bytes']:,} bytes", highlight=False
    )
    if targets:
        console.print(_table(report["targets"]))


def _installed() -> list[str]:
    """Targets whose tools are there; what to install for the others goes to standard error."""
    missing = {name for name, target in TARGETS.items() if target.missing_tools()}
    for packages in sorted({TARGETS[name].packages for name in missing}):
        names = [name for name in TARGETS if name in missing and TARGETS[name].packages == packages]
        print(f"Not run on {', '.join(names)}: apt-get install {packages}", file=sys.stderr)
    return [name for name in TARGETS if name not in missing]


def _milliseconds(tflite: bytes, runtime: str, runs: int) -> float:
    interpreter = Interpreter(tflite, runtime)
    rng = np.random.default_rng(0)
    inputs = [
        rng.integers(-128, 128, details.shape).astype(details.dtype)
        for details in interpreter.input_details
    ]
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        interpreter.invoke(*inputs)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def _emulate(tflite: bytes, targets: list[str]) -> dict[str, dict[str, Any]]:
    if not targets:
        return {}
    firmware = import_with_extra(
        "tfmot_mltq.emulation.firmware", ("jinja2",), "export", "mltq benchmark"
    )
    steps = track(
        targets,
        "Emulated microcontrollers",
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    return {name: dataclasses.asdict(firmware.run_firmware(name, tflite)) for name in steps}


def _table(found: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Without an interpreter", title_justify="left")
    table.add_column("target")
    columns = {
        "flash": "flash_bytes",
        "arena": "arena_bytes",
        "stack": "stack_bytes",
        "instructions": "instructions",
    }
    for column in (*columns, "self-test"):
        table.add_column(column, justify="right")
    for name, figures in found.items():
        table.add_row(name, *(f"{figures[key]:,}" for key in columns.values()), "ok")
    return table
