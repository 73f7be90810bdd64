"""What the package asks of a Keras: ``keras.adapter`` and ``tfmot.adapter`` are its two answers."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor, Variable
from tfmot_mltq.layout.graph import Graphs
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer
from tfmot_mltq.mathematics.activation_levels import ActivationLevels

if TYPE_CHECKING:
    from tfmot_mltq.distillation import DistillerMixin
    from tfmot_mltq.pruning.pruned_layer import PrunedLayer
    from tfmot_mltq.pruning.pruning_spec import PruningSpec


class Adapter(abc.ABC):
    """A framework. Layers, models and tensors are its own.

    Attributes:
      graphs: Its functional models.
      Distiller: Its model that trains a student by a teacher.
    """

    graphs: Graphs
    Distiller: type[DistillerMixin]

    # Quantizing and pruning: the flat models have no models inside.

    @staticmethod
    @abc.abstractmethod
    def annotate(layer: Layer, spec: MultiLevelConfig) -> Layer:
        """A layer marked for ``quantize_apply``."""

    @staticmethod
    @abc.abstractmethod
    def quantize(flat: Model, configs: Mapping[str, MultiLevelConfig]) -> Model:
        """The quantized form of a flat model; ``configs`` of the layers that get levels, by name.
        Annotated layers take their own, all others stay int8.
        """

    @staticmethod
    @abc.abstractmethod
    def prune(model: Model, prunings: Mapping[str, PruningSpec]) -> Model:
        """A copy of a flat model, the named layers of which are pruned as it trains."""

    # What a layer is.

    @staticmethod
    @abc.abstractmethod
    def is_annotated(layer: Layer) -> bool:
        """Whether ``quantize_annotate_layer`` made the layer."""

    @staticmethod
    @abc.abstractmethod
    def is_quantized(layer: Layer) -> bool:
        """Whether the layer is part of a quantized model."""

    @staticmethod
    @abc.abstractmethod
    def is_pruned(layer: Layer) -> bool:
        """Whether the layer has a mask."""

    @staticmethod
    @abc.abstractmethod
    def inner_layer(layer: Layer) -> Layer:
        """The layer that a wrapper of this package holds; any other layer itself."""

    @staticmethod
    @abc.abstractmethod
    def multi_level_layer(layer: Layer) -> MultiLevelLayer | None:
        """What is known of a layer with multi-level weights; None for any other layer."""

    @staticmethod
    @abc.abstractmethod
    def activation_levels(layer: Layer) -> ActivationLevels | None:
        """The levels that a layer cuts activations into; None if it does something else."""

    @staticmethod
    @abc.abstractmethod
    def output_quantization(layer: Layer) -> tuple[float, int] | None:
        """Scale and zero point of what a layer stores; None if it does not quantize its output."""

    @staticmethod
    @abc.abstractmethod
    def fused_batch_norm(layer: Layer, reader: Layer) -> BatchNorm | None:
        """The batch normalisation that TFLite folds into ``layer``, which ``reader`` alone reads;
        None if it is none.
        """

    # Models.

    @staticmethod
    @abc.abstractmethod
    def pruned_layers(model: Model) -> list[PrunedLayer]:
        """The layers of a model that are pruned, float ones and those with levels."""

    @staticmethod
    @abc.abstractmethod
    def range_flags(model: Model) -> Iterator[Variable]:
        """The weights that tell which activation ranges are set."""

    @staticmethod
    @abc.abstractmethod
    def inference(model: Model, compiled: bool) -> Callable[[list[np.ndarray]], None]:
        """A model as a function of a list of arrays, run for what it assigns to its weights."""

    @staticmethod
    @abc.abstractmethod
    def as_inputs(model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
        """Arrays as tensors of the types that a model takes."""

    @staticmethod
    @abc.abstractmethod
    def to_numpy(tensor: Tensor) -> np.ndarray:
        """The values of a tensor."""

    @staticmethod
    @abc.abstractmethod
    def check_convertible(model: Model) -> None:
        """Raises ConversionError where TensorFlow cannot trace the model."""

    # Back to plain layers.

    @staticmethod
    @abc.abstractmethod
    def plain_layer(layer: Layer) -> Layer | None:
        """An unbuilt layer of the plain model for a layer of a quantized one; None if it goes."""

    @staticmethod
    @abc.abstractmethod
    def bake_weights(layer: Layer, plain: Layer) -> None:
        """Copies the weights of a quantized layer to its plain form, kernels quantized."""
