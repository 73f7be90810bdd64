"""Calls of layers over time for TensorFlow's converter: LSTM layers as TFLite's LSTM operator.

TensorFlow's converter makes the operator of a function that is marked as tf_keras marks its LSTM. A
call of Keras 3's LSTM is a loop instead, so the layers of both frameworks are traced as the same
function here.

The int8 operator wants ranges inside of it that only TensorFlow's calibration finds. It runs in a
second pass, in which whatever is quantized already stays as it is; therefore nothing behind an LSTM
may fix the scale of its output in the first pass.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmot_mltq.converter.recurrent import recurrent_layers
from tfmot_mltq.frameworks import adapter_of
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.recurrent import is_fused_lstm

# Not 1, which TensorFlow would remove; the product with it is exact enough for any int8 tensor.
_ALMOST_ONE = 1 + 2.0**-20


def call_to_trace(model: Any) -> Callable[[Iterable[Any]], list[Any]]:
    """Inference for conversion: from a flat list of tensors to a flat list of tensors."""
    adapter = adapter_of(model)
    graphs = adapter.GRAPHS
    nodes = [node for node in graphs.nodes_in_order(model) if not node.is_input]
    distributed = {id(node) for node in nodes if kind_of(node.layer) == "TimeDistributed"}
    if not distributed and not recurrent_layers(model):
        return functools.partial(graphs.flat_call, model)
    lstms = {
        id(node): _Lstm(layer)
        for node in nodes
        if is_fused_lstm(layer := adapter.inner_layer(node.layer))
    }
    behind_lstm = _behind_lstm(nodes, lstms)
    outputs = graphs.flatten(graphs.output_structure(model))

    def run(node: Any, args: Any, kwargs: Any) -> Any:
        if id(node) in lstms:
            return lstms[id(node)](args[0])
        if id(node) in distributed:
            return _on_all_steps(node.layer.layer, args[0])
        if id(node) not in behind_lstm:
            return node.layer(*args, **kwargs)
        if behind_lstm[id(node)]:
            # Other tensors have the same scale. The product is an operator that has the LSTM's
            # scale at its input, and the common one at its output.
            return node.layer(args[0] * _ALMOST_ONE, *args[1:], **kwargs)
        return args[0]

    def call(inputs: Iterable[Any]) -> list[Any]:
        tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for node in nodes:
            result = graphs.flatten(run(node, *node.arguments(tensors)))
            tensors.update(zip(map(id, node.outputs), result, strict=True))
        return [tensors[id(old)] for old in outputs]

    return call


def _on_all_steps(layer: Any, x: Any) -> Any:
    """A layer on every step of the one sample of a batch: the steps are the batch of one operator.

    Keras 3 would cut the steps out one by one, from a tensor of more axes than TensorFlow Lite
    Micro's operator takes.
    """
    result = layer(tf.reshape(x, x.shape[1:]))
    return tf.reshape(result, (1, *result.shape))


def _behind_lstm(nodes: list[Any], lstms: Collection[int]) -> dict[int, bool]:
    """Which nodes quantize the output of an LSTM, by id, and whether the range is also that of
    outputs of other layers.

    Args:
      nodes: Calls of the model.
      lstms: Ids of those that are calls of an LSTM.
    """
    outputs = {id(tensor) for node in nodes if id(node) in lstms for tensor in node.outputs}
    quantizing = [node for node in nodes if type(node.layer).__name__ == "QuantizeActivation"]
    shared = {id(node.layer) for node in quantizing if id(node.inputs[0]) not in outputs}
    return {
        id(node): id(node.layer) in shared for node in quantizing if id(node.inputs[0]) in outputs
    }


class _Lstm:
    """An LSTM layer as the function that becomes TFLite's operator."""

    def __init__(self, layer: Any) -> None:
        kernel, recurrent, *bias = layer.get_weights()
        # Both states begin at zero. Were they the same constant, the converter would have to copy
        # it after it was quantized, and cannot.
        zero = np.zeros((1, layer.units), np.float32)
        bias = bias[0] if bias else np.zeros(4 * layer.units, np.float32)
        self._constants = (zero, -zero, kernel, recurrent, bias)
        self._returns_sequences = layer.return_sequences
        self._function = tf.function(
            functools.partial(_lstm_of, go_backwards=layer.go_backwards),
            autograph=False,
            experimental_attributes={
                "api_implements": f"lstm_{uuid.uuid4()}",
                "api_preferred_device": "CPU",
                "go_backwards": layer.go_backwards,
                "time_major": False,
            },
        )

    def __call__(self, x: Any) -> Any:
        last, sequence, *_ = self._function(x, *map(tf.constant, self._constants))
        return sequence if self._returns_sequences else last


def _lstm_of(
    inputs: Any,
    init_h: Any,
    init_c: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    *,
    go_backwards: bool,
) -> tuple[Any, Any, Any, Any, Any]:
    """What the converter takes for an LSTM: the arguments and results of tf_keras' function."""
    state, carry = init_h, init_c
    outputs = []
    steps = range(inputs.shape[1])
    for at in reversed(steps) if go_backwards else steps:
        gates = tf.matmul(inputs[:, at], kernel) + tf.matmul(state, recurrent_kernel) + bias
        enter, keep, new, show = tf.split(gates, 4, axis=1)
        carry = tf.sigmoid(keep) * carry + tf.sigmoid(enter) * tf.tanh(new)
        state = tf.sigmoid(show) * tf.tanh(carry)
        outputs.append(state)
    return state, tf.stack(outputs, axis=1), state, carry, tf.constant(1.0)
