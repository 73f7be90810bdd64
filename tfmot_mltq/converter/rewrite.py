"""Replacing stock operators by the MLTQ operators, in the schema objects of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq import flatbuffer
from tfmot_mltq.converter.export_layer import ExportLayer
from tfmot_mltq.converter.match import FilterOperator
from tfmot_mltq.cost_model.kernel_plan import Call
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.packing import fixed_point, packed_layer
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, Kind, Padding

_OPERATOR_VERSION = 1


def replace_operator(
    model: Any,
    match: FilterOperator,
    layer: ExportLayer,
    choose: Callable[[Call, np.ndarray], Sequence[int]],
) -> None:
    """Turns one operator into the MLTQ operator of a layer, in place.

    Args:
      model: ``ModelT``.
      match: The operator.
      layer: The layer that it computes.
      choose: Gives the encoding of each level, for a layer with its sizes and planes.

    Raises:
      ConversionError: The layer's numbers do not fit the operator.
    """
    operator = match.operator
    subgraph = next(s for s in model.subgraphs if any(o is operator for o in s.operators))
    packed = _pack(subgraph, match, layer, choose)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(packed, np.uint8)
    planes = schema.TensorT()
    planes.shape = [len(packed)]
    planes.type = schema.TensorType.UINT8
    planes.buffer = len(model.buffers) - 1
    planes.name = f"{layer.name}/planes"
    subgraph.tensors.append(planes)
    operator.inputs = [operator.inputs[0], len(subgraph.tensors) - 1]
    operator.opcodeIndex = _operator_code(model, CUSTOM_OP_NAMES[layer.kind])
    operator.builtinOptionsType = schema.BuiltinOptions.NONE
    operator.builtinOptions = None
    operator.customOptions = None


def _operator_code(model: Any, name: str) -> int:
    for index, code in enumerate(model.operatorCodes):
        if code.customCode == name:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = name
    code.version = _OPERATOR_VERSION
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _pack(
    subgraph: Any,
    match: FilterOperator,
    layer: ExportLayer,
    choose: Callable[[Call, np.ndarray], Sequence[int]],
) -> bytes:
    operator = match.operator
    source = subgraph.tensors[operator.inputs[0]]
    target = subgraph.tensors[operator.outputs[0]]
    if target.type != schema.TensorType.INT8:
        raise ConversionError(f"The output of layer '{layer.name}' is not int8.")
    input_scale, input_zero_point = _quantization(source)
    output_scale, output_zero_point = _quantization(target)
    activation = None
    if layer.activation is not None:
        activation = layer.activation.table(input_scale, input_zero_point)
        input_scale, input_zero_point = layer.activation.step, 0
    try:
        tables = fixed_point.quantize_channels(
            layer.planes,
            layer.scales,
            layer.biases,
            input_scale=input_scale,
            input_zero_point=input_zero_point,
            output_scale=output_scale,
            output_zero_point=output_zero_point,
        )
        low, high = _activation_range(operator.builtinOptions, output_scale, output_zero_point)
        call = _call(subgraph, operator, layer)
        return packed_layer.encode(
            packed_layer.PackedLayer(
                geometry=call.geometry,
                planes=layer.planes,
                multipliers=tables.multipliers,
                biases=tables.biases,
                shifts=tables.shifts,
                input_zero_point=input_zero_point,
                activation_min=low,
                activation_max=high,
                activation=activation,
            ),
            choose(call, layer.planes),
        )
    except ValueError as error:
        raise ConversionError(f"Layer '{layer.name}': {error}") from error


def _quantization(tensor: Any) -> tuple[float, int]:
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def _activation_range(options: Any, scale: float, zero_point: int) -> tuple[int, int]:
    """The int8 values that a fused activation lets through."""
    real_low, real_high = {
        schema.ActivationFunctionType.NONE: (-math.inf, math.inf),
        schema.ActivationFunctionType.RELU: (0.0, math.inf),
        schema.ActivationFunctionType.RELU6: (0.0, 6.0),
        schema.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    }[options.fusedActivationFunction]

    def to_int8(value: float) -> int:
        if math.isinf(value):
            return 127 if value > 0 else -128
        return int(np.clip(zero_point + round(value / scale), -128, 127))

    return to_int8(real_low), to_int8(real_high)


def _call(subgraph: Any, operator: Any, layer: ExportLayer) -> Call:
    filter_shape = [int(size) for size in subgraph.tensors[operator.inputs[1]].shape]
    options = operator.builtinOptions
    channels = layer.planes.shape[1]
    output_shape = [int(size) for size in subgraph.tensors[operator.outputs[0]].shape]
    if layer.kind == Kind.FULLY_CONNECTED:
        size = (int(np.prod(output_shape)) // channels, 1)
        geometry = packed_layer.Geometry(layer.kind, filter_shape[1], channels)
        return Call(geometry, size, size, *_cut(layer))
    input_shape = [int(size) for size in subgraph.tensors[operator.inputs[0]].shape]
    geometry = packed_layer.Geometry(
        kind=layer.kind,
        input_channels=input_shape[3],
        output_channels=channels,
        filter_size=(filter_shape[1], filter_shape[2]),
        stride=(options.strideH, options.strideW),
        dilation=(options.dilationHFactor, options.dilationWFactor),
        padding=Padding.SAME if options.padding == schema.Padding.SAME else Padding.VALID,
    )
    return Call(geometry, tuple(input_shape[1:3]), tuple(output_shape[1:3]), *_cut(layer))


def _cut(layer: ExportLayer) -> tuple[int, bool]:
    """Levels of a layer's input, and whether none of their entries is zero."""
    if layer.activation is None:
        return 0, False
    counts = layer.activation.counts
    return len(counts), layer.activation.kind == "binary" and bool(counts.all())


def float_operators(model: Any) -> list[str]:
    """Operators with a float result, as "NAME (tensor)"; conversions do not count."""
    edges = ("QUANTIZE", "DEQUANTIZE")
    return [
        f"{flatbuffer.operator_name(model, operator)} ({flatbuffer.tensor_name(tensor)})"
        for subgraph in model.subgraphs
        for operator in subgraph.operators
        for tensor in (subgraph.tensors[index] for index in operator.outputs)
        if tensor.type == schema.TensorType.FLOAT32
        and flatbuffer.operator_name(model, operator) not in edges
    ]
