"""quantize_model and its relatives, for tf_keras and Keras 3 models alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmot_mltq.config import MultiLevelConfig, config_of_arguments, configs_by_name
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.attention import expand_attention
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.layout.graph import check_weights, first_and_last
from tfmot_mltq.layout.layer_kinds import is_a, unsupported_reason
from tfmot_mltq.layout.recurrent import expand_recurrent
from tfmot_mltq.layout.tflite_layers import unwrapped
from tfmot_mltq.layout.user_class import with_class_of
from tfmot_mltq.pruning.kept_zeros import keep_pruned_zeros, pruned_by_inner_name


def quantize_model(
    model: Model,
    levels: int = 2,
    *,
    config: MultiLevelConfig | None = None,
    per_layer: Mapping[str, MultiLevelConfig | None] | None = None,
    include_first_layer: bool = False,
    include_last_layer: bool = False,
    **fields: Any,
) -> Model:
    """Adds multi-level ternary quantization-aware training to a model.

    Conv2D, DepthwiseConv2D, SeparableConv2D, Conv1D and Dense layers get weights
    W = sum of alpha_m * T_m with T_m in {-1, 0, +1}; activations and all other layers get int8 fake
    quantization. Compile and train the result like any Keras model, or convert it as it is.

    >>> q = mltq.quantize_model(
    ...     model,
    ...     config=mltq.MultiLevelConfig(levels=3, threshold="exact"),
    ...     per_layer={"block_*": mltq.MultiLevelConfig(levels=1), "head": None},
    ... )  # doctest: +SKIP

    Args:
      model: Built Sequential or functional model of Keras 3 (any backend) or tf_keras; may hold
        nested models and shared layers. It is not changed.
      levels: Number of planes M, 1 to 4.
      config: All options at once; ``levels`` and ``fields`` are its fields, so pass these or it.
      per_layer: Configurations of single layers, by name or by a pattern with ``*`` and ``?``; a
        name takes precedence over patterns, and an earlier pattern over a later one. None leaves
        a layer int8. Layers named here get levels even if they are the first or the last.
      include_first_layer: Also quantize the layers that read the inputs of the model; by default
        they stay int8, which costs little and keeps accuracy.
      include_last_layer: The same for the layers that no other such layer follows.
      **fields: Fields of ``MultiLevelConfig`` for all layers: ``kind``, ``threshold``,
        ``per_channel``, ``refit``, ``learned_scales``; ``activation_levels`` and
        ``activation_sparsity_penalty`` for those of its ``activations``.

    Returns:
      A functional model of the same framework with the weights of ``model``, nested models inlined.
      It has the class of ``model`` if that can be built from inputs and outputs, as a functional
      subclass with a ``train_step`` of its own can; otherwise a warning says so.
      Layers of a Keras 3 model keep their names, and ``quantize_<name>`` layers between them hold
      the int8 ranges; layers of a tf_keras model are wrapped and carry TFMOT's prefix ``quant_``.

    Raises:
      ValueError: An argument is out of range, ``per_layer`` names a layer that is not there or that
        cannot get levels, or a weight is NaN or infinite.
      UnsupportedModelError: The model is subclassed or not built, mixes frameworks, or Keras runs
        on a backend that cannot train.
      ImportError: The model is a tf_keras model and TensorFlow Model Optimization is missing.
    """
    chosen = config_of_arguments("quantize_model", levels, config, fields)
    adapter = adapter_of(model)
    adapter.graphs.check_model(model)
    if any(adapter.is_quantized(layer) or adapter.is_annotated(layer) for layer in model.layers):
        raise UnsupportedModelError(
            f"'{model.name}' is already quantized or annotated. Pass the float model, or use "
            "quantize_apply for an annotated one."
        )
    flat = adapter.graphs.inline_nested_models(model)
    pruned = pruned_by_inner_name(flat, adapter)
    if pruned:
        flat = strip_model(flat, adapter)
    check_weights(flat)
    flat = unwrapped(flat, adapter.graphs)
    reasons = {layer.name: unsupported_reason(layer) for layer in flat.layers}
    of_layers = configs_by_name(per_layer or {}, reasons)
    supported = {name for name, reason in reasons.items() if reason is None}
    first, last = first_and_last(adapter.graphs.nodes_in_order(flat), supported)
    by_default = supported - (set() if include_first_layer else first)
    by_default -= set() if include_last_layer else last
    wanted = {**dict.fromkeys(by_default, chosen), **of_layers}
    configs = {name: found for name, found in wanted.items() if found is not None}
    _warn_of_unsupported(flat, nothing_left=not configs)
    quantized = adapter.quantize(_expanded(flat, adapter), configs)
    if pruned:
        quantized = keep_pruned_zeros(pruned, quantized, adapter)
    return with_class_of(model, quantized, adapter.graphs)


def quantize_annotate_layer(
    layer: Layer, levels: int = 2, *, config: MultiLevelConfig | None = None, **fields: Any
) -> Layer:
    """Marks one layer for ``quantize_apply``, TFMOT's way of choosing layers.

    Args:
      layer: Conv2D, DepthwiseConv2D, SeparableConv2D, Conv1D or Dense layer, built or not.
      levels: As in ``quantize_model``.
      config: As in ``quantize_model``.
      **fields: As in ``quantize_model``.

    Returns:
      The annotated layer, to be used in the model in the layer's place.

    Raises:
      ValueError: An argument is out of range.
      UnsupportedModelError: The layer cannot get multi-level weights; the message says why.
    """
    chosen = config_of_arguments("quantize_annotate_layer", levels, config, fields)
    adapter = adapter_of(layer, "layer")
    reason = unsupported_reason(layer)
    if reason is not None:
        raise UnsupportedModelError(
            f"Layer '{getattr(layer, 'name', layer)}' cannot be quantized to levels: {reason}."
        )
    return adapter.annotate(layer, chosen)


def quantize_apply(model: Model) -> Model:
    """Quantizes a model in which layers were annotated with ``quantize_annotate_layer``.

    Args:
      model: Built Sequential or functional model. Annotated layers get the levels of their
        annotation; all others stay int8.

    Returns:
      As ``quantize_model``.

    Raises:
      ValueError: No layer is annotated, or a weight is NaN or infinite.
      UnsupportedModelError: As ``quantize_model``.
    """
    adapter = adapter_of(model)
    adapter.graphs.check_model(model)
    flat = adapter.graphs.inline_nested_models(model)
    if not any(adapter.is_annotated(layer) for layer in flat.layers):
        raise ValueError(
            "No layer of the model is annotated. Wrap layers in mltq.quantize_annotate_layer, or "
            "call mltq.quantize_model to quantize them all."
        )
    check_weights(flat)
    flat = _expanded(unwrapped(flat, adapter.graphs), adapter)
    return with_class_of(model, adapter.quantize(flat, {}), adapter.graphs)


def _expanded(flat: Model, adapter: Adapter) -> Model:
    """A model with the layers that TFLite has no operator for written out."""
    return expand_attention(expand_recurrent(flat, adapter.graphs), adapter.graphs)


def _warn_of_unsupported(flat: Model, nothing_left: bool) -> None:
    """Names the layers with weights that stay int8 although the user did not ask for it."""
    if nothing_left:
        warnings.warn(
            "No layer is left to quantize to levels: the first and the last layer stay int8. Pass "
            "include_first_layer=True or include_last_layer=True.",
            stacklevel=3,
        )
    for layer in flat.layers:
        reason = unsupported_reason(layer)
        if reason is None or is_a(layer, ("BatchNormalization",)) or not layer.trainable_weights:
            continue
        warnings.warn(f"Layer '{layer.name}' stays int8: {reason}.", stacklevel=3)


def ternary_weights(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """The integers of a quantized layer.

    Args:
      layer: Layer of a model that ``quantize_model`` or ``quantize_apply`` returned, for example
        ``q.get_layer("conv2d_1")`` ("quant_conv2d_1" in a tf_keras model).

    Returns:
      Planes, int8 of the shape of the kernel with the levels in front, values -1, 0, +1; scales,
      float32 of shape (levels, output channels), not negative. The output channels of a depthwise
      kernel are its channels times its multiplier, in that order.

    Raises:
      ValueError: The layer has no multi-level weights, or they are NaN or infinite.
    """
    multi_level = adapter_of(layer, "layer").multi_level_layer(layer)
    if multi_level is None:
        raise ValueError(
            f"Layer '{getattr(layer, 'name', layer)}' has no multi-level weights. "
            "mltq.summary(model) lists the layers that do."
        )
    planes, scales = multi_level.decompose()
    return planes.reshape(multi_level.spec.levels, *multi_level.kernel.shape), scales


def check_quantized(model: Model, adapter: Adapter) -> None:
    """Refuses a model that was not quantized by this package.

    Raises:
      UnsupportedModelError: Says what to call first.
    """
    adapter.graphs.check_model(model)
    if not any(adapter.is_quantized(layer) for layer in model.layers):
        raise UnsupportedModelError(
            f"'{model.name}' is not quantized. Call mltq.quantize_model(model) first."
        )


def strip(model: Model) -> Model:
    """A plain Keras model with the quantized and pruned weights baked in.

    Multi-level and int8 kernels take their quantized values, pruned ones their zeros; the fake
    quantization of activations is gone. Layers have their original names and classes, except that
    a SeparableConv2D is its two convolutions, a GRU, SimpleRNN or attention the layers that it
    was written out in, and an activation that TFLite does not fuse a layer of its own.

    Args:
      model: Model that ``quantize_model``, ``quantize_apply`` or ``prune_low_magnitude`` returned.

    Raises:
      UnsupportedModelError: The model is neither quantized nor pruned.
    """
    adapter = adapter_of(model)
    adapter.graphs.check_model(model)
    if not any(adapter.is_pruned(layer) for layer in model.layers):
        check_quantized(model, adapter)
    return with_class_of(model, strip_model(model, adapter), adapter.graphs)


def strip_model(model: Model, adapter: Adapter) -> Model:
    """The plain functional model of a quantized or pruned one."""
    copies: list[tuple[Layer, Layer]] = []

    def plain(layer: Layer) -> list[Layer]:
        copy = adapter.plain_layer(layer)
        if copy is None:
            return []
        copies.append((layer, copy))
        return [copy]

    result = adapter.graphs.rebuild(model, plain)
    for layer, copy in copies:
        adapter.bake_weights(layer, copy)
    return result
