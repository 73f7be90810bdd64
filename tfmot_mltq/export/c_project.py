"""A model as C code that runs without an interpreter."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from tfmot_mltq.cost_model.tflite_operators import TfliteOperator, read_operators
from tfmot_mltq.export.c_code import Code, Layer, Place, Scratch, State, array_body
from tfmot_mltq.export.memory_plan import ALIGNMENT, Buffer, plan_memory
from tfmot_mltq.export.needed_sources import kernels_of, model_sources, needed_core, needed_stock
from tfmot_mltq.export.project import Project, check_name
from tfmot_mltq.export.reader import Step, Tensor
from tfmot_mltq.export.step import Steps, read_steps
from tfmot_mltq.helpers.c_sources import c_sources
from tfmot_mltq.kernels.kernel import VARIANTS

_C_TYPES = {"int8": "int8_t", "float32": "float", "int32": "int32_t", "int16": "int16_t"}

_MEANINGS = {
    "int8": "int8; a real value is scale * (value - zero point).",
    "float32": "real values.",
    "int32": "positions in a table, such as token numbers.",
}


def plan_c_project(
    tflite: bytes, *, name: str = "model", source: str = "a .tflite file"
) -> Project:
    """A model as C code that runs without an interpreter.

    It has no heap and no global that changes: the caller holds its memory in a struct. All of its
    functions begin with the name, those of the operators too, so that the code of several models
    can be part of one program.

    Args:
      tflite: The model: int8, inputs and outputs may be float32, and the operators of
        ``export.operators``.
      name: Prefix of the functions and name of the files, a C identifier.
      source: What comments name as the source.

    Raises:
      ValueError: The name is not a C identifier, or the bytes are not a TFLite model.
      ConversionError: The model cannot run without the interpreter.
      RuntimeUnavailableError: It has a function such as LOGISTIC, of which TensorFlow Lite Micro
        gives the values, and its Python package is not installed.
    """
    check_name(name)
    steps = read_steps(tflite)
    operators = read_operators(tflite)
    functions = [call.function for step in steps.steps for call in step.calls]
    context = _context(steps, operators) | _names(name, source)
    return Project(
        name=name,
        arena_bytes=context["arena_bytes"],
        constant_bytes=sum(operator.constant_bytes for operator in operators),
        sources={
            "core": needed_core(operators, functions),
            "stock": needed_stock(functions),
        },
        generated_sources=model_sources(operators),
        templates={
            f"{name}.h": "c/model.h.j2",
            f"{name}.c": "c/model.c.j2",
            f"{name}_self_test.h": "c/self_test.h.j2",
            f"{name}_self_test.c": "c/self_test.c.j2",
            f"{name}_golden.h": "c/golden.h.j2",
        },
        context=context,
    )


def _names(name: str, source: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "".join(part.capitalize() for part in ("mltq", *name.split("_"))),
        "guard": f"MLTQ_EXPORT_{name.upper()}",
        "source": source,
        "operators_id": _operators_id(),
    }


def _operators_id() -> str:
    """Differs where the structs of the core may: two models that one file includes share them."""
    headers = b"".join(path.read_bytes() for path in c_sources("core") if path.suffix == ".h")
    return f"0x{zlib.crc32(headers):08X}"


def _context(steps: Steps, operators: list[TfliteOperator]) -> dict[str, Any]:
    """What the templates use."""
    scratch = [step.scratch_bytes or _scratch(operators[step.operator]) for step in steps.steps]
    offsets, scratch_offsets, arena = _plan(steps, scratch)
    layers: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for number, step in enumerate(steps.steps):
        operator = operators[step.operator]

        def place(
            argument: Place, layer: int = len(layers), scratch_begin: int = scratch_offsets[number]
        ) -> str:
            if isinstance(argument, Layer):
                return f"&model->layers[{layer}], &model->shapes[{layer}]"
            if isinstance(argument, Scratch):
                return f"at(model, {scratch_begin})"
            begin = 0 if isinstance(argument, State) else argument.begin
            expression = f"at(model, {offsets[argument.tensor] + begin})"
            c_type = _C_TYPES[steps.tensors[argument.tensor].dtype]
            return expression if c_type == "int8_t" else f"({c_type}*)(void*){expression}"

        if step.packed is not None:
            layers.append(
                {
                    "name": step.packed.name,
                    "kind": step.packed.kind,
                    "packed": step.packed.data,
                    "input_shape": steps.tensors[step.inputs[0]].shape,
                    "output_shape": steps.tensors[step.outputs[0]].shape,
                    "scratch_bytes": scratch[number],
                }
            )
        calls.append(_texts(number, step, operator, place))
    ranks = [len(layer[key]) for layer in layers for key in ("input_shape", "output_shape")]
    return {
        "layers": layers,
        "rank": max(ranks, default=0),
        "steps": calls,
        "array_body": array_body,
        "marks_operators": False,  # the emulated firmware counts their instructions
        "uses_arena": any(call["calls"] for call in calls),
        "states": _states(steps, offsets),
        "inputs": _ends(steps.inputs, steps.tensors, offsets),
        "outputs": _ends(steps.outputs, steps.tensors, offsets),
        "arena_bytes": max(arena, ALIGNMENT),
    }


def _texts(number: int, step: Step, operator: TfliteOperator, place: Any) -> dict[str, Any]:
    """The code of a step: its constants, and its calls."""
    code = Code(step.calls, f"kStep{number}", place)
    sizes = [
        "x".join(map(str, shape[1:])) for shape in (operator.input_shape, operator.output_shape)
    ]
    return {
        "op": operator.op,
        "name": operator.name,
        "comment": f"{operator.op}, {' to '.join(sizes)}",
        "constants": code.constants,
        "calls": code.calls,
    }


def _ends(
    indices: list[int], tensors: Mapping[int, Tensor], offsets: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Inputs or outputs; those of several have numbers in their names."""
    several = len(indices) > 1
    return [
        {
            "suffix": f"_{number}" if several else "",
            "tensor": tensors[index],
            "c_type": _C_TYPES[tensors[index].dtype],
            "meaning": _MEANINGS[tensors[index].dtype],
            "is_int8": tensors[index].dtype == "int8",
            "offset": offsets[index],
        }
        for number, index in enumerate(indices)
    ]


def _states(steps: Steps, offsets: Mapping[int, int]) -> list[dict[str, int]]:
    """Variables, and the byte that stands for 0 in them."""
    return [
        {
            "offset": offsets[index],
            "zero": steps.tensors[index].zero_point if steps.tensors[index].dtype == "int8" else 0,
            "bytes": steps.tensors[index].bytes,
        }
        for step in steps.steps
        for index in step.states
    ]


def _scratch(operator: TfliteOperator) -> int:
    """A file runs on all targets, so its scratch is the most that any of their kernels needs."""
    if operator.call is None or operator.counts is None:
        return 0
    found = [
        kernel.scratch_bytes(operator.call, operator.counts, variant) or 0
        for variant, kernel in zip(VARIANTS, kernels_of(operator), strict=True)
    ]
    return max(found)


def _plan(steps: Steps, scratch: list[int]) -> tuple[dict[int, int], list[int], int]:
    """Offsets of tensors and of the scratch of steps, and the bytes of all."""
    home = {index: index for index in steps.tensors}
    for step in steps.steps:  # A reshaped tensor is where its source is.
        if not step.calls:
            home[step.outputs[0]] = home[step.inputs[0]]
    begin = {home[index]: 0 for index in steps.inputs}
    end = dict(begin)
    for step in steps.steps:  # States share their memory with nothing.
        begin |= dict.fromkeys(step.states, 0)
        end |= dict.fromkeys(step.states, len(steps.steps))
    for number, step in enumerate(steps.steps):
        for index in step.outputs:
            begin.setdefault(home[index], number)
        for index in (*step.inputs, *step.outputs):
            end[home[index]] = max(end.get(home[index], 0), number)
    end |= {home[index]: len(steps.steps) for index in steps.outputs}
    roots = sorted(begin)
    buffers = [Buffer(steps.tensors[root].bytes, begin[root], end[root]) for root in roots]
    buffers += [Buffer(size, number, number) for number, size in enumerate(scratch)]
    places, arena = plan_memory(buffers)
    offsets = dict(zip(roots, places, strict=False))
    return {index: offsets[root] for index, root in home.items()}, places[len(roots) :], arena
