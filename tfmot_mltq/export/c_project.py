"""A model as C code that runs without an interpreter."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfmot_mltq.cost_model.kernel_work import count_planes, scratch_bytes
from tfmot_mltq.export.memory_plan import ALIGNMENT, Buffer, plan_memory
from tfmot_mltq.export.needed_sources import needed_core, needed_stock
from tfmot_mltq.export.project import Project, check_name
from tfmot_mltq.export.step import Step, Tensor, read_steps
from tfmot_mltq.report.tflite_operators import TfliteOperator, read_operators

# A file runs on all targets, so its scratch is the most that any of the kernels needs.
_KERNELS = ("portable", "dsp", "helium")


def plan_c_project(
    tflite: bytes, *, name: str = "model", source: str = "a .tflite file"
) -> Project:
    """A model as C code that runs without an interpreter.

    It has no heap and no global that changes: the caller holds its memory in a struct.

    Args:
      tflite: The model: int8, with one input and one output, and the operators of
        ``export.step``.
      name: Prefix of the functions and name of the files, a C identifier.
      source: What comments name as the source.

    Raises:
      ValueError: The name is no C identifier, or the bytes are no TFLite model.
      ConversionError: The model cannot run without the interpreter.
    """
    check_name(name)
    steps, tensors, *ends = read_steps(tflite)
    operators = read_operators(tflite)
    context = _context(steps, tensors, (ends[0], ends[1]), operators) | _names(name, source)
    return Project(
        arena_bytes=context["arena_bytes"],
        constant_bytes=context["constant_bytes"],
        sources={"core": needed_core(operators), "stock": needed_stock(step.op for step in steps)},
        templates={
            f"{name}.h": "c/model.h.j2",
            f"{name}.c": "c/model.c.j2",
            "self_test.h": "c/self_test.h.j2",
            "self_test.c": "c/self_test.c.j2",
            "golden.h": "golden.h.j2",
        },
        context=context,
    )


def _names(name: str, source: str) -> dict[str, str]:
    return {
        "name": name,
        "type": "".join(part.capitalize() for part in ("mltq", *name.split("_"))),
        "guard": f"MLTQ_EXPORT_{name.upper()}_H_",
        "source": source,
    }


def _context(
    steps: list[Step],
    tensors: dict[int, Tensor],
    ends: tuple[int, int],
    operators: list[TfliteOperator],
) -> dict[str, Any]:
    """What the templates use."""
    scratch = [_scratch(operator) for operator in operators]
    offsets, scratch_offsets, arena = _plan(steps, tensors, scratch, ends)
    layers: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for index, step in enumerate(steps):
        shapes = [tensors[step.inputs[0]].shape, tensors[step.output].shape]
        values = dict(step.values)
        if step.op == "mltq":
            values["layer"] = len(layers)
            layers.append(
                {
                    "name": values["name"],
                    "kind": int(values["kind"]),
                    "packed": values.pop("packed"),
                    "input_shape": shapes[0],
                    "output_shape": shapes[1],
                    "scratch_bytes": scratch[index],
                }
            )
        weights = values.get("weights")
        if weights is not None:
            biases = weights["biases"]
            values["weights"] = weights | {
                "filter": weights["filter"].reshape(-1).tolist(),
                "biases": None if biases is None else biases.reshape(-1).tolist(),
            }
        sizes = " to ".join("x".join(map(str, shape[1:])) for shape in shapes)
        calls.append(
            {"weights": None, "window": None, "table": None}
            | values
            | {
                "op": step.op,
                "comment": f"{operators[index].op}, {sizes}",
                "inputs": [offsets[tensor] for tensor in step.inputs],
                "output": offsets[step.output],
                "scratch": scratch_offsets[index],
            }
        )

    def end(index: int) -> dict[str, Any]:
        return dataclasses.asdict(tensors[index]) | {
            "size": tensors[index].size,
            "offset": offsets[index],
        }

    return {
        "layers": layers,
        "steps": calls,
        "tables": any(call["table"] for call in calls),
        "input": end(ends[0]),
        "output": end(ends[1]),
        "arena_bytes": max(arena, ALIGNMENT),
        "constant_bytes": sum(operator.constant_bytes for operator in operators),
    }


def _scratch(operator: TfliteOperator) -> int:
    """Most bytes that a kernel needs; those of the reference kernel where no other runs."""
    if operator.layer is None or operator.call is None:
        return 0
    counts = count_planes(operator.layer.planes, operator.encodings)
    reference = 2 * 4 * operator.call.output_size[1]
    needed = [
        scratch_bytes(operator.call, operator.layer.levels, counts, kernel) for kernel in _KERNELS
    ]
    return max(reference if size is None else size for size in needed)


def _plan(
    steps: list[Step], tensors: dict[int, Tensor], scratch: list[int], ends: tuple[int, int]
) -> tuple[dict[int, int], list[int], int]:
    """Offsets of tensors and of the scratch of steps, and the bytes of all."""
    home = {index: index for index in tensors}
    for step in steps:  # A reshaped tensor is where its source is.
        home[step.output] = home[step.inputs[0]] if step.op == "reshape" else step.output
    begin = {ends[0]: 0}
    end = {home[ends[1]]: len(steps)}
    for number, step in enumerate(steps):
        begin.setdefault(home[step.output], number)
        for index in (*step.inputs, step.output):
            end[home[index]] = max(end.get(home[index], 0), number)
    roots = sorted(begin)
    buffers = [Buffer(tensors[root].size, begin[root], end[root]) for root in roots]
    buffers += [Buffer(size, number, number) for number, size in enumerate(scratch)]
    places, arena = plan_memory(buffers)
    offsets = dict(zip(roots, places, strict=False))
    return {index: offsets[root] for index, root in home.items()}, places[len(roots) :], arena
