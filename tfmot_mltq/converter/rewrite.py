"""Replacing stock operators by the MLTQ operators, in the schema objects of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.converter import edit
from tfmot_mltq.converter.edit import operator_code, quantization_of
from tfmot_mltq.converter.folded_layer import FoldedLayer
from tfmot_mltq.converter.match import FilterOperator
from tfmot_mltq.cost_model.tflite_call import stock_call
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.helpers.activation_range import activation_range
from tfmot_mltq.kernels import Call
from tfmot_mltq.packing import fixed_point, packed_layer
from tfmot_mltq.packing.encodings import BITS
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES
from tfmot_mltq.packing.packed_layer import ActivationTable

_OPERATOR_VERSION = 1


Choose = Callable[[Call, np.ndarray], Sequence[int]]


@dataclasses.dataclass
class _Replacement:
    """An operator that becomes the MLTQ operator of a layer.

    Attributes:
      operator, subgraph: Where it is.
      layer: The layer.
      call: The layer with its sizes.
      encodings: Of its planes.
      input_quantization, output_quantization: Scale and zero point.
      activation_table: Levels that the operator cuts its input into.
      output_activation_table: Levels that it cuts its output into, for the one operator that
        reads it.
    """

    operator: schema.OperatorT
    subgraph: schema.SubGraphT
    layer: FoldedLayer
    call: Call
    encodings: Sequence[int]
    input_quantization: tuple[float, int]
    output_quantization: tuple[float, int]
    activation_table: ActivationTable | None = None
    output_activation_table: ActivationTable | None = None


def replace_operators(
    model: schema.ModelT, matches: Sequence[tuple[FilterOperator, FoldedLayer]], choose: Choose
) -> None:
    """Turns operators into the MLTQ operators of layers, in place.

    Args:
      model: ``ModelT``.
      matches: The operators, each with the layer that it computes.
      choose: Gives the encoding of each level, for a layer with its sizes and planes.

    Raises:
      ConversionError: A layer's numbers do not fit its operator.
    """
    replacements = [_plan(model, match.operator, layer, choose) for match, layer in matches]
    for reader in replacements:
        _cut_at_producer(model, reader, replacements)
    for replacement, packed in [(r, _pack(r)) for r in replacements]:
        _replace(model, replacement, packed)


def _plan(
    model: schema.ModelT, operator: schema.OperatorT, layer: FoldedLayer, choose: Choose
) -> _Replacement:
    subgraph = next(s for s in model.subgraphs if any(o is operator for o in s.operators))
    source = subgraph.tensors[operator.inputs[0]]
    target = subgraph.tensors[operator.outputs[0]]
    if target.type != schema.TensorType.INT8:
        raise ConversionError(f"The output of layer '{layer.name}' is not int8.")
    quantization = quantization_of(source)
    activation_table = None
    if layer.activation_levels is not None:
        activation_table = layer.activation_levels.table(*quantization)
        quantization = layer.activation_levels.step, 0
    input_shape, filter_shape, output_shape = (
        tuple(map(int, tensor.shape))
        for tensor in (source, subgraph.tensors[operator.inputs[1]], target)
    )
    call = stock_call(
        layer.kind, input_shape, filter_shape, output_shape, operator.builtinOptions
    ).reading(activation_table)
    try:
        encodings = choose(call, layer.planes)
    except ValueError as error:
        raise ConversionError(f"Layer '{layer.name}': {error}") from error
    return _Replacement(
        operator,
        subgraph,
        layer,
        call,
        encodings,
        quantization,
        quantization_of(target),
        activation_table,
    )


def _cut_at_producer(
    model: schema.ModelT, reader: _Replacement, replacements: Sequence[_Replacement]
) -> None:
    """Lets the operator that makes the input of ``reader`` cut it into levels, where nothing else
    reads it and the kernel of ``reader`` adds their sums.
    """
    if reader.activation_table is None or set(reader.encodings) & set(BITS):
        return
    subgraph = reader.subgraph
    by_output = {operator.outputs[0]: operator for operator in subgraph.operators}
    makers = {id(replacement.operator): replacement for replacement in replacements}
    passed = []
    index = reader.operator.inputs[0]
    while True:
        readers = sum(list(operator.inputs).count(index) for operator in subgraph.operators)
        operator = by_output.get(index)
        if readers != 1 or index in subgraph.outputs or operator is None:
            return
        passed.append(subgraph.tensors[index])
        if id(operator) in makers:
            break
        if flatbuffer.operator_name(model, operator) != "RESHAPE":
            return
        index = operator.inputs[0]
    makers[id(operator)].output_activation_table = reader.activation_table
    reader.activation_table = None
    for tensor in passed:
        tensor.quantization = edit.quantization(reader.input_quantization[0], 0)


def _replace(model: schema.ModelT, replacement: _Replacement, packed: bytes) -> None:
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(packed, np.uint8)
    planes = schema.TensorT()
    planes.shape = [len(packed)]
    planes.type = schema.TensorType.UINT8
    planes.buffer = len(model.buffers) - 1
    planes.name = flatbuffer.planes_name(replacement.layer.name)
    tensors = replacement.subgraph.tensors
    tensors.append(planes)
    operator = replacement.operator
    operator.inputs = [operator.inputs[0], len(tensors) - 1]
    name = CUSTOM_OP_NAMES[replacement.layer.kind]
    operator.opcodeIndex = operator_code(
        model, schema.BuiltinOperator.CUSTOM, _OPERATOR_VERSION, name
    )
    operator.builtinOptionsType = schema.BuiltinOptions.NONE
    operator.builtinOptions = None
    operator.customOptions = None


def _pack(replacement: _Replacement) -> bytes:
    layer = replacement.layer
    (input_scale, input_zero_point), (output_scale, output_zero_point) = (
        replacement.input_quantization,
        replacement.output_quantization,
    )
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
        options = replacement.operator.builtinOptions
        low, high = activation_range(
            options.fusedActivationFunction, output_scale, output_zero_point
        )
        return packed_layer.encode(
            packed_layer.PackedLayer(
                geometry=replacement.call.geometry,
                planes=layer.planes,
                multipliers=tables.multipliers,
                biases=tables.biases,
                shifts=tables.shifts,
                input_zero_point=input_zero_point,
                activation_min=low,
                activation_max=high,
                activation_table=replacement.activation_table,
                output_activation_table=replacement.output_activation_table,
            ),
            replacement.encodings,
        )
    except ValueError as error:
        raise ConversionError(f"Layer '{layer.name}': {error}") from error


def float_operators(model: schema.ModelT) -> list[str]:
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
