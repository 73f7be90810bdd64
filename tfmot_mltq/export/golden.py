"""Inputs and outputs for the self-test of a project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmot_mltq import flatbuffer
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.export.reader import read_tensor
from tfmot_mltq.runtime.interpreter import Interpreter

# Inputs of a model, and its outputs for them.
Golden = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def golden_outputs(interpreter: Interpreter, inputs: Sequence[np.ndarray]) -> Golden:
    """Inputs with what the interpreter makes of them."""
    return list(inputs), interpreter.invoke(*inputs)


def random_inputs(tflite: bytes, seed: int = 0) -> list[np.ndarray]:
    """Inputs of a model that reach all of its int8 range.

    Raises:
      ConversionError: An input is neither int8 nor float32.
    """
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    rng = np.random.default_rng(seed)
    found = []
    for index in graph.inputs:
        tensor = read_tensor(graph.tensors[index])
        if tensor.dtype not in ("int8", "float32"):
            raise ConversionError(
                f"The input '{tensor.name}' is {tensor.dtype}; exported code takes int8 or float32."
            )
        values = rng.integers(-128, 128, tensor.shape, dtype=np.int8)
        if tensor.dtype == "float32":
            scale, zero_point = _quantization(model, int(index))
            between = rng.uniform(-0.4, 0.4, tensor.shape)
            values = ((values + between - zero_point) * scale).astype(np.float32)
        found.append(values)
    return found


def _quantization(model: Any, index: int) -> tuple[float, int]:
    """Scale and zero point that a real input is quantized with; those of [-1, 1) if none are."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name == "QUANTIZE" and operator.inputs[0] == index:
            tensor = read_tensor(graph.tensors[operator.outputs[0]])
            return tensor.scale, tensor.zero_point
    return 1.0 / 128.0, 0
