"""The layers that stand for a layer of the user's model once TFLite runs it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.layout.layer_kinds import (
    SEPARABLE_LAYERS,
    activation_is_separate,
    activation_name,
    kind_of,
)


def tflite_layers(layer: Layer, keras: ModuleType) -> tuple[list[Layer], list[Layer]]:
    """New, unbuilt layers that TFLite's operators compute one by one.

    Args:
      layer: Layer of a model, or operation.
      keras: Framework of the layer, ``tf_keras`` or ``keras``.

    Returns:
      The layers that hold the weights of ``layer``, in the order of ``layer.weights``, and what
      follows them as an operator of its own: an activation, a division.
    """
    if activation_is_separate(layer):
        activation = keras.layers.Activation(
            layer.get_config()["activation"], name=f"{layer.name}_{activation_name(layer)}"
        )
        return without_separable(clone_layer(layer, activation="linear"), keras), [activation]
    kind = kind_of(layer)
    if kind in _ADAPTIVE_POOLINGS:
        pooling = _without_adaption(layer, keras)
        if pooling is not None:
            return [pooling], []
    if kind in _PAIRWISE and isinstance(layer, keras.layers.Layer):
        return [PairwiseMerge(layer, keras)], []
    return without_separable(clone_layer(layer), keras), []


def with_tflite_layers(
    model: Model,
    graphs: ModelGraphs,
    note: Callable[[Layer, list[Layer]], None],
    inner_layer: Callable[[Layer], Layer] = lambda layer: layer,
) -> Model:
    """A copy of a model, weights included, of the layers that TFLite runs.

    Args:
      model: Model without nested models.
      graphs: Of its framework.
      note: Called with each layer and those that stand for it and hold its weights, unbuilt.
      inner_layer: The layer inside an annotated one.
    """
    copies: list[tuple[Layer, list[Layer]]] = []

    def replace(layer: Layer) -> list[Layer]:
        inner = inner_layer(layer)
        parts, behind = tflite_layers(inner, graphs.keras)
        note(layer, parts)
        copies.append((inner, parts))
        return [*parts, *behind]

    replaced = graphs.rebuild(model, replace)
    for inner, parts in copies:
        split_weights(inner, parts)
    return replaced


def unwrapped(model: Model, graphs: ModelGraphs) -> Model:
    """A model without wrappers that do not matter once it is trained: those of training, and
    TimeDistributed around a dense layer, which takes any number of axes before the last one.

    Raises:
      UnsupportedModelError: A layer makes masks.
    """
    layers = graphs.all_layers(model)
    for layer in layers:
        if kind_of(layer) == "Masking":
            raise UnsupportedModelError(
                f"Layer '{layer.name}' (Masking) marks steps for later layers to skip, and "
                "TFLite has no masks. Cut or pad the sequences to one length without a mask."
            )
    if not any(map(_is_wrapper, layers)):
        return model
    copies: list[tuple[Layer, Layer]] = []

    def replace(layer: Layer) -> list[Layer]:
        if kind_of(layer) == "SpectralNormalization":
            warnings.warn(
                f"Layer '{layer.name}' (SpectralNormalization) is replaced by the layer that it "
                "wraps: the weights are normalized once, now, and not again during training.",
                stacklevel=4,
            )
        if _is_wrapper(layer):
            copies.append((layer.layer, clone_layer(layer.layer, name=layer.name)))
        else:
            copies.append((layer, clone_layer(layer)))
        return [copies[-1][1]]

    rebuilt = graphs.rebuild(model, replace)
    copy_weights(copies)
    return rebuilt


def _is_wrapper(layer: Layer) -> bool:
    if kind_of(layer) == "TimeDistributed":
        return kind_of(layer.layer) == "Dense"
    return kind_of(layer) == "SpectralNormalization"


# Keras 3 makes each of a loop of poolings and GATHER, which rounds twice.
_ADAPTIVE_POOLINGS = {
    "AdaptiveAveragePooling1D": "AveragePooling1D",
    "AdaptiveAveragePooling2D": "AveragePooling2D",
    "AdaptiveMaxPooling1D": "MaxPooling1D",
    "AdaptiveMaxPooling2D": "MaxPooling2D",
}


def _without_adaption(layer: Layer, keras: ModuleType) -> Layer | None:
    """The pooling of one size that an adaptive one is; None if its windows are of several sizes."""
    shapes = {tuple(node.input_tensors[0].shape) for node in layer._inbound_nodes}
    if len(shapes) != 1 or layer.data_format != "channels_last":
        return None
    sizes = next(iter(shapes))[1:-1]
    outputs = layer.output_size
    if any(size is None or size % out for size, out in zip(sizes, outputs, strict=True)):
        return None
    pool_size = tuple(size // out for size, out in zip(sizes, outputs, strict=True))
    return getattr(keras.layers, _ADAPTIVE_POOLINGS[kind_of(layer)])(pool_size, name=layer.name)


# TFLite's operators take two tensors; layers of Keras take any number.
_PAIRWISE = {
    "Add": "Add",
    "Average": "Add",
    "Multiply": "Multiply",
}


class PairwiseMerge:
    """A merge of any number of tensors as merges of two, each of which has a range.

    Args:
      layer: Add, Average or Multiply layer.
      keras: Framework of the layer.
    """

    def __init__(self, layer: Layer, keras: ModuleType) -> None:
        self.name = layer.name
        self._averages = kind_of(layer) == "Average"
        self._merge_class = getattr(keras.layers, _PAIRWISE[kind_of(layer)])
        self._rescaling_class = keras.layers.Rescaling
        self._layers: dict[str, Layer] = {}

    def __call__(self, tensors: Tensor) -> Tensor:
        """Merges symbolic tensors."""
        tensors = list(tensors)
        last = len(tensors) - 1
        merged = tensors[0]
        for number, tensor in enumerate(tensors[1:], start=1):
            is_result = number == last and not self._averages
            name = self.name if is_result else f"{self.name}_{number}"
            merged = self._layer(self._merge_class, name)([merged, tensor])
        if self._averages:
            merged = self._layer(self._rescaling_class, self.name, 1 / len(tensors))(merged)
        return merged

    def _layer(self, cls: type, name: str, *arguments: float) -> Layer:
        if name not in self._layers:
            self._layers[name] = cls(*arguments, name=name)
        return self._layers[name]


def without_separable(layer: Layer, keras: ModuleType) -> list[Layer]:
    """The two convolutions of an unbuilt separable one; any other layer as it is."""
    return _split_separable(layer, keras) if kind_of(layer) in SEPARABLE_LAYERS else [layer]


def _split_separable(layer: Layer, keras: ModuleType) -> list[Layer]:
    """The depthwise and the pointwise convolution of a separable one."""
    config = layer.get_config()
    depthwise_class, pointwise_class = (
        getattr(keras.layers, kind) for kind in SEPARABLE_LAYERS[kind_of(layer)]
    )
    padding = []
    if config["padding"] == "causal":
        reach = config["dilation_rate"][0] * (config["kernel_size"][0] - 1)
        padding = [keras.layers.ZeroPadding1D((reach, 0), name=f"{layer.name}_padding")]
        config["padding"] = "valid"
    depthwise = depthwise_class(
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
    pointwise = pointwise_class(
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
    return [*padding, depthwise, pointwise]


def split_weights(layer: Layer, parts: list[Layer]) -> None:
    """Copies the weights of a layer to the built layers that stand for it."""
    weights = layer.get_weights() if getattr(layer, "weights", None) else []
    for part in parts:
        count = len(getattr(part, "weights", ()))
        if count:
            part.set_weights(weights[:count])
        weights = weights[count:]
