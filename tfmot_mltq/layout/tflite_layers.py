"""The layers that stand for a layer of the user's model once TFLite runs it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tfmot_mltq.layout.graph import clone_layer
from tfmot_mltq.layout.layer_kinds import (
    activation_is_separate,
    activation_name,
    averages_whole_input,
    kind_of,
)


def tflite_layers(
    layer: Any, input_shape: tuple[int | None, ...] | None, keras: ModuleType
) -> tuple[list[Any], list[Any]]:
    """New, unbuilt layers that TFLite's operators compute one by one.

    Args:
      layer: Layer of a model, or operation.
      input_shape: Shape of its input; None if it has several, or is called several times.
      keras: Framework of the layer, ``tf_keras`` or ``keras``.

    Returns:
      The layers that hold the weights of ``layer``, in the order of ``layer.weights``, and what
      follows them as an operator of its own: an activation, an offset.
    """
    if activation_is_separate(layer):
        activation = keras.layers.Activation(
            layer.get_config()["activation"], name=f"{layer.name}_{activation_name(layer)}"
        )
        return without_separable(clone_layer(layer, activation="linear"), keras), [activation]
    if input_shape is not None and averages_whole_input(layer, input_shape):
        # TFLite's AVERAGE_POOL_2D has to round to the step of its input; MEAN has a step of its
        # own, which is finer by as much as averaging narrows the range.
        pooling = keras.layers.GlobalAveragePooling2D
        return [pooling(name=layer.name, data_format=layer.data_format, keepdims=True)], []
    affine = _affine(layer)
    if affine is not None:
        scale, offset = affine
        scaled = keras.layers.Rescaling(scale, name=f"{layer.name}_scale")
        return [scaled], [keras.layers.Rescaling(1.0, offset, name=layer.name)]
    return without_separable(clone_layer(layer), keras), []


def _affine(layer: Any) -> tuple[Any, Any] | None:
    """Scale and offset of a layer that TFLite runs as MUL and ADD, each with a range of its own."""
    if kind_of(layer) == "Rescaling" and np.any(np.asarray(layer.offset)):
        return layer.scale, layer.offset
    if kind_of(layer) == "Normalization" and not layer.invert and layer.axis in ((-1,), (None,)):
        mean, variance = (np.asarray(value).ravel() for value in (layer.mean, layer.variance))
        scale = 1.0 / np.maximum(np.sqrt(variance), 1e-7)
        return scale.tolist(), (-mean * scale).tolist()
    return None


def without_separable(layer: Any, keras: ModuleType) -> list[Any]:
    """The two convolutions of an unbuilt SeparableConv2D; any other layer as it is."""
    return _split_separable(layer, keras) if kind_of(layer) == "SeparableConv2D" else [layer]


def _split_separable(layer: Any, keras: ModuleType) -> list[Any]:
    """The depthwise and the pointwise convolution of a SeparableConv2D."""
    config = layer.get_config()
    depthwise = keras.layers.DepthwiseConv2D(
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
    pointwise = keras.layers.Conv2D(
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


def split_weights(layer: Any, parts: list[Any]) -> None:
    """Copies the weights of a layer to the built layers that stand for it."""
    weights = layer.get_weights() if getattr(layer, "weights", None) else []
    for part in parts:
        count = len(getattr(part, "weights", ()))
        if count:
            part.set_weights(weights[:count])
        weights = weights[count:]
