"""A model without an interpreter on an emulated microcontroller."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

from tfmot_mltq.emulation.targets import DEVICE, TARGETS, DeviceError
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import golden_outputs, random_inputs
from tfmot_mltq.runtime.interpreter import Interpreter


@dataclasses.dataclass(frozen=True)
class Firmware:
    """What a model takes on a target.

    Attributes:
      flash_bytes: Code of the model and its operators with -Os, and constants; without start-up
        code and C library.
      arena_bytes: Tensors and scratch.
      instructions: Of one run, with -O3.
    """

    flash_bytes: int
    arena_bytes: int
    instructions: int


def run_firmware(name: str, tflite: bytes) -> Firmware:
    """Builds a model for a target and runs its self-test under QEMU.

    Args:
      name: One of ``TARGETS``.
      tflite: The model.

    Raises:
      DeviceError: A tool is missing, or the output was not that of TensorFlow Lite Micro on this
        machine.
      ConversionError: The model does not run without the interpreter.
    """
    target = TARGETS[name]
    project = plan_c_project(tflite)
    golden = golden_outputs(Interpreter(tflite), random_inputs(tflite))
    with tempfile.TemporaryDirectory() as folder:
        code = pathlib.Path(folder, "project")
        project.write(code, golden)
        sources = sorted(code.rglob("*.c"))
        includes = [f"-I{code}", f"-I{DEVICE}"]
        program = pathlib.Path(folder, "firmware.elf")
        target.build([*sources, DEVICE / "firmware_main.c"], program, ["-O3", *includes])
        lines = target.run(program, count=True).splitlines()
        if lines[-1:] != ["self-test: ok"]:
            raise DeviceError(f"{name}: {lines[-1:]}")
        code_bytes = target.text_bytes(sources, ["-Os", *includes])
    return Firmware(
        flash_bytes=code_bytes + project.constant_bytes,
        arena_bytes=project.arena_bytes,
        instructions=int(lines[-2].split()[1]),
    )
