"""A model as C++ code for TensorFlow Lite Micro."""

from __future__ import annotations

from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.export.needed_sources import model_sources, needed_core
from tfmot_mltq.export.project import Project, check_name
from tfmot_mltq.helpers.c_sources import c_sources
from tfmot_mltq.runtime.interpreter import Interpreter
from tfmot_mltq.runtime.tflm_methods import registration


def plan_tflm_project(
    tflite: bytes, *, name: str = "model", source: str = "a .tflite file"
) -> Project:
    """The model as a constant array, the size of its arena, a resolver with its operators and no
    others, and a self-test.

    Args:
      tflite: The model; inputs and outputs are int8 or float32.
      name: Prefix of functions and name of files, a C identifier.
      source: What comments name as the source.

    Raises:
      ValueError: The name is not a C identifier, or the bytes are not a TFLite model.
      ConversionError: TensorFlow Lite Micro lacks an operator.
      RuntimeUnavailableError: The arena cannot be measured: TensorFlow Lite Micro is not installed.
    """
    check_name(name)
    operators = read_operators(tflite)
    registrations = [registration(op) for op in sorted({operator.op for operator in operators})]
    interpreter = Interpreter(tflite)
    ends = {"input": interpreter.input_details, "output": interpreter.output_details}
    return Project(
        name=name,
        arena_bytes=interpreter.arena_bytes,
        constant_bytes=len(tflite),
        sources={"core": needed_core(operators), "tflm": c_sources("tflm")},
        generated_sources=model_sources(operators),
        templates={
            f"{name}.h": "tflm/model.h.j2",
            f"{name}.cpp": "tflm/model.cpp.j2",
            f"{name}_self_test.h": "c/self_test.h.j2",
            f"{name}_self_test.cpp": "tflm/self_test.cpp.j2",
            f"{name}_golden.h": "tflm/golden.h.j2",
        },
        needs_interpreter=True,
        context={
            "name": name,
            "guard": f"MLTQ_EXPORT_{name.upper()}",
            "source": source,
            "data": tflite,
            "registrations": registrations,
            "arena_bytes": interpreter.arena_bytes,
            "ends": ends,
        },
    )
