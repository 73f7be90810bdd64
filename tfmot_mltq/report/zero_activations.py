"""How much of a layer's work meets activations that are zero, measured on data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tfmot_mltq.helpers.framework_types import Dataset, Layer, Model
from tfmot_mltq.helpers.representative_dataset import batches, input_specs
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.graph import Node
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.mathematics.activation_levels import ActivationLevels


@dataclasses.dataclass(frozen=True)
class UsedActivations:
    """Products of one layer over a dataset, all calls together.

    Attributes:
      products: Products of a weight and a bit of an activation, padding included: N, or K*N of the
        formulas.
      bit_products: Sum over the products of a weight and an activation of their non-zero bits:
        sum nb(w) nb(a). An int8 activation is one bit or none.
      word_products: Products of a weight and an activation that are not zero.
      active_products: Products of a weight and a bit of an activation that is not zero.
    """

    products: int = 0
    bit_products: int = 0
    word_products: int = 0
    active_products: int = 0

    def __add__(self, other: UsedActivations) -> UsedActivations:
        return UsedActivations(
            self.products + other.products,
            self.bit_products + other.bit_products,
            self.word_products + other.word_products,
            self.active_products + other.active_products,
        )


def used_activations(
    model: Model, adapter: Adapter, dataset: Dataset, layers: dict[str, MultiLevelLayer]
) -> dict[str, UsedActivations]:
    """Counts of each multi-level layer, by name.

    Args:
      model: Quantized model with ranges that are set.
      adapter: Of its framework.
      dataset: Samples, in a form that ``convert`` takes.
      layers: The layers to count, by name.
    """
    graphs = adapter.graphs
    nodes = [node for node in graphs.nodes_in_order(model) if node.layer.name in layers]
    makers = {id(out): node for node in graphs.nodes_in_order(model) for out in node.outputs}
    levels, tensors = [], []
    for node in nodes:
        # Levels are counted in what the layer that makes them reads.
        maker = makers[id(node.inputs[0])]
        levels.append(adapter.activation_levels(maker.layer))
        tensors.append(node.inputs[0] if levels[-1] is None else maker.inputs[0])
    inner = graphs.keras.Model(graphs.input_structure(model), tensors)
    used = dict.fromkeys(layers, UsedActivations())
    counters = [
        _counter(node, layers[node.layer.name], adapter, found)
        for node, found in zip(nodes, levels, strict=True)
    ]
    for arrays in batches(dataset, input_specs(model, graphs.input_names(model))):
        packed = graphs.pack(graphs.input_structure(model), arrays)
        values = inner.predict_on_batch(packed)
        if len(nodes) == 1 and not isinstance(values, list):
            values = [values]
        for node, value, count in zip(nodes, values, counters, strict=True):
            used[node.layer.name] += count(np.asarray(value))
    return used


def _counter(
    node: Node, layer: MultiLevelLayer, adapter: Adapter, levels: ActivationLevels | None
) -> Callable[[np.ndarray], UsedActivations]:
    planes = layer.decompose()[0].reshape(layer.spec.levels, *layer.kernel.shape) != 0
    bits = np.count_nonzero(planes, axis=0)
    # Per entry of the kernel that one activation meets: the sum over what it is multiplied with.
    bits_met = bits.sum(axis=-1)
    words_met = np.count_nonzero(bits, axis=-1)
    fan_out = layer.kernel.shape[-1]

    def count(activations: np.ndarray) -> UsedActivations:
        planes = (activations != 0)[None] if levels is None else levels.planes(activations) != 0
        keras_layer = adapter.inner_layer(node.layer)
        bits, positions = _sums_per_entry(planes.sum(0), layer, keras_layer)
        words, _ = _sums_per_entry(planes.any(0), layer, keras_layer)
        return UsedActivations(
            products=positions * bits_met.size * fan_out * len(planes),
            bit_products=int(np.sum(bits * bits_met)),
            word_products=int(np.sum(words * words_met)),
            active_products=int(np.sum(bits)) * fan_out,
        )

    return count


def _sums_per_entry(
    counts: np.ndarray, layer: MultiLevelLayer, keras_layer: Layer
) -> tuple[np.ndarray, int]:
    """Sum of ``counts``, one per activation, that each entry of a kernel meets, and the output
    positions.
    """
    if layer.layer_class == "Dense":
        flat = counts.reshape(-1, counts.shape[-1])
        return flat.sum(axis=0, dtype=np.int64), len(flat)
    sizes = layer.kernel.shape[: len(keras_layer.strides)]
    axes = range(1, 1 + len(sizes))
    windows, steps, outputs = [], [], []
    pads = [(0, 0)] * counts.ndim
    for axis, size, stride, dilation in zip(
        axes, sizes, keras_layer.strides, keras_layer.dilation_rate, strict=True
    ):
        reach = (size - 1) * dilation + 1
        before, after, count = _padding(counts.shape[axis], reach, stride, keras_layer.padding)
        pads[axis] = (before, after)
        windows.append(dilation)
        steps.append(stride)
        outputs.append(count)
    padded = np.pad(counts, pads)
    seen = np.zeros((*sizes, counts.shape[-1]), np.int64)
    for tap in np.ndindex(*sizes):
        picked = [slice(None)]
        for offset, dilation, stride, count in zip(tap, windows, steps, outputs, strict=True):
            start = offset * dilation
            picked.append(slice(start, start + (count - 1) * stride + 1, stride))
        seen[tap] = padded[tuple(picked)].sum(axis=(0, *axes), dtype=np.int64)
    return seen, len(counts) * int(np.prod(outputs))


def _padding(size: int, reach: int, stride: int, padding: str) -> tuple[int, int, int]:
    """Zeros before and after an axis, and output positions, as TensorFlow has them."""
    if padding == "valid":
        return 0, 0, (size - reach) // stride + 1
    if padding == "causal":
        return reach - 1, 0, (size - 1) // stride + 1
    outputs = -(-size // stride)
    missing = max((outputs - 1) * stride + reach - size, 0)
    return missing // 2, missing - missing // 2, outputs
