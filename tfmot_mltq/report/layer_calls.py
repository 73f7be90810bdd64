"""Geometry and sizes of the calls of multi-level layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.kernels import Call
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.graph import Node
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.packing.format import OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry


def layer_calls(
    model: Model, adapter: Adapter, layers: dict[str, MultiLevelLayer]
) -> dict[str, list[Call]]:
    """The calls of each layer by name. Free sizes count as 1."""
    calls: dict[str, list[Call]] = {name: [] for name in layers}
    for node in adapter.graphs.nodes_in_order(model):
        layer = layers.get(node.layer.name)
        if layer is not None:
            calls[layer.name].append(_call(node, layer, adapter.inner_layer(node.layer)))
    return calls


def _call(node: Node, layer: MultiLevelLayer, keras_layer: Layer) -> Call:
    inputs = _sizes(node.inputs[0].shape)
    outputs = _sizes(node.outputs[0].shape)
    kind = layer.kernel_layer.operator
    if kind == OperatorKind.FULLY_CONNECTED:
        positions = int(np.prod(outputs[:-1]))
        return Call(Geometry(kind, inputs[-1], outputs[-1]), (positions, 1), (positions, 1))
    size = layer.kernel.shape[: len(keras_layer.strides)]
    input_size = list(inputs[:-1])
    if keras_layer.padding == "causal":  # TFLite pads in an operator of its own.
        input_size[-1] += (size[-1] - 1) * keras_layer.dilation_rate[-1]
    geometry = Geometry(
        kind,
        inputs[-1],
        outputs[-1],
        _pair(size),
        _pair(keras_layer.strides),
        _pair(keras_layer.dilation_rate),
        Padding.SAME if keras_layer.padding == "same" else Padding.VALID,
    )
    return Call(geometry, _pair(input_size), _pair(outputs[:-1]))


def _sizes(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(size or 1 for size in shape[1:])


def _pair(values: Sequence[int]) -> tuple[int, int]:
    """(height, width): a one-dimensional convolution has height 1."""
    return (values[0], values[1]) if len(values) == 2 else (1, values[0])
