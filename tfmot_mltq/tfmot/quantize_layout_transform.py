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

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.tfmot import quantize_configs as configs
from tfmot_mltq.tfmot.model_graph import (
    Consumers,
    clone_layer,
    layers_tfmot_cannot_wrap,
    nodes_in_order,
    op_function,
    rebuild,
)
from tfmot_mltq.tfmot.quantize_layer import QuantizeActivation
from tfmot_mltq.tfmot.quantize_registry import MultiLevelQuantizeRegistry
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper, local_name

layers = tf_keras.layers

# Exact classes: Conv2DTranspose, a subclass of Conv2D in Keras, fuses neither.
_KERNEL_LAYERS = (layers.Conv2D, layers.Conv1D, layers.DepthwiseConv2D, layers.Dense)
_RELU_FUSING = (
    *_KERNEL_LAYERS,
    layers.SeparableConv2D,
    layers.BatchNormalization,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
)
_ACTIVATION_HOLDERS = (*_KERNEL_LAYERS, layers.SeparableConv2D, layers.Conv2DTranspose)
_RELUS = ("relu", "relu6")
_RELU_FUSING_OPS = ("__operators__.add", "math.add", "math.subtract", "math.multiply")


def _is_fusable_relu(layer: Any) -> bool:
    if isinstance(layer, layers.ReLU):
        return layer.max_value in (None, 6.0) and not layer.negative_slope and not layer.threshold
    if isinstance(layer, layers.Activation):
        return configs.activation_name(layer) in _RELUS
    return op_function(layer) in ("nn.relu", "nn.relu6")


def fuses(producer: Any, consumer: Any) -> bool:
    """Whether TFLite computes ``consumer`` inside the operator of ``producer``."""
    if configs.activation_name(producer) != "linear":
        return False
    if isinstance(consumer, layers.BatchNormalization):
        return type(producer) in _KERNEL_LAYERS
    can_take_relu = type(producer) in _RELU_FUSING or op_function(producer) in _RELU_FUSING_OPS
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


def _with_activation(layer: Any) -> tuple[Any, list[Any]]:
    """A layer, and apart from it the activation that TFLite runs as its own operator, if any."""
    name = configs.activation_name(layer)
    is_fused = name == "linear" or (name in _RELUS and type(layer) in _RELU_FUSING)
    if type(layer) not in _ACTIVATION_HOLDERS or is_fused:
        return layer, []
    config = layer.get_config()
    activation = layers.Activation(config["activation"], name=f"{layer.name}_{name}")
    return clone_layer(layer, activation="linear"), [activation]


def _as_tflite_runs_it(layer: Any) -> list[Any]:
    """The layers that stand for ``layer`` in the quantized model, its activation apart."""
    if type(layer) is layers.SeparableConv2D:
        return _split_separable(layer)
    if type(layer) is layers.AveragePooling2D and _covers_input(layer):
        # TFLite's AVERAGE_POOL_2D has to round to the step of its input; MEAN has a step of its
        # own, which is finer by as much as averaging narrows the range.
        return [
            layers.GlobalAveragePooling2D(
                name=layer.name, data_format=layer.data_format, keepdims=True
            )
        ]
    return [clone_layer(layer)]


def _covers_input(layer: Any) -> bool:
    if layer.data_format != "channels_last" or layer.padding != "valid":
        return False
    return len(layer._inbound_nodes) == 1 and tuple(layer.input_shape[1:3]) == layer.pool_size


def _quantize_input(tensor: Any, name: str) -> Any:
    return (
        QuantizeActivation(name=f"quantize_{name}")(tensor) if tensor.dtype.is_floating else tensor
    )


class MultiLevelQuantizeLayoutTransform(tfmot_quantize_layout_transform.QuantizeLayoutTransform):
    """Replaces layers by what TFLite runs, quantizes inputs, and wraps every layer.

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
        simplified = self._replace_layers(model, layer_quantize_map, configured)
        # Nothing is left for TFMOT to wrap.
        return _place_quantizers(simplified, configured), {}

    def _replace_layers(
        self,
        model: Any,
        layer_quantize_map: dict[str, dict[str, Any]],
        configured: dict[str, configs.OutputQuantizeConfig],
    ) -> Any:
        """A copy of the model with the layers that TFLite runs; fills ``configured``."""
        copies: list[tuple[Any, list[Any]]] = []

        def replace(layer: Any) -> list[Any]:
            config = layer_quantize_map.get(layer.name, {}).get("quantize_config")
            config = config or self._registry.get_quantize_config(layer)
            if not isinstance(config, configs.OutputQuantizeConfig):
                raise UnsupportedModelError(
                    f"Layer '{layer.name}' is annotated with {type(config).__name__}, which knows "
                    "nothing of the MLTQ operators. Annotate it with mltq.quantize_annotate_layer, "
                    "or leave it without annotation to have it int8."
                )
            without_activation, activation = _with_activation(layer)
            parts = [*_as_tflite_runs_it(without_activation), *activation]
            activation_config = [self._registry.get_quantize_config(a) for a in activation]
            part_configs = [*config.parts(), *activation_config]
            for part, part_config in zip(parts, part_configs, strict=True):
                configured[part.name] = part_config
            copies.append((layer, parts))
            return parts

        replaced = rebuild(model, replace)
        for layer, parts in copies:
            weights = layer.get_weights()
            for part in parts:
                count = len(part.weights)
                part.set_weights(weights[:count])
                weights = weights[count:]
        return replaced


def _place_quantizers(model: Any, configured: dict[str, configs.OutputQuantizeConfig]) -> Any:
    """A copy of the model with every layer wrapped, or followed by a quantizing layer."""
    deferred = _layers_that_defer(model)
    unwrappable = layers_tfmot_cannot_wrap(model)
    copies: list[tuple[Any, Any]] = []

    def place(layer: Any) -> list[Any]:
        copy = clone_layer(layer)
        if layer.name in unwrappable:
            copies.append((layer, copy))
            # Several outputs are parts of the input, as of tf.split, and keep its quantization.
            if layer.name in deferred or isinstance(layer.output_shape, list):
                return [copy]
            return [copy, QuantizeActivation(name=f"quantize_{layer.name}")]
        config = configured[layer.name]
        if layer.name in deferred:
            config = config.without_output()
        copies.append((layer, MltqQuantizeWrapper(copy, config, name_prefix="quant_")))
        return [copies[-1][1]]

    placed = rebuild(model, place, on_input=_quantize_input)
    for layer, copy in copies:
        if isinstance(copy, MltqQuantizeWrapper):
            weights = copy.named_weights()
            for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
                weights[local_name(weight)].assign(value)
        else:
            copy.set_weights(layer.get_weights())
    return placed


def _layers_that_defer(model: Any) -> set[str]:
    """Layers whose output TFLite never stores, because every call is fused with its reader."""
    consumers = Consumers(model)
    fused: set[str] = set()
    stored: set[str] = set()
    for node in nodes_in_order(model):
        reader = consumers.only_reader(node)
        is_fused = reader is not None and not node.is_input and fuses(node.layer, reader.layer)
        (fused if is_fused else stored).add(node.layer.name)
    return fused - stored
