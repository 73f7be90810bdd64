"""What the package asks of Keras 3; ``tfmot/adapter.py`` is its twin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor
from tfmot_mltq.keras import distiller, inference, prune, quantize
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.model_graph import KerasModelGraphs
from tfmot_mltq.keras.quantize_annotate import QuantizeAnnotate
from tfmot_mltq.keras.weight_layers import MultiLevelKernel, SimulatedKernel
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer, batch_norm_affine
from tfmot_mltq.pruning.pruned_layer import PrunedLayer
from tfmot_mltq.pruning.pruning_spec import PruningSpec


class KerasAdapter(Adapter):
    """Keras 3."""

    graphs = KerasModelGraphs()
    Distiller = distiller.Distiller

    def annotate(self, layer: Layer, spec: MultiLevelConfig) -> Layer:
        return QuantizeAnnotate(layer, spec)

    def quantize(self, flat: Model, configs: Mapping[str, MultiLevelConfig]) -> Model:
        return quantize.quantize(flat, configs, self.graphs)

    def prune(self, model: Model, prunings: Mapping[str, PruningSpec]) -> Model:
        return prune.prune(model, prunings, self.graphs)

    def inner_layer(self, layer: Layer) -> Layer:
        return layer  # Keras 3 layers are not wrapped.

    def is_annotated(self, layer: Layer) -> bool:
        return isinstance(layer, QuantizeAnnotate)

    def multi_level_layer(self, layer: Layer) -> MultiLevelLayer | None:
        if not isinstance(layer, MultiLevelKernel):
            return None
        return MultiLevelLayer(
            name=layer.name,
            layer_class=layer.plain_class.__name__,
            spec=layer.decomposition,
            kernel=layer.kernel.numpy().astype(np.float32),
            bias=layer.bias.numpy().astype(np.float32) if layer.use_bias else None,
            state=layer.state(eager_value),
        )

    def pruned_layer(self, layer: Layer) -> PrunedLayer | None:
        if not isinstance(layer, SimulatedKernel) or layer.pruning is None:
            return None
        return PrunedLayer(
            name=layer.name,
            pruning=layer.pruning,
            spec=getattr(layer, "decomposition", None),
            channel_axes=layer.channel_axes,
            kernel=layer.kernel,
            mask=layer.mask,
            pruned=layer.pruned,
            pruning_step=layer.pruning_step,
            state=functools.partial(layer.state, eager_value),
            refresh_pruning_started=layer.refresh_pruning_started,
        )

    def fused_batch_norm(self, layer: Layer, reader: Layer) -> BatchNorm | None:
        # Where TFLite does not fold it, a QuantizeActivation stands between the two.
        if kind_of(reader) != "BatchNormalization":
            return None
        names = ("moving_mean", "moving_variance", "gamma", "beta")
        found = {name: getattr(reader, name, None) for name in names}
        weights = {name: weight.numpy() for name, weight in found.items() if weight is not None}
        return batch_norm_affine(weights, reader.epsilon)

    def plain_form(self, layer: Layer) -> Layer:
        return layer.plain() if isinstance(layer, SimulatedKernel) else clone_layer(layer)

    def bake_kernel(self, layer: Layer, plain: Layer) -> None:
        if not isinstance(layer, SimulatedKernel):
            copy_weights([(layer, plain)])
            return
        kernel = layer.baked(layer.kernel.numpy().astype(np.float32))
        plain.set_weights([kernel, *([] if layer.bias is None else [layer.bias.numpy()])])

    def inference(self, model: Model, compiled: bool) -> Callable[[list[np.ndarray]], None]:
        return inference.inference(model, compiled, self.graphs)

    def as_inputs(self, model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
        return inference.as_inputs(model, arrays)

    def to_numpy(self, tensor: Tensor) -> np.ndarray:
        return keras.ops.convert_to_numpy(tensor)

    def check_convertible(self, model: Model) -> None:
        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise ConversionError(
                f"mltq.convert needs Keras' TensorFlow backend, and Keras runs on '{backend}'. "
                f"Save the model, {model.name}.save('model.keras'), and in a process with the "
                "environment variable KERAS_BACKEND=tensorflow call "
                "mltq.convert(keras.models.load_model('model.keras'))."
            )


ADAPTER = KerasAdapter()
