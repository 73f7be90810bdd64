"""Recurrent layers in conversion: what is refused, and what TensorFlow's converter leaves to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq import flatbuffer
from tfmot_mltq.converter.edit import drop_dead_operators
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.frameworks import adapter_of
from tfmot_mltq.layout.recurrent import is_fused_lstm, is_recurrent, refusal

# Among the inputs of the LSTM operator, and among its intermediate tensors.
_STATE, _CELL, _HIDDEN = 18, 19, 4
# LiteRT's tanh takes 0 to 6 bits before the binary point of an int16, and does nothing for others.
_CELL_SCALES = 2.0**-15, 2.0**-9


def recurrent_layers(model: Any) -> list[Any]:
    """The recurrent layers of a quantized model, without their wrappers."""
    inner_layer = adapter_of(model).inner_layer
    return [layer for layer in map(inner_layer, model.layers) if is_recurrent(layer)]


def check_recurrent(model: Any, samples: Sequence[np.ndarray] | None) -> None:
    """Refuses recurrent layers that have no int8 form.

    Args:
      model: Quantized model.
      samples: Inputs, if there are any.

    Raises:
      ConversionError: Names the layer, the reason and the way out.
    """
    layers = recurrent_layers(model)
    if not layers:
        return
    adapter = adapter_of(model)
    calls: dict[int, list[Any]] = {}
    for node in adapter.GRAPHS.nodes_in_order(model):
        calls.setdefault(id(adapter.inner_layer(node.layer)), []).append(node)
    for layer in layers:
        reason = refusal(layer, calls.get(id(layer), []), model.layers)
        if reason is None and not is_fused_lstm(layer):
            reason = "the model was quantized by an older version: quantize the float model again"
        if reason is None and samples is None:
            reason = (
                "TFLite's LSTM operator has int8 ranges inside, which only typical inputs tell: "
                "pass representative_dataset to mltq.convert"
            )
        if reason is not None:
            raise ConversionError(
                f"Layer '{layer.name}' ({type(layer).__name__}) cannot be converted: {reason}."
            )


def settle_lstm(model: Any) -> None:
    """Makes the LSTM operators of a converted model consistent, in place.

    The state is the output of the last step and has its scale. TensorFlow's converter, where a
    concatenation imposes a scale on the output, leaves the state with another one. The scale that
    it gives the cell may be one that LiteRT does not compute with, and it cuts the cell off at 10,
    which Keras does not.

    Raises:
      ConversionError: An LSTM is not int8.
    """
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors
        found = False
        for operator in subgraph.operators:
            if flatbuffer.operator_name(model, operator) != "UNIDIRECTIONAL_SEQUENCE_LSTM":
                continue
            found = True
            output = tensors[operator.outputs[0]]
            if output.type != schema.TensorType.INT8:
                raise ConversionError(
                    "TensorFlow's converter left an LSTM of "
                    f"{tensors[operator.inputs[_STATE]].shape[-1]} units in float. Pass typical "
                    "inputs as representative_dataset; if it stays, take the operators around the "
                    "LSTM away one by one to find the one that has no int8 form."
                )
            tensors[operator.inputs[_STATE]].quantization = output.quantization
            tensors[operator.intermediates[_HIDDEN]].quantization = output.quantization
            cell = tensors[operator.inputs[_CELL]].quantization
            operator.builtinOptions.cellClip = 0.0
            cell.scale = np.clip(np.asarray(cell.scale, np.float32), *_CELL_SCALES)
        if found:
            _join_conversions(model, subgraph)


def _join_conversions(model: Any, subgraph: Any) -> None:
    """Lets a QUANTIZE read what a DEQUANTIZE before it reads, and leaves it away if it does
    nothing then.
    """
    tensors = subgraph.tensors
    sources: dict[int, int] = {}
    same: dict[int, int] = {}
    for operator in subgraph.operators:
        operator.inputs = [same.get(index, index) for index in operator.inputs]
        name = flatbuffer.operator_name(model, operator)
        if name == "DEQUANTIZE":
            sources[operator.outputs[0]] = operator.inputs[0]
        if name != "QUANTIZE" or operator.inputs[0] not in sources:
            continue
        source, target = sources[operator.inputs[0]], operator.outputs[0]
        operator.inputs = [source]
        if target not in subgraph.outputs and _same_scale(tensors[source], tensors[target]):
            same[target] = source
    drop_dead_operators(subgraph)


def _same_scale(a: Any, b: Any) -> bool:
    return (
        a.type == b.type
        and np.array_equal(a.quantization.scale, b.quantization.scale)
        and np.array_equal(a.quantization.zeroPoint, b.quantization.zeroPoint)
    )
