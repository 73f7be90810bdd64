"""What the package asks of tf_keras; ``keras/adapter.py`` is its twin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.quantization.keras.quantize_annotate import (
    QuantizeAnnotate,
)

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor, Variable
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.layer_kinds import KERNEL_LAYERS, kind_of
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer, batch_norm_affine
from tfmot_mltq.pruning.pruned_layer import PrunedLayer
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.tfmot import distiller, inference, prune, quantize
from tfmot_mltq.tfmot.model_graph import TfKerasModelGraphs
from tfmot_mltq.tfmot.pruning_variables import kernel_state
from tfmot_mltq.tfmot.pruning_wrapper import PruneLowMagnitude
from tfmot_mltq.tfmot.quantize_configs import WeightsQuantizeConfig, has_levels
from tfmot_mltq.tfmot.quantize_registry import MULTI_LEVEL_CONFIGS
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper
from tfmot_mltq.tfmot.saved_wrapper import SavedWrapper, local_name, wrapped_layer


class TfKerasAdapter(Adapter):
    """tf_keras."""

    graphs = TfKerasModelGraphs()
    Distiller = distiller.Distiller

    def annotate(self, layer: Layer, spec: MultiLevelConfig) -> Layer:
        config = MULTI_LEVEL_CONFIGS[kind_of(layer)](spec)
        return tfmot.quantization.keras.quantize_annotate_layer(layer, config)

    def quantize(self, flat: Model, configs: Mapping[str, MultiLevelConfig]) -> Model:
        return quantize.quantize(flat, configs, self.graphs)

    def prune(self, model: Model, prunings: Mapping[str, PruningSpec]) -> Model:
        return prune.prune(model, prunings, self.graphs)

    def inner_layer(self, layer: Layer) -> Layer:
        return wrapped_layer(layer)

    def is_annotated(self, layer: Layer) -> bool:
        return isinstance(layer, QuantizeAnnotate)

    def multi_level_layer(self, layer: Layer) -> MultiLevelLayer | None:
        if not isinstance(layer, MltqQuantizeWrapper) or not has_levels(layer):
            return None
        config = layer.quantize_config
        bias = layer.named_weights().get("bias")
        return MultiLevelLayer(
            name=layer.name,
            layer_class=config.layer_class,
            spec=config.decomposition,
            kernel=layer.float_kernel.numpy(),
            bias=None if bias is None else bias.numpy(),
            state=kernel_state(layer.kernel_variables, config.weight_quantizer.channel_axes),
        )

    def pruned_layer(self, layer: Layer) -> PrunedLayer | None:
        variables = _kernel_variables(layer)
        if "mask" not in variables:
            return None
        axes = KERNEL_LAYERS[kind_of(layer.layer)].channel_axes
        if isinstance(layer, PruneLowMagnitude):
            pruning, spec = layer.pruning, None
        else:
            quantizer = layer.quantize_config.weight_quantizer
            pruning, spec = quantizer.pruning, getattr(quantizer, "spec", None)
        return PrunedLayer(
            name=layer.name,
            pruning=pruning,
            spec=spec,
            channel_axes=axes,
            kernel=layer.float_kernel,
            mask=variables["mask"],
            pruned=variables["pruned"],
            pruning_step=variables["pruning_step"],
            state=functools.partial(kernel_state, variables, axes),
            refresh_pruning_started=lambda: None,
        )

    def fused_batch_norm(self, layer: Layer, reader: Layer) -> BatchNorm | None:
        # The output is only left unquantized where TFLite fuses the reader.
        inner: Layer = getattr(reader, "layer", None)
        if kind_of(inner) != "BatchNormalization" or layer.quantize_config.quantize_output:
            return None
        weights = {name: weight.numpy() for name, weight in reader.named_weights().items()}
        return batch_norm_affine(weights, inner.epsilon)

    def plain_form(self, layer: Layer) -> Layer:
        return clone_layer(wrapped_layer(layer))

    def bake_kernel(self, layer: Layer, plain: Layer) -> None:
        if not isinstance(layer, SavedWrapper):
            copy_weights([(layer, plain)])
            return
        values = {name: weight.numpy() for name, weight in layer.named_weights().items()}
        if isinstance(layer, PruneLowMagnitude):
            values[local_name(layer.float_kernel)] = layer.baked()
        elif isinstance(layer.quantize_config, WeightsQuantizeConfig):
            values[local_name(layer.float_kernel)] = layer.quantize_config.weight_quantizer.baked(
                layer.float_kernel.numpy(), layer.kernel_variables
            )
        plain.set_weights([values[local_name(weight)] for weight in plain.weights])

    def inference(self, model: Model, compiled: bool) -> Callable[[list[np.ndarray]], None]:
        return inference.inference(model, compiled, self.graphs)

    def as_inputs(self, model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
        return inference.as_inputs(model, arrays)

    def to_numpy(self, tensor: Tensor) -> np.ndarray:
        return tensor.numpy()

    def check_convertible(self, model: Model) -> None:
        pass  # Every tf_keras model runs on TensorFlow.


def _kernel_variables(layer: Layer) -> dict[str, Variable]:
    """What a layer holds beside its kernel, by name."""
    if isinstance(layer, PruneLowMagnitude):
        return layer.pruning_variables
    if isinstance(layer, MltqQuantizeWrapper) and layer._weight_vars:
        return layer.kernel_variables
    return {}


ADAPTER = TfKerasAdapter()
