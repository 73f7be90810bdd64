"""QuantizeLayoutTransform: where int8 tensors lie once TFLite has fused the model.

TFMOT's default transforms match fixed layer patterns; ReLU6 activations, Conv1D, shared layers and
custom configurations fall through them. The rule here is about the graph: an output is quantized
unless TFLite fuses the one layer that reads it, or the layer passes quantized values through.
"""

from __future__ import annotations

from typing import Any

import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_layout_transform as tfmot_quantize_layout_transform,
)

from tfmot_mltq.tfmot import quantize_configs as configs
from tfmot_mltq.tfmot.model_graph import (
    Consumers,
    clone_layer,
    nodes_in_order,
    op_function,
    rebuild,
)
from tfmot_mltq.tfmot.quantize_layer import QuantizeActivation
from tfmot_mltq.tfmot.quantize_registry import MultiLevelQuantizeRegistry
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper, local_name

layers = tf_keras.layers

_KERNEL_LAYERS = (layers.Conv2D, layers.Conv1D, layers.DepthwiseConv2D, layers.Dense)
_RELU_FUSING = (
    *_KERNEL_LAYERS,
    layers.BatchNormalization,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
)
_RELU_FUSING_OPS = ("__operators__.add", "math.add", "math.subtract", "math.multiply")


def _is_fusable_relu(layer: Any) -> bool:
    if isinstance(layer, layers.ReLU):
        return (
            layer.max_value in (None, 6.0) and not layer.negative_slope and not layer.threshold
        )
    if isinstance(layer, layers.Activation):
        return configs.activation_name(layer) in ("relu", "relu6")
    return op_function(layer) in ("nn.relu", "nn.relu6")


def fuses(producer: Any, consumer: Any) -> bool:
    """Whether TFLite computes ``consumer`` inside the operator of ``producer``."""
    if configs.activation_name(producer) != "linear":
        return False
    if isinstance(consumer, layers.BatchNormalization):
        return isinstance(producer, _KERNEL_LAYERS)
    can_take_relu = isinstance(producer, _RELU_FUSING) or op_function(producer) in _RELU_FUSING_OPS
    return can_take_relu and _is_fusable_relu(consumer)


def _split_separable(layer: Any) -> list[Any]:
    """The depthwise and the pointwise convolution of a SeparableConv2D."""
    config = layer.get_config()
    depthwise = layers.DepthwiseConv2D(
        name=f"{layer.name}_depthwise",
        use_bias=False,
        **{
            key: config[key]
            for key in (
                "kernel_size", "strides", "padding", "depth_multiplier", "data_format",
                "dilation_rate", "depthwise_initializer", "depthwise_regularizer",
                "depthwise_constraint", "trainable", "dtype",
            )
        },
    )  # fmt: skip
    pointwise = layers.Conv2D(
        name=f"{layer.name}_pointwise",
        kernel_size=1,
        kernel_initializer=config["pointwise_initializer"],
        kernel_regularizer=config["pointwise_regularizer"],
        kernel_constraint=config["pointwise_constraint"],
        **{
            key: config[key]
            for key in (
                "filters", "data_format", "activation", "use_bias", "bias_initializer",
                "bias_regularizer", "bias_constraint", "activity_regularizer", "trainable", "dtype",
            )
        },
    )  # fmt: skip
    return [depthwise, pointwise]


def _quantize_input(tensor: Any, name: str) -> Any:
    return QuantizeActivation(name=f"quantize_{name}")(tensor) if tensor.dtype.is_floating else tensor


class MultiLevelQuantizeLayoutTransform(tfmot_quantize_layout_transform.QuantizeLayoutTransform):
    """Splits separable convolutions, quantizes inputs, and configures every layer.

    Args:
      registry: Gives the configuration of layers that were not annotated with one.
    """

    def __init__(self, registry: MultiLevelQuantizeRegistry) -> None:
        self._registry = registry

    def apply(
        self, model: Any, layer_quantize_map: dict[str, dict[str, Any]]
    ) -> tuple[Any, dict[str, dict[str, Any]]]:
        """TFMOT's interface: the changed model, and the layers that are still to be wrapped."""
        configured: dict[str, configs.OutputQuantizeConfig] = {}
        split_model = self._split(model, layer_quantize_map, configured)
        consumers = Consumers(split_model)
        deferred: set[str] = set()
        kept: set[str] = set()
        unwrappable: set[str] = set()
        for node in nodes_in_order(split_model):
            if node.is_input:
                continue
            reader = consumers.only_reader(node)
            is_fused = reader is not None and fuses(node.layer, reader.layer)
            (deferred if is_fused else kept).add(node.layer.name)
            # TFMOT's wrapper passes one positional argument; operators written as `x + y` have
            # other signatures, and get a quantizing layer behind them.
            if len(node.call_args) != 1 or op_function(node.layer):
                unwrappable.add(node.layer.name)

        copies: list[tuple[Any, Any]] = []

        def place_quantizers(layer: Any) -> list[Any]:
            copy = clone_layer(layer)
            is_deferred = layer.name in deferred and layer.name not in kept
            if layer.name in unwrappable:
                return [copy] if is_deferred else [copy, QuantizeActivation(name=f"quantize_{layer.name}")]
            config = configured[layer.name]
            wrapper = MltqQuantizeWrapper(
                copy, config.without_output() if is_deferred else config, name_prefix="quant_"
            )
            copies.append((layer, wrapper))
            return [wrapper]

        placed = rebuild(split_model, place_quantizers, on_input=_quantize_input)
        for layer, wrapper in copies:
            weights = wrapper.named_weights()
            for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
                weights[local_name(weight)].assign(value)
        # Nothing is left for TFMOT to wrap.
        return placed, {}

    def _split(
        self,
        model: Any,
        layer_quantize_map: dict[str, dict[str, Any]],
        configured: dict[str, configs.OutputQuantizeConfig],
    ) -> Any:
        """A copy of the model without separable convolutions; fills ``configured``."""
        copies: list[tuple[Any, list[Any]]] = []

        def split(layer: Any) -> list[Any]:
            config = layer_quantize_map.get(layer.name, {}).get("quantize_config")
            config = config or self._registry.get_quantize_config(layer)
            if type(layer) is layers.SeparableConv2D:
                parts = _split_separable(layer)
                for part, part_config in zip(parts, config.split(), strict=True):
                    configured[part.name] = part_config
            else:
                parts = [clone_layer(layer)]
                configured[layer.name] = config
            copies.append((layer, parts))
            return parts

        split_model = rebuild(model, split)
        for layer, parts in copies:
            weights = layer.get_weights()
            for part in parts:
                count = len(part.weights)
                part.set_weights(weights[:count])
                weights = weights[count:]
        return split_model
