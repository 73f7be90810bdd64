"""Writes a .tflite as a project for microcontrollers.

  mltq export MODEL.tflite --output=FOLDER [flags]

With --runtime=none it is C99 code that needs no interpreter: the model's weights, its memory plan,
and calls of the operators. With --runtime=tflm it is C++ code for TensorFlow Lite Micro: the model
as an array, the size of its arena, and a resolver with its operators. Both have the sources of the
operators in mltq/, and a self-test with an input and the output that TensorFlow Lite Micro gives
for it on this machine.

C code without an interpreter is tested before the folder is written: this machine's C compiler
builds it, and its self-test runs; --no-self_test skips that. With --runtime=tflm, the model is run
in the Python package of TensorFlow Lite Micro instead.

--format=c is one folder; compile all files in it, with FOLDER as include folder. --format=arduino
is an Arduino library with the self-test as its example: put FOLDER into the libraries of the
sketchbook. --format=esp-idf is a project of ESP-IDF with the model as a component.

  mltq export digits.tflite --output=digits_c
  mltq export digits.tflite --output=digits_tflm --runtime=tflm
  mltq export digits.tflite --output=digits_mltq --format=arduino --name=digits
  mltq export digits.tflite --output=digits_c --name=digits --data=test.npz --data_key=x
  mltq export digits.tflite --output=digits_c --flash=32768 --ram=16384
"""

from __future__ import annotations

import pathlib

from absl import flags

from tfmot_mltq.command_line.output_files import check_output
from tfmot_mltq.command_line.samples import define_sample_flags, load_samples
from tfmot_mltq.export.golden import Golden, golden_outputs, random_inputs
from tfmot_mltq.export.try_on_host import find_compiler, try_on_host
from tfmot_mltq.layout.frameworks import import_with_extra
from tfmot_mltq.runtime.interpreter import Interpreter

FILES = "export takes one .tflite file"
FEWEST_FILES = MOST_FILES = 1


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    flags.DEFINE_string("output", None, "Folder to make.", flag_values=values)
    flags.DEFINE_enum(
        "format", "c", ["c", "arduino", "esp-idf"], "Project format.", flag_values=values
    )
    flags.DEFINE_enum(
        "runtime", "none", ["none", "tflm"], "What runs the model on the chip.", flag_values=values
    )
    flags.DEFINE_string(
        "name", "model", "Prefix of the functions and base name of the files.", flag_values=values
    )
    define_sample_flags(
        values, "The first sample is the input of the self-test; a random one by default."
    )
    flags.DEFINE_bool(
        "self_test", True, "Compile the C code and run its self-test before writing the folder.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer(
        "flash", None, "Refuse a model whose constants take more bytes; code comes on top.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer(
        "ram", None, "Refuse a model whose arena takes more bytes; the stack comes on top.",
        flag_values=values,
    )  # fmt: skip
    flags.mark_flag_as_required("output", flag_values=values)


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Exports."""
    export = import_with_extra(
        "tfmot_mltq.export.plan_project", ("jinja2",), "export", "mltq export"
    )
    output = check_output(pathlib.Path(values.output))
    tflite = pathlib.Path(files[0]).read_bytes()
    source = pathlib.Path(files[0]).name
    project = export.plan_project(tflite, values.runtime, values.format, values.name, source)
    for what, needed, limit in (
        ("constants take", project.constant_bytes, values.flash),
        ("arena takes", project.arena_bytes, values.ram),
    ):
        if limit is not None and needed > limit:
            raise ValueError(f"The {what} {needed:,} bytes, over the limit of {limit:,}.")
    tried = "the model ran in TensorFlow Lite Micro on this machine; the C++ code is not compiled"
    if values.runtime == "none":
        tried = "skipped"
        if values.self_test:
            tried = f"ok on this machine ({find_compiler()[0]})"
    project.write(output, _golden(values, tflite), lambda folder: _try(values, folder))
    print(
        f"{output}: constants {project.constant_bytes:,} bytes, arena {project.arena_bytes:,} "
        f"bytes, self-test: {tried}"
    )


def _try(values: flags.FlagValues, folder: pathlib.Path) -> None:
    if values.runtime == "none" and values.self_test:
        try_on_host(folder, values.name)


def _golden(values: flags.FlagValues, tflite: bytes) -> Golden:
    """Inputs and outputs of the self-test."""
    interpreter = Interpreter(tflite)
    inputs = random_inputs(tflite)
    if values.data:
        if len(inputs) != 1:
            raise ValueError(f"--data needs a model with one input; this one has {len(inputs)}.")
        details = interpreter.input_details[0]
        inputs = [details.quantize(load_samples(values, details.shape)[:1])]
    return golden_outputs(interpreter, inputs)
