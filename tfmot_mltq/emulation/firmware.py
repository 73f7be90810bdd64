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
class OperatorCount:
    """An operator of a run: its layer or output tensor, its kind, and instructions."""

    name: str
    op: str
    instructions: int


@dataclasses.dataclass(frozen=True)
class Firmware:
    """What a model takes on a target.

    Attributes:
      flash_bytes: Code of the model and its operators with -Os, and constants; without start-up
        code and C library.
      arena_bytes: Tensors and scratch.
      stack_bytes: Of one run, with -O3.
      instructions: Of one run, with -O3.
      operators: Each operator of the run, in order.
    """

    flash_bytes: int
    arena_bytes: int
    stack_bytes: int
    instructions: int
    operators: tuple[OperatorCount, ...]


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
    project = dataclasses.replace(project, context={**project.context, "marks_operators": True})
    golden = golden_outputs(Interpreter(tflite), random_inputs(tflite))
    steps = project.context["steps"]
    with tempfile.TemporaryDirectory() as folder:
        code = pathlib.Path(folder, "project")
        project.write(code, golden)
        sources = sorted(code.rglob("*.c"))
        flags = [f"-I{code}", f"-I{DEVICE}", f"-DMLTQ_OPERATORS={len(steps)}"]
        program = pathlib.Path(folder, "firmware.elf")
        target.build([*sources, DEVICE / "firmware_main.c"], program, ["-O3", *flags])
        lines = target.run(program, count=True).splitlines()
        if lines[-1:] != ["self-test: ok"]:
            raise DeviceError(f"{name}: {lines[-1:]}")
        own = [path for path in sources if path.name != "model_self_test.c"]
        flash_bytes = target.object_bytes(own, ["-Os", *flags])
    counts = [(key, int(value)) for key, value in (line.split() for line in lines[:-1])]
    found = dict(counts)
    return Firmware(
        flash_bytes=flash_bytes,
        arena_bytes=project.arena_bytes,
        stack_bytes=found["stack"],
        instructions=found["instructions"],
        operators=tuple(
            OperatorCount(step["name"], step["op"], value)
            for step, value in zip(
                steps, (value for key, value in counts if key == "operator"), strict=True
            )
        ),
    )
