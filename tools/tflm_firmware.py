"""Builds and runs a .tflite in a whole TensorFlow Lite Micro on an emulated Cortex-M.

    make tflm-firmware TFLM_DIR=~/esp-tflite-micro MODEL=build/demo/digits.tflite

TFLM_DIR is a tree of TensorFlow Lite Micro with its third_party folder: esp-tflite-micro, or what
its own create_tflm_tree.py makes. Compiles all of it, which takes some minutes, and prints, of the
same model with the interpreter and without: bytes of the linked program (code and constants, with
start-up code and C library), the arena, and the instructions of one run. Fails where the output is
not that of TensorFlow Lite Micro on this machine.
The interpreter has its reference kernels; stock int8 layers would be faster with CMSIS-NN.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import sys
import tempfile

from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfmot_mltq as mltq
from tfmot_mltq.emulation.targets import DEVICE, TARGETS, DeviceError
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import Golden, golden_outputs, random_inputs
from tfmot_mltq.export.project import Project
from tfmot_mltq.export.tflm_project import plan_tflm_project

FLAGS = flags.FLAGS
flags.DEFINE_string("tflm", None, "Tree of TensorFlow Lite Micro.", required=True)
flags.DEFINE_list("cortex", ["cortex-m4"], "Emulated cores, Cortex-M.")
flags.DEFINE_string("optimize", "-Os", "Of the compiler, for all of the code.")

_SOURCES = (
    "tensorflow/lite/micro/*.cc",
    "tensorflow/lite/micro/*_allocator/*.cc",
    "tensorflow/lite/micro/memory_planner/*.cc",
    "tensorflow/lite/micro/tflite_bridge/*.cc",
    "tensorflow/lite/micro/kernels/*.cc",
    "tensorflow/lite/core/*/*.cc",
    "tensorflow/lite/kernels/*.cc",
    "tensorflow/lite/kernels/internal/*.cc",
    "tensorflow/lite/kernels/internal/reference/*.cc",
    "tensorflow/compiler/mlir/lite/*/*.cc",
    "tensorflow/compiler/mlir/lite/core/api/*.cc",
)
# Not part of a program.
_NOT_THESE = (
    "test",
    "fake",
    "mock",
    "recording",
    "python",
    "ethosu",
    "flexbuffers",
)
_INCLUDES = (".", "third_party/flatbuffers/include", "third_party/gemmlowp", "third_party/ruy")
_DEFINES = ("-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS", "-DNDEBUG")


@dataclasses.dataclass(frozen=True)
class Program:
    """What a linked program takes."""

    flash_bytes: int
    arena_bytes: int
    instructions: int


def tflm_sources(tree: pathlib.Path) -> list[pathlib.Path]:
    """The interpreter's sources.

    Raises:
      DeviceError: The folder is no tree of TensorFlow Lite Micro.
    """
    for needed in ("tensorflow/lite/micro/micro_interpreter.cc", *_INCLUDES[1:]):
        if not (tree / needed).exists():
            raise DeviceError(
                f"{tree} has no {needed}. TFLM_DIR is a tree with its third_party folder: "
                "esp-tflite-micro, or the output of TensorFlow Lite Micro's create_tflm_tree.py."
            )
    found = sorted(path for pattern in _SOURCES for path in tree.glob(pattern))
    return [path for path in found if not any(word in path.name for word in _NOT_THESE)]


def run_program(
    core: str, project: Project, golden: Golden, flags: list[str],
    others: list[pathlib.Path], folder: pathlib.Path,
) -> Program:  # fmt: skip
    """Builds an exported project with its main function and other objects, and runs it."""
    target = TARGETS[core]
    code = folder / "project"
    project.write(code, golden)
    main = "tflm_firmware_main.cc" if project.needs_interpreter else "firmware_main.c"
    sources = [*code.rglob("*.c"), *code.rglob("*.cpp"), DEVICE / main]
    flags = [*flags, f"-I{code}", f"-I{DEVICE}"]
    compiled = compile_all(core, sources, flags, folder / "objects")
    program = folder / "program.elf"
    target.link([*compiled, *others], program, [])
    lines = target.run(program, count=True).splitlines()
    if lines[-1:] != ["self-test: ok"]:
        raise DeviceError(f"{core}: {lines[-1:]}")
    printed = dict(line.split() for line in lines[:-1])
    arena = int(printed.get("arena", project.arena_bytes))
    return Program(target.flash_bytes(program), arena, int(printed["instructions"]))


def compile_all(
    core: str, sources: list[pathlib.Path], flags: list[str], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Objects of files, on all processors."""
    folder.mkdir()

    def compile_one(number: int) -> pathlib.Path:
        compiled = folder / f"{number}.o"
        TARGETS[core].compile(sources[number], compiled, flags)
        return compiled

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(compile_one, range(len(sources)))
        return list(track(work, f"Compiling for {core}", total=len(sources)))


def main(argv):
    """Builds and runs all models on all cores."""
    console = Console()
    tree = pathlib.Path(FLAGS.tflm).expanduser()
    flags = [FLAGS.optimize, "-ffunction-sections", "-fdata-sections", *_DEFINES]
    includes = [f"-I{tree / path}" for path in _INCLUDES]
    table = Table(title=f"Whole programs, {FLAGS.optimize}", title_justify="left")
    for column in ("model", "core", "runtime", "flash", "arena", "instructions"):
        table.add_column(column, justify="right" if column not in ("model", "core") else "left")
    try:
        for core in FLAGS.cortex:
            with tempfile.TemporaryDirectory() as folder:
                objects = pathlib.Path(folder, "objects")
                interpreter = compile_all(core, tflm_sources(tree), [*flags, *includes], objects)
                for path in map(pathlib.Path, argv[1:]):
                    tflite = path.read_bytes()
                    for name, plan, more, others in (
                        ("TFLM", plan_tflm_project, includes, interpreter),
                        ("none", plan_c_project, [], []),
                    ):
                        with tempfile.TemporaryDirectory() as work:
                            found = run_program(
                                core, plan(tflite), golden(tflite), [*flags, *more], others,
                                pathlib.Path(work),
                            )  # fmt: skip
                        figures = (f"{value:,}" for value in dataclasses.astuple(found))
                        table.add_row(path.stem, core, name, *figures)
    except (DeviceError, OSError, ValueError, RuntimeError) as error:
        sys.exit(str(error))
    console.print(table)


def golden(tflite: bytes) -> Golden:
    """Random inputs, and the outputs for them on this machine."""
    return golden_outputs(mltq.Interpreter(tflite), random_inputs(tflite))


if __name__ == "__main__":
    app.run(main)
