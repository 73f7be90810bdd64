"""Inputs and outputs for the self-test of a project."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.errors import ConversionError
from tfmot_mltq.export.reader import read_tensor
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.runtime.interpreter import Interpreter

# Inputs of a model, and its outputs for them.
Golden = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def golden_outputs(interpreter: Interpreter, inputs: Sequence[np.ndarray]) -> Golden:
    """Inputs with what the interpreter makes of them, as the first of a sequence."""
    interpreter.reset()
    return list(inputs), interpreter.invoke(*inputs)


def random_inputs(tflite: bytes, seed: int = 0) -> list[np.ndarray]:
    """Inputs of a model that reach all of its int8 range, or all positions of an embedding.

    Raises:
      ConversionError: An input is of another type.
    """
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    rng = np.random.default_rng(seed)
    found = []
    for index in graph.inputs:
        tensor = read_tensor(graph.tensors[index])
        if tensor.dtype not in ("int8", "float32", "int32"):
            raise ConversionError(
                f"The input '{tensor.name}' is {tensor.dtype}; exported code takes int8, float32 "
                "or int32."
            )
        values = rng.integers(-128, 128, tensor.shape, dtype=np.int8)
        if tensor.dtype == "float32":
            scale, zero_point = _quantization(model, int(index))
            between = rng.uniform(-0.4, 0.4, tensor.shape)
            values = ((values + between - zero_point) * scale).astype(np.float32)
        elif tensor.dtype == "int32":
            values = rng.integers(0, _positions(model), tensor.shape, dtype=np.int32)
        found.append(values)
    return found


def _quantization(model: schema.ModelT, index: int) -> tuple[float, int]:
    """Scale and zero point that a real input is quantized with; those of [-1, 1) if none are."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name == "QUANTIZE" and operator.inputs[0] == index:
            tensor = read_tensor(graph.tensors[operator.outputs[0]])
            return tensor.scale, tensor.zero_point
    return 1.0 / 128.0, 0


def _positions(model: schema.ModelT) -> int:
    """How many positions every GATHER of the model has."""
    graph = model.subgraphs[0]
    sizes = [
        int(graph.tensors[operator.inputs[0]].shape[operator.builtinOptions.axis])
        for operator in graph.operators
        if flatbuffer.operator_name(model, operator) == "GATHER"
    ]
    return min(sizes, default=1)
