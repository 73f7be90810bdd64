"""quantize_model and its relatives for tf_keras models."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_annotate as tfmot_quantize_annotate,
)

from tfmot_mltq.decomposition import Decomposition, check_finite
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.tfmot.custom_objects import quantize_scope
from tfmot_mltq.tfmot.model_graph import (
    check_model,
    clone_layer,
    inline_nested_models,
    layers_tfmot_cannot_wrap,
    nodes_in_order,
    rebuild,
)
from tfmot_mltq.tfmot.quantize_configs import MultiLevelQuantizeConfig, WeightsQuantizeConfig
from tfmot_mltq.tfmot.quantize_layer import QuantizeActivation
from tfmot_mltq.tfmot.quantize_registry import MULTI_LEVEL_CONFIGS, unsupported_reason
from tfmot_mltq.tfmot.quantize_scheme import MultiLevelQuantizeScheme
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper, local_name

QuantizeAnnotate = tfmot_quantize_annotate.QuantizeAnnotate


def quantize_model(
    model: Any,
    levels: int = 2,
    *,
    kind: str = "ternary",
    threshold: str = "twn",
    per_channel: bool = True,
    refit: bool = False,
    include_first_layer: bool = False,
    include_last_layer: bool = False,
) -> Any:
    """Adds multi-level ternary quantization-aware training to a model.

    Conv2D, DepthwiseConv2D, SeparableConv2D, Conv1D and Dense layers get weights
    W = sum of alpha_m * T_m with T_m in {-1, 0, +1}; activations and all other layers get int8 fake
    quantization. Compile and train the result like any Keras model, or convert it as it is.

    Args:
      model: Built Sequential or functional tf_keras model; may hold nested models and shared
        layers. It is not changed.
      levels: Number of planes M, 1 to 4.
      kind: "ternary", or "binary" for the multi-level binary baseline.
      threshold: "twn" (Ternary Weight Networks) or "exact" (least squared error, by sorting).
      per_channel: One scale per output channel and level, instead of one per tensor and level.
      refit: Least-squares refit of all scales of a channel.
      include_first_layer: Also quantize the layers that read the inputs of the model; by default
        they stay int8, which costs little and keeps accuracy.
      include_last_layer: The same for the layers that no other such layer follows.

    Returns:
      A functional tf_keras model with the weights of ``model``, nested models inlined. Layers carry
      TFMOT's prefix ``quant_``.

    Raises:
      ValueError: An argument is out of range, or a weight is NaN or infinite.
      UnsupportedModelError: The model is a Keras 3 or a subclassed model, or is not built.
    """
    spec = Decomposition(levels, kind, threshold, per_channel, refit)
    check_model(model)
    if any(isinstance(layer, (MltqQuantizeWrapper, QuantizeAnnotate)) for layer in model.layers):
        raise UnsupportedModelError(
            f"'{model.name}' is already quantized or annotated. Pass the float model, or use "
            "quantize_apply for an annotated one."
        )
    flat = inline_nested_models(model)
    int8_layers = _int8_layers(flat, include_first_layer, include_last_layer)
    _warn_of_unsupported(flat, int8_layers)
    return _apply(flat, MultiLevelQuantizeScheme(spec, int8_layers))


def quantize_annotate_layer(
    layer: Any,
    levels: int = 2,
    *,
    kind: str = "ternary",
    threshold: str = "twn",
    per_channel: bool = True,
    refit: bool = False,
) -> Any:
    """Marks one layer for ``quantize_apply``, TFMOT's way of choosing layers.

    Args:
      layer: Conv2D, DepthwiseConv2D, SeparableConv2D, Conv1D or Dense layer, built or not.
      levels: As in ``quantize_model``.
      kind: As in ``quantize_model``.
      threshold: As in ``quantize_model``.
      per_channel: As in ``quantize_model``.
      refit: As in ``quantize_model``.

    Returns:
      The annotated layer, to be used in the model in the layer's place.

    Raises:
      ValueError: An argument is out of range.
      UnsupportedModelError: The layer cannot get multi-level weights; the message says why.
    """
    spec = Decomposition(levels, kind, threshold, per_channel, refit)
    reason = unsupported_reason(layer)
    if reason is not None:
        raise UnsupportedModelError(
            f"Layer '{getattr(layer, 'name', layer)}' cannot be quantized to levels: {reason}."
        )
    config = MULTI_LEVEL_CONFIGS[type(layer)](spec)
    return tfmot.quantization.keras.quantize_annotate_layer(layer, config)


def quantize_apply(model: Any) -> Any:
    """Quantizes a model in which layers were annotated with ``quantize_annotate_layer``.

    Args:
      model: Built Sequential or functional tf_keras model. Annotated layers get the levels of their
        annotation; all others stay int8.

    Returns:
      As ``quantize_model``.

    Raises:
      ValueError: No layer is annotated, or a weight is NaN or infinite.
      UnsupportedModelError: As ``quantize_model``.
    """
    check_model(model)
    flat = inline_nested_models(model)
    if not any(isinstance(layer, QuantizeAnnotate) for layer in flat.layers):
        raise ValueError(
            "No layer of the model is annotated. Wrap layers in mltq.quantize_annotate_layer, or "
            "call mltq.quantize_model to quantize them all."
        )
    return _apply(flat, MultiLevelQuantizeScheme(None))


def _apply(flat: Any, scheme: MultiLevelQuantizeScheme) -> Any:
    for layer in flat.layers:
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            check_finite(value, weight.name)

    unwrappable = layers_tfmot_cannot_wrap(flat)

    def annotate(layer: Any) -> list[Any]:
        copy = clone_layer(layer)
        if isinstance(layer, QuantizeAnnotate) or layer.name in unwrappable:
            return [copy]
        return [tfmot.quantization.keras.quantize_annotate_layer(copy)]

    with quantize_scope():
        annotated = rebuild(flat, annotate)
        annotated.set_weights(flat.get_weights())
        quantized = tfmot.quantization.keras.quantize_apply(annotated, scheme)
        # TFMOT leaves its layers connected to the model of an intermediate step as well, which
        # makes `layer.output` ambiguous; in a copy they belong to one model.
        copy = rebuild(quantized, lambda layer: [clone_layer(layer)])
        copy.set_weights(quantized.get_weights())
        return copy


def _int8_layers(flat: Any, include_first: bool, include_last: bool) -> set[str]:
    """Names of the supported layers that no supported layer precedes, or follows."""
    supported = {layer.name for layer in flat.layers if unsupported_reason(layer) is None}
    nodes = list(nodes_in_order(flat))

    def inputs(node: Any) -> list[Any]:
        return node.keras_inputs

    def outputs(node: Any) -> list[Any]:
        return tf.nest.flatten(node.outputs)

    not_first = _behind_another(nodes, supported, inputs, outputs)
    not_last = _behind_another(nodes[::-1], supported, outputs, inputs)
    int8: set[str] = set()
    if not include_first:
        int8 |= supported - not_first
    if not include_last:
        int8 |= supported - not_last
    return int8


def _behind_another(
    nodes: list[Any],
    supported: set[str],
    near: Callable[[Any], list[Any]],
    far: Callable[[Any], list[Any]],
) -> set[str]:
    """Names of the supported layers that a walk reaches after another one.

    The walk passes ``nodes`` in their order, entering each by its ``near`` tensors.
    """
    reached: set[int] = set()  # ids of the tensors behind a supported layer
    behind: set[str] = set()
    for node in nodes:
        is_behind = any(id(tensor) in reached for tensor in near(node))
        is_supported = node.layer.name in supported
        if is_supported and is_behind:
            behind.add(node.layer.name)
        if is_supported or is_behind:
            reached.update(id(tensor) for tensor in far(node))
    return behind


def _warn_of_unsupported(flat: Any, int8_layers: set[str]) -> None:
    """Names the layers with weights that stay int8 although the user did not ask for it."""
    supported = [layer for layer in flat.layers if unsupported_reason(layer) is None]
    if not any(layer.name not in int8_layers for layer in supported):
        warnings.warn(
            "No layer is left to quantize to levels: the first and the last layer stay int8. Pass "
            "include_first_layer=True or include_last_layer=True.",
            stacklevel=3,
        )
    ignored = (tf_keras.layers.BatchNormalization,)
    for layer in flat.layers:
        reason = unsupported_reason(layer)
        if reason is not None and layer.trainable_weights and not isinstance(layer, ignored):
            warnings.warn(f"Layer '{layer.name}' stays int8: {reason}.", stacklevel=3)


def multi_level_config(layer: Any) -> MultiLevelQuantizeConfig | None:
    """The configuration of a layer with multi-level weights; None for any other layer."""
    if isinstance(layer, MltqQuantizeWrapper) and isinstance(
        layer.quantize_config, MultiLevelQuantizeConfig
    ):
        return layer.quantize_config
    return None


def ternary_weights(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """The integers of a quantized layer.

    Args:
      layer: Layer of a model that ``quantize_model`` or ``quantize_apply`` returned, for example
        ``q.get_layer("quant_conv2d_1")``.

    Returns:
      planes: int8, shape (levels, *kernel shape), values -1, 0, +1.
      scales: float32, shape (levels, output channels), not negative. The output channels of a
        depthwise kernel are its channels times its multiplier, in that order.

    Raises:
      ValueError: The layer has no multi-level weights, or they are NaN or infinite.
    """
    config = multi_level_config(layer)
    if config is None:
        raise ValueError(
            f"Layer '{getattr(layer, 'name', layer)}' has no multi-level weights. "
            "mltq.summary(model) lists the layers that have."
        )
    kernel = layer.float_kernel
    check_finite(kernel.numpy(), kernel.name)
    planes, scales = config.weight_quantizer.decompose(kernel)
    shape = (config.decomposition.levels, *kernel.shape)
    return planes.numpy().astype(np.int8).reshape(shape), scales.numpy()


def check_quantized(model: Any) -> None:
    """Refuses a model that was not quantized by this package.

    Raises:
      UnsupportedModelError: Says what to call first.
    """
    check_model(model)
    if not any(isinstance(layer, MltqQuantizeWrapper) for layer in model.layers):
        raise UnsupportedModelError(
            f"'{model.name}' is not quantized. Call mltq.quantize_model(model) first."
        )


def strip(model: Any) -> Any:
    """A plain Keras model with the quantized weights baked in.

    Multi-level and int8 kernels take their quantized values; the fake quantization of activations
    is gone. Layers have their original names and classes, except that a SeparableConv2D is its two
    convolutions, and an activation that TFLite does not fuse is a layer of its own.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned.

    Raises:
      UnsupportedModelError: The model is not quantized.
    """
    check_quantized(model)
    copies: list[tuple[Any, Any]] = []

    def unwrap(layer: Any) -> list[Any]:
        if isinstance(layer, QuantizeActivation):
            return []
        copy = clone_layer(layer.layer if isinstance(layer, MltqQuantizeWrapper) else layer)
        copies.append((layer, copy))
        return [copy]

    plain = rebuild(model, unwrap)
    for layer, copy in copies:
        if isinstance(layer, MltqQuantizeWrapper):
            _bake_weights(layer, copy)
        else:
            copy.set_weights(layer.get_weights())
    return plain


def _bake_weights(wrapper: Any, layer: Any) -> None:
    values = {name: weight.numpy() for name, weight in wrapper.named_weights().items()}
    config = wrapper.quantize_config
    if isinstance(config, WeightsQuantizeConfig):
        kernel = wrapper.float_kernel
        values[local_name(kernel)] = config.weight_quantizer.quantize(kernel).numpy()
    layer.set_weights([values[local_name(weight)] for weight in layer.weights])
