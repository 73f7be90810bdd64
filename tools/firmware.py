"""Builds and runs .tflite files without an interpreter on emulated microcontrollers.

    python tools/firmware.py model.tflite [more.tflite] [--cores=cortex-m0,cortex-m4,rv32imc]

Exports each model as C code, builds it with its self-test for every target (-Os for its size, -O3
for its instructions), runs it under QEMU, and prints flash (code and constants, without start-up
and C library), the arena, and the instructions of one run. Fails where the output is not that of
TensorFlow Lite Micro on this machine.
"""

import dataclasses
import pathlib
import sys
import tempfile

import numpy as np
from absl import app, flags
from device_targets import DEVICE, TARGETS, DeviceError
from rich.console import Console
from rich.table import Table

import tfmot_mltq as mltq
from tfmot_mltq.export.c_project import plan_c_project

FLAGS = flags.FLAGS
flags.DEFINE_list("cores", ["cortex-m0", "cortex-m4", "rv32imc"], "Emulated targets.")


@dataclasses.dataclass(frozen=True)
class Firmware:
    """What a model takes on a target.

    Attributes:
      flash_bytes: Code of the model and its operators, and constants.
      arena_bytes: Tensors and scratch.
      instructions: Of one run.
    """

    flash_bytes: int
    arena_bytes: int
    instructions: int


def run_firmware(name: str, tflite: bytes, folder: pathlib.Path) -> Firmware:
    """Builds a model for a target and runs its self-test.

    Args:
      name: Target.
      tflite: The model.
      folder: An empty folder for the project.

    Raises:
      DeviceError: A tool is missing, or the output was not that of TensorFlow Lite Micro.
      ConversionError: The model does not run without the interpreter.
    """
    target = TARGETS[name]
    project = plan_c_project(tflite)
    interpreter = mltq.Interpreter(tflite)
    shape = interpreter.input_details[0].shape
    x = np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)
    y = interpreter.invoke(x)[0]
    code = folder / "project"
    project.write(code, golden=(x, y))
    sources = sorted(code.rglob("*.c"))
    includes = [f"-I{code}", f"-I{DEVICE}"]
    program = folder / "firmware.elf"
    target.build([*sources, DEVICE / "firmware_main.c"], program, ["-O3", *includes])
    lines = target.run(program, count=True).splitlines()
    if lines[-1:] != ["self-test: ok"]:
        raise DeviceError(f"{name}: {lines[-1:]}")
    return Firmware(
        flash_bytes=target.text_bytes(sources, ["-Os", *includes]) + project.constant_bytes,
        arena_bytes=project.arena_bytes,
        instructions=int(lines[-2].split()[1]),
    )


def main(argv):
    """Runs all models on all targets."""
    console = Console()
    table = Table(title="Without an interpreter; instructions with -O3, flash with -Os")
    for column in ("model", "target", "flash", "arena", "instructions", "self-test"):
        table.add_column(column, justify="left" if column in ("model", "target") else "right")
    try:
        for path in map(pathlib.Path, argv[1:]):
            for name in FLAGS.cores:
                with tempfile.TemporaryDirectory() as folder:
                    found = run_firmware(name, path.read_bytes(), pathlib.Path(folder))
                table.add_row(
                    path.stem, name, f"{found.flash_bytes:,}", f"{found.arena_bytes:,}",
                    f"{found.instructions:,}", "ok",
                )  # fmt: skip
    except (DeviceError, OSError, ValueError, RuntimeError) as error:
        sys.exit(str(error))
    console.print(table)


if __name__ == "__main__":
    app.run(main)
