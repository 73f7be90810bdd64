"""Calls of layers over time for TensorFlow's converter: LSTM layers as TFLite's LSTM operator.

TensorFlow's converter makes the operator of a function that is marked as tf_keras marks its LSTM. A
call of Keras 3's LSTM is a loop instead, so the layers of both frameworks are traced as the same
function here.

TensorFlow leaves it in float, and a product after it that keeps it so; `converter.rewrite_lstm`
makes one int8 operator of both.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tfmot_mltq.converter.recurrent import recurrent_layers
from tfmot_mltq.helpers.framework_types import Layer, Model, Structure, Tensor
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.graph import Node
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.recurrent import is_fused_lstm

# Not 1, which TensorFlow would remove.
_ALMOST_ONE = 1 + 2.0**-20


def call_to_trace(model: Model, adapter: Adapter) -> Callable[[Iterable[Tensor]], list[Tensor]]:
    """Inference for conversion: from a flat list of tensors to a flat list of tensors."""
    graphs = adapter.graphs
    nodes = [node for node in graphs.nodes_in_order(model) if not node.is_input]
    distributed = {id(node) for node in nodes if kind_of(node.layer) == "TimeDistributed"}
    if not distributed and not recurrent_layers(model, adapter):
        return functools.partial(graphs.flat_call, model)
    lstms = {
        id(node): _Lstm(layer)
        for node in nodes
        if is_fused_lstm(layer := adapter.inner_layer(node.layer))
    }
    outputs = graphs.flatten(graphs.output_structure(model))

    def run(node: Node, args: tuple[Structure, ...], kwargs: dict[str, Structure]) -> Structure:
        if id(node) in lstms:
            return lstms[id(node)](args[0])
        if id(node) in distributed:
            return _on_all_steps(node.layer.layer, args[0])
        return node.layer(*args, **kwargs)

    def call(inputs: Iterable[Tensor]) -> list[Tensor]:
        tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for node in nodes:
            result = graphs.flatten(run(node, *node.arguments(tensors)))
            tensors.update(zip(map(id, node.outputs), result, strict=True))
        return [tensors[id(old)] for old in outputs]

    return call


def _on_all_steps(layer: Layer, x: Tensor) -> Tensor:
    """A layer on every step of the one sample of a batch: the steps are the batch of one operator.

    Keras 3 would cut the steps out one by one, from a tensor of more axes than TensorFlow Lite
    Micro's operator takes.
    """
    result = layer(tf.reshape(x, x.shape[1:]))
    return tf.reshape(result, (1, *result.shape))


class _Lstm:
    """An LSTM layer as the function that becomes TFLite's operator."""

    def __init__(self, layer: Layer) -> None:
        kernel, recurrent, *bias = layer.baked_weights()
        ranges = layer.ranges()
        self._hidden_range = float(ranges.hidden_min), float(ranges.hidden_max)
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

    def __call__(self, x: Tensor) -> Tensor:
        _, sequence, *_ = self._function(x, *map(tf.constant, self._constants))
        # Next to a range, the converter would make the operator int8 and fail.
        sequence = sequence * _ALMOST_ONE
        sequence = tf.quantization.fake_quant_with_min_max_args(sequence, *self._hidden_range)
        return sequence if self._returns_sequences else sequence[:, -1]


def _lstm_of(
    inputs: Tensor,
    init_h: Tensor,
    init_c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor,
    *,
    go_backwards: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
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
