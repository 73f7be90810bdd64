"""What the package asks of a Keras; ``keras.adapter`` and ``tfmot.adapter`` implement it."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor, Variable
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.layout.int8_lstm import Int8LSTMMixin
from tfmot_mltq.layout.int8_sums import StoredOutput
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer
from tfmot_mltq.layout.quantize_activation import QuantizeActivationMixin, QuantizeFixedRangeMixin
from tfmot_mltq.layout.quantized_layer import QuantizedLayer
from tfmot_mltq.layout.ternarize_activation import TernarizeActivationMixin
from tfmot_mltq.mathematics.activation_levels import ActivationLevels
from tfmot_mltq.mathematics.int8_simulation import scale_and_zero_point

if TYPE_CHECKING:
    from tfmot_mltq.distillation import DistillerMixin
    from tfmot_mltq.pruning.pruned_layer import PrunedLayer
    from tfmot_mltq.pruning.pruning_spec import PruningSpec


# What goes when a model becomes plain again.
_ONLY_ACTIVATIONS = (QuantizeActivationMixin, QuantizeFixedRangeMixin, TernarizeActivationMixin)


class Adapter(abc.ABC):
    """A framework. Layers, models and tensors are its own.

    Attributes:
      graphs: Its functional models.
      Distiller: Its model that trains a student by a teacher.
    """

    graphs: ModelGraphs
    Distiller: type[DistillerMixin]

    # Quantizing and pruning: the flat models have no models inside.

    @abc.abstractmethod
    def annotate(self, layer: Layer, spec: MultiLevelConfig) -> Layer:
        """A layer marked for ``quantize_apply``."""

    @abc.abstractmethod
    def quantize(self, flat: Model, configs: Mapping[str, MultiLevelConfig]) -> Model:
        """The quantized form of a flat model; ``configs`` of the layers that get levels, by name.
        Annotated layers take their own, all others stay int8.
        """

    @abc.abstractmethod
    def prune(self, model: Model, prunings: Mapping[str, PruningSpec]) -> Model:
        """A copy of a flat model, the named layers of which are pruned as it trains."""

    # What a layer is.

    @abc.abstractmethod
    def is_annotated(self, layer: Layer) -> bool:
        """Whether ``quantize_annotate_layer`` made the layer."""

    def is_quantized(self, layer: Layer) -> bool:
        """Whether the layer is part of a quantized model."""
        return isinstance(layer, QuantizedLayer)

    def is_pruned(self, layer: Layer) -> bool:
        """Whether the layer has a mask."""
        return self.pruned_layer(layer) is not None

    @abc.abstractmethod
    def inner_layer(self, layer: Layer) -> Layer:
        """The layer that a wrapper of this package holds; any other layer itself."""

    @abc.abstractmethod
    def multi_level_layer(self, layer: Layer) -> MultiLevelLayer | None:
        """What is known of a layer with multi-level weights; None for any other layer."""

    @abc.abstractmethod
    def pruned_layer(self, layer: Layer) -> PrunedLayer | None:
        """What prunes a layer, a float one or one with levels; None if it has no mask."""

    def activation_levels(self, layer: Layer) -> ActivationLevels | None:
        """The levels that a layer cuts activations into; None if it does something else."""
        return layer.activation_levels() if isinstance(layer, TernarizeActivationMixin) else None

    def output_quantization(self, layer: Layer) -> tuple[float, int] | None:
        """Scale and zero point of what a layer stores; None if it does not quantize its output."""
        limits = layer.output_limits() if isinstance(layer, StoredOutput) else None
        return None if limits is None else scale_and_zero_point(*limits)

    @abc.abstractmethod
    def fused_batch_norm(self, layer: Layer, reader: Layer) -> BatchNorm | None:
        """The batch normalisation that TFLite folds into ``layer``, which ``reader`` alone reads;
        None if it is none.
        """

    # Models.

    def pruned_layers(self, model: Model) -> list[PrunedLayer]:
        """The layers of a model that are pruned, float ones and those with levels."""
        return [found for found in map(self.pruned_layer, model.layers) if found is not None]

    def range_flags(self, model: Model) -> Iterator[Variable]:
        """The weights that tell which activation ranges are set."""
        for layer in model.layers:
            if isinstance(layer, (StoredOutput, TernarizeActivationMixin)):
                flag = layer.range_flag()
                if flag is not None:
                    yield flag

    @abc.abstractmethod
    def inference(self, model: Model, compiled: bool) -> Callable[[list[np.ndarray]], None]:
        """A model as a function of a list of arrays, run for what it assigns to its weights."""

    @abc.abstractmethod
    def as_inputs(self, model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
        """Arrays as tensors of the types that a model takes."""

    @abc.abstractmethod
    def to_numpy(self, tensor: Tensor) -> np.ndarray:
        """The values of a tensor."""

    @abc.abstractmethod
    def check_convertible(self, model: Model) -> None:
        """Raises ConversionError where TensorFlow cannot trace the model."""

    # Back to plain layers.

    def plain_layer(self, layer: Layer) -> Layer | None:
        """An unbuilt layer of the plain model for a layer of a quantized one; None if it goes."""
        if isinstance(layer, _ONLY_ACTIVATIONS):
            return None
        return layer.plain() if isinstance(layer, Int8LSTMMixin) else self.plain_form(layer)

    def bake_weights(self, layer: Layer, plain: Layer) -> None:
        """Copies the weights of a quantized layer to its plain form, kernels quantized."""
        if isinstance(layer, Int8LSTMMixin):
            plain.set_weights(layer.baked_weights())
        else:
            self.bake_kernel(layer, plain)

    @abc.abstractmethod
    def plain_form(self, layer: Layer) -> Layer:
        """``plain_layer`` of a layer that is no LSTM and does more than to change activations."""

    @abc.abstractmethod
    def bake_kernel(self, layer: Layer, plain: Layer) -> None:
        """``bake_weights`` of such a layer."""
