"""Adding tensors and operators to the schema objects of a model, and removing what is dead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}


def quantization_of(tensor: schema.TensorT) -> tuple[float, int]:
    """Scale and zero point of a tensor that has one of each."""
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def quantization(scale: float, zero_point: int) -> schema.QuantizationParametersT:
    """What a tensor with one scale and zero point has."""
    found = schema.QuantizationParametersT()
    found.scale = np.array([scale], np.float32)
    found.zeroPoint = np.array([zero_point], np.int64)
    return found


def empty_model(model: schema.ModelT) -> schema.ModelT:
    """A ``ModelT`` with one empty subgraph that knows the operators of another model."""
    result = schema.ModelT()
    result.version = model.version
    result.description = ""
    result.buffers = [schema.BufferT()]
    result.operatorCodes = list(model.operatorCodes)
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    result.subgraphs = [graph]
    return result


def add_constant(
    model: schema.ModelT,
    values: np.ndarray,
    name: str,
    scales: np.ndarray | None = None,
    axis: int = 0,
) -> int:
    """Adds a constant tensor to the main subgraph and returns its number.

    Args:
      model: ``ModelT``.
      values: int8, uint8 or int32.
      name: Of the tensor.
      scales: Of a quantized constant with zero points of 0, shape (size of the axis,).
      axis: The axis that the scales belong to.
    """
    tensors = model.subgraphs[0].tensors
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    tensor = schema.TensorT()
    tensor.name = name
    tensor.shape = list(values.shape)
    tensor.type = _TYPES[values.dtype]
    tensor.buffer = len(model.buffers) - 1
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = scales.astype(np.float32)
        tensor.quantization.zeroPoint = np.zeros(scales.size, np.int64)
        tensor.quantization.quantizedDimension = axis
    tensors.append(tensor)
    return len(tensors) - 1


def add_tensor_like(model: schema.ModelT, index: int, shape: Sequence[int], name: str) -> int:
    """Adds a tensor of the type and scale of another one, and returns its number."""
    like = model.subgraphs[0].tensors[index]
    return add_tensor(model, shape, like.type, like.quantization, name)


def add_tensor(
    model: schema.ModelT,
    shape: Sequence[int],
    tensor_type: int,
    quantized: schema.QuantizationParametersT | None,
    name: str,
) -> int:
    """Adds a tensor that an operator makes, of a type of the schema, and returns its number."""
    tensors = model.subgraphs[0].tensors
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), tensor_type, 0
    tensor.quantization = quantized
    tensors.append(tensor)
    return len(tensors) - 1


def custom_operator(
    model: schema.ModelT, name: str, version: int, inputs: Sequence[int], outputs: Sequence[int]
) -> schema.OperatorT:
    """A custom operator, not yet part of a subgraph."""
    return _operator(
        operator_code(model, schema.BuiltinOperator.CUSTOM, version, name), inputs, outputs
    )


def builtin_operator(
    model: schema.ModelT,
    name: str,
    version: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    options: Any,
) -> schema.OperatorT:
    """An operator of TFLite, not yet part of a subgraph.

    Args:
      model: ``ModelT``.
      name: As in the schema.
      version: Of the operator.
      inputs: Numbers of tensors.
      outputs: Numbers of tensors.
      options: Object such as ``ReshapeOptionsT``.
    """
    code = getattr(schema.BuiltinOperator, name)
    operator = _operator(operator_code(model, code, version, None), inputs, outputs)
    union = type(options).__name__.removesuffix("T")
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, union)
    operator.builtinOptions = options
    return operator


def reshape(model: schema.ModelT, source: int, target: int) -> schema.OperatorT:
    """A RESHAPE of a tensor to the shape of another one."""
    shape = np.asarray(model.subgraphs[0].tensors[target].shape, np.int32)
    options = schema.ReshapeOptionsT()
    options.newShape = shape.tolist()
    sizes = add_constant(model, shape, f"shape_of_{target}")
    return builtin_operator(model, "RESHAPE", 1, [source, sizes], [target], options)


def replace(
    subgraph: schema.SubGraphT, old: Sequence[schema.OperatorT], new: Sequence[schema.OperatorT]
) -> None:
    """Puts operators in place of others, where the last of these stood."""
    at = next(i for i, operator in enumerate(subgraph.operators) if operator is old[-1])
    before = [o for o in subgraph.operators[:at] if not any(o is gone for gone in old)]
    subgraph.operators = [*before, *new, *subgraph.operators[at + 1 :]]


def _operator(code: int, inputs: Sequence[int], outputs: Sequence[int]) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = list(inputs), list(outputs)
    return operator


def operator_code(model: schema.ModelT, builtin: int, version: int, custom: str | None) -> int:
    """Number of an operator among those of the model, which it is added to if need be."""
    for index, code in enumerate(model.operatorCodes):
        have = code.customCode.decode() if isinstance(code.customCode, bytes) else code.customCode
        is_same = max(code.builtinCode, code.deprecatedBuiltinCode) == builtin
        if is_same and code.version == version and have == custom:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(
        builtin, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
    )
    code.customCode = custom
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def drop_dead_operators(subgraph: schema.SubGraphT) -> None:
    """Removes operators whose outputs nothing reads, in place.

    Args:
      subgraph: ``SubGraphT``, operators in order.
    """
    needed = {int(index) for index in subgraph.outputs}
    kept = []
    for operator in reversed(subgraph.operators):
        if needed & {int(index) for index in operator.outputs}:
            kept.append(operator)
            needed.update(int(index) for index in operator.inputs)
    subgraph.operators = kept[::-1]
