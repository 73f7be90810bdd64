"""Writing LSTMs that TensorFlow's converter leaves in float as TFLite's int8 operator.

TensorFlow makes its int8 LSTM only after a calibration of its own, in which it finds other ranges
for the states than those that the quantized model has. Here the operator gets the ranges of the
layer, so that it computes what the layer simulates.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.converter import edit
from tfmot_mltq.converter.edit import drop_dead_operators, quantization_of
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.helpers.framework_types import Layer
from tfmot_mltq.mathematics.int8_simulation import scale_and_zero_point
from tfmot_mltq.mathematics.lstm_simulation import GATES, cell_limit

_NAME = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# Among the inputs of the operator: two for each gate, a bias, and the states.
_KERNELS, _RECURRENT, _BIASES = range(1, 5), range(5, 9), range(12, 16)
_STATE, _CELL = 18, 19
# Tensors inside the operator that only a layer normalisation uses, and the hidden state.
_INTERMEDIATE = (
    "input_to_input_intermediate",
    "input_to_forget_intermediate",
    "input_to_cell_intermediate",
    "input_to_output_intermediate",
    "effective_hidden_scale_intermediate",
)
_MOVES = frozenset({"EXPAND_DIMS", "RESHAPE", "REVERSE_V2", "SQUEEZE", "TRANSPOSE"})
# Of a weight in the file and in the layer, both float32.
_SAME = 1e-5


def rewrite_lstm(model: schema.ModelT, layers: Iterable[Layer]) -> None:
    """Writes the LSTM operators of a ``ModelT`` as int8, in place.

    Args:
      model: ``ModelT``.
      layers: The ``Int8LSTM`` layers of the quantized model.

    Raises:
      ConversionError: The input of an LSTM is not int8.
    """
    subgraph = model.subgraphs[0]
    layers = list(layers)
    operators = [o for o in subgraph.operators if flatbuffer.operator_name(model, o) == _NAME]
    for operator in operators:
        _write(model, operator, _layer_of(model, operator, layers))
    if operators:
        _join_conversions(model, subgraph)
        drop_dead_operators(subgraph)


def _layer_of(model: schema.ModelT, operator: schema.OperatorT, layers: Iterable[Layer]) -> Layer:
    """The layer with the weights of an operator."""
    found = [_real_constant(model, operator.inputs[i]) for i in (*_KERNELS, *_RECURRENT)]
    for layer in layers:
        kernel, recurrent, *_ = layer.baked_weights()
        wanted = [
            part.T for weight in (kernel, recurrent) for part in np.split(weight, GATES, axis=1)
        ]
        if all(
            have.shape == want.shape and np.abs(have - want).max() <= _SAME * np.abs(want).max()
            for have, want in zip(found, wanted, strict=True)
        ):
            return layer
    raise ConversionError(
        f"No layer has the weights of the LSTM of {found[0].shape[0]} units in the converted model."
    )


def _write(model: schema.ModelT, operator: schema.OperatorT, layer: Layer) -> None:
    subgraph = model.subgraphs[0]
    tensors = subgraph.tensors
    source = _int8_source(model, int(operator.inputs[0]), operator)
    if source is None:
        raise ConversionError(
            f"The input of layer '{layer.name}' (LSTM) is float in the converted model: an "
            "operator before it has no int8 form. Replace the layer before it."
        )
    ranges = layer.ranges()
    product = _product_after(model, operator)
    old_output = int(product.outputs[0])
    name = flatbuffer.tensor_name(tensors[old_output])
    scale, zero_point = scale_and_zero_point(float(ranges.hidden_min), float(ranges.hidden_max))
    hidden = edit.quantization(scale, zero_point)
    cell = edit.quantization(float(cell_limit(np.float32(ranges.cell_max), np)) / 2**15, 0)
    units = layer.units
    inputs = [-1] * 24
    inputs[0] = source
    input_scale, _ = quantization_of(tensors[source])
    for gate in range(GATES):
        for index, count in ((_KERNELS[gate], 1), (_RECURRENT[gate], 2)):
            weight = _real_constant(model, operator.inputs[index])
            step = np.float32(np.abs(weight).max() / 127 or 1)
            values = np.rint(weight / step).astype(np.int8)
            inputs[index] = edit.add_constant(
                model, values, f"{name}/weights_{gate}_{count}", np.array([step])
            )
            if count == 1:
                bias_step = step * np.float32(input_scale)
        bias = np.rint(_real_constant(model, operator.inputs[_BIASES[gate]]) / bias_step)
        inputs[_BIASES[gate]] = edit.add_constant(
            model, bias.astype(np.int32), f"{name}/bias_{gate}", np.array([bias_step])
        )
    for index, tensor_type, quantization, what in (
        (_STATE, schema.TensorType.INT8, hidden, "hidden_state"),
        (_CELL, schema.TensorType.INT16, cell, "cell_state"),
    ):
        inputs[index] = edit.add_tensor(
            model, (1, units), tensor_type, quantization, f"{name}/{what}"
        )
        tensors[inputs[index]].isVariable = True
    shape = list(map(int, tensors[old_output].shape))
    output = edit.add_tensor(model, shape, schema.TensorType.INT8, hidden, f"{name}/int8")
    options = operator.builtinOptions
    options.cellClip = 0.0  # TensorFlow cuts the cell off at 10, which Keras does not.
    written = edit.builtin_operator(model, _NAME, 1, inputs, [output], options)
    written.intermediates = [
        edit.add_tensor(
            model,
            (0,),
            schema.TensorType.INT8 if is_hidden else schema.TensorType.FLOAT32,
            hidden if is_hidden else None,
            part,
        )
        for part in _INTERMEDIATE
        for is_hidden in [part is _INTERMEDIATE[-1]]
    ]
    subgraph.operators = [other for other in subgraph.operators if other is not product]
    real = tensors[old_output].type == schema.TensorType.FLOAT32
    conversion = "DEQUANTIZE" if real else "QUANTIZE"
    conversion_options = getattr(schema, f"{conversion.capitalize()}OptionsT")()
    back = edit.builtin_operator(model, conversion, 2, [output], [old_output], conversion_options)
    edit.replace(subgraph, [operator], [written, back])


def _product_after(model: schema.ModelT, operator: schema.OperatorT) -> schema.OperatorT:
    """The multiplication by one that keeps TensorFlow from making an LSTM int8."""
    (output,) = operator.outputs
    for reader in model.subgraphs[0].operators:
        if output in reader.inputs and flatbuffer.operator_name(model, reader) == "MUL":
            return reader
    raise ConversionError("The converted model has an LSTM that differs from the traced one.")


def _int8_source(model: schema.ModelT, index: int, reader: schema.OperatorT) -> int | None:
    """The int8 form of a tensor, of which the last operators may be written anew; None if there is
    none.
    """
    subgraph = model.subgraphs[0]
    tensors = subgraph.tensors
    if tensors[index].type == schema.TensorType.INT8:
        return index
    maker = next((o for o in subgraph.operators if index in map(int, o.outputs)), None)
    if maker is None:
        return None
    name = flatbuffer.operator_name(model, maker)
    if name == "DEQUANTIZE":
        return int(maker.inputs[0])
    source = _int8_source(model, int(maker.inputs[0]), maker) if name in _MOVES else None
    if source is None:
        return None
    shape = list(map(int, tensors[index].shape))
    moved = edit.add_tensor_like(
        model, source, shape, f"{flatbuffer.tensor_name(tensors[index])}/int8"
    )
    operator = schema.OperatorT()
    operator.opcodeIndex = maker.opcodeIndex
    operator.builtinOptionsType = maker.builtinOptionsType
    operator.builtinOptions = maker.builtinOptions
    operator.inputs, operator.outputs = [source, *maker.inputs[1:]], [moved]
    edit.replace(subgraph, [reader], [operator, reader])
    return moved


def _real_constant(model: schema.ModelT, index: int) -> np.ndarray:
    tensor = model.subgraphs[0].tensors[int(index)]
    values = flatbuffer.constant(model, tensor)
    assert values is not None
    if tensor.type == schema.TensorType.FLOAT32:
        return values
    return values.astype(np.float32) * np.float32(tensor.quantization.scale[0])


def _join_conversions(model: schema.ModelT, subgraph: schema.SubGraphT) -> None:
    """Lets a QUANTIZE read what a DEQUANTIZE before it reads, and leaves it away if it does
    nothing then.
    """
    tensors = subgraph.tensors
    sources: dict[int, int] = {}
    same: dict[int, int] = {}
    for operator in list(subgraph.operators):
        operator.inputs = [same.get(int(index), int(index)) for index in operator.inputs]
        name = flatbuffer.operator_name(model, operator)
        if name == "DEQUANTIZE":
            sources[operator.outputs[0]] = operator.inputs[0]
        if name != "QUANTIZE":
            continue
        operator.inputs = [sources.get(index, index) for index in operator.inputs]
        source, target = operator.inputs[0], operator.outputs[0]
        if not _is_same_scale(tensors[source], tensors[target]):
            continue
        if target not in subgraph.outputs:
            same[target] = source
        elif source not in subgraph.outputs:
            _rename(subgraph, source, target)


def _rename(subgraph: schema.SubGraphT, old: int, new: int) -> None:
    """Puts a tensor in place of another one, in the operator that makes that one too."""
    makers = [operator for operator in subgraph.operators if new in operator.outputs]
    subgraph.operators = [o for o in subgraph.operators if not any(o is gone for gone in makers)]
    for operator in subgraph.operators:
        operator.inputs = [new if index == old else index for index in operator.inputs]
        operator.outputs = [new if index == old else index for index in operator.outputs]


def _is_same_scale(a: schema.TensorT, b: schema.TensorT) -> bool:
    if a.type != b.type:
        return False
    (scale, zero_point), (other_scale, other_zero_point) = map(quantization_of, (a, b))
    return bool(np.isclose(scale, other_scale, rtol=1e-5)) and zero_point == other_zero_point
